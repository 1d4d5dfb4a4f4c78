package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// segmentLayouts are the row arrangements attention has to get right.
var segmentLayouts = []struct {
	name          string
	queries, keys int
	segments      []kernels.Segment
}{
	{"one row", 1, 1, []kernels.Segment{kernels.Causal(0, 1)}},
	{"causal", 70, 70, []kernels.Segment{kernels.Causal(0, 70)}},
	{"two sequences", 90, 90, []kernels.Segment{kernels.Causal(0, 20), kernels.Causal(20, 90)}},
	{"pairs", 160, 160, []kernels.Segment{
		kernels.Causal(0, 30), kernels.After(0, 30, 30, 35), kernels.After(0, 30, 35, 100),
		kernels.Causal(100, 101), kernels.After(100, 101, 101, 130), kernels.After(100, 101, 130, 160)}},
	{"pairs out of order", 160, 160, []kernels.Segment{
		kernels.After(100, 101, 130, 160), kernels.After(0, 30, 35, 100), kernels.Causal(0, 30),
		kernels.After(100, 101, 101, 130), kernels.Causal(100, 101), kernels.After(0, 30, 30, 35)}},
	{"empty prompt", 20, 20, []kernels.Segment{kernels.Causal(0, 0), kernels.After(0, 0, 0, 9), kernels.After(0, 0, 9, 20)}},
	{"empty response", 12, 12, []kernels.Segment{kernels.Causal(0, 8), kernels.After(0, 8, 8, 8), kernels.After(0, 8, 8, 12)}},
	{"cache", 3, 140, []kernels.Segment{{QueryStart: 0, QueryEnd: 1, KeyStart: 0, KeyEnd: 65}, {QueryStart: 1, QueryEnd: 3, KeyStart: 70, KeyEnd: 140}}},
	{"cache after a prefix", 5, 70, []kernels.Segment{{QueryStart: 0, QueryEnd: 5, PrefixStart: 0, PrefixEnd: 33, KeyStart: 50, KeyEnd: 70}}},
	{"gaps", 30, 30, []kernels.Segment{kernels.Causal(3, 10), kernels.Causal(15, 29)}},
	{"none", 5, 5, nil},
}

// attend is one attention call to try.
type attend struct {
	layout    int // of segmentLayouts
	heads, kv int
	dim       int
	types     palette
	rows      headLayout // fused queries, keys and values need heads == kv
	large     bool       // scores of ±1e4, exact in float32
}

func attentionCases() []Case {
	var out []Case
	add := func(a attend) {
		name := fmt.Sprintf("attention/%s/%d,%d heads of %d/%s/%s", segmentLayouts[a.layout].name, a.heads, a.kv, a.dim, a.rows.name, a.types)
		if a.large {
			name += "/large"
		}
		out = append(out, Case{Name: name, Needs: has[kernels.Attention], Run: a.run})
	}
	pure := palette{}
	for i, l := range segmentLayouts {
		for _, s := range [][3]int{{4, 4, 8}, {6, 2, 5}, {2, 1, 64}} {
			add(attend{layout: i, heads: s[0], kv: s[1], dim: s[2], types: pure, rows: headLayouts[0]})
		}
		for _, rows := range headLayouts[1:] {
			if l.queries == l.keys {
				add(attend{layout: i, heads: 3, kv: 3, dim: 4, types: pure, rows: rows})
			}
		}
		add(attend{layout: i, heads: 4, kv: 2, dim: 16, types: pure, rows: headLayouts[0], large: true})
	}
	for _, p := range palettes()[1:] {
		add(attend{layout: 3, heads: 4, kv: 2, dim: 16, types: p, rows: headLayouts[0]})
		add(attend{layout: 3, heads: 2, kv: 2, dim: 7, types: p, rows: headLayouts[2]})
	}
	return out
}

func (c attend) run(x *Rig) {
	fused := x.Backend.(kernels.Attention)
	l := segmentLayouts[c.layout]
	part := func(dt dtype.DType, rows, heads int) kernels.Heads {
		var a kernels.Array
		if n := rows * heads * c.dim; c.large {
			a = x.Integers(dt, n, 8)
		} else {
			a = x.Normal(dt, n)
		}
		return headLayouts[0].view(a, 0, heads, c.dim)
	}
	three := func(types [3]dtype.DType) (q, k, v kernels.Heads) {
		if c.rows.parts == 1 {
			return part(types[0], l.queries, c.heads), part(types[1], l.keys, c.kv), part(types[2], l.keys, c.kv)
		}
		all := x.Normal(types[0], c.rows.size(l.queries, c.heads, c.dim))
		return c.rows.view(all, 0, c.heads, c.dim), c.rows.view(all, 1, c.heads, c.dim), c.rows.view(all, 2, c.heads, c.dim)
	}
	a := kernels.AttentionArgs{QueryRows: l.queries, KeyRows: l.keys, NumHeads: c.heads, KVHeads: c.kv, HeadDim: c.dim,
		Scale: 1 / math.Sqrt(float64(c.dim)), Segments: l.segments, LSE: x.Empty(dtype.Float32, l.queries*c.heads)}
	if c.large {
		a.Scale = 16
	}
	a.Q, a.K, a.V = three([3]dtype.DType{c.types.at(0), c.types.at(1), c.types.at(2)})
	a.Out = headLayouts[0].view(x.Empty(c.types.at(1), l.queries*c.heads*c.dim), 0, c.heads, c.dim)
	dout := part(c.types.at(2), l.queries, c.heads)
	var want truthOf
	if x.first == nil { // later runs are compared with the first
		want = c.dense(x, &a, dout)
	}

	fused.Attention(&a)
	terms := l.keys + c.dim + 16
	x.Expect("out against dense", a.Out.Array, want.out, sum(terms, 0))
	x.Expect("lse against dense", a.LSE, want.lse, sum(terms, 0))
	x.Result("out", a.Out.Array, sum(terms, 0))
	x.Result("lse", a.LSE, sum(terms, 0))

	// Gradients are added to what is there.
	g := kernels.AttentionGradArgs{AttentionArgs: a, DOut: dout}
	g.DQ, g.DK, g.DV = three([3]dtype.DType{c.types.at(2), c.types.at(0), c.types.at(1)})
	grads := []kernels.Heads{g.DQ, g.DK, g.DV}
	if c.rows.parts > 1 {
		grads = grads[:1] // the first part's array holds all three
	}
	sums := make([][]float64, len(grads))
	for i, d := range grads {
		sums[i] = x.Read(d.Array)
	}
	for i, w := range want.grads {
		at, part := i, 0
		if c.rows.parts > 1 {
			at, part = 0, i
		}
		heads := []int{c.heads, c.kv, c.kv}[i]
		for j, v := range w {
			t, h, e := j/(heads*c.dim), j/c.dim%heads, j%c.dim
			sums[at][c.rows.index(t, part, h, heads, c.dim)+e] += v
		}
	}
	fused.AttentionGrad(&g)
	tol := sum(terms+16, 0)
	if c.large {
		tol.Amplify = largest(want.lse) // p is exp(score - LSE), as exact as LSE's rounding
	}
	for i, d := range grads {
		name := []string{"dq", "dk", "dv"}[i]
		if c.rows.parts > 1 {
			name = "dqkv"
		}
		x.Expect(name+" against dense", d.Array, sums[i], tol)
		x.Result(name, d.Array, tol)
	}
	if c.large {
		return
	}

	// Fresh gradients are stored in whatever memory holds.
	g.Fresh = true
	for _, d := range grads {
		x.Set(d.Array, func(int) float64 { return math.NaN() })
	}
	fused.AttentionGrad(&g)
	for i, d := range grads {
		x.Result([]string{"fresh dq", "fresh dk", "fresh dv"}[i], d.Array, sum(terms+16, largest(sums[i])))
	}
}

// truthOf is what attention should give, computed another way.
type truthOf struct {
	out, lse []float64
	grads    [3][]float64 // by queries, keys and values, in the layout of separate rows
}

// dense is attention written out with full matrices of scores, a mask and a
// softmax, in float64, for separate and fused rows alike.
func (c attend) dense(x *Rig, a *kernels.AttentionArgs, dout kernels.Heads) truthOf {
	take := func(h kernels.Heads, rows, head int) [][]float64 {
		all := x.Read(h.Array)
		out := make([][]float64, rows)
		for t := range out {
			out[t] = all[t*h.Row+head*h.Head:][:c.dim]
		}
		return out
	}
	nq, nk := a.QueryRows, a.KeyRows
	mask := make([][]bool, nq)
	for t := range mask {
		mask[t] = make([]bool, nk)
		for _, s := range a.Segments {
			if t < int(s.QueryStart) || t >= int(s.QueryEnd) {
				continue
			}
			for k := range mask[t] {
				inPrefix := k >= int(s.PrefixStart) && k < int(s.PrefixEnd)
				own := k >= int(s.KeyStart) && k < int(s.KeyEnd)
				fromEnd := int(s.KeyEnd)-k >= int(s.QueryEnd)-t // bottom right: the last sees the last
				mask[t][k] = mask[t][k] || inPrefix || own && fromEnd
			}
		}
	}
	w := truthOf{out: make([]float64, nq*c.heads*c.dim), lse: make([]float64, nq*c.heads)}
	w.grads = [3][]float64{make([]float64, nq*c.heads*c.dim), make([]float64, nk*c.kv*c.dim), make([]float64, nk*c.kv*c.dim)}
	for h := range c.heads {
		kv := h * c.kv / c.heads
		q, k, v, do := take(a.Q, nq, h), take(a.K, nk, kv), take(a.V, nk, kv), take(dout, nq, h)
		for t := range nq {
			p, dp := make([]float64, nk), make([]float64, nk)
			top, total, dotted := math.Inf(-1), 0.0, 0.0
			for j := range nk {
				p[j] = math.Inf(-1)
				if mask[t][j] {
					p[j] = 0
					for i := range c.dim {
						p[j] += q[t][i] * k[j][i]
					}
					p[j] *= a.Scale
				}
				top = math.Max(top, p[j])
			}
			if math.IsInf(top, -1) {
				continue // a row in no segment: zeros
			}
			for j := range p {
				p[j] = math.Exp(p[j] - top)
				total += p[j]
			}
			w.lse[t*c.heads+h] = top + math.Log(total)
			for j := range p {
				p[j] /= total
				for i := range c.dim {
					w.out[(t*c.heads+h)*c.dim+i] += p[j] * v[j][i]
					dp[j] += do[t][i] * v[j][i]
				}
				dotted += p[j] * dp[j]
			}
			for j := range p {
				ds := p[j] * (dp[j] - dotted) * a.Scale
				for i := range c.dim {
					w.grads[0][(t*c.heads+h)*c.dim+i] += ds * k[j][i]
					w.grads[1][(j*c.kv+kv)*c.dim+i] += ds * q[t][i]
					w.grads[2][(j*c.kv+kv)*c.dim+i] += p[j] * do[t][i]
				}
			}
		}
	}
	return w
}
