package cpu

// #include "cpu.h"
import "C"

import (
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

func (b *Backend) LayerNorm(y, mean, rstd, x, weight, bias kernels.Array, rows, cols int, eps float64) {
	b.AddLayerNorm(x, y, mean, rstd, kernels.Array{}, kernels.Array{}, weight, bias, rows, cols, eps)
}

func (b *Backend) AddLayerNorm(sum, y, mean, rstd, x, r, weight, bias kernels.Array, rows, cols int, eps float64) {
	b.parallel(rows, max(1, grain/max(cols, 1)), func(lo, hi int) {
		C.call_layer_norm(b.ops, part(y, lo*cols, hi*cols), floats("layer_norm", mean.Slice(lo, hi)), floats("layer_norm", rstd.Slice(lo, hi)),
			part(sum, lo*cols, hi*cols), partOf(x, lo*cols, hi*cols), partOf(r, lo*cols, hi*cols), ctype(weight), ctype(bias),
			C.int64_t(hi-lo), C.int64_t(cols), C.float(eps))
	})
}

func (b *Backend) RMSNorm(y, rstd, x, weight kernels.Array, rows, cols int, eps float64) {
	b.AddRMSNorm(x, y, rstd, kernels.Array{}, kernels.Array{}, weight, rows, cols, eps)
}

func (b *Backend) AddRMSNorm(sum, y, rstd, x, r, weight kernels.Array, rows, cols int, eps float64) {
	b.parallel(rows, max(1, grain/max(cols, 1)), func(lo, hi int) {
		C.call_rms_norm(b.ops, part(y, lo*cols, hi*cols), floats("rms_norm", rstd.Slice(lo, hi)),
			part(sum, lo*cols, hi*cols), partOf(x, lo*cols, hi*cols), partOf(r, lo*cols, hi*cols), ctype(weight),
			C.int64_t(hi-lo), C.int64_t(cols), C.float(eps))
	})
}

// partOf is part for an operand that may be absent.
func partOf(a kernels.Array, lo, hi int) C.arr {
	if a.IsNil() {
		return ctype(a)
	}
	return part(a, lo, hi)
}

// normRows is how many rows share one partial sum of the weight gradient; it
// is fixed so that the sum does not depend on the number of threads.
const normRows = 256

// partialSums runs fn over blocks of rows, each with zeroed float32 sums of
// its own for as many gradients as there are, and adds all blocks' sums to the
// gradients in order.
func (b *Backend) partialSums(rows, cols int, grads []kernels.Array, fn func(lo, hi int, sums []*C.float)) {
	blocks := (rows + normRows - 1) / normRows
	width := len(grads) * cols
	sums := kernels.Array{Data: b.must("norm gradient", 4*blocks*width), DType: dtype.Float32, Len: blocks * width}
	defer b.Free(sums.Data)
	b.Fill(sums, 0)
	b.tasks(blocks, func(i int) {
		parts := make([]*C.float, len(grads))
		for g := range grads {
			if !grads[g].IsNil() {
				parts[g] = (*C.float)(unsafe.Add(sums.Data, 4*(i*width+g*cols)))
			}
		}
		fn(i*normRows, min((i+1)*normRows, rows), parts)
	})
	for i := range blocks {
		for g, dst := range grads {
			if dst.IsNil() {
				continue
			}
			from := sums.Slice(i*width+g*cols, i*width+(g+1)*cols)
			if i < blocks-1 { // carry on in float32; the last block meets the gradient
				b.AddScaled(sums.Slice((i+1)*width+g*cols, (i+1)*width+(g+1)*cols), 1, from)
			} else {
				b.AddScaled(dst, 1, from)
			}
		}
	}
}

func (b *Backend) LayerNormGrad(dx, dweight, dbias, residual, dy, x, weight, mean, rstd kernels.Array, rows, cols int) {
	b.partialSums(rows, cols, []kernels.Array{dweight, dbias}, func(lo, hi int, sums []*C.float) {
		C.call_norm_grad(b.ops, part(dx, lo*cols, hi*cols), sums[0], sums[1], partOf(residual, lo*cols, hi*cols), part(dy, lo*cols, hi*cols), part(x, lo*cols, hi*cols),
			ctype(weight), floats("layer_norm", mean.Slice(lo, hi)), floats("layer_norm", rstd.Slice(lo, hi)), C.int64_t(hi-lo), C.int64_t(cols))
	})
}

func (b *Backend) RMSNormGrad(dx, dweight, residual, dy, x, weight, rstd kernels.Array, rows, cols int) {
	b.partialSums(rows, cols, []kernels.Array{dweight}, func(lo, hi int, sums []*C.float) {
		C.call_norm_grad(b.ops, part(dx, lo*cols, hi*cols), sums[0], nil, partOf(residual, lo*cols, hi*cols), part(dy, lo*cols, hi*cols), part(x, lo*cols, hi*cols),
			ctype(weight), nil, floats("rms_norm", rstd.Slice(lo, hi)), C.int64_t(hi-lo), C.int64_t(cols))
	})
}
