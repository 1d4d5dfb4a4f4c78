package tensor

import (
	"fmt"
	"math"
	"sort"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// AttentionArgs describe one attention: where the heads are, how many there
// are, and which rows see which (see kernels.Segment). Query head h reads
// key-value head h/(NumHeads/KVHeads).
type AttentionArgs struct {
	Q, K, V                    HeadView
	QueryRows, KeyRows         int
	NumHeads, KVHeads, HeadDim int
	Scale                      float64
	Segments                   []kernels.Segment
}

// Attention returns softmax(Q·Kᵀ·Scale)·V under the segments, [QueryRows,
// NumHeads·HeadDim]. A query row that is in no segment gets zeros.
func Attention(args AttentionArgs) *Tensor {
	a := args
	a.check()
	dev := a.Q.X.dev
	fused, ok := dev.backend.(kernels.Attention)
	return dev.Scope(func() *Tensor {
		if !ok {
			return composedAttention(a)
		}
		return fusedAttention(fused, a)
	})
}

func fusedAttention(fused kernels.Attention, a AttentionArgs) *Tensor {
	dev, width := a.Q.X.dev, a.NumHeads*a.HeadDim
	y := Empty(dev, a.Q.X.DType(), a.QueryRows, width)
	lse := Empty(dev, promote(a.Q.X.DType(), dtype.Float32), a.QueryRows, a.NumHeads)
	out := HeadView{Row: width, Head: a.HeadDim}
	lower := func(q, k, v, y, lse *Tensor) kernels.AttentionArgs {
		return kernels.AttentionArgs{Out: out.on(y), Q: a.Q.on(q), K: a.K.on(k), V: a.V.on(v), LSE: lse.Array(),
			QueryRows: a.QueryRows, KeyRows: a.KeyRows, NumHeads: a.NumHeads, KVHeads: a.KVHeads, HeadDim: a.HeadDim,
			Scale: a.Scale, Segments: a.Segments}
	}
	forward := lower(a.Q.X, a.K.X, a.V.X, y, lse)
	fused.Attention(&forward)
	return record("attention", y, []*Tensor{a.Q.X, a.K.X, a.V.X}, []*Tensor{a.Q.X, a.K.X, a.V.X, y, lse}, func(b *Backward, dy *Tensor) {
		views := [3]HeadView{a.Q, a.K, a.V}
		var grads [3]kernels.Heads
		fresh := a.whole()
		for i := range views {
			fresh = fresh && b.Needs(i) && b.Unset(i)
		}
		for i, v := range views {
			switch {
			case fresh:
				dst, _ := b.Into(i)
				grads[i] = v.on(dst)
			case b.Needs(i):
				grads[i] = v.on(b.Zeroed(i))
			default: // the kernel always makes all three
				grads[i] = v.on(Zeros(dy.dev, b.Saved(i).DType(), b.Saved(i).shape...))
			}
		}
		fused.AttentionGrad(&kernels.AttentionGradArgs{
			AttentionArgs: lower(b.Saved(0), b.Saved(1), b.Saved(2), b.Saved(3), b.Saved(4)),
			DOut:          out.on(dy), DQ: grads[0], DK: grads[1], DV: grads[2], Fresh: fresh})
	})
}

// whole reports that the heads of queries, keys and values are all that their
// tensors hold, be they three or one.
func (a *AttentionArgs) whole() bool {
	q, kv := a.QueryRows*a.NumHeads*a.HeadDim, a.KeyRows*a.KVHeads*a.HeadDim
	if a.Q.X == a.K.X && a.K.X == a.V.X {
		return a.Q.X.Len() == q+2*kv && a.Q.Offset != a.K.Offset && a.K.Offset != a.V.Offset && a.Q.Offset != a.V.Offset
	}
	return a.Q.X != a.K.X && a.K.X != a.V.X && a.Q.X != a.V.X &&
		a.Q.X.Len() == q && a.K.X.Len() == kv && a.V.X.Len() == kv
}

func (a *AttentionArgs) check() {
	const op = "attention"
	a.Q.check(op, a.QueryRows, a.NumHeads, a.HeadDim)
	a.K.check(op, a.KeyRows, a.KVHeads, a.HeadDim)
	a.V.check(op, a.KeyRows, a.KVHeads, a.HeadDim)
	requireDevice(op, a.Q.X, a.K.X, a.V.X)
	if a.NumHeads%a.KVHeads != 0 {
		fail(op, "query heads in a multiple of key-value heads", "%d and %d", a.NumHeads, a.KVHeads)
	}
	seen := make([]bool, a.QueryRows)
	for _, s := range a.Segments {
		inside := func(lo, hi int32, n int) bool { return lo >= 0 && lo <= hi && int(hi) <= n }
		if !inside(s.QueryStart, s.QueryEnd, a.QueryRows) || !inside(s.KeyStart, s.KeyEnd, a.KeyRows) ||
			!inside(s.PrefixStart, s.PrefixEnd, a.KeyRows) || s.Queries() > int(s.KeyEnd-s.KeyStart) {
			fail(op, fmt.Sprintf("segments within %d query and %d key rows, with a key for every query", a.QueryRows, a.KeyRows), "%+v", s)
		}
		if max(s.KeyStart, s.PrefixStart) < min(s.KeyEnd, s.PrefixEnd) {
			fail(op, "a prefix apart from the segment's own keys", "%+v", s)
		}
		for t := s.QueryStart; t < s.QueryEnd; t++ {
			if seen[t] {
				fail(op, "each query row in one segment", "row %d in two", t)
			}
			seen[t] = true
		}
	}
}

// composedAttention is Attention out of required operations: per segment, a
// product, a causal mask, a softmax and a product.
func composedAttention(a AttentionArgs) *Tensor {
	q := a.Q.gather(a.QueryRows, a.NumHeads, a.HeadDim)
	k := a.K.gather(a.KeyRows, a.KVHeads, a.HeadDim)
	v := a.V.gather(a.KeyRows, a.KVHeads, a.HeadDim)
	segments := append([]kernels.Segment(nil), a.Segments...)
	sort.Slice(segments, func(i, j int) bool { return segments[i].QueryStart < segments[j].QueryStart })
	width := a.NumHeads * a.HeadDim
	var parts []*Tensor
	for _, x := range []*Tensor{q, k, v} { // no rows, but the graph goes on without segments too
		parts = append(parts, x.Narrow(0, 0, 0).Reshape(0, width).To(q.DType()))
	}
	at := 0
	zeros := func(n int) {
		if n > 0 {
			parts = append(parts, Zeros(q.dev, q.DType(), n, width))
		}
	}
	for _, s := range segments {
		if s.Queries() == 0 {
			continue
		}
		zeros(int(s.QueryStart) - at)
		parts = append(parts, segmentAttention(a, s, q, k, v))
		at = int(s.QueryEnd)
	}
	zeros(a.QueryRows - at)
	return Cat(0, parts)
}

// segmentAttention computes the rows of one segment, [n, H·d].
func segmentAttention(a AttentionArgs, s kernels.Segment, q, k, v *Tensor) *Tensor {
	n, own, prefix := s.Queries(), int(s.KeyEnd-s.KeyStart), int(s.PrefixEnd-s.PrefixStart)
	group := a.NumHeads / a.KVHeads
	visible := func(x *Tensor) *Tensor { // [KV, prefix+own, d]
		rows := []*Tensor{x.Narrow(0, int(s.KeyStart), own)}
		if prefix > 0 {
			rows = []*Tensor{x.Narrow(0, int(s.PrefixStart), prefix), rows[0]}
		}
		return Cat(0, rows).Permute(1, 0, 2)
	}
	m := prefix + own
	mask := make([]float32, n*m)
	for i := range n {
		for j := prefix + own - n + i + 1; j < m; j++ {
			mask[i*m+j] = float32(math.Inf(-1))
		}
	}
	wide := promote(q.DType(), dtype.Float32)
	heads := q.Narrow(0, int(s.QueryStart), n).Permute(1, 0, 2).Reshape(a.KVHeads, group*n, a.HeadDim)
	scores := heads.To(wide).MatMul(visible(k).To(wide).Transpose(1, 2)).MulScalar(a.Scale)
	scores = scores.Reshape(a.KVHeads, group, n, m).Add(FromFloat32(q.dev, mask, n, m).To(wide))
	weights := scores.Softmax(-1).Reshape(a.KVHeads, group*n, m)
	out := weights.MatMul(visible(v).To(wide)).Reshape(a.NumHeads, n, a.HeadDim)
	return out.Permute(1, 0, 2).Reshape(n, a.NumHeads*a.HeadDim).To(q.DType())
}
