package cpu

// #include "cpu.h"
import "C"

import (
	"unsafe"

	"dpolab/kernels"
)

// Products in block-scaled int16 (body_int16.h). Both operands are looked
// through, quantised block by block along K and packed, all threads together;
// blocks in which some tiles would lose too much are packed in float32 too. Then
// threads take blocks of rows, as in other products.

// int16Pays says whether a product is large enough to earn the quantising back,
// which takes as long as between 100 and 200 multiplications of each element.
func int16Pays(g *kernels.GemmArgs) bool {
	return g.K >= 64 && g.M*g.N >= 200*(g.M+g.N)
}

// blocked is what a product in int16 works in, of A and of B.
type blocked struct {
	c           *C.gemm_blocks // in C's memory, as it points there
	rows, width [2]int         // of an operand; of its panels
	groups      [2]int         // of panels
	stretches   [2]int         // of rows
}

// newBlocked takes the memory for a product with n columns, all but that for
// blocks in float32.
func (b *Backend) newBlocked(w *way, g *kernels.GemmArgs, n int) blocked {
	count := (g.K + C.GEMM_BLOCK - 1) / C.GEMM_BLOCK
	size := roundUp((g.K+count-1)/count, 2)
	out := blocked{rows: [2]int{g.M, n}, width: [2]int{int(w.mr), int(w.nr)}}
	lay := C.gemm_blocks{size: C.int64_t(size), count: C.int64_t(count)}
	for o := range 2 {
		out.groups[o] = (out.rows[o] + C.GEMM_GROUP*out.width[o] - 1) / (C.GEMM_GROUP * out.width[o])
		out.stretches[o] = (out.rows[o] + C.GEMM_STRETCH - 1) / C.GEMM_STRETCH
		lay.panels[o] = C.int64_t(out.groups[o] * C.GEMM_GROUP)
	}
	b.carve(func(take func(words int) unsafe.Pointer) {
		floats := func(n int) *C.float { return (*C.float)(take(n)) }
		out.c = (*C.gemm_blocks)(take(int(unsafe.Sizeof(lay)) / 4)) // first, as it is freed by
		lay.wide, lay.live, lay.weights = (*C.int32_t)(take(count)), (*C.int32_t)(take(count)), floats(g.K)
		for o := range 2 {
			panels := int(lay.panels[o])
			lay.tops[o] = (*C.uint16_t)(take((out.stretches[o]*g.K + 1) / 2))
			lay.factors[o], lay.heights[o] = floats(g.K), floats(g.K)
			lay.flat[o], lay.rough[o] = floats(count*panels), floats(count*panels)
			lay.scales[o] = floats(count * panels * out.width[o])
			lay.narrow[o] = floats(panels * (count*size/2*out.width[o] + C.GEMM_MARGIN))
		}
	})
	*out.c = lay
	return out
}

// eachGroup runs do for all groups of panels of both operands.
func (b *Backend) eachGroup(threads int, groups [2]int, do func(o C.int, group C.int64_t)) {
	b.each(threads, groups[0]+groups[1], func(t int) {
		if t < groups[0] {
			do(0, C.int64_t(t))
		} else {
			do(1, C.int64_t(t-groups[0]))
		}
	})
}

// quantised computes columns [j0, j1) of a product in block-scaled int16.
func (b *Backend) quantised(w *way, g *kernels.GemmArgs, i, j0, j1, threads int) {
	n := j1 - j0
	p := b.newBlocked(w, g, n)
	defer b.Free(unsafe.Pointer(p.c))
	args := b.lowerGemm(g, i, j0, n)
	args.blocks = p.c
	count := int(p.c.count)
	b.each(threads, (p.stretches[0]+p.stretches[1])*count, func(t int) {
		o, at := 0, t/count
		if at >= p.stretches[0] {
			o, at = 1, at-p.stretches[0]
		}
		C.call_int16_tops(b.ops, &args, C.int(o), C.int64_t(at), C.int64_t(t%count))
	})
	C.call_int16_balance(b.ops, &args)
	b.eachGroup(threads, p.groups, func(o C.int, group C.int64_t) {
		withScratch(func(scratch *C.float) { C.call_int16_pack(b.ops, &args, o, group, scratch) })
	})
	tiles := (g.M + p.width[0] - 1) / p.width[0] * ((n + p.width[1] - 1) / p.width[1]) * count
	if misfits := int(C.call_int16_decide(b.ops, &args)); 2*misfits > tiles { // nothing is left to gain
		b.columns((*way)(&b.ops.ways[0]), g, i, j0, j1, threads)
		return
	}
	if p.c.wides > 0 {
		broad := b.carve(func(take func(words int) unsafe.Pointer) {
			for o := range 2 {
				p.c.broad[o] = (*C.float)(take(int(p.c.panels[o]) * (int(p.c.wides*p.c.size)*p.width[o] + C.GEMM_MARGIN)))
			}
		})
		defer b.Free(broad)
		b.eachGroup(threads, p.groups, func(o C.int, group C.int64_t) { C.call_int16_widen(b.ops, &args, o, group) })
	}
	parts := cut(g.M, n, w.depth(g), threads, p.width[0], p.width[1])
	b.each(threads, parts.count(), func(t int) {
		i0, i1, c0, c1 := parts.at(t)
		withScratch(func(sums *C.float) {
			C.call_gemm_rows(w.c(), &args, C.int64_t(i0), C.int64_t(min(i1, g.M)), C.int64_t(c0), C.int64_t(min(c1, n)), sums)
		})
	})
}

// carve takes memory in one piece for all that lay asks for, which it does
// twice, and gets nil the first time.
func (b *Backend) carve(lay func(take func(words int) unsafe.Pointer)) (work unsafe.Pointer) {
	used := 0
	take := func(words int) unsafe.Pointer {
		at := used
		used += roundUp(4*words, 64)
		if work == nil {
			return nil
		}
		return unsafe.Add(work, at)
	}
	lay(take)
	work = b.must("gemm", used)
	used = 0
	lay(take)
	return work
}
