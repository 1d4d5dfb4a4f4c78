// Package nn holds the building blocks of models: parameters, modules that own
// them, and the layers that every architecture shares.
//
// # Modules
//
// A module embeds [Unit] and registers its parameters and children under the
// names that Hugging Face checkpoints use, so that the list of
// [NamedParameters] is the checkpoint's list of tensors:
//
//	type MLP struct {
//		nn.Unit
//		Up, Down *nn.Linear
//	}
//
//	func NewMLP(d int) *MLP {
//		m := &MLP{Unit: nn.NewUnit("GPT2MLP"), Up: nn.NewLinear(d, 4*d, true), Down: nn.NewLinear(4*d, d, true)}
//		m.AddChild("up", m.Up)
//		m.AddChild("down", m.Down)
//		return m
//	}
//
// A model is built without memory (on "meta"); [Materialize] allocates all of
// it, or package fsdp allocates only this rank's shards.
//
// # Forward
//
// Model code is written for one device and says nothing of sharding. A parent
// runs each child that may be wrapped through [Forward], which opens a memory
// scope and calls the hooks that FSDP and activation checkpointing install
// from outside.
package nn

import (
	"fmt"
	"strings"

	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// Module is anything that embeds a Unit.
type Module interface {
	Base() *Unit
}

// Hooks are called around a wrapped module's computation. Each takes and
// returns the tensor that passes by, so that it can put itself into the
// autograd graph.
type Hooks struct {
	// Before sees the input, After the output.
	Before, After func(x *tensor.Tensor) *tensor.Tensor
	// Around replaces the computation itself; activation checkpointing.
	Around func(x *tensor.Tensor, fn func(x *tensor.Tensor) *tensor.Tensor) *tensor.Tensor
}

// Unit is the part all modules share: the class name, the parameters, buffers
// and children by name, and the hooks.
type Unit struct {
	class    string
	params   []namedParameter
	buffers  []namedBuffer
	children []namedModule
	hooks    Hooks
}

type namedParameter struct {
	name  string
	param *Parameter
}

type namedBuffer struct {
	name   string
	buffer *Buffer
}

type namedModule struct {
	name   string
	module Module
}

// NewUnit returns a Unit with the class name that users know from
// transformers ("GPTNeoXLayer"); it is what model.block_name names.
func NewUnit(class string) Unit { return Unit{class: class} }

// Base returns the Unit itself: it makes whoever embeds it a Module.
func (u *Unit) Base() *Unit { return u }

// Class returns the class name.
func (u *Unit) Class() string { return u.class }

// Hooks returns the module's hooks, to be set.
func (u *Unit) Hooks() *Hooks { return &u.hooks }

// AddParameter registers a parameter under name; a parameter registered twice
// in a model is tied.
func (u *Unit) AddParameter(name string, p *Parameter) *Parameter {
	u.params = append(u.params, namedParameter{name, p})
	return p
}

// AddBuffer registers a buffer: a tensor that is not trained and not in
// checkpoints, such as a rotary table.
func (u *Unit) AddBuffer(name string, b *Buffer) *Buffer {
	u.buffers = append(u.buffers, namedBuffer{name, b})
	return b
}

// AddChild registers a child module under name.
func (u *Unit) AddChild(name string, m Module) {
	u.children = append(u.children, namedModule{name, m})
}

// Forward runs fn, the computation of module m on x, inside a memory scope and
// between m's hooks.
func Forward(m Module, x *tensor.Tensor, fn func(x *tensor.Tensor) *tensor.Tensor) *tensor.Tensor {
	h := &m.Base().hooks
	run := func() *tensor.Tensor {
		if h.Before != nil {
			x = h.Before(x)
		}
		var y *tensor.Tensor
		if h.Around != nil {
			y = h.Around(x, fn)
		} else {
			y = fn(x)
		}
		if h.After != nil {
			y = h.After(y)
		}
		return y
	}
	return x.Device().Scope(run)
}

// NamedParameter is a parameter with its dotted path in the model.
type NamedParameter struct {
	Name      string
	Parameter *Parameter
}

// NamedParameters lists every parameter of m under m once, depth first in the
// order of registration. A tied parameter appears under its first name.
func NamedParameters(m Module) []NamedParameter {
	var out []NamedParameter
	seen := map[*Parameter]bool{}
	for _, np := range AllNames(m) {
		if !seen[np.Parameter] {
			seen[np.Parameter] = true
			out = append(out, np)
		}
	}
	return out
}

// AllNames is NamedParameters with tied parameters under each of their names.
func AllNames(m Module) []NamedParameter {
	var out []NamedParameter
	Walk(m, func(path string, sub Module) {
		for _, p := range sub.Base().params {
			out = append(out, NamedParameter{join(path, p.name), p.param})
		}
	})
	return out
}

// Parameters is NamedParameters without the names.
func Parameters(m Module) []*Parameter {
	var out []*Parameter
	for _, np := range NamedParameters(m) {
		out = append(out, np.Parameter)
	}
	return out
}

// Walk calls visit for m and every module below it, parents first, with the
// dotted path ("" for m).
func Walk(m Module, visit func(path string, m Module)) { walk("", m, visit) }

func walk(path string, m Module, visit func(string, Module)) {
	visit(path, m)
	for _, c := range m.Base().children {
		walk(join(path, c.name), c.module, visit)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// NumParameters counts elements, tied ones once.
func NumParameters(m Module) int {
	n := 0
	for _, p := range Parameters(m) {
		n += p.Len()
	}
	return n
}

// Materialize allocates every meta parameter of m on dev in type dt and places
// its buffers there.
func Materialize(m Module, dev *tensor.Device, dt dtype.DType) {
	for _, p := range Parameters(m) {
		p.Materialize(dev, dt)
	}
	PlaceBuffers(m, dev, dtype.Invalid)
}

// Release frees all parameters and buffers of m.
func Release(m Module) {
	Walk(m, func(_ string, sub Module) {
		for _, p := range sub.Base().params {
			p.param.Release()
		}
		for _, b := range sub.Base().buffers {
			b.buffer.Release()
		}
	})
}

// ZeroGrad drops all gradients of m.
func ZeroGrad(m Module) {
	for _, p := range Parameters(m) {
		p.ZeroGrad()
	}
}

// SetTrainable freezes or thaws all parameters of m.
func SetTrainable(m Module, on bool) {
	for _, p := range Parameters(m) {
		p.SetTrainable(on)
	}
}

// Classes lists the class names that occur in m, each once, in order.
func Classes(m Module) []string {
	var out []string
	seen := map[string]bool{}
	Walk(m, func(_ string, sub Module) {
		if c := sub.Base().class; !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	})
	return out
}

// FindByClass returns the modules of the given class in order; no match is an
// error that lists the classes there are.
func FindByClass(m Module, class string) ([]Module, error) {
	var out []Module
	Walk(m, func(_ string, sub Module) {
		if sub.Base().class == class {
			out = append(out, sub)
		}
	})
	if len(out) == 0 {
		return nil, fmt.Errorf("nn: no block of class %q in this model, which has %s", class, strings.Join(Classes(m), ", "))
	}
	return out, nil
}
