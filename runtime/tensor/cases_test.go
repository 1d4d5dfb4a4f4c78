package tensor_test

import (
	"math"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/tensor"
)

// required hides a backend's fused kernels, so that operations take the
// documented composition.
type required struct{ kernels.Backend }

func refDevice() *tensor.Device { return tensor.OpenOn(ref.New(device.Device{Type: device.Ref})) }

// values returns n smooth, distinct numbers in [-1.5, 1.5], none near 0.
func values(n int, seed float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		v := 1.5 * math.Sin(float64(i)*1.7+seed)
		out[i] = v + math.Copysign(0.05, v)
	}
	return out
}

func input(dev *tensor.Device, seed float64, shape ...int) *tensor.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return tensor.FromFloat64(dev, values(n, seed), shape...)
}

type T = tensor.Tensor

// table is input in the type that tables beside t have.
func table(t *T, seed float64, shape ...int) *T {
	if t.DType() == dtype.Float64 {
		return input(t.Device(), seed, shape...)
	}
	wide := input(refDevice(), seed, shape...)
	return tensor.FromFloat32(t.Device(), wide.Float32s(), shape...)
}

// gradientCase is an expression to differentiate, with the shapes of its
// inputs.
type gradientCase struct {
	name   string
	shapes [][]int
	fn     func(in []*T) *T
}

func unaryCase(name string, fn func(x *T) *T) gradientCase {
	return gradientCase{name, [][]int{{2, 5}}, func(in []*T) *T { return fn(in[0]) }}
}

func ids(t *T, v ...int32) *T { return tensor.FromInt32(t.Device(), v) }

var pair = []kernels.Segment{kernels.Causal(0, 3), kernels.After(0, 3, 3, 5), kernels.After(0, 3, 5, 8)}

func gradientCases() []gradientCase {
	return []gradientCase{
		unaryCase("neg", (*T).Neg), unaryCase("exp", (*T).Exp), unaryCase("square", (*T).Square),
		unaryCase("abs", (*T).Abs), unaryCase("reciprocal", (*T).Reciprocal), unaryCase("relu", (*T).ReLU),
		unaryCase("sigmoid", (*T).Sigmoid), unaryCase("logsigmoid", (*T).LogSigmoid), unaryCase("softplus", (*T).Softplus),
		unaryCase("tanh", (*T).Tanh), unaryCase("silu", (*T).SiLU), unaryCase("gelu", (*T).GELU),
		unaryCase("gelu_tanh", (*T).GELUTanh),
		unaryCase("log", func(x *T) *T { return x.Square().AddScalar(1).Log() }),
		unaryCase("sqrt", func(x *T) *T { return x.Square().AddScalar(1).Sqrt() }),
		unaryCase("affine", func(x *T) *T { return x.MulScalar(-3).AddScalar(2).Square() }),
		{"add", [][]int{{2, 3}, {3}}, func(in []*T) *T { return in[0].Add(in[1]).Square() }},
		{"sub", [][]int{{3, 1}, {1, 4}}, func(in []*T) *T { return in[0].Sub(in[1]).Square() }},
		{"mul", [][]int{{2, 3}, {2, 1}}, func(in []*T) *T { return in[0].Mul(in[1]) }},
		{"div", [][]int{{2, 3}, {2, 3}}, func(in []*T) *T { return in[0].Div(in[1]) }},
		{"maximum", [][]int{{2, 3}, {3}}, func(in []*T) *T { return in[0].Maximum(in[1]) }},
		{"minimum", [][]int{{2, 3}, {2, 3}}, func(in []*T) *T { return in[0].Minimum(in[1]) }},
		{"mul", [][]int{{4}}, func(in []*T) *T { return in[0].Mul(in[0]).Add(in[0]) }},
		{"sum", [][]int{{2, 3}}, func(in []*T) *T { return in[0].Square().Sum() }},
		{"sum_dim", [][]int{{2, 3, 2}}, func(in []*T) *T { return in[0].Square().SumDim(1, false).Square() }},
		{"sum_dim", [][]int{{2, 3, 2}}, func(in []*T) *T { return in[0].MeanDim(-1, true).Square() }},
		{"max_dim", [][]int{{3, 4}}, func(in []*T) *T { return in[0].MaxDim(1, false).Square() }},
		{"softmax", [][]int{{3, 4}}, func(in []*T) *T { return in[0].Softmax(-1) }},
		{"log_softmax", [][]int{{3, 4}}, func(in []*T) *T { return in[0].LogSoftmax(0) }},
		{"segment_sum", [][]int{{6}}, func(in []*T) *T {
			return tensor.SegmentSum(in[0], []int32{0, 2, 2, 6}).Square()
		}},
		{"reshape", [][]int{{2, 6}}, func(in []*T) *T { return in[0].Reshape(3, -1).Square() }},
		{"permute", [][]int{{2, 3, 4}}, func(in []*T) *T { return in[0].Permute(2, 0, 1).Square() }},
		{"narrow", [][]int{{4, 5}}, func(in []*T) *T { return in[0].Narrow(1, 1, 3).Mul(in[0].Narrow(1, 2, 3)) }},
		{"narrow", [][]int{{4, 5}}, func(in []*T) *T { return in[0].Index(2).Square() }},
		{"narrow with other uses", [][]int{{2, 3, 2}}, func(in []*T) *T {
			return in[0].Square().Narrow(2, 1, 1).Mul(in[0].Narrow(1, 0, 1).Narrow(2, 0, 1)).Add(in[0].Narrow(0, 1, 1).SumDim(1, true))
		}},
		{"cat", [][]int{{2, 3}, {2, 2}}, func(in []*T) *T { return tensor.Cat(1, in).Square() }},
		{"cat", [][]int{{2, 3}, {2, 3}}, func(in []*T) *T { return tensor.Stack(1, in).Square() }},
		{"clone", [][]int{{3}}, func(in []*T) *T { return in[0].Clone().Square() }},
		{"hook", [][]int{{3}}, func(in []*T) *T { return tensor.Hook(in[0], func() {}).Square() }},
		{"checkpoint", [][]int{{3}}, func(in []*T) *T {
			return tensor.Checkpoint(in[0], func(x *T) *T { return x.Tanh().Square() })
		}},
		{"checkpoint of shared values", [][]int{{3}, {3}}, func(in []*T) *T {
			shared := in[1].Exp()
			before := shared.Tanh()
			y := tensor.Checkpoint(in[0].Tanh(), func(x *T) *T {
				inner := tensor.Checkpoint(x.Mul(shared), func(x *T) *T { return x.Sigmoid().Mul(in[1]) })
				return inner.Add(shared)
			})
			return tensor.Cat(0, []*T{y.Mul(before), tensor.Checkpoint(y, func(x *T) *T { return x.Mul(before) })})
		}},
		{"broadcast", [][]int{{2, 3, 4}, {3, 1}, {1}}, func(in []*T) *T { return in[0].Mul(in[1]).Add(in[2]).Square() }},
		{"linear", [][]int{{3, 4}, {2, 4}, {2}}, func(in []*T) *T { return tensor.Linear(in[0], in[1], in[2]).Square() }},
		{"conv1d", [][]int{{3, 4}, {4, 2}, {2}}, func(in []*T) *T { return tensor.Conv1D(in[0], in[1], in[2]).Square() }},
		{"matmul", [][]int{{2, 3, 4}, {2, 4, 2}}, func(in []*T) *T { return in[0].MatMul(in[1]).Square() }},
		{"linear without bias", [][]int{{2, 2, 4}, {3, 4}}, func(in []*T) *T { return tensor.Linear(in[0], in[1], nil).Square() }},
		{"matmul", [][]int{{2, 3, 4}, {4, 2}}, func(in []*T) *T { return in[0].MatMul(in[1]).Square() }},
		{"embedding", [][]int{{5, 3}}, func(in []*T) *T {
			return tensor.Embedding(in[0], ids(in[0], 4, 0, 4)).Square()
		}},
		{"gather", [][]int{{5, 3}}, func(in []*T) *T { return tensor.Gather(in[0], ids(in[0], 1, 1)).Square() }},
		{"layer_norm", [][]int{{3, 5}, {5}, {5}}, func(in []*T) *T {
			return tensor.LayerNorm(in[0], in[1], in[2], 1e-5).Square()
		}},
		{"add_layer_norm", [][]int{{3, 5}, {3, 5}, {5}, {5}}, func(in []*T) *T {
			sum, y := tensor.AddLayerNorm(in[0], in[1], in[2], in[3], 1e-5)
			return sum.Mul(y).Add(sum.Square())
		}},
		{"add_layer_norm to itself", [][]int{{2, 2, 5}, {5}}, func(in []*T) *T {
			_, y := tensor.AddLayerNorm(in[0], in[0], in[1], nil, 1e-5)
			return y.Square()
		}},
		{"add_layer_norm of one row", [][]int{{3, 5}, {5}, {5}}, func(in []*T) *T {
			sum, y := tensor.AddLayerNorm(in[0], in[1], in[2], in[1], 1e-5)
			return sum.Mul(y)
		}},
		{"add_rms_norm", [][]int{{3, 5}, {3, 5}, {5}}, func(in []*T) *T {
			sum, y := tensor.AddRMSNorm(in[0], in[1], in[2], 1e-6)
			return sum.Add(tensor.RMSNorm(sum, in[2], 1e-6)).Mul(y).Add(in[1])
		}},
		{"rms_norm", [][]int{{3, 5}, {5}}, func(in []*T) *T { return tensor.RMSNorm(in[0], in[1], 1e-6).Square() }},
		{"swiglu", [][]int{{3, 4}, {3, 4}}, func(in []*T) *T { return tensor.SwiGLU(in[0], in[1]) }},
		{"rotary", [][]int{{4, 12}}, func(in []*T) *T {
			cos, sin := table(in[0], 3, 9, 2), table(in[0], 4, 9, 2)
			v := tensor.HeadView{X: in[0], Offset: 1, Row: 12, Head: 5}
			return tensor.Rotary(v, 4, 2, 5, 4, cos, sin, ids(in[0], 8, 0, 3, 3)).Square()
		}},
		{"attention", [][]int{{8, 12}, {8, 6}, {8, 6}}, func(in []*T) *T {
			return tensor.Attention(tensor.AttentionArgs{Q: tensor.HeadsOf(in[0], 4), K: tensor.HeadsOf(in[1], 2), V: tensor.HeadsOf(in[2], 2),
				QueryRows: 8, KeyRows: 8, NumHeads: 4, KVHeads: 2, HeadDim: 3, Scale: 0.7, Segments: pair})
		}},
		{"attention", [][]int{{8, 18}}, func(in []*T) *T { // fused and interleaved per head
			v := func(i int) tensor.HeadView {
				return tensor.HeadView{X: in[0], Offset: 3 * i, Row: 18, Head: 9}
			}
			return tensor.Attention(tensor.AttentionArgs{Q: v(0), K: v(1), V: v(2), QueryRows: 8, KeyRows: 8,
				NumHeads: 2, KVHeads: 2, HeadDim: 3, Scale: 0.5, Segments: pair[:2]})
		}},
		{"log_probs", [][]int{{4, 3}, {7, 3}}, func(in []*T) *T {
			return tensor.LogProbs(in[0], in[1], ids(in[0], 2, 0, 2), ids(in[0], 6, 0, 3))
		}},
	}
}
