package optim_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	_ "dpolab/kernels/ref"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// golden is what testdata/goldens.py recorded of torch.optim.
type golden struct {
	WarmupSteps int `json:"warmup_steps"`
	Warmup      map[string][]float64
	Params      map[string][]float32
	Grads       []map[string][]float32
	Cases       []struct {
		Optimizer        string
		Options          options
		Float32, Float64 []goldenStep
	}
}

type goldenStep struct {
	LR, Clip     float64
	Weight, Bias []float64
}

// options are PyTorch's names of what a case does not leave at its default.
type options struct {
	LR, Alpha, Eps, Momentum, Dampening float64
	Betas                               []float64
	WeightDecay                         *float64 `json:"weight_decay"`
	Centered, Nesterov                  bool
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/goldens.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) < 15 || len(g.Grads) != 10 {
		t.Fatalf("%d golden cases of %d steps", len(g.Cases), len(g.Grads))
	}
	return g
}

// make returns the optimizer of a golden case.
func (o options) make(t *testing.T, name string, params []nn.NamedParameter) optim.Optimizer {
	t.Helper()
	switch name {
	case "RMSprop":
		c := optim.DefaultRMSpropConfig(o.LR)
		if o.Alpha != 0 {
			c.Alpha = o.Alpha
		}
		if o.Eps != 0 {
			c.Eps = o.Eps
		}
		if o.WeightDecay != nil {
			c.WeightDecay = *o.WeightDecay
		}
		c.Momentum, c.Centered = o.Momentum, o.Centered
		return optim.NewRMSprop(params, c)
	case "AdamW":
		c := optim.DefaultAdamWConfig(o.LR)
		if o.Betas != nil {
			c.Beta1, c.Beta2 = o.Betas[0], o.Betas[1]
		}
		if o.Eps != 0 {
			c.Eps = o.Eps
		}
		if o.WeightDecay != nil {
			c.WeightDecay = *o.WeightDecay
		}
		return optim.NewAdamW(params, c)
	case "SGD":
		c := optim.DefaultSGDConfig(o.LR)
		if o.WeightDecay != nil {
			c.WeightDecay = *o.WeightDecay
		}
		c.Momentum, c.Dampening, c.Nesterov = o.Momentum, o.Dampening, o.Nesterov
		return optim.NewSGD(params, c)
	}
	opt, err := optim.New(name, params, o.LR)
	if err != nil {
		t.Fatal(err)
	}
	return opt
}

func open(t *testing.T, d device.Device) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open(d, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// values puts host values on dev in the given type.
func values(dev *tensor.Device, dt dtype.DType, host []float32, shape ...int) *tensor.Tensor {
	x := tensor.FromFloat32(dev, host, shape...)
	if dt == dtype.Float32 {
		return x
	}
	defer x.Release()
	y := tensor.Empty(dev, dt, shape...)
	dev.Backend().Copy(y.Array(), x.Array())
	return y
}

// model returns the parameters that the goldens train.
func (g golden) model(dev *tensor.Device, dt dtype.DType) []nn.NamedParameter {
	var out []nn.NamedParameter
	for _, np := range []nn.NamedParameter{{Name: "weight", Parameter: nn.NewParameter(5, 3)}, {Name: "bias", Parameter: nn.NewParameter(7)}} {
		np.Parameter.Materialize(dev, dt)
		x := values(dev, dt, g.Params[np.Name], np.Parameter.Shape()...)
		dev.Backend().Copy(np.Parameter.Value.Array(), x.Array())
		x.Release()
		out = append(out, np)
	}
	return out
}

// setGrads gives every parameter its gradients of one step.
func (g golden) setGrads(params []nn.NamedParameter, step int) {
	for _, np := range params {
		m := np.Parameter.Master()
		m.SetGrad(values(m.Device(), m.DType(), g.Grads[step][np.Name], m.Shape()...))
	}
}

func close(t *testing.T, what string, got, want []float64, relative, unit float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= relative*math.Max(math.Abs(w), unit)) {
			t.Errorf("%s[%d] is %.9g, want %.9g", what, i, got[i], w)
		}
	}
}

// TestStepsArePyTorchs takes ten clipped steps under the warm-up schedule with
// every optimizer and option, in float32 and, on the oracle, in float64.
func TestStepsArePyTorchs(t *testing.T) {
	g := readGolden(t)
	for _, c := range g.Cases {
		for _, b := range []struct {
			dev      device.Type
			dt       dtype.DType
			want     []goldenStep
			relative float64
		}{{device.CPU, dtype.Float32, c.Float32, 1e-6}, {device.Ref, dtype.Float64, c.Float64, 1e-12}} {
			text, _ := json.Marshal(c.Options)
			t.Run(fmt.Sprintf("%s/%s/%s", c.Optimizer, text, b.dt), func(t *testing.T) {
				dev := open(t, device.Device{Type: b.dev})
				params := g.model(dev, b.dt)
				opt := c.Options.make(t, c.Optimizer, params)
				if opt.Name() != c.Optimizer || opt.LR() != c.Options.LR {
					t.Errorf("made %s with rate %g", opt.Name(), opt.LR())
				}
				for i, want := range b.want {
					g.setGrads(params, i)
					opt.SetLR(c.Options.LR * optim.Warmup(i, g.WarmupSteps))
					close(t, "learning rate", []float64{opt.LR()}, []float64{want.LR}, 1e-15, 0)
					opt.Step(want.Clip)
					// Elements that come near 0 keep the rounding of where they were.
					what := fmt.Sprintf("step %d: ", i)
					close(t, what+"weight", params[0].Parameter.Value.Float64s(), want.Weight, b.relative, 0.5)
					close(t, what+"bias", params[1].Parameter.Value.Float64s(), want.Bias, b.relative, 0.5)
					if t.Failed() {
						return
					}
				}
				if opt.Steps() != len(b.want) {
					t.Errorf("%d steps counted, want %d", opt.Steps(), len(b.want))
				}
			})
		}
	}
}

func TestWarmupIsTheReferences(t *testing.T) {
	for n, factors := range readGolden(t).Warmup {
		var steps int
		if _, err := fmt.Sscan(n, &steps); err != nil {
			t.Fatal(err)
		}
		for i, want := range factors {
			if got := optim.Warmup(i, steps); got != want {
				t.Errorf("factor %d of %d warm-up steps is %g, want %g", i, steps, got, want)
			}
		}
	}
}
