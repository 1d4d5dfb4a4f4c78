// Package optim updates parameters: RMSprop, AdamW and SGD with PyTorch's
// formulas and defaults, the reference's warm-up schedule, and gradient
// clipping.
//
// Optimizers work on the master copy of each parameter, whole or sharded, and
// keep their state beside it in float32, so under FSDP each rank updates its
// own rows and no communication is needed. Clipping and loss scaling are one
// factor that [Optimizer.Step] multiplies gradients by as it reads them.
//
//	opt := optim.NewRMSprop(nn.NamedParameters(model), optim.DefaultRMSpropConfig(5e-7))
//	norm := sharded.GradNorm()
//	opt.Step(fsdp.ClipCoefficient(norm, 10))
//	nn.ZeroGrad(model)
//
// # Errors
//
// [New] reports an unknown name; [Optimizer.Restore] reports a parameter or a
// kind of state that there is not.
package optim

import (
	"fmt"
	"sort"
	"strings"

	"dpolab/kernels"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// Optimizer updates a fixed list of parameters.
type Optimizer interface {
	// Name is the PyTorch class name.
	Name() string
	// Step updates every trainable parameter that has a gradient, after
	// multiplying the gradient by gradScale.
	Step(gradScale float64)
	// LR and SetLR read and set the learning rate of the next step.
	LR() float64
	SetLR(lr float64)
	// State lists the state tensors there are so far, in a fixed order.
	State() []State
	// Restore returns the tensor that holds the given state of a parameter,
	// creating it, so that a checkpoint can fill it.
	Restore(param, kind string) (*tensor.Tensor, error)
	// Kinds lists the kinds of state that the optimizer keeps per parameter.
	Kinds() []string
	// Adopt makes t, which becomes the optimizer's, the given state of a
	// parameter: where it lives is the caller's choice.
	Adopt(param, kind string, t *tensor.Tensor)
	// Steps and SetSteps are the number of steps taken.
	Steps() int
	SetSteps(n int)
	// Release frees the state.
	Release()
}

// State is one state tensor of one parameter: "exp_avg" of
// "model.layers.0.mlp.up_proj.weight". Its rows are sharded as the parameter's
// are.
type State struct {
	Param     string
	Kind      string
	Parameter *nn.Parameter
	Tensor    *tensor.Tensor
}

// New returns the optimizer that a PyTorch user names, with PyTorch's defaults
// but for the learning rate.
func New(name string, params []nn.NamedParameter, lr float64) (Optimizer, error) {
	switch name {
	case "RMSprop":
		return NewRMSprop(params, DefaultRMSpropConfig(lr)), nil
	case "AdamW":
		return NewAdamW(params, DefaultAdamWConfig(lr)), nil
	case "Adam":
		cfg := DefaultAdamWConfig(lr)
		cfg.WeightDecay = 0
		return &AdamW{base: newBase(params, lr), cfg: cfg, name: "Adam"}, nil
	case "SGD":
		return NewSGD(params, DefaultSGDConfig(lr)), nil
	}
	return nil, fmt.Errorf("optim: unknown optimizer %q, want one of %s", name, strings.Join(Names(), ", "))
}

// Names lists the optimizers that New knows.
func Names() []string { return []string{"RMSprop", "AdamW", "Adam", "SGD"} }

// base is what the optimizers share: parameters, learning rate, state.
type base struct {
	params []nn.NamedParameter
	lr     float64
	steps  int
	state  map[string]map[string]*tensor.Tensor // kind → parameter → tensor
}

func newBase(params []nn.NamedParameter, lr float64) base {
	return base{params: params, lr: lr, state: map[string]map[string]*tensor.Tensor{}}
}

func (b *base) LR() float64      { return b.lr }
func (b *base) SetLR(lr float64) { b.lr = lr }
func (b *base) Steps() int       { return b.steps }
func (b *base) SetSteps(n int)   { b.steps = n }

// slot returns the state of one kind for a parameter, zeros when new.
func (b *base) slot(kind string, np nn.NamedParameter) (t *tensor.Tensor, fresh bool) {
	byName := b.state[kind]
	if byName == nil {
		byName = map[string]*tensor.Tensor{}
		b.state[kind] = byName
	}
	if t = byName[np.Name]; t != nil {
		return t, false
	}
	m := np.Parameter.Master()
	t = tensor.Zeros(m.Device(), m.DType(), m.Shape()...).Keep()
	byName[np.Name] = t
	return t, true
}

// batch is what one step updates: the trainable parameters with a gradient.
// Kernels take them all at once.
type batch struct {
	names         []nn.NamedParameter
	params, grads []kernels.Array
}

func (l *batch) add(np nn.NamedParameter) {
	p := np.Parameter
	l.names = append(l.names, np)
	l.params = append(l.params, p.Master().Array())
	l.grads = append(l.grads, p.MasterGrad().Array())
}

// due returns the batch of this step, whose parameters are about to change.
func (b *base) due() *batch {
	l := &batch{}
	for _, np := range b.params {
		if p := np.Parameter; p.Trainable() && p.MasterGrad() != nil {
			l.add(np)
			p.Master().Touch()
		}
	}
	return l
}

// slots returns the state of one kind for each parameter of a batch.
func (b *base) slots(kind string, l *batch) []kernels.Array {
	out := make([]kernels.Array, len(l.names))
	for i, np := range l.names {
		t, _ := b.slot(kind, np)
		out[i] = t.Array()
	}
	return out
}

// backend returns the kernels of the device that holds the parameters.
func (b *base) backend() kernels.Backend {
	return b.params[0].Parameter.Master().Device().Backend()
}

// State lists the state in the order of the parameters, kinds sorted.
func (b *base) State() []State {
	kinds := make([]string, 0, len(b.state))
	for k := range b.state {
		kinds = append(kinds, k)
	}
	sort.Strings(kinds)
	var out []State
	for _, np := range b.params {
		for _, k := range kinds {
			if t := b.state[k][np.Name]; t != nil {
				out = append(out, State{np.Name, k, np.Parameter, t})
			}
		}
	}
	return out
}

func (b *base) Adopt(param, kind string, t *tensor.Tensor) {
	if b.state[kind] == nil {
		b.state[kind] = map[string]*tensor.Tensor{}
	}
	if old := b.state[kind][param]; old != nil {
		old.Release()
	}
	b.state[kind][param] = t
}

func (b *base) restore(param, kind string, kinds []string) (*tensor.Tensor, error) {
	known := false
	for _, k := range kinds {
		known = known || k == kind
	}
	if !known {
		have := "none"
		if len(kinds) > 0 {
			have = strings.Join(kinds, ", ")
		}
		return nil, fmt.Errorf("optim: no state %q here, which has %s", kind, have)
	}
	for _, np := range b.params {
		if np.Name == param {
			t, _ := b.slot(kind, np)
			return t, nil
		}
	}
	return nil, fmt.Errorf("optim: state for parameter %q, which the model does not have", param)
}

func (b *base) Release() {
	for _, byName := range b.state {
		for _, t := range byName {
			t.Release()
		}
	}
	b.state = map[string]map[string]*tensor.Tensor{}
}
