package cuda

import (
	"math"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

type reduceArgs struct {
	dst, src                         array
	outer, mid, inner, piece, pieces int64
}

type squaresTensor struct {
	x        array
	n, first int64
}

type sumSquaresArgs struct {
	tensors, partial uintptr
	count, padding   int32
}

type joinSquaresArgs struct {
	partial, total uintptr
	n              int64
}

type softmaxArgs struct {
	y, x, g      array
	rows, cols   int64
	log, padding int32
}

var reduceNames = [kernels.NumReduceOps]string{kernels.Sum: "sum", kernels.Max: "max", kernels.Min: "min"}

// Lengths of the pieces that a long axis is cut into: of a row, and of columns.
const (
	rowPiece    = 16384
	columnPiece = 128
	// gridLimit is the most blocks a grid has in its second and third axis.
	gridLimit = 65535
)

func (o *operations) Reduce(op kernels.ReduceOp, dst, src kernels.Array, outer, mid, inner int) {
	if outer*inner == 0 {
		return
	}
	if mid == 0 {
		o.Fill(dst, [kernels.NumReduceOps]float64{kernels.Sum: 0, kernels.Max: math.Inf(-1), kernels.Min: math.Inf(1)}[op])
		return
	}
	piece := columnPiece
	if inner == 1 {
		piece = rowPiece
	}
	pieces := ceil(mid, piece)
	to := dst
	if pieces > 1 {
		n := outer * pieces * inner
		to = kernels.Array{Data: o.scratch("reduce", 4*n), DType: dtype.Float32, Len: n}
		defer o.on.Free(to.Data)
	}
	args := reduceArgs{dst: operand("reduce", to), src: operand("reduce", src), outer: int64(outer), mid: int64(mid), inner: int64(inner),
		piece: int64(piece), pieces: int64(pieces)}
	if inner == 1 {
		run(o, "reduce_rows_"+reduceNames[op], [3]int{pieces, min(outer, gridLimit), ceil(outer, gridLimit)}, threadsFor(min(mid, piece), 256), 0, &args)
	} else {
		for first := 0; first < outer; first += gridLimit {
			some := min(outer-first, gridLimit)
			args.dst = operand("reduce", to.Slice(first*pieces*inner, to.Len))
			args.src = operand("reduce", src.Slice(first*mid*inner, src.Len))
			run(o, "reduce_columns_"+reduceNames[op], [3]int{ceil(inner, 32*vector), pieces, some}, 256, 0, &args)
		}
	}
	if pieces > 1 {
		o.Reduce(op, dst, to, outer, pieces, inner)
	}
}

// squaresPiece is SQUARES_PIECE of reduce.cu.
const squaresPiece = 65536

func (o *operations) SumSquares(xs []kernels.Array) float64 {
	const op = "sum_squares"
	rows, blocks := make([]squaresTensor, 0, len(xs)), 0
	for _, x := range xs {
		if x.Len > 0 {
			rows = append(rows, squaresTensor{operand(op, x), int64(x.Len), int64(blocks)})
			blocks += ceil(x.Len, squaresPiece)
		}
	}
	if blocks == 0 {
		return 0
	}
	tensors := table(o, op, rows)
	defer o.on.Free(tensors)
	partial := o.scratch(op, 8*(blocks+1))
	defer o.on.Free(partial)
	total := unsafe.Add(partial, 8*blocks)
	run(o, op, [3]int{blocks, 1, 1}, 256, 0, &sumSquaresArgs{uintptr(tensors), uintptr(partial), int32(len(rows)), 0})
	run(o, "join_squares", [3]int{1, 1, 1}, 256, 0, &joinSquaresArgs{uintptr(partial), uintptr(total), int64(blocks)})
	var sum float64
	o.on.Download(unsafe.Slice((*byte)(unsafe.Pointer(&sum)), 8), total)
	return sum
}

func (o *operations) Softmax(dst, x kernels.Array, rows, cols int, log bool) {
	if cols == 0 {
		return
	}
	run(o, "softmax", [3]int{rows, 1, 1}, threadsFor(cols, 256), 0,
		&softmaxArgs{y: operand("softmax", dst), x: operand("softmax", x), g: array{}, rows: int64(rows), cols: int64(cols), log: flag(log)})
}

func (o *operations) SoftmaxGrad(dx, dy, y kernels.Array, rows, cols int, log bool) {
	if cols == 0 {
		return
	}
	const op = "softmax gradient"
	run(o, "softmax_grad", [3]int{rows, 1, 1}, threadsFor(cols, 256), 0,
		&softmaxArgs{y: operand(op, dx), x: operand(op, y), g: operand(op, dy), rows: int64(rows), cols: int64(cols), log: flag(log)})
}

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
