package optim_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// stateful has one optimizer of each kind with all the state it can have.
var stateful = []struct {
	name  string
	make  func(params []nn.NamedParameter) optim.Optimizer
	kinds []string
}{
	{"RMSprop", func(p []nn.NamedParameter) optim.Optimizer {
		return optim.NewRMSprop(p, optim.DefaultRMSpropConfig(0.01))
	}, []string{"square_avg"}},
	{"centered RMSprop with momentum", func(p []nn.NamedParameter) optim.Optimizer {
		c := optim.DefaultRMSpropConfig(0.01)
		c.Momentum, c.Centered = 0.9, true
		return optim.NewRMSprop(p, c)
	}, []string{"grad_avg", "momentum_buffer", "square_avg"}},
	{"AdamW", func(p []nn.NamedParameter) optim.Optimizer {
		return optim.NewAdamW(p, optim.DefaultAdamWConfig(0.01))
	}, []string{"exp_avg", "exp_avg_sq"}},
	{"SGD", func(p []nn.NamedParameter) optim.Optimizer {
		return optim.NewSGD(p, optim.DefaultSGDConfig(0.01))
	}, nil},
	{"SGD with momentum", func(p []nn.NamedParameter) optim.Optimizer {
		c := optim.DefaultSGDConfig(0.01)
		c.Momentum, c.Dampening = 0.9, 0.5
		return optim.NewSGD(p, c)
	}, []string{"momentum_buffer"}},
}

func bits(params []nn.NamedParameter) (out []uint32) {
	for _, np := range params {
		for _, v := range np.Parameter.Master().Float32s() {
			out = append(out, math.Float32bits(v))
		}
	}
	return out
}

// TestRestoredStateContinuesBitForBit moves state to a new optimizer by the
// calls that checkpoints use, and leaves it out once to see that it matters.
func TestRestoredStateContinuesBitForBit(t *testing.T) {
	g := readGolden(t)
	for _, c := range stateful {
		t.Run(c.name, func(t *testing.T) {
			dev := open(t, device.Device{Type: device.CPU})
			straight := g.model(dev, dtype.Float32)
			opt := c.make(straight)
			for i := range 3 {
				g.setGrads(straight, i)
				opt.Step(1)
			}
			var kinds []string
			for _, s := range opt.State() {
				if s.Param == "weight" {
					kinds = append(kinds, s.Kind)
				}
				if s.Tensor.DType() != dtype.Float32 || s.Tensor.Len() != s.Parameter.Len() {
					t.Errorf("state %s of %s is %v", s.Kind, s.Param, s.Tensor)
				}
			}
			if !slices.Equal(kinds, c.kinds) {
				t.Errorf("state %v, want %v", kinds, c.kinds)
			}
			var resumed [2][]nn.NamedParameter
			var restored [2]optim.Optimizer
			for r := range resumed {
				resumed[r] = g.model(dev, dtype.Float32)
				for i, np := range resumed[r] {
					dev.Backend().Copy(np.Parameter.Value.Array(), straight[i].Parameter.Value.Array())
				}
				restored[r] = c.make(resumed[r])
			}
			restored[0].SetSteps(opt.Steps())
			for _, s := range opt.State() {
				to, err := restored[0].Restore(s.Param, s.Kind)
				if err != nil {
					t.Fatal(err)
				}
				dev.Backend().Copy(to.Array(), s.Tensor.Array())
			}
			for i := 3; i < 6; i++ {
				for _, p := range [][]nn.NamedParameter{straight, resumed[0], resumed[1]} {
					g.setGrads(p, i)
				}
				opt.Step(0.5)
				restored[0].Step(0.5)
				restored[1].Step(0.5)
			}
			if !slices.Equal(bits(straight), bits(resumed[0])) {
				t.Error("a restored optimizer goes another way")
			}
			if c.kinds != nil && slices.Equal(bits(straight), bits(resumed[1])) {
				t.Error("an optimizer without its state goes the same way")
			}
		})
	}
}

// TestListsAreTensorByTensor: an update of a whole model at once has the bits
// of one optimizer per parameter, also where a gradient reaches a parameter
// later than the others.
func TestListsAreTensorByTensor(t *testing.T) {
	g := readGolden(t)
	for _, c := range stateful {
		dev := open(t, device.Device{Type: device.CPU})
		together, apart := g.model(dev, dtype.Float32), g.model(dev, dtype.Float32)
		opts := []optim.Optimizer{c.make(together), c.make(apart[:1]), c.make(apart[1:])}
		for i := range 4 {
			for _, params := range [][]nn.NamedParameter{together, apart} {
				if g.setGrads(params, i); i < 2 {
					params[1].Parameter.ZeroGrad()
				}
			}
			for _, o := range opts {
				o.Step(0.5)
			}
		}
		if !slices.Equal(bits(together), bits(apart)) {
			t.Errorf("%s: %v together, %v one by one", c.name, bits(together), bits(apart))
		}
	}
}

// TestWhatHasNoGradientStays: frozen parameters and those that no gradient
// reached are left alone and get no state, not even weight decay.
func TestWhatHasNoGradientStays(t *testing.T) {
	g := readGolden(t)
	for _, frozen := range []bool{true, false} {
		dev := open(t, device.Device{Type: device.CPU})
		params := g.model(dev, dtype.Float32)
		opt := optim.NewAdamW(params, optim.DefaultAdamWConfig(0.1))
		g.setGrads(params, 0)
		if frozen {
			params[1].Parameter.SetTrainable(false)
		} else {
			params[1].Parameter.ZeroGrad()
		}
		opt.Step(1)
		if got := params[1].Parameter.Value.Float32s(); !slices.Equal(got, g.Params["bias"]) {
			t.Errorf("frozen %v: bias changed to %v", frozen, got)
		}
		if got := params[0].Parameter.Value.Float32s(); slices.Equal(got, g.Params["weight"]) {
			t.Errorf("frozen %v: weight did not change", frozen)
		}
		for _, s := range opt.State() {
			if s.Param != "weight" {
				t.Errorf("frozen %v: state for %s", frozen, s.Param)
			}
		}
	}
}

// TestStateIsFreed counts the state by the allocator: one copy of the
// parameters for RMSprop, two for AdamW, none after Release.
func TestStateIsFreed(t *testing.T) {
	g := readGolden(t)
	for name, copies := range map[string]int64{"RMSprop": 1, "AdamW": 2, "Adam": 2, "SGD": 0} {
		dev := open(t, device.Device{Type: device.Ref}) // whose allocator rounds nothing
		params := g.model(dev, dtype.Float32)
		opt, err := optim.New(name, params, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		g.setGrads(params, 0)
		before := dev.MemoryStats().LiveBytes
		opt.Step(1)
		if got, want := dev.MemoryStats().LiveBytes-before, copies*4*(5*3+7); got != want {
			t.Errorf("%s keeps %d bytes of state, want %d", name, got, want)
		}
		opt.Release()
		if got := dev.MemoryStats().LiveBytes; got != before {
			t.Errorf("%s leaves %d bytes after Release", name, got-before)
		}
	}
}

// TestGradientsStayAsTheyAre: the factor of a step is applied on the fly.
func TestGradientsStayAsTheyAre(t *testing.T) {
	g := readGolden(t)
	for _, c := range stateful {
		dev := open(t, device.Device{Type: device.CPU})
		params := g.model(dev, dtype.Float32)
		g.setGrads(params, 0)
		c.make(params).Step(0.25)
		if got := params[0].Parameter.MasterGrad().Float32s(); !slices.Equal(got, g.Grads[0]["weight"]) {
			t.Errorf("%s changed the gradient to %v", c.name, got)
		}
	}
}

// TestStepsAreSeenByAutograd: a backward pass over weights from before a step
// must fail rather than use those from after it.
func TestStepsAreSeenByAutograd(t *testing.T) {
	g := readGolden(t)
	dev := open(t, device.Device{Type: device.CPU})
	params := g.model(dev, dtype.Float32)
	g.setGrads(params, 0)
	y := params[0].Parameter.Value.Square().Sum()
	optim.NewSGD(params, optim.DefaultSGDConfig(0.1)).Step(1)
	if err := tensor.Try(func() { y.Backward(nil) }); err == nil || !strings.Contains(err.Error(), "in place") {
		t.Errorf("backward across a step: got %v, want an error that says in place", err)
	}
}

func TestUnknownNames(t *testing.T) {
	params := readGolden(t).model(open(t, device.Device{Type: device.CPU}), dtype.Float32)
	for _, name := range optim.Names() {
		opt, err := optim.New(name, params, 0.5)
		if err != nil || opt.Name() != name || opt.LR() != 0.5 {
			t.Errorf("New(%q): %v, %v", name, opt, err)
		}
	}
	if _, err := optim.New("rmsprop", params, 1); err == nil || !strings.Contains(err.Error(), `unknown optimizer "rmsprop", want one of RMSprop, AdamW, Adam, SGD`) {
		t.Errorf("New: %v", err)
	}
	adam, _ := optim.New("Adam", params, 1)
	sgd, _ := optim.New("SGD", params, 1)
	for _, c := range []struct {
		opt         optim.Optimizer
		param, kind string
		want        string
	}{
		{adam, "weight", "square_avg", `no state "square_avg" here, which has exp_avg, exp_avg_sq`},
		{adam, "wait", "exp_avg", `parameter "wait", which the model does not have`},
		{sgd, "weight", "momentum_buffer", `no state "momentum_buffer" here, which has none`},
	} {
		if _, err := c.opt.Restore(c.param, c.kind); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Restore(%s, %s): got %v, want %q", c.param, c.kind, err, c.want)
		}
	}
}
