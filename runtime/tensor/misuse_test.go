package tensor_test

import (
	"errors"
	"strings"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// TestMisuse gives every operation operands it cannot take: each must panic
// with an *Error that names the operation and says what was wrong, and allocate
// nothing.
func TestMisuse(t *testing.T) {
	dev, other := refDevice(), refDevice()
	x, w, v := input(dev, 1, 3, 4), input(dev, 2, 4, 4), input(dev, 3, 4)
	far, n, bad := input(other, 1, 3, 4), ids(x, 0, 1, 2), ids(x, 0, 1, 99)
	turn, scalar := input(dev, 4, 9, 1), tensor.Full(dev, dtype.Float64, 1)
	dead := tensor.Zeros(dev, dtype.Float64, 3, 4)
	dead.Release()
	attention := func(change func(a *tensor.AttentionArgs)) func() {
		h := tensor.HeadsOf(x, 2)
		a := tensor.AttentionArgs{Q: h, K: h, V: h, QueryRows: 3, KeyRows: 3, NumHeads: 2, KVHeads: 2, HeadDim: 2, Scale: 1,
			Segments: []kernels.Segment{kernels.Causal(0, 3)}}
		change(&a)
		return func() { tensor.Attention(a) }
	}
	segments := func(s ...kernels.Segment) func() {
		return attention(func(a *tensor.AttentionArgs) { a.Segments = s })
	}
	rotary := func(h tensor.HeadView, rows, heads, dim, turned int, cos, sin, at *T) func() {
		return func() { tensor.Rotary(h, rows, heads, dim, turned, cos, sin, at) }
	}
	start := live(dev)
	for _, c := range []struct {
		op, got string
		fn      func()
	}{
		{"shape", "[-1 2]", func() { tensor.Zeros(dev, dtype.Float32, -1, 2) }},
		{"tensor", "2", func() { tensor.FromFloat32(dev, []float32{1, 2}, 3) }},
		{"dim", "2", func() { x.Dim(2) }},
		{"item", "[3 4]", func() { x.Item() }},
		{"add", "[3 4] and [3]", func() { x.Add(n.To(dtype.Float64)) }},
		{"add", "int32", func() { x.Add(n) }},
		{"mul", "two instances of ref:0", func() { x.Mul(far) }},
		{"greater", "int32", func() { n.Greater(x) }},
		{"exp", "int32", func() { n.Exp() }},
		{"exp", "released", func() { dead.Exp() }},
		{"access", "released", func() { dead.To(dtype.Float32) }},
		{"view", "released", func() { dead.Reshape(12) }},
		{"mul_scalar", "int32", func() { n.MulScalar(2) }},
		{"sum", "int32", func() { n.Sum() }},
		{"sum", "axis 2", func() { x.SumDim(2, false) }},
		{"mean", "axis -3", func() { x.MeanDim(-3, false) }},
		{"max", "axis 5", func() { x.MaxDim(5, false) }},
		{"softmax", "axis 2", func() { x.Softmax(2) }},
		{"log_softmax", "int32", func() { n.LogSoftmax(0) }},
		{"segment_sum", "[3 4]", func() { tensor.SegmentSum(x, []int32{0, 3}) }},
		{"segment_sum", "[0 3]", func() { tensor.SegmentSum(v, []int32{0, 3}) }},
		{"segment_sum", "[0 3 2 4]", func() { tensor.SegmentSum(v, []int32{0, 3, 2, 4}) }},
		{"segment_sum", "[]", func() { tensor.SegmentSum(v, nil) }},
		{"reshape", "[5 -1]", func() { x.Reshape(5, -1) }},
		{"reshape", "[-1 -1]", func() { x.Reshape(-1, -1) }},
		{"reshape", "[7]", func() { x.Reshape(7) }},
		{"transpose", "axis 2", func() { x.Transpose(0, 2) }},
		{"permute", "[0 0]", func() { x.Permute(0, 0) }},
		{"permute", "[0]", func() { x.Permute(0) }},
		{"narrow", "[2, 5)", func() { x.Narrow(0, 2, 3) }},
		{"narrow", "[-1, 0)", func() { x.Narrow(1, -1, 1) }},
		{"narrow", "[3, 4)", func() { x.Index(3) }},
		{"index", "scalar", func() { scalar.Index(0) }},
		{"cat", "none", func() { tensor.Cat(0, nil) }},
		{"cat", "[4 4]", func() { tensor.Cat(1, []*T{x, w}) }},
		{"cat", "[4]", func() { tensor.Cat(0, []*T{x, v}) }},
		{"cat", "int32", func() { tensor.Cat(0, []*T{v, n}) }},
		{"cat", "two instances of ref:0", func() { tensor.Cat(0, []*T{x, far}) }},
		{"stack", "none", func() { tensor.Stack(0, nil) }},
		{"stack", "3", func() { tensor.Stack(3, []*T{x}) }},
		{"stack", "[4 4]", func() { tensor.Stack(0, []*T{x, w}) }},
		{"matmul", "[3 4]", func() { x.MatMul(x) }},
		{"matmul", "[3 4] and [4]", func() { x.MatMul(v) }},
		{"matmul", "[1 4 4]", func() { x.MatMul(w.Reshape(1, 4, 4)) }},
		{"matmul", "int32", func() { x.MatMul(n) }},
		{"copy_from", "[4 4]", func() { x.CopyFrom(w) }},
		{"add_scaled", "[4]", func() { x.AddScaledInPlace(1, v) }},
		{"set_grad", "[4]", func() { x.SetGrad(v) }},
		{"embedding", "float64", func() { tensor.Embedding(w, v) }},
		{"embedding", "[4]", func() { tensor.Embedding(v, n) }},
		{"gather", "index 99", func() { tensor.Gather(x, bad) }},
		{"linear", "[3 4]", func() { tensor.Linear(x, input(dev, 1, 2, 3), nil) }},
		{"linear bias", "[3 4]", func() { tensor.Linear(x, w, x) }},
		{"linear", "[4]", func() { tensor.Linear(x, v, nil) }},
		{"linear", "two instances of ref:0", func() { tensor.Linear(x, far, nil) }},
		{"linear weight", "int32", func() { tensor.Linear(x, n, nil) }},
		{"conv1d", "[3 4]", func() { tensor.Conv1D(x, x, nil) }},
		{"layer_norm weight", "[4 4]", func() { tensor.LayerNorm(x, w, nil, 0) }},
		{"layer_norm bias", "[3 4]", func() { tensor.LayerNorm(x, v, x, 0) }},
		{"layer_norm weight", "[4 4]", func() { tensor.AddLayerNorm(x, x, w, nil, 0) }},
		{"add", "[3 4] and [4 4]", func() { tensor.AddRMSNorm(x, w, v, 0) }},
		{"rms_norm", "scalar", func() { tensor.RMSNorm(scalar, v, 0) }},
		{"rms_norm weight", "int32", func() { tensor.RMSNorm(x, n, 0) }},
		{"swiglu up", "[4 4]", func() { tensor.SwiGLU(x, w) }},
		{"heads", "[3 4]", func() { tensor.HeadsOf(x, 3) }},
		{"rotary", "3 of 2", rotary(tensor.HeadsOf(x, 2), 3, 2, 2, 3, turn, turn, n)},
		{"rotary", "shape [3 4]", rotary(tensor.HeadsOf(x, 2), 4, 2, 2, 2, turn, turn, n)},
		{"rotary", "offset -1", rotary(tensor.HeadView{X: x, Offset: -1, Row: 4, Head: 2}, 3, 2, 2, 2, turn, turn, n)},
		{"rotary positions", "[3]", rotary(tensor.HeadsOf(x, 2), 2, 2, 2, 2, turn, turn, n)},
		{"rotary cos", "[4 4]", rotary(tensor.HeadsOf(x, 2), 3, 2, 2, 2, w, w, n)},
		{"rotary sin", "[4 4]", rotary(tensor.HeadsOf(x, 2), 3, 2, 2, 2, turn, w, n)},
		{"attention", "row 0 in two", segments(kernels.Causal(0, 2), kernels.Causal(0, 1))},
		{"attention", "QueryEnd:4", segments(kernels.Causal(0, 4))},
		{"attention", "PrefixEnd:2", segments(kernels.After(0, 2, 1, 3))},
		{"attention", "KeyEnd:1", segments(kernels.Segment{QueryEnd: 3, KeyEnd: 1})},
		{"attention", "1 and 2", attention(func(a *tensor.AttentionArgs) { a.NumHeads = 1 })},
		{"attention", "0 heads", attention(func(a *tensor.AttentionArgs) { a.KVHeads = 0 })},
		{"attention", "two instances of ref:0", attention(func(a *tensor.AttentionArgs) { a.V = tensor.HeadsOf(far, 2) })},
		{"log_probs", "int32", func() { tensor.LogProbs(n, w, n, n) }},
		{"log_probs weight", "[9 1]", func() { tensor.LogProbs(x, turn, n, n) }},
		{"log_probs labels", "[2]", func() { tensor.LogProbs(x, w, n, n.Narrow(0, 0, 2)) }},
		{"log_prob", "99", func() { tensor.LogProbs(x, w, n, bad) }},
		{"log_prob", "99", func() { tensor.LogProbs(x, w, bad, n) }},
		{"grad_dtype", "int32", func() { x.SetGradDType(dtype.Int32) }},
	} {
		err := tensor.Try(func() { dev.Scope(func() *T { c.fn(); return nil }) })
		var e *tensor.Error
		if !errors.As(err, &e) {
			t.Errorf("%s (%s): no *tensor.Error but %v", c.op, c.got, err)
			continue
		}
		if e.Op != c.op || !strings.Contains(e.Error(), c.got) || strings.Contains(e.Error(), "\n") {
			t.Errorf("error %q, want operation %q and %q in it", e, c.op, c.got)
		}
		if live(dev) != start {
			t.Fatalf("%s (%s): %d bytes live, %d before", c.op, c.got, live(dev), start)
		}
	}
	if _, err := tensor.Open(device.Device{Type: 99}, 0); err == nil {
		t.Error("a device of no known type was opened")
	}
	defer func() {
		if recover() != "not ours" {
			t.Error("Try swallowed a panic that is not an Error")
		}
	}()
	_ = tensor.Try(func() { panic("not ours") })
}
