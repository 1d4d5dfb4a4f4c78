package cpu

// #include "cpu.h"
import "C"

import "dpolab/kernels"

// sumBlock is how many elements of a long sum are added up before partial sums
// are combined; it is fixed so that the result is the same for any number of
// threads.
const sumBlock = 1 << 16

func (b *Backend) Reduce(op kernels.ReduceOp, dst, src kernels.Array, outer, mid, inner int) {
	if inner != 1 {
		for o := range outer {
			from, to := src.Slice(o*mid*inner, (o+1)*mid*inner), dst.Slice(o*inner, (o+1)*inner)
			b.parallel(inner, max(16, grain/max(mid, 1)), func(lo, hi int) {
				C.call_reduce_cols(b.ops, C.int(op), ctype(to), ctype(from), C.int64_t(mid), C.int64_t(inner), C.int64_t(lo), C.int64_t(hi))
			})
		}
		return
	}
	b.parallel(outer, max(1, grain/max(mid, 1)), func(lo, hi int) {
		C.call_reduce_rows(b.ops, C.int(op), part(dst, lo, hi), part(src, lo*mid, hi*mid), C.int64_t(hi-lo), C.int64_t(mid))
	})
}

func (b *Backend) SumSquares(x kernels.Array) float64 {
	blocks := (x.Len + sumBlock - 1) / sumBlock
	sums := make([]float64, blocks)
	b.tasks(blocks, func(i int) {
		lo, hi := i*sumBlock, min((i+1)*sumBlock, x.Len)
		sums[i] = float64(C.call_sum_squares(b.ops, part(x, lo, hi), C.int64_t(hi-lo)))
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}

func (b *Backend) Softmax(dst, x kernels.Array, rows, cols int, log bool) {
	b.parallel(rows, max(1, grain/max(cols, 1)), func(lo, hi int) {
		C.call_softmax(b.ops, part(dst, lo*cols, hi*cols), part(x, lo*cols, hi*cols), C.int64_t(hi-lo), C.int64_t(cols), flag(log))
	})
}

func (b *Backend) SoftmaxGrad(dx, dy, y kernels.Array, rows, cols int, log bool) {
	b.parallel(rows, max(1, grain/max(cols, 1)), func(lo, hi int) {
		C.call_softmax_grad(b.ops, part(dx, lo*cols, hi*cols), part(dy, lo*cols, hi*cols), part(y, lo*cols, hi*cols),
			C.int64_t(hi-lo), C.int64_t(cols), flag(log))
	})
}

func flag(on bool) C.int {
	if on {
		return 1
	}
	return 0
}
