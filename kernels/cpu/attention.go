package cpu

// #include "cpu.h"
import "C"

import (
	"sort"
	"unsafe"

	"dpolab/kernels"
)

// attentionWork is the memory that the kernels of body_attention.h work in, in
// float32 elements.
type attentionWork struct {
	heads  int // distance of a head's rows
	scores int // distance of rows of scores against all keys
	block  int // rows of a block of queries, at most, and of a tile behind it
	turned int // keys or values of one head, turned and packed
}

// attentionWork sizes the work of heads of dim elements and m keys. Rows take an
// odd number of cache lines.
func (b *Backend) attentionWork(dim, m int) attentionWork {
	const line = 16
	mr, nr := int(b.ops.mr), int(b.ops.nr)
	odd := func(n int) int { return roundUp(n, 2*line) + line }
	return attentionWork{heads: odd(roundUp(dim, nr)), scores: odd(roundUp(m, nr) + max(mr, nr)), block: 64 + mr, turned: roundUp(m, nr)*dim + 4*line}
}

func lower(a *kernels.AttentionArgs, w attentionWork) C.attention_args {
	return C.attention_args{out: cheads(a.Out), q: cheads(a.Q), k: cheads(a.K), v: cheads(a.V), lse: floats("attention", a.LSE),
		nheads: C.int64_t(a.NumHeads), kvheads: C.int64_t(a.KVHeads), dim: C.int64_t(a.HeadDim), scale: C.float(a.Scale),
		ldd: C.int64_t(w.heads), lds: C.int64_t(w.scores)}
}

// csegments copies segments to C memory, as C must not hold pointers to Go's.
func (b *Backend) csegments(list []kernels.Segment) *C.segment {
	p := b.must("attention", max(len(list), 1)*int(unsafe.Sizeof(C.segment{})))
	copy(unsafe.Slice((*kernels.Segment)(p), len(list)), list)
	return (*C.segment)(p)
}

// longest returns the most keys any segment sees.
func longest(list []kernels.Segment) int {
	n := 0
	for _, s := range list {
		n = max(n, int(s.PrefixEnd-s.PrefixStart+s.KeyEnd-s.KeyStart))
	}
	return n
}

func (b *Backend) Attention(a *kernels.AttentionArgs) {
	checkHead("attention", a.HeadDim)
	missing := outside(a.QueryRows, querySpans(a.Segments))
	b.clearHeads(a.Out, a.NumHeads, a.HeadDim, missing)
	for _, t := range missing {
		b.Fill(a.LSE.Slice(t*a.NumHeads, (t+1)*a.NumHeads), 0)
	}
	if len(a.Segments) == 0 {
		return
	}
	segs := b.csegments(a.Segments)
	defer b.Free(unsafe.Pointer(segs))
	size := unsafe.Sizeof(C.segment{})
	b.tasks(len(a.Segments)*a.NumHeads, func(i int) {
		s, h := i/a.NumHeads, i%a.NumHeads
		m := longest(a.Segments[s : s+1])
		w := b.attentionWork(a.HeadDim, m)
		work := b.must("attention", 4*(m*w.heads+w.block*(2*w.heads+w.scores)+w.turned))
		defer b.Free(work)
		args := lower(a, w)
		args.segs, args.nsegs = (*C.segment)(unsafe.Add(unsafe.Pointer(segs), uintptr(s)*size)), 1
		args.head, args.work = C.int64_t(h), (*C.float)(work)
		C.call_attention(b.ops, &args)
	})
}

// rows are rows [lo, hi) of an array.
type rows struct{ lo, hi int32 }

// outside returns the rows below n that are in none of the spans.
func outside(n int, spans []rows) (missing []int) {
	covered := make([]bool, n)
	for _, s := range spans {
		for t := s.lo; t < s.hi; t++ {
			covered[t] = true
		}
	}
	for t, ok := range covered {
		if !ok {
			missing = append(missing, t)
		}
	}
	return missing
}

func querySpans(list []kernels.Segment) (spans []rows) {
	for _, s := range list {
		spans = append(spans, rows{s.QueryStart, s.QueryEnd})
	}
	return spans
}

// clearHeads zeroes heads in the given rows.
func (b *Backend) clearHeads(x kernels.Heads, heads, dim int, at []int) {
	for _, t := range at {
		for h := range heads {
			start := t*x.Row + h*x.Head
			b.Fill(x.Slice(start, start+dim), 0)
		}
	}
}

// group is a set of segments whose keys no segment outside it sees, and the
// rows those keys lie in: gradients of keys are summed within a group.
type group struct {
	segments []kernels.Segment
	rows
}

// groups partitions the segments by overlapping key rows. A preference pair's
// prompt, chosen and rejected response come together.
func groups(list []kernels.Segment) []group {
	span := func(s kernels.Segment) (lo, hi int32) {
		lo, hi = s.KeyStart, s.KeyEnd
		if s.PrefixEnd > s.PrefixStart {
			lo, hi = min(lo, s.PrefixStart), max(hi, s.PrefixEnd)
		}
		return lo, hi
	}
	sorted := append([]kernels.Segment(nil), list...)
	sort.SliceStable(sorted, func(i, j int) bool {
		a, _ := span(sorted[i])
		b, _ := span(sorted[j])
		return a < b
	})
	var out []group
	for _, s := range sorted {
		if s.Queries() == 0 {
			continue
		}
		lo, hi := span(s)
		if n := len(out) - 1; n >= 0 && lo < out[n].hi {
			out[n].segments = append(out[n].segments, s)
			out[n].hi = max(out[n].hi, hi)
			continue
		}
		out = append(out, group{[]kernels.Segment{s}, rows{lo, hi}})
	}
	return out
}

func (b *Backend) AttentionGrad(a *kernels.AttentionGradArgs) {
	checkHead("attention gradient", a.HeadDim)
	gs := groups(a.Segments)
	if a.Fresh {
		b.clearHeads(a.DQ, a.NumHeads, a.HeadDim, outside(a.QueryRows, querySpans(a.Segments)))
		var keys []rows
		for _, g := range gs {
			keys = append(keys, g.rows)
		}
		missing := outside(a.KeyRows, keys)
		b.clearHeads(a.DK, a.KVHeads, a.HeadDim, missing)
		b.clearHeads(a.DV, a.KVHeads, a.HeadDim, missing)
	}
	b.tasks(len(gs)*a.KVHeads, func(i int) {
		g, kv := gs[i/a.KVHeads], i%a.KVHeads
		segs := b.csegments(g.segments)
		defer b.Free(unsafe.Pointer(segs))
		m, span := longest(g.segments), int(g.hi-g.lo)
		w := b.attentionWork(a.HeadDim, m)
		work := b.must("attention gradient", 4*((2*span+3*m)*w.heads+w.block*(3*w.heads+2*w.scores)+2*w.turned))
		defer b.Free(work)
		args := lower(&a.AttentionArgs, w)
		args.dout, args.dq, args.dk, args.dv = cheads(a.DOut), cheads(a.DQ), cheads(a.DK), cheads(a.DV)
		args.segs, args.nsegs, args.head = segs, C.int64_t(len(g.segments)), C.int64_t(kv)
		args.fresh = C.int32_t(flag(a.Fresh))
		args.lo, args.hi, args.work = C.int64_t(g.lo), C.int64_t(g.hi), (*C.float)(work)
		C.call_attention_grad(b.ops, &args)
	})
}
