package ref

import (
	"math"

	"dpolab/kernels"
)

// visible lists the key rows that query row t of segment s sees.
func visible(s kernels.Segment, t int) []int {
	var keys []int
	for k := int(s.PrefixStart); k < int(s.PrefixEnd); k++ {
		keys = append(keys, k)
	}
	last := int(s.KeyEnd) - (int(s.QueryEnd) - t) // the causal diagonal
	for k := int(s.KeyStart); k <= last; k++ {
		keys = append(keys, k)
	}
	return keys
}

// head reads one head's vector in one row.
func head(x kernels.Heads, t, h, dim int) []float64 {
	start := t*x.Row + h*x.Head
	return load(x.Array.Slice(start, start+dim))
}

func inner(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// eachQuery visits every query row and head with its keys and their scaled
// scores.
func eachQuery(a *kernels.AttentionArgs, visit func(t, h, kv int, keys []int, scores []float64)) {
	for _, s := range a.Segments {
		for t := int(s.QueryStart); t < int(s.QueryEnd); t++ {
			keys := visible(s, t)
			for h := range a.NumHeads {
				kv := h / (a.NumHeads / a.KVHeads)
				q := head(a.Q, t, h, a.HeadDim)
				scores := make([]float64, len(keys))
				for i, k := range keys {
					scores[i] = a.Scale * inner(q, head(a.K, k, kv, a.HeadDim))
				}
				visit(t, h, kv, keys, scores)
			}
		}
	}
}

func (b *Backend) Attention(a *kernels.AttentionArgs) {
	for t := range a.QueryRows {
		for h := range a.NumHeads {
			start := t*a.Out.Row + h*a.Out.Head
			b.Fill(a.Out.Slice(start, start+a.HeadDim), 0)
			set(a.LSE, t*a.NumHeads+h, 0)
		}
	}
	eachQuery(a, func(t, h, kv int, keys []int, scores []float64) {
		lse := logSumExp(scores)
		sum := make([]float64, a.HeadDim)
		for i, k := range keys {
			p := math.Exp(scores[i] - lse)
			for d, v := range head(a.V, k, kv, a.HeadDim) {
				sum[d] += p * v
			}
		}
		start := t*a.Out.Row + h*a.Out.Head
		store(a.Out.Slice(start, start+a.HeadDim), sum)
		set(a.LSE, t*a.NumHeads+h, lse)
	})
}

func (b *Backend) AttentionGrad(a *kernels.AttentionGradArgs) {
	if a.Fresh {
		for _, x := range []kernels.Heads{a.DQ, a.DK, a.DV} {
			b.Fill(x.Array, 0)
		}
	}
	// Sums of this call, laid out as the gradients are; added to them at the end.
	dq, dk, dv := make([]float64, a.DQ.Len), make([]float64, a.DK.Len), make([]float64, a.DV.Len)
	add := func(sums []float64, x kernels.Heads, t, h int, scale float64, v []float64) {
		start := t*x.Row + h*x.Head
		for i := range v {
			sums[start+i] += scale * v[i]
		}
	}
	eachQuery(&a.AttentionArgs, func(t, h, kv int, keys []int, scores []float64) {
		lse := logSumExp(scores)
		q, dout := head(a.Q, t, h, a.HeadDim), head(a.DOut, t, h, a.HeadDim)
		p, dp := make([]float64, len(keys)), make([]float64, len(keys))
		dotted := 0.0
		for i, k := range keys {
			p[i] = math.Exp(scores[i] - lse)
			dp[i] = inner(dout, head(a.V, k, kv, a.HeadDim))
			dotted += p[i] * dp[i]
		}
		for i, k := range keys {
			ds := p[i] * (dp[i] - dotted) * a.Scale
			add(dv, a.DV, k, kv, p[i], dout)
			add(dk, a.DK, k, kv, ds, q)
			add(dq, a.DQ, t, h, ds, head(a.K, k, kv, a.HeadDim))
		}
	})
	for _, g := range []struct {
		to   kernels.Heads
		sums []float64
	}{{a.DQ, dq}, {a.DK, dk}, {a.DV, dv}} {
		for i, v := range g.sums {
			if v != 0 {
				set(g.to.Array, i, at(g.to.Array, i)+v)
			}
		}
	}
}
