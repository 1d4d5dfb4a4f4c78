package cpu

// #include "cpu.h"
import "C"

import "dpolab/kernels"

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

// SumSquares adds the sums of pieces up in order, first those of each tensor.
func (b *Backend) SumSquares(xs []kernels.Array) float64 {
	list := pieces(xs)
	sums := make([]float64, len(list))
	b.overList(list, func(i int, p piece) {
		sums[i] = float64(C.call_sum_squares(b.ops, part(xs[p.tensor], p.lo, p.hi), C.int64_t(p.hi-p.lo)))
	})
	total, tensor := 0.0, 0.0
	for i, s := range sums {
		if tensor += s; i == len(list)-1 || list[i+1].tensor != list[i].tensor {
			total, tensor = total+tensor, 0
		}
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
