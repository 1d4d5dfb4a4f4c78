package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// load is one operation to time. Its work is counted in multiply-adds' floating
// operations or, where memory is the limit, in bytes that must be moved.
type load struct {
	name  string
	needs func(b kernels.Backend) bool
	flops float64
	bytes float64
	setup func(x *Rig) func()
}

// Bench times operations at sizes of a training step, with one thread and with
// as many as the Go runtime uses.
func Bench(b *testing.B, open func(threads int) kernels.Backend) {
	counts := []int{1}
	if n, _ := device.Processors(); n > 1 {
		counts = append(counts, n)
	}
	for _, l := range loads() {
		for _, threads := range counts {
			b.Run(fmt.Sprintf("%s/threads=%d", l.name, threads), func(b *testing.B) { l.time(b, open(threads)) })
		}
	}
}

func (l load) time(b *testing.B, backend kernels.Backend) {
	defer backend.Close()
	if l.needs != nil && !l.needs(backend) {
		b.Skip("the backend leaves this to the composition")
	}
	x := newRig(b, backend, l.name, nil)
	run := l.setup(x)
	run()
	backend.Synchronize()
	b.ResetTimer()
	for range b.N {
		run()
	}
	backend.Synchronize()
	b.StopTimer()
	seconds := b.Elapsed().Seconds() / float64(b.N)
	if l.flops > 0 {
		b.ReportMetric(l.flops/seconds/1e9, "GFLOP/s")
	} else {
		b.ReportMetric(l.bytes/seconds/1e9, "GB/s")
	}
	for _, blk := range x.blocks {
		x.own(blk.array)
	}
	x.release()
}

// Sizes of a small model's step: T tokens of width D, V words, H heads.
const (
	benchT, benchD, benchV, benchH = 1024, 768, 50304, 12
	benchHead                      = benchD / benchH
)

func loads() []load {
	out := append(productLoads(), attentionLoads()...)
	return append(out, streamLoads()...)
}

func productLoads() []load {
	var out []load
	for _, dt := range floatTypes {
		for _, s := range []struct {
			name    string
			m, n, k int
			ta, tb  bool
		}{
			{"forward", benchT, 4 * benchD, benchD, false, true},
			{"input gradient", benchT, benchD, 4 * benchD, false, false},
			{"weight gradient", 4 * benchD, benchD, benchT, true, false},
			{"one row", 1, 4 * benchD, benchD, false, true},
			{"ragged", 1000, 777, 555, false, true},
		} {
			out = append(out, load{name: fmt.Sprintf("gemm %s/%s", s.name, dt), flops: 2 * float64(s.m) * float64(s.n) * float64(s.k), setup: func(x *Rig) func() {
				ra, ca, lda := stored(s.m, s.k, s.ta, 0)
				rb, cb, ldb := stored(s.k, s.n, s.tb, 0)
				args := &kernels.GemmArgs{TransA: s.ta, TransB: s.tb, M: s.m, N: s.n, K: s.k, A: x.Normal(dt, ra*ca), B: x.Normal(dt, rb*cb), C: x.Empty(dt, s.m*s.n),
					LDA: lda, LDB: ldb, LDC: s.n, Alpha: 1, Batch: 1}
				return func() { x.Gemm(args) }
			}})
		}
		const rows = 512
		logProbs := func(x *Rig) (kernels.LogProbs, *kernels.LogProbGradArgs) {
			f := dtype.Float32
			a := kernels.LogProbArgs{Hidden: x.Normal(dt, benchT*benchD), Weight: x.Spread(dt, benchV*benchD, 0.02), Rows: x.Indices(rows, benchT), Labels: x.Indices(rows, benchV),
				Out: x.Empty(f, rows), LSE: x.Empty(f, rows), T: benchT, D: benchD, V: benchV, R: rows}
			fused := x.Backend.(kernels.LogProbs)
			fused.LogProb(&a)
			return fused, &kernels.LogProbGradArgs{LogProbArgs: a, DOut: x.Normal(f, rows), DHidden: x.Normal(dt, benchT*benchD), DWeight: x.Normal(f, benchV*benchD)}
		}
		flops := 2.0 * rows * benchV * benchD
		out = append(out,
			load{name: "log_prob/" + dt.String(), needs: has[kernels.LogProbs], flops: flops, setup: func(x *Rig) func() {
				fused, a := logProbs(x)
				return func() { fused.LogProb(&a.LogProbArgs) }
			}},
			load{name: "log_prob gradient/" + dt.String(), needs: has[kernels.LogProbs], flops: 3 * flops, setup: func(x *Rig) func() {
				fused, a := logProbs(x)
				return func() { fused.LogProbGrad(a) }
			}})
	}
	return out
}

func attentionLoads() []load {
	var out []load
	// Two preference pairs: a prompt and two responses each.
	var segments []kernels.Segment
	for _, at := range []int{0, benchT / 2} {
		segments = append(segments, kernels.Causal(at, at+256), kernels.After(at, at+256, at+256, at+384), kernels.After(at, at+256, at+384, at+512))
	}
	seen := 0.0
	for _, s := range segments {
		n := float64(s.Queries())
		seen += n*float64(s.PrefixEnd-s.PrefixStart) + n*(n+1)/2
	}
	flops := 4 * seen * benchD // scores and sums, 2 each
	setup := func(x *Rig, dt dtype.DType) (kernels.Attention, *kernels.AttentionGradArgs) {
		view := func() kernels.Heads { return headLayouts[0].view(x.Normal(dt, benchT*benchD), 0, benchH, benchHead) }
		a := kernels.AttentionArgs{Q: view(), K: view(), V: view(), Out: view(), LSE: x.Empty(dtype.Float32, benchT*benchH), QueryRows: benchT, KeyRows: benchT,
			NumHeads: benchH, KVHeads: benchH, HeadDim: benchHead, Scale: 1 / math.Sqrt(benchHead), Segments: segments}
		fused := x.Backend.(kernels.Attention)
		fused.Attention(&a)
		return fused, &kernels.AttentionGradArgs{AttentionArgs: a, DOut: view(), DQ: view(), DK: view(), DV: view()}
	}
	for _, dt := range floatTypes {
		out = append(out,
			load{name: "attention/" + dt.String(), needs: has[kernels.Attention], flops: flops, setup: func(x *Rig) func() {
				fused, a := setup(x, dt)
				return func() { fused.Attention(&a.AttentionArgs) }
			}},
			load{name: "attention gradient/" + dt.String(), needs: has[kernels.Attention], flops: 2.5 * flops, setup: func(x *Rig) func() {
				fused, a := setup(x, dt)
				return func() { fused.AttentionGrad(a) }
			}})
	}
	return out
}

// streamLoads are limited by memory: bytes are those of all operands once.
func streamLoads() []load {
	var out []load
	const n = benchT * 4 * benchD
	f := dtype.Float32
	add := func(name string, dt dtype.DType, bytes int, needs func(b kernels.Backend) bool, setup func(x *Rig) func()) {
		out = append(out, load{name: name + "/" + dt.String(), needs: needs, bytes: float64(bytes), setup: setup})
	}
	for _, dt := range floatTypes {
		size := dt.Size()
		flat, one := []int{n}, []int{1}
		add("add", dt, 3*n*size, nil, func(x *Rig) func() {
			a, b, y := x.Normal(dt, n), x.Normal(dt, n), x.Empty(dt, n)
			return func() { x.Binary(kernels.Add, y, a, b, flat, one, one) }
		})
		for _, op := range []kernels.UnaryOp{kernels.Exp, kernels.SiLU, kernels.GELU, kernels.GELUTanh} {
			add(fmt.Sprint("unary ", op), dt, 2*n*size, nil, func(x *Rig) func() {
				in, y := x.Normal(dt, n), x.Empty(dt, n)
				return func() { x.Unary(op, y, in) }
			})
			add(fmt.Sprint("unary gradient ", op), dt, 3*n*size, nil, func(x *Rig) func() {
				in, dy, y := x.Normal(dt, n), x.Normal(dt, n), x.Empty(dt, n)
				return func() { x.UnaryGrad(op, y, dy, in) }
			})
		}
		add("copy from float32 to", dt, n*(4+size), nil, func(x *Rig) func() {
			in, y := x.Normal(f, n), x.Empty(dt, n)
			return func() { x.Copy(y, in) }
		})
		add("transpose", dt, 2*n*size, nil, func(x *Rig) func() {
			in, y := x.Normal(dt, n), x.Empty(dt, n)
			return func() {
				x.CopyStrided(y, in, []int{4 * benchD, benchT}, []int{benchT, 1}, []int{1, 4 * benchD})
			}
		})
		add("gather", dt, 2*benchT*benchD*size, nil, func(x *Rig) func() {
			table, index, y := x.Normal(dt, benchV*benchD), x.Indices(benchT, benchV), x.Empty(dt, benchT*benchD)
			return func() { x.Gather(y, table, index, benchD) }
		})
		add("scatter_add", dt, benchT*benchD*(8+size), nil, func(x *Rig) func() {
			table, index, dy := x.Normal(f, benchV*benchD), x.Indices(benchT, benchV), x.Normal(dt, benchT*benchD)
			return func() { x.ScatterAdd(table, dy, index, benchD) }
		})
		add("sum of columns", dt, n*size, nil, func(x *Rig) func() {
			in, y := x.Normal(dt, n), x.Empty(f, 4*benchD)
			return func() { x.Reduce(kernels.Sum, y, in, 1, benchT, 4*benchD) }
		})
		add("sum_squares", dt, n*size, nil, func(x *Rig) func() {
			in := x.Normal(dt, n)
			return func() { x.SumSquares([]kernels.Array{in}) }
		})
		add("softmax", dt, 2*n*size, nil, func(x *Rig) func() {
			in, y := x.Normal(dt, n), x.Empty(dt, n)
			return func() { x.Softmax(y, in, benchT, 4*benchD, false) }
		})
		for _, grad := range []bool{false, true} {
			name, operands := "layer_norm", 2
			if grad {
				name, operands = "layer_norm gradient", 3
			}
			add(name, dt, operands*benchT*benchD*size, has[kernels.Norms], func(x *Rig) func() {
				fused := x.Backend.(kernels.Norms)
				in, w, dy, y, mean, rstd := x.Normal(dt, benchT*benchD), x.Normal(f, benchD), x.Normal(dt, benchT*benchD), x.Empty(dt, benchT*benchD), x.Empty(f, benchT), x.Empty(f, benchT)
				dw, db := x.Normal(f, benchD), x.Normal(f, benchD)
				forward := func() { fused.LayerNorm(y, mean, rstd, in, w, w, benchT, benchD, 1e-5) }
				if !grad {
					return forward
				}
				forward()
				return func() { fused.LayerNormGrad(y, dw, db, kernels.Array{}, dy, in, w, mean, rstd, benchT, benchD) }
			})
		}
		add("rms_norm", dt, 2*benchT*benchD*size, has[kernels.Norms], func(x *Rig) func() {
			in, w, y, rstd := x.Normal(dt, benchT*benchD), x.Normal(f, benchD), x.Empty(dt, benchT*benchD), x.Empty(f, benchT)
			return func() { x.Backend.(kernels.Norms).RMSNorm(y, rstd, in, w, benchT, benchD, 1e-5) }
		})
		add("rotary", dt, 2*benchT*benchD*size, has[kernels.Rotary], func(x *Rig) func() {
			in, y := x.Normal(dt, benchT*benchD), x.Empty(dt, benchT*benchD)
			args := &kernels.RotaryArgs{Rows: benchT, NumHeads: benchH, HeadDim: benchHead, Dim: benchHead, Cos: x.Normal(f, benchT*benchHead/2), Sin: x.Normal(f, benchT*benchHead/2), Positions: x.Indices(benchT, benchT)}
			view := func(a kernels.Array) kernels.Heads { return headLayouts[0].view(a, 0, benchH, benchHead) }
			return func() { x.Backend.(kernels.Rotary).Rotary(view(y), view(in), args) }
		})
		add("swiglu", dt, 3*n*size, has[kernels.Gated], func(x *Rig) func() {
			gate, up, y := x.Normal(dt, n), x.Normal(dt, n), x.Empty(dt, n)
			return func() { x.Backend.(kernels.Gated).SwiGLU(y, gate, up) }
		})
	}
	for _, tensors := range []int{1, 400} { // a model has hundreds, most of them small
		zeros := func(x *Rig) []kernels.Array {
			a := x.Empty(f, n)
			x.Fill(a, 0)
			return divide(a, tensors)
		}
		normals := func(x *Rig) []kernels.Array { return divide(x.Normal(f, n), tensors) }
		name := fmt.Sprintf(" of %d tensors", tensors)
		add("AdamW"+name, f, 7*4*n, nil, func(x *Rig) func() {
			p, g, m, v := normals(x), normals(x), zeros(x), zeros(x)
			step := 0
			return func() {
				step++
				x.AdamW(p, g, m, v, 1, kernels.AdamWArgs{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Step: step})
			}
		})
		add("RMSprop"+name, f, 5*4*n, nil, func(x *Rig) func() {
			p, g, v := normals(x), normals(x), zeros(x)
			return func() { x.RMSprop(p, g, v, nil, nil, 1, kernels.RMSpropArgs{LR: 1e-5, Alpha: 0.99, Eps: 1e-8}) }
		})
	}
	return out
}

// divide cuts an array into a list of tensors, of which every second has one
// eighth of the other's length.
func divide(a kernels.Array, tensors int) []kernels.Array {
	if tensors == 1 {
		return []kernels.Array{a}
	}
	out := make([]kernels.Array, tensors)
	for i, at, pair := 0, 0, a.Len/tensors*2; i < tensors; i++ {
		length := pair / 9
		if i%2 == 1 {
			length = pair - length
		}
		out[i] = a.Slice(at, at+length)
		at += length
	}
	return out
}
