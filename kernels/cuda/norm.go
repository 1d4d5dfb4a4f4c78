package cuda

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
)

type normArgs struct {
	y, x, weight, bias array
	sum, residual      array
	mean, rstd         uintptr
	rows, cols         int64
	eps                float32
	padding            int32
}

type normGradArgs struct {
	dx, dy, x, weight, residual array
	mean, rstd, dweight, dbias  uintptr
	rows, cols                  int64
}

type normJoinArgs struct {
	dst        array
	partial    uintptr
	rows, cols int64
}

func (o *operations) LayerNorm(y, mean, rstd, x, weight, bias kernels.Array, rows, cols int, eps float64) {
	o.norm("layer_norm", kernels.Array{}, y, rstd, x, kernels.Array{}, weight, bias, floats("layer_norm", mean), rows, cols, eps)
}

func (o *operations) AddLayerNorm(sum, y, mean, rstd, x, r, weight, bias kernels.Array, rows, cols int, eps float64) {
	o.norm("layer_norm", sum, y, rstd, x, r, weight, bias, floats("layer_norm", mean), rows, cols, eps)
}

func (o *operations) RMSNorm(y, rstd, x, weight kernels.Array, rows, cols int, eps float64) {
	o.norm("rms_norm", kernels.Array{}, y, rstd, x, kernels.Array{}, weight, kernels.Array{}, 0, rows, cols, eps)
}

func (o *operations) AddRMSNorm(sum, y, rstd, x, r, weight kernels.Array, rows, cols int, eps float64) {
	o.norm("rms_norm", sum, y, rstd, x, r, weight, kernels.Array{}, 0, rows, cols, eps)
}

func (o *operations) norm(op string, sum, y, rstd, x, r, weight, bias kernels.Array, mean uintptr, rows, cols int, eps float64) {
	run(o, op, [3]int{rows, 1, 1}, threadsFor(cols, 256), 0, &normArgs{y: operand(op, y), x: operand(op, x), weight: operand(op, weight),
		bias: operand(op, bias), sum: operand(op, sum), residual: operand(op, r), mean: mean, rstd: floats(op, rstd),
		rows: int64(rows), cols: int64(cols), eps: float32(eps)})
}

func (o *operations) LayerNormGrad(dx, dweight, dbias, residual, dy, x, weight, mean, rstd kernels.Array, rows, cols int) {
	o.normGrad("layer_norm gradient", dx, dweight, dbias, residual, dy, x, weight, rstd, floats("layer_norm gradient", mean), rows, cols)
}

func (o *operations) RMSNormGrad(dx, dweight, residual, dy, x, weight, rstd kernels.Array, rows, cols int) {
	o.normGrad("rms_norm gradient", dx, dweight, kernels.Array{}, residual, dy, x, weight, rstd, 0, rows, cols)
}

// normBlocks is how many partial sums a weight's gradient has at most. It is
// fixed, so that the bits do not depend on the device.
const normBlocks = 256

func (o *operations) normGrad(op string, dx, dweight, dbias, residual, dy, x, weight, rstd kernels.Array, mean uintptr, rows, cols int) {
	if rows == 0 || cols == 0 {
		return
	}
	each, most := 1, 512*vector
	for each*most < cols {
		each *= 2
	}
	if each > 4 {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d columns, want at most %d", cols, 4*most)})
	}
	blocks := min(rows, normBlocks)
	args := &normGradArgs{dx: operand(op, dx), dy: operand(op, dy), x: operand(op, x), weight: operand(op, weight),
		residual: operand(op, residual), mean: mean, rstd: floats(op, rstd), rows: int64(rows), cols: int64(cols)}
	var partial [2]unsafe.Pointer
	for i, d := range []kernels.Array{dweight, dbias} {
		if !d.IsNil() {
			partial[i] = o.scratch(op, 4*blocks*cols)
			defer o.on.Free(partial[i])
		}
	}
	args.dweight, args.dbias = uintptr(partial[0]), uintptr(partial[1])
	run(o, fmt.Sprint("norm_grad_", each), [3]int{blocks, 1, 1}, threadsFor(cols, 512), 0, args)
	for i, d := range []kernels.Array{dweight, dbias} {
		if !d.IsNil() {
			run(o, "norm_join", [3]int{ceil(cols, 32), 1, 1}, 256, 0, &normJoinArgs{operand(op, d), uintptr(partial[i]), int64(blocks), int64(cols)})
		}
	}
}
