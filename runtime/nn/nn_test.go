package nn_test

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

func refDevice() *tensor.Device { return tensor.OpenOn(ref.New(device.Device{Type: device.Ref})) }

// set gives a parameter values.
func set(dev *tensor.Device, p *nn.Parameter, values ...float64) {
	p.Materialize(dev, dtype.Float64)
	p.Value.SetRequiresGrad(false).CopyFrom(tensor.FromFloat64(dev, values, p.Shape()...)).SetRequiresGrad(p.Trainable())
}

func near(t *testing.T, what string, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-6 {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

func TestLayersComputeTheirFormula(t *testing.T) {
	dev := refDevice()
	x := tensor.FromFloat64(dev, []float64{1, 2, 3, -1}, 2, 2)

	lin := nn.NewLinear(2, 3, true)
	set(dev, lin.Weight, 1, 0, 0, 1, 2, -1)
	set(dev, lin.Bias, 0.5, 0, 1)
	near(t, "Linear", lin.Forward(x).Float64s(), 1.5, 2, 1, 3.5, -1, 8)

	conv := nn.NewConv1D(2, 3)
	set(dev, conv.Weight, 1, 0, 2, 0, 1, -1)
	set(dev, conv.Bias, 0.5, 0, 1)
	near(t, "Conv1D", conv.Forward(x).Float64s(), 1.5, 2, 1, 3.5, -1, 8)

	emb := nn.NewEmbedding(3, 2)
	set(dev, emb.Weight, 1, 2, 3, 4, 5, 6)
	near(t, "Embedding", emb.Forward(tensor.FromInt32(dev, []int32{2, 0})).Float64s(), 5, 6, 1, 2)

	ln := nn.NewLayerNorm(2, 0)
	set(dev, ln.Weight, 2, 3)
	set(dev, ln.Bias, 1, 0)
	near(t, "LayerNorm", ln.Forward(x).Float64s(), -1, 3, 3, -3)

	rms := nn.NewRMSNorm("LlamaRMSNorm", 2, 0)
	set(dev, rms.Weight, 1, 2)
	r1, r2 := math.Sqrt(2.5), math.Sqrt(5.0)
	near(t, "RMSNorm", rms.Forward(x).Float64s(), 1/r1, 4/r1, 3/r2, -2/r2)
}

func TestRotaryFrequencies(t *testing.T) {
	base := nn.RotaryConfig{Dim: 4, MaxPositions: 8, Theta: 100}
	linear, llama3 := base, nn.RotaryConfig{Dim: 6, MaxPositions: 8, Theta: 1000, Scaling: "llama3", Factor: 8,
		LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositions: 126}
	linear.Scaling, linear.Factor = "linear", 4
	// llama3: turns within 126 positions are 20.05, 2.005 and 0.2005, so the
	// first frequency is kept, the last divided, the middle one blended.
	blend := (126*0.1/(2*math.Pi) - 1) / 3
	cases := []struct {
		name string
		cfg  nn.RotaryConfig
		want []float64
	}{
		{"plain", base, []float64{1, 0.1}},
		{"linear", linear, []float64{0.25, 0.025}},
		{"llama3", llama3, []float64{1, (1-blend)*0.1/8 + blend*0.1, 0.01 / 8}},
	}
	for _, c := range cases {
		var got []float64
		for _, f := range c.cfg.Frequencies() {
			got = append(got, float64(f))
		}
		near(t, c.name, got, c.want...)
	}
}

func TestRotaryTableTurnsPairs(t *testing.T) {
	dev := refDevice()
	table := nn.NewRotaryTable("RotaryEmbedding", nn.RotaryConfig{Dim: 2, MaxPositions: 4, Theta: 10})
	nn.PlaceBuffers(table, dev, dtype.BFloat16)
	if table.Cos.Value.DType() != dtype.Float32 {
		t.Fatalf("a rotary table became %s with the other buffers", table.Cos.Value.DType())
	}
	x := tensor.FromFloat64(dev, []float64{1, 0, 7, 0, 1, 8}, 2, 3)
	y := table.Turn(tensor.HeadsOf(x, 1), 2, 1, 3, tensor.FromInt32(dev, []int32{1, 3}))
	near(t, "turned", y.Float64s(), math.Cos(1), math.Sin(1), 7, -math.Sin(3), math.Cos(3), 8)
}

func TestRotaryConfigErrors(t *testing.T) {
	ok := nn.RotaryConfig{Dim: 4, MaxPositions: 8, Theta: 100}
	cases := map[string]func(c *nn.RotaryConfig){
		"even number":    func(c *nn.RotaryConfig) { c.Dim = 3 },
		"0 positions":    func(c *nn.RotaryConfig) { c.MaxPositions = 0 },
		"rotary base":    func(c *nn.RotaryConfig) { c.Theta = 0 },
		"\"yarn\"":       func(c *nn.RotaryConfig) { c.Scaling = "yarn" },
		"linear with":    func(c *nn.RotaryConfig) { c.Scaling = "linear" },
		"llama3 wants":   func(c *nn.RotaryConfig) { c.Scaling, c.Factor = "llama3", 8 },
		"not supported,": func(c *nn.RotaryConfig) { c.Scaling = "dynamic" },
	}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range cases {
		c := ok
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one with %q", c, err, want)
		}
	}
}

func TestActivationByName(t *testing.T) {
	dev := refDevice()
	x := tensor.FromFloat64(dev, []float64{1.5})
	want := map[string]float64{
		"gelu":     1.5 * 0.5 * (1 + math.Erf(1.5/math.Sqrt2)),
		"gelu_new": 0.75 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(1.5+0.044715*1.5*1.5*1.5))),
		"silu":     1.5 / (1 + math.Exp(-1.5)),
	}
	for name, w := range want {
		f, err := nn.ActivationByName(name)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name, f(x).Float64s(), w)
	}
	if _, err := nn.ActivationByName("mish"); err == nil || !strings.Contains(err.Error(), "gelu_new") {
		t.Errorf("unknown activation: %v, want an error that lists the known ones", err)
	}
}

// block is a module with a layer of each kind of start value.
type block struct {
	nn.Unit
	lin  *nn.Linear
	norm *nn.LayerNorm
}

func newBlock() *block {
	b := &block{Unit: nn.NewUnit("Block"), lin: nn.NewLinear(64, 100, true), norm: nn.NewLayerNorm(64, 1e-5)}
	b.AddChild("lin", b.lin)
	b.AddChild("norm", b.norm)
	return b
}

func TestInitialize(t *testing.T) {
	dev := refDevice()
	a, b, other := newBlock(), newBlock(), newBlock()
	for _, m := range []*block{a, b, other} {
		nn.Materialize(m, dev, dtype.Float32)
	}
	nn.Initialize(a, 0.02, 1)
	nn.Initialize(b, 0.02, 1)
	nn.Initialize(other, 0.02, 2)
	w := a.lin.Weight.Value.Float64s()
	if !reflect.DeepEqual(w, b.lin.Weight.Value.Float64s()) {
		t.Error("the same seed gave different weights")
	}
	if reflect.DeepEqual(w, other.lin.Weight.Value.Float64s()) {
		t.Error("another seed gave the same weights")
	}
	var sum, squares float64
	for _, v := range w {
		sum, squares = sum+v, squares+v*v
	}
	n := float64(len(w))
	if mean, std := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.001 || math.Abs(std-0.02) > 0.001 {
		t.Errorf("weights have mean %g and deviation %g, want 0 and 0.02", mean, std)
	}
	if v := a.norm.Weight.Value.Float64s(); v[0] != 1 || v[63] != 1 {
		t.Errorf("norm weight starts as %v", v)
	}
	if v := a.lin.Bias.Value.Float64s(); v[0] != 0 || v[99] != 0 {
		t.Errorf("bias starts as %v", v)
	}
	a.lin.Weight.InitScale(0.5)
	nn.Initialize(a, 0.02, 1)
	for i, v := range a.lin.Weight.Value.Float64s() {
		if math.Abs(v-w[i]/2) > 1e-8 {
			t.Fatalf("element %d is %g with half the deviation, want %g", i, v, w[i]/2)
		}
	}
}

func TestInitializeDoesNotDependOnSharding(t *testing.T) {
	dev := refDevice()
	whole, part := newBlock(), newBlock()
	nn.Materialize(whole, dev, dtype.Float32)
	nn.Materialize(part, dev, dtype.Float32)
	p := part.lin.Weight
	p.Value.Release()
	p.Value, p.RowStart, p.RowEnd = nil, 30, 70
	p.Shard = tensor.Empty(dev, dtype.Float32, 40, 64)
	nn.Initialize(whole, 0.02, 7)
	nn.Initialize(part, 0.02, 7)
	want := whole.lin.Weight.Value.Float64s()[30*64 : 70*64]
	if !reflect.DeepEqual(p.Shard.Float64s(), want) {
		t.Error("rows of a shard differ from those of the whole parameter")
	}
}

func TestNamesAndTying(t *testing.T) {
	b := newBlock()
	head := &nn.Linear{Unit: nn.NewUnit("Linear"), Weight: b.lin.Weight}
	head.AddParameter("weight", b.lin.Weight)
	b.AddChild("head", head)
	var names, all []string
	for _, np := range nn.NamedParameters(b) {
		names = append(names, np.Name)
	}
	for _, np := range nn.AllNames(b) {
		all = append(all, np.Name)
	}
	if want := []string{"lin.weight", "lin.bias", "norm.weight", "norm.bias"}; !reflect.DeepEqual(names, want) {
		t.Errorf("names %v, want %v", names, want)
	}
	if all[len(all)-1] != "head.weight" {
		t.Errorf("all names %v lack the tied one", all)
	}
	if got, want := nn.NumParameters(b), 6400+100+64+64; got != want {
		t.Errorf("%d parameters, want %d", got, want)
	}
	if _, err := nn.FindByClass(b, "Missing"); err == nil || !strings.Contains(err.Error(), "Block, Linear, LayerNorm") {
		t.Errorf("missing class: %v, want an error that lists the classes", err)
	}
}

func TestForwardRunsHooksAndFreesIntermediates(t *testing.T) {
	dev := refDevice()
	b := newBlock()
	var order []string
	*b.Hooks() = nn.Hooks{
		Before: func(x *tensor.Tensor) *tensor.Tensor { order = append(order, "before"); return x },
		After:  func(y *tensor.Tensor) *tensor.Tensor { order = append(order, "after"); return y },
		Around: func(x *tensor.Tensor, fn func(*tensor.Tensor) *tensor.Tensor) *tensor.Tensor {
			order = append(order, "around")
			return fn(x)
		},
	}
	x := tensor.FromFloat64(dev, []float64{1, 2})
	before := dev.MemoryStats().LiveBytes
	y := nn.Forward(b, x, func(x *tensor.Tensor) *tensor.Tensor {
		order = append(order, "compute")
		return x.MulScalar(2).MulScalar(3)
	})
	near(t, "result", y.Float64s(), 6, 12)
	if want := "before around compute after"; strings.Join(order, " ") != want {
		t.Errorf("order %v, want %s", order, want)
	}
	y.Release()
	if live := dev.MemoryStats().LiveBytes; live != before {
		t.Errorf("%d bytes live after the forward pass, want %d", live, before)
	}
}
