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
