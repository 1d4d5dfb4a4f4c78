package cuda

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
)

// table copies the rows of a list of tensors (lists.cuh) to the device; the
// caller frees it as soon as the launch that reads it is queued.
func table[Row any](o *operations, op string, rows []Row) unsafe.Pointer {
	size := len(rows) * int(unsafe.Sizeof(rows[0]))
	p := o.scratch(op, size)
	o.on.Upload(p, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(rows))), size))
	return p
}

// updateTensor is one parameter of a list, as the optimizers' kernels see it.
type updateTensor struct {
	param    uintptr
	state    [3]uintptr
	grad     uintptr
	n, first int64
}

// updatePiece is PIECE of update.cu.
const updatePiece = 16384

// updates lays out parameters, gradients and up to three lists of state, of
// which any may be nil, and counts the blocks that a launch over them has.
func updates(op string, params, grads []kernels.Array, states ...[]kernels.Array) (rows []updateTensor, blocks int) {
	for _, list := range append(states, grads) {
		if list != nil && len(list) != len(params) {
			panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d tensors against %d", len(params), len(list))})
		}
	}
	rows = make([]updateTensor, 0, len(params))
	for i, p := range params {
		same(op, p, grads[i])
		row := updateTensor{param: floats(op, p), grad: floats(op, grads[i]), n: int64(p.Len), first: int64(blocks)}
		for k, list := range states {
			if list != nil {
				same(op, p, list[i])
				row.state[k] = floats(op, list[i])
			}
		}
		if p.Len > 0 {
			rows = append(rows, row)
			blocks += ceil(p.Len, updatePiece)
		}
	}
	return rows, blocks
}

type listTensor struct {
	y, x     array
	n, first int64
}

type listArgs struct {
	tensors uintptr
	count   int32
	mul     float32
}

func (o *operations) CopyAll(dsts, srcs []kernels.Array) { o.overList("convert_list", dsts, srcs, 1) }

func (o *operations) AddScaledAll(dsts []kernels.Array, alpha float64, xs []kernels.Array) {
	o.overList("add_scaled_list", dsts, xs, alpha)
}

// listPiece is PIECE of elementwise.cu.
const listPiece = 16384

func (o *operations) overList(op string, ys, xs []kernels.Array, mul float64) {
	if len(xs) != len(ys) {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d tensors against %d", len(ys), len(xs))})
	}
	rows, blocks := make([]listTensor, 0, len(ys)), 0
	for i, y := range ys {
		if same(op, y, xs[i]); y.Len > 0 {
			rows = append(rows, listTensor{operand(op, y), operand(op, xs[i]), int64(y.Len), int64(blocks)})
			blocks += ceil(y.Len, listPiece)
		}
	}
	if blocks == 0 {
		return
	}
	tensors := table(o, op, rows)
	defer o.on.Free(tensors)
	run(o, op, [3]int{blocks, 1, 1}, 256, 0, &listArgs{uintptr(tensors), int32(len(rows)), float32(mul)})
}
