package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// slope is a forward operation with its gradient, for comparison with finite
// differences. All operands are float64, inputs first.
type slope struct {
	name   string
	inputs []int // lengths
	output int
	// forward computes out from in; backward stores the gradients of in, for
	// dout, in grads, which hold zeros.
	forward  func(x *Rig, in []kernels.Array, out kernels.Array)
	backward func(x *Rig, in, grads []kernels.Array, out, dout kernels.Array)
	// adds says that backward adds to the gradients from this one on; the
	// others it overwrites.
	adds     int
	positive bool // inputs are above 0.3
}

const d64 = dtype.Float64

// takesFloat64 reports whether a backend computes in float64.
func takesFloat64(b kernels.Backend) bool { return b.Device().Type == device.Ref }

// testGradients compares every gradient with central differences
// (L(x+h) - L(x-h)) / 2h of the loss L = Σ dout·out.
func testGradients(t *testing.T, open func(threads int) kernels.Backend) {
	b := open(1)
	defer b.Close()
	if !takesFloat64(b) {
		t.Skip("the backend has no float64; its gradients are compared with the reference's")
	}
	for _, s := range slopes(b) {
		t.Run(s.name, func(t *testing.T) {
			x := newRig(t, b, s.name, nil)
			defer x.release()
			s.check(x)
		})
	}
}

func (s slope) check(x *Rig) {
	const h = 1e-5
	adds := s.adds
	in, grads, start := make([]kernels.Array, len(s.inputs)), make([]kernels.Array, len(s.inputs)), make([][]float64, len(s.inputs))
	for i, n := range s.inputs {
		in[i] = x.Normal(d64, n)
		if s.positive {
			x.Set(in[i], func(int) float64 { return 0.3 + math.Abs(x.rng.NormFloat64()) })
		}
		grads[i] = x.Empty(d64, n)
		if start[i] = make([]float64, n); i >= adds {
			grads[i] = x.Normal(d64, n)
			start[i] = x.Read(grads[i])
			x.own(grads[i])
		}
	}
	out, dout := x.Empty(d64, s.output), x.Normal(d64, s.output)
	weights := x.Read(dout)
	loss := func() float64 {
		s.forward(x, in, out)
		total := 0.0
		for i, v := range x.Read(out) {
			total += weights[i] * v
		}
		return total
	}
	loss()
	s.backward(x, in, grads, out, dout)
	for i := range in {
		values, got := x.Read(in[i]), x.Read(grads[i])
		want := make([]float64, len(values))
		for j, v := range values {
			cell := in[i].Slice(j, j+1)
			x.Set(cell, func(int) float64 { return v + h })
			up := loss()
			x.Set(cell, func(int) float64 { return v - h })
			want[j] = (up-loss())/(2*h) + start[i][j]
			x.Set(cell, func(int) float64 { return v })
		}
		top := math.Max(1, largest(want))
		for j, w := range want {
			if !(math.Abs(w-got[j]) <= 1e-7*top) {
				x.t.Errorf("input %d, element %d: gradient %.12g, finite difference %.12g", i, j, got[j], w)
				break
			}
		}
	}
}

// slopes lists the gradients of everything b has.
func slopes(b kernels.Backend) []slope {
	var out []slope
	for op := range kernels.NumUnaryOps {
		out = append(out, slope{name: fmt.Sprintf("unary %d", op), inputs: []int{20}, output: 20, adds: 1,
			positive: op == kernels.Log || op == kernels.Sqrt || op == kernels.Reciprocal || op == kernels.Abs || op == kernels.ReLU,
			forward:  func(x *Rig, in []kernels.Array, y kernels.Array) { x.Unary(op, y, in[0]) },
			backward: func(x *Rig, in, g []kernels.Array, y, dy kernels.Array) { x.UnaryGrad(op, g[0], dy, in[0]) }})
	}
	for _, log := range []bool{false, true} {
		out = append(out, slope{name: fmt.Sprintf("softmax log=%v", log), inputs: []int{21}, output: 21, adds: 1,
			forward:  func(x *Rig, in []kernels.Array, y kernels.Array) { x.Softmax(y, in[0], 3, 7, log) },
			backward: func(x *Rig, in, g []kernels.Array, y, dy kernels.Array) { x.SoftmaxGrad(g[0], dy, y, 3, 7, log) }})
	}
	if n, ok := b.(kernels.Norms); ok {
		out = append(out, normSlopes(n)...)
	}
	if r, ok := b.(kernels.Rotary); ok {
		out = append(out, rotarySlope(r))
	}
	if a, ok := b.(kernels.Attention); ok {
		for _, s := range segmentLayouts {
			if s.queries <= 30 && s.keys <= 70 {
				out = append(out, attentionSlope(a, s.name, s.queries, s.keys, s.segments))
			}
		}
		out = append(out, attentionSlope(a, "small pair", 11, 11, []kernels.Segment{kernels.Causal(0, 4), kernels.After(0, 4, 4, 7), kernels.After(0, 4, 7, 11)}))
	}
	if l, ok := b.(kernels.LogProbs); ok {
		out = append(out, logProbSlope(l))
	}
	if g, ok := b.(kernels.Gated); ok {
		out = append(out, slope{name: "swiglu", inputs: []int{20, 20}, output: 20, adds: 2,
			forward:  func(x *Rig, in []kernels.Array, y kernels.Array) { g.SwiGLU(y, in[0], in[1]) },
			backward: func(x *Rig, in, d []kernels.Array, y, dy kernels.Array) { g.SwiGLUGrad(d[0], d[1], dy, in[0], in[1]) }})
	}
	return out
}

// normSlopes keep mean and rstd in float64, so that nothing is rounded.
func normSlopes(n kernels.Norms) []slope {
	const rows, cols = 4, 6
	var mean, rstd kernels.Array
	return []slope{
		{name: "layer_norm", inputs: []int{rows * cols, cols, cols}, output: rows * cols, adds: 1,
			forward: func(x *Rig, in []kernels.Array, y kernels.Array) {
				mean, rstd = x.Empty(d64, rows), x.Empty(d64, rows)
				n.LayerNorm(y, mean, rstd, in[0], in[1], in[2], rows, cols, 1e-2)
			},
			backward: func(x *Rig, in, g []kernels.Array, y, dy kernels.Array) {
				n.LayerNormGrad(g[0], g[1], g[2], kernels.Array{}, dy, in[0], in[1], mean, rstd, rows, cols)
			}},
		{name: "rms_norm", inputs: []int{rows * cols, cols}, output: rows * cols, adds: 1,
			forward: func(x *Rig, in []kernels.Array, y kernels.Array) {
				rstd = x.Empty(d64, rows)
				n.RMSNorm(y, rstd, in[0], in[1], rows, cols, 1e-2)
			},
			backward: func(x *Rig, in, g []kernels.Array, y, dy kernels.Array) {
				n.RMSNormGrad(g[0], g[1], kernels.Array{}, dy, in[0], in[1], rstd, rows, cols)
			}},
	}
}

func rotarySlope(r kernels.Rotary) slope {
	const rows, heads, dim, turned = 3, 2, 5, 4
	args := func(x *Rig) *kernels.RotaryArgs {
		cos, sin := x.Values(d64, 1, 1, 0.8, 0.6, -0.28, 0), x.Values(d64, 0, 0, 0.6, 0.8, 0.96, 1)
		return &kernels.RotaryArgs{Rows: rows, NumHeads: heads, HeadDim: dim, Dim: turned, Cos: cos, Sin: sin, Positions: x.Values(dtype.Int32, 2, 0, 1)}
	}
	view := func(a kernels.Array) kernels.Heads { return headLayouts[0].view(a, 0, heads, dim) }
	return slope{name: "rotary", inputs: []int{rows * heads * dim}, output: rows * heads * dim,
		forward: func(x *Rig, in []kernels.Array, y kernels.Array) { r.Rotary(view(y), view(in[0]), args(x)) },
		backward: func(x *Rig, in, g []kernels.Array, y, dy kernels.Array) {
			r.RotaryGrad(view(g[0]), view(dy), args(x))
		}}
}

func attentionSlope(fused kernels.Attention, name string, queries, keys int, segments []kernels.Segment) slope {
	const heads, kv, dim = 2, 1, 2
	args := func(x *Rig, in []kernels.Array, out kernels.Array) kernels.AttentionArgs {
		view := func(a kernels.Array, heads int) kernels.Heads { return headLayouts[0].view(a, 0, heads, dim) }
		return kernels.AttentionArgs{Out: view(out, heads), Q: view(in[0], heads), K: view(in[1], kv), V: view(in[2], kv), LSE: x.Empty(d64, queries*heads),
			QueryRows: queries, KeyRows: keys, NumHeads: heads, KVHeads: kv, HeadDim: dim, Scale: 0.9, Segments: segments}
	}
	var last kernels.AttentionArgs
	return slope{name: "attention " + name, inputs: []int{queries * heads * dim, keys * kv * dim, keys * kv * dim}, output: queries * heads * dim,
		forward: func(x *Rig, in []kernels.Array, out kernels.Array) {
			last = args(x, in, out)
			fused.Attention(&last)
		},
		backward: func(x *Rig, in, g []kernels.Array, out, dout kernels.Array) {
			d := args(x, g, dout)
			fused.AttentionGrad(&kernels.AttentionGradArgs{AttentionArgs: last, DOut: d.Out, DQ: d.Q, DK: d.K, DV: d.V})
		}}
}

func logProbSlope(fused kernels.LogProbs) slope {
	const tokens, d, v, r = 5, 3, 7, 6
	var last kernels.LogProbArgs
	return slope{name: "log_prob", inputs: []int{tokens * d, v * d}, output: r,
		forward: func(x *Rig, in []kernels.Array, out kernels.Array) {
			last = kernels.LogProbArgs{Hidden: in[0], Weight: in[1], Out: out, LSE: x.Empty(d64, r), T: tokens, D: d, V: v, R: r,
				Rows: x.Values(dtype.Int32, 0, 3, 3, 4, 1, 3), Labels: x.Values(dtype.Int32, 6, 0, 2, 2, 1, 0)}
			fused.LogProb(&last)
		},
		backward: func(x *Rig, in, g []kernels.Array, out, dout kernels.Array) {
			fused.LogProbGrad(&kernels.LogProbGradArgs{LogProbArgs: last, DOut: dout, DHidden: g[0], DWeight: g[1]})
		}}
}
