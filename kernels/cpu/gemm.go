package cpu

// #include "cpu.h"
import "C"

import "dpolab/kernels"

// gemmGrain is the least number of multiplications worth a thread of its own.
const gemmGrain = 1 << 18

// fewRows is the most rows for which dot products beat packing.
const fewRows = 4

func (b *Backend) Gemm(g *kernels.GemmArgs) {
	batch := max(g.Batch, 1)
	if g.M == 0 || g.N == 0 {
		return
	}
	work := max(g.M, 1) * max(g.N, 1) * max(g.K, 1)
	if batch > 1 && (batch >= b.threads || work < gemmGrain) {
		b.parallel(batch, max(1, gemmGrain/work), func(lo, hi int) {
			withScratch(func(s *C.float) {
				for i := lo; i < hi; i++ {
					b.block(g, i, 0, g.M, 0, g.N, s)
				}
			})
		})
		return
	}
	for i := range batch {
		b.split(g, i, work)
	}
}

// split divides one product over the threads along its longer side. Every
// element of C is computed by one thread over all of K, in the same order
// wherever the cut falls.
func (b *Backend) split(g *kernels.GemmArgs, i, work int) {
	const unit = 32 // cuts fall on multiples of a register tile's width
	if g.N >= g.M {
		units := (g.N + unit - 1) / unit
		b.parallel(units, max(1, gemmGrain*units/work), func(lo, hi int) {
			withScratch(func(s *C.float) { b.block(g, i, 0, g.M, lo*unit, min(hi*unit, g.N), s) })
		})
		return
	}
	const rows = 84 // a multiple of the tile heights 14, 6 and 4
	units := (g.M + rows - 1) / rows
	b.parallel(units, max(1, gemmGrain*units/work), func(lo, hi int) {
		withScratch(func(s *C.float) { b.block(g, i, lo*rows, min(hi*rows, g.M), 0, g.N, s) })
	})
}

// block computes rows [m0, m1) and columns [n0, n1) of product i of the batch.
func (b *Backend) block(g *kernels.GemmArgs, i, m0, m1, n0, n1 int, scratch *C.float) {
	at := func(a kernels.Array, start int) C.arr { return ctype(a.Slice(min(start, a.Len), a.Len)) }
	a0, b0 := i*g.StrideA+m0*g.LDA, i*g.StrideB+n0
	if g.TransA {
		a0 = i*g.StrideA + m0
	}
	if g.TransB {
		b0 = i*g.StrideB + n0*g.LDB
	}
	args := C.gemm_args{a: at(g.A, a0), b: at(g.B, b0), c: at(g.C, i*g.StrideC+m0*g.LDC+n0),
		m: C.int64_t(m1 - m0), n: C.int64_t(n1 - n0), k: C.int64_t(g.K),
		lda: C.int64_t(g.LDA), ldb: C.int64_t(g.LDB), ldc: C.int64_t(g.LDC),
		ta: C.int32_t(flag(g.TransA)), tb: C.int32_t(flag(g.TransB)), alpha: C.float(g.Alpha), beta: C.float(g.Beta), scratch: scratch}
	if g.M <= fewRows && !g.TransA && g.TransB {
		args.few = 1
	}
	if !g.Bias.IsNil() {
		args.bias = at(g.Bias, n0)
	}
	C.call_gemm(b.ops, &args)
}
