package tensor

import (
	"fmt"

	"dpolab/kernels/dtype"
)

// node is one recorded operation. The output tensor, the nodes that consume it
// and the queue of a running backward pass hold references to it; when the last
// goes, or when backward has passed, what it saved is released.
type node struct {
	op       string
	dev      *Device
	seq      uint64 // order of recording: backward runs in descending order
	refs     int
	inputs   []edge
	saved    []saved
	shape    []int // of the output
	grad     *Tensor
	queued   bool // backward has reached the node
	done     bool // backward has passed it; nothing is saved any more
	backward func(b *Backward, dy *Tensor)
}

// edge leads from a node to what made one of its inputs: another node or a
// leaf. Neither means that the input needs no gradient.
type edge struct {
	node  *node
	leaf  *Tensor
	shape []int
	dtype dtype.DType
}

// saved is a tensor kept for backward, with the version it had.
type saved struct {
	tensor  *Tensor
	version int
}

// RequiresGrad reports whether t is part of what backward differentiates.
func (t *Tensor) RequiresGrad() bool { return t.requiresGrad || t.node != nil }

// SetRequiresGrad makes a leaf collect its gradient, or stop to. It returns t.
func (t *Tensor) SetRequiresGrad(on bool) *Tensor {
	if t.node != nil {
		fail("requires_grad", "a leaf", "the result of %s", t.node.op)
	}
	if on && !t.DType().IsFloat() {
		fail("requires_grad", "a floating type", "%s", t.DType())
	}
	t.requiresGrad = on
	return t
}

// SetGradDType sets the type in which a leaf's gradient is accumulated; by
// default it is the leaf's own. A bfloat16 parameter with float32 gradients
// loses nothing between microbatches.
func (t *Tensor) SetGradDType(dt dtype.DType) *Tensor {
	if dt != dtype.Invalid && !dt.IsFloat() {
		fail("grad_dtype", "a floating type", "%s", dt)
	}
	t.gradDType = dt
	return t
}

// Grad returns a leaf's accumulated gradient, nil if there is none. Its memory
// is shared with nothing else that backward made, so it may be scaled in place.
func (t *Tensor) Grad() *Tensor { return t.grad }

// SetGrad replaces a leaf's gradient; t owns g from here on.
func (t *Tensor) SetGrad(g *Tensor) {
	if g != nil && !sameShape(g.shape, t.shape) {
		fail("set_grad", fmt.Sprintf("a gradient of shape %v", t.shape), "%v", g.shape)
	}
	if t.grad != nil && t.grad != g {
		t.grad.Release()
	}
	if g != nil {
		g.Keep()
	}
	t.grad = g
}

// ZeroGrad releases the gradient.
func (t *Tensor) ZeroGrad() { t.SetGrad(nil) }

// record attaches y to the graph as the result of op if recording is on and an
// input wants a gradient; otherwise it does nothing. save lists what backward
// reads. It returns y.
func record(op string, y *Tensor, inputs, save []*Tensor, backward func(b *Backward, dy *Tensor)) *Tensor {
	if y.dev.noGrad > 0 {
		return y
	}
	for _, in := range inputs {
		if needed(in) {
			return attach(op, y, inputs, save, backward)
		}
	}
	return y
}

// needed reports whether a gradient must reach t, which may be nil.
func needed(t *Tensor) bool { return t != nil && t.RequiresGrad() }

// keepFor returns t if the gradient of one of the operands needs it, nil
// otherwise: what an operation saves only for some of its inputs.
func keepFor(t *Tensor, operands ...*Tensor) *Tensor {
	for _, x := range operands {
		if needed(x) {
			return t
		}
	}
	return nil
}

// attach is record without the question whether it is needed.
func attach(op string, y *Tensor, inputs, save []*Tensor, backward func(b *Backward, dy *Tensor)) *Tensor {
	dev := y.dev
	dev.sequence++
	n := &node{op: op, dev: dev, seq: dev.sequence, refs: 1, shape: y.shape, backward: backward}
	n.inputs = make([]edge, len(inputs))
	for i, in := range inputs {
		if !needed(in) {
			continue
		}
		e := edge{node: in.node, shape: in.shape, dtype: in.DType()}
		if in.node == nil {
			e.leaf = in
		} else {
			in.node.refs++
		}
		n.inputs[i] = e
	}
	n.saved = make([]saved, len(save))
	for i, s := range save {
		if s != nil {
			n.saved[i] = saved{s.alias(), s.storage.version}
		}
	}
	y.node = n
	return y
}

func (n *node) release() {
	if n.refs--; n.refs == 0 {
		n.clear()
	}
}

// clear drops what the node holds: after backward, or when nothing can reach
// the node any more.
func (n *node) clear() {
	for _, s := range n.saved {
		if s.tensor != nil {
			s.tensor.Release()
		}
	}
	n.saved = nil
	if n.grad != nil {
		n.grad.Release()
		n.grad = nil
	}
	inputs := n.inputs
	n.inputs, n.backward = nil, nil
	for _, e := range inputs {
		if e.node != nil {
			e.node.release()
		}
	}
}

func sameShape(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Hook returns x unchanged, with fn to be called when backward reaches this
// point: after every operation recorded later that leads to the result, before
// every one recorded earlier. Without recording, fn is never called.
func Hook(x *Tensor, fn func()) *Tensor {
	return record("hook", x.Detach(), []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		fn()
		b.Give(0, dy)
	})
}
