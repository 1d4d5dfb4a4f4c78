package tensor

import (
	"container/heap"
	"fmt"

	"dpolab/kernels/dtype"
)

// node is one recorded operation. Output tensors and the nodes that consume
// them hold references to it; when the last goes, or when backward has passed,
// what it saved is released.
type node struct {
	op       string
	dev      *Device
	seq      uint64 // order of recording: backward runs in descending order
	refs     int
	inputs   []edge
	saved    []saved
	shape    []int // of the output
	dtype    dtype.DType
	grad     *Tensor // gradient of the output collected so far
	queued   bool
	done     bool
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

// Backward is what an operation's gradient function works with: it says which
// inputs want a gradient and takes the gradients.
type Backward struct{ n *node }

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
	t.gradDType = dt
	return t
}

// Grad returns a leaf's accumulated gradient, nil if there is none.
func (t *Tensor) Grad() *Tensor { return t.grad }

// SetGrad replaces a leaf's gradient; t owns g from here on.
func (t *Tensor) SetGrad(g *Tensor) {
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
	dev := y.dev
	if dev.noGrad > 0 {
		return y
	}
	need := false
	for _, in := range inputs {
		need = need || in != nil && in.RequiresGrad()
	}
	if !need {
		return y
	}
	return attach(op, y, inputs, save, backward)
}

// attach is record without the question whether it is needed.
func attach(op string, y *Tensor, inputs, save []*Tensor, backward func(b *Backward, dy *Tensor)) *Tensor {
	dev := y.dev
	dev.sequence++
	n := &node{op: op, dev: dev, seq: dev.sequence, refs: 1, shape: y.shape, dtype: y.DType(), backward: backward}
	for _, in := range inputs {
		var e edge
		if in != nil && in.RequiresGrad() {
			e = edge{node: in.node, shape: in.shape, dtype: in.DType()}
			if in.node == nil {
				e.leaf = in
			} else {
				in.node.refs++
			}
		}
		n.inputs = append(n.inputs, e)
	}
	for _, s := range save {
		n.save(s)
	}
	y.node = n
	return y
}

// save keeps a view of t that belongs to no scope.
func (n *node) save(t *Tensor) {
	if t == nil {
		n.saved = append(n.saved, saved{})
		return
	}
	n.saved = append(n.saved, saved{t.Detach().Keep(), t.storage.version})
}

func (n *node) release() {
	if n.refs--; n.refs > 0 {
		return
	}
	n.clear()
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

// Needs reports whether input i wants a gradient.
func (b *Backward) Needs(i int) bool {
	e := b.n.inputs[i]
	return e.node != nil || e.leaf != nil
}

// Saved returns the i-th saved tensor; nil if nil was saved.
func (b *Backward) Saved(i int) *Tensor {
	s := b.n.saved[i]
	if s.tensor != nil && s.tensor.storage.version != s.version {
		panic(&Error{Op: b.n.op + " backward", Want: "the tensor saved in forward",
			Got: fmt.Sprintf("one of shape %v changed in place since", s.tensor.shape)})
	}
	return s.tensor
}

// slot returns where the gradient of input i is collected, and its type.
func (b *Backward) slot(i int) (**Tensor, dtype.DType) {
	e := b.n.inputs[i]
	if e.leaf != nil {
		dt := e.leaf.gradDType
		if dt == dtype.Invalid {
			dt = e.dtype
		}
		return &e.leaf.grad, dt
	}
	return &e.node.grad, e.dtype
}

// Give adds g to the gradient of input i and takes g over. Its shape must be
// the input's; its type is converted.
func (b *Backward) Give(i int, g *Tensor) {
	if !b.Needs(i) {
		return
	}
	slot, dt := b.slot(i)
	if !sameShape(g.shape, b.n.inputs[i].shape) {
		fail(b.n.op+" backward", fmt.Sprintf("a gradient of shape %v", b.n.inputs[i].shape), "%v", g.shape)
	}
	be := b.n.dev.backend
	if *slot != nil {
		dst := b.exclusive(slot)
		be.AddScaled(dst.Array(), 1, g.Array())
		return
	}
	if g.DType() != dt {
		c := Empty(b.n.dev, dt, g.shape...)
		be.Copy(c.Array(), g.Array())
		g = c
	}
	*slot = g.Detach().Keep()
}

// Into returns a tensor to which the operation adds its gradient of input i,
// for kernels that accumulate. fresh reports that it is new and its contents
// undefined: the kernel must overwrite it (beta = 0) or zero it first.
func (b *Backward) Into(i int) (dst *Tensor, fresh bool) {
	slot, dt := b.slot(i)
	if *slot == nil {
		*slot = Empty(b.n.dev, dt, b.n.inputs[i].shape...).Keep()
		return *slot, true
	}
	return b.exclusive(slot), false
}

// Zeroed is Into for kernels that always add: a new gradient is zeroed.
func (b *Backward) Zeroed(i int) *Tensor {
	dst, fresh := b.Into(i)
	if fresh {
		b.n.dev.backend.Fill(dst.Array(), 0)
	}
	return dst
}

// exclusive makes sure that no other gradient shares the slot's memory, so
// that it can be added to.
func (b *Backward) exclusive(slot **Tensor) *Tensor {
	g := *slot
	if g.storage.refs > 1 {
		c := Empty(g.dev, g.DType(), g.shape...).Keep()
		g.dev.backend.Copy(c.Array(), g.Array())
		g.Release()
		*slot = c
	}
	return *slot
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

// queue orders nodes by descending sequence number: a node runs after all that
// consumed its output, because those were recorded later.
type queue []*node

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].seq > q[j].seq }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*node)) }
func (q *queue) Pop() any {
	old := *q
	n := old[len(old)-1]
	*q = old[:len(old)-1]
	return n
}

// Backward computes the gradient of t with respect to every leaf that requires
// one and adds it to the leaf's Grad. A scalar needs no argument; otherwise dy
// is the gradient flowing in, of t's shape. Memory saved by the forward pass is
// freed step by step as it is used, so a graph can be run once.
func (t *Tensor) Backward(dy *Tensor) {
	if !t.RequiresGrad() {
		fail("backward", "a tensor that requires a gradient", "one of shape %v that does not", t.shape)
	}
	if t.node == nil {
		fail("backward", "the result of an operation", "a leaf")
	}
	if t.node.done {
		fail("backward", "a graph that has not been run", "one whose memory is freed: run the forward pass again")
	}
	if dy == nil {
		if t.Len() != 1 {
			fail("backward", "a gradient for a result that is not a scalar", "none for shape %v", t.shape)
		}
		dy = Full(t.dev, t.DType(), 1, t.shape...)
	} else if !sameShape(dy.shape, t.shape) {
		fail("backward", fmt.Sprintf("a gradient of shape %v", t.shape), "%v", dy.shape)
	}
	t.dev.NoGrad(func() { t.dev.runBackward(t.node, dy) })
}

func (d *Device) runBackward(root *node, dy *Tensor) {
	d.running++
	q := &queue{root}
	root.queued = true
	defer func() {
		d.running--
		for _, n := range *q { // left over after a panic
			n.clear()
			n.done = true
		}
		if d.running == 0 {
			d.atEnd = nil
		}
	}()
	root.refs++
	root.grad = dy.Detach().Keep()
	for q.Len() > 0 {
		n := heap.Pop(q).(*node)
		n.step(q)
	}
	if d.running == 1 {
		for len(d.atEnd) > 0 {
			fn := d.atEnd[0]
			d.atEnd = d.atEnd[1:]
			fn()
		}
	}
}

// step runs one node's gradient function and queues the nodes it fed.
func (n *node) step(q *queue) {
	defer n.release() // the reference taken when it was queued
	if n.done {
		fail(n.op+" backward", "a graph that has not been run", "one whose memory is freed: run the forward pass again")
	}
	dy := n.grad
	n.grad = nil
	n.dev.Scope(func() *Tensor {
		defer dy.Release()
		n.backward(&Backward{n}, dy)
		return nil
	})
	for _, e := range n.inputs {
		if e.node != nil && e.node.grad != nil && !e.node.queued {
			e.node.queued = true
			e.node.refs++
			heap.Push(q, e.node)
		}
	}
	n.done = true
	n.clear()
}

// AtBackwardEnd runs fn when the outermost Backward now running on d has
// finished all its nodes.
func (d *Device) AtBackwardEnd(fn func()) { d.atEnd = append(d.atEnd, fn) }

// Hook returns x unchanged, with fn to be called when backward reaches this
// point: after every operation recorded later that leads to the result, before
// every one recorded earlier. Without recording, fn is never called.
func Hook(x *Tensor, fn func()) *Tensor {
	y := x.Detach()
	return record("hook", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		fn()
		b.Give(0, dy)
	})
}

// Checkpoint computes fn(x) without keeping what its gradient needs and
// computes it again in backward (arXiv 1604.06174): memory for time. fn must
// give the same result both times.
func Checkpoint(x *Tensor, fn func(x *Tensor) *Tensor) *Tensor {
	dev := x.dev
	if !dev.GradEnabled() {
		return dev.Scope(func() *Tensor { return fn(x) })
	}
	var y *Tensor
	dev.NoGrad(func() { y = dev.Scope(func() *Tensor { return fn(x) }) })
	if y.storage == x.storage {
		y = y.Detach()
	}
	needs := x.RequiresGrad()
	return attach("checkpoint", y, []*Tensor{x}, []*Tensor{x}, func(b *Backward, dy *Tensor) {
		dev.EnableGrad(func() {
			in := b.Saved(0).Detach().SetRequiresGrad(needs)
			out := fn(in)
			if out.RequiresGrad() {
				out.Backward(dy)
			}
			if g := in.Grad(); g != nil {
				b.Give(0, g)
			}
		})
	})
}
