package tensor

import (
	"container/heap"
	"fmt"

	"dpolab/kernels/dtype"
)

// Backward is what an operation's gradient function works with: it says which
// inputs want a gradient and takes the gradients.
type Backward struct {
	n  *node
	dy *Tensor
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
		if dt := e.leaf.gradDType; dt != dtype.Invalid {
			return &e.leaf.grad, dt
		}
		return &e.leaf.grad, e.dtype
	}
	if e.node.done {
		failDone(e.node.op)
	}
	return &e.node.grad, e.dtype
}

func failDone(op string) {
	fail(op+" backward", "a graph that has not been run", "one whose memory is freed: run the forward pass again")
}

// Give adds g to the gradient of input i. Its shape must be the input's; its
// type is converted. g may be dy itself or a view of it.
func (b *Backward) Give(i int, g *Tensor) {
	if !b.Needs(i) {
		return
	}
	e := b.n.inputs[i]
	if !sameShape(g.shape, e.shape) {
		fail(b.n.op+" backward", fmt.Sprintf("a gradient of shape %v", e.shape), "%v", g.shape)
	}
	slot, dt := b.slot(i)
	be := b.n.dev.backend
	if *slot != nil {
		be.AddScaled(b.exclusive(slot).Array(), 1, g.Array())
		return
	}
	// A leaf's gradient outlives this pass and may be changed in place, so it
	// shares memory with no other gradient.
	shared := g.storage == b.dy.storage || g.storage.refs > 1
	if g.DType() != dt || e.leaf != nil && shared {
		*slot = bare(b.n.dev, newStorage(b.n.dev, dt, g.Len()), 0, g.shape)
		be.Copy((*slot).Array(), g.Array())
		return
	}
	*slot = g.alias()
}

// Unset reports that no gradient of input i is collected yet.
func (b *Backward) Unset(i int) bool {
	slot, _ := b.slot(i)
	return *slot == nil
}

// Into returns a tensor to which the operation adds its gradient of input i,
// for kernels that accumulate. fresh reports that it is new and its contents
// undefined: the kernel must overwrite it (beta = 0) or zero it first.
func (b *Backward) Into(i int) (dst *Tensor, fresh bool) {
	slot, dt := b.slot(i)
	if *slot == nil {
		shape := b.n.inputs[i].shape
		*slot = bare(b.n.dev, newStorage(b.n.dev, dt, numel(shape)), 0, shape)
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

// Onto is for kernels that store the sum of their gradient of input i and of
// what is collected for it already: it has store do so. dst may be old. If
// nothing is collected yet, or not in the type given, it does nothing and
// returns false.
func (b *Backward) Onto(i int, dt dtype.DType, store func(dst, old *Tensor)) bool {
	slot, has := b.slot(i)
	old := *slot
	if old == nil || has != dt {
		return false
	}
	if old.storage.refs == 1 {
		store(old, old)
		return true
	}
	dst := bare(b.n.dev, newStorage(b.n.dev, dt, old.Len()), 0, old.shape)
	*slot = dst // which is released with the node if store fails
	defer old.Release()
	store(dst, old)
	return true
}

// exclusive makes sure that no other gradient shares the slot's memory, so
// that it can be added to.
func (b *Backward) exclusive(slot **Tensor) *Tensor {
	if g := *slot; g.storage.refs > 1 {
		c := bare(g.dev, newStorage(g.dev, g.DType(), g.Len()), 0, g.shape)
		g.dev.backend.Copy(c.Array(), g.Array())
		g.Release()
		*slot = c
	}
	return *slot
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
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return n
}

// run is a backward pass in progress. One that a checkpoint starts inside
// another runs only what the checkpoint recorded; nodes up to floor are older
// and wait in the run around it for all that they feed.
type run struct {
	queue queue
	floor uint64
	outer *run
}

// enqueue hands a node that has its first gradient to the run it belongs to.
func (d *Device) enqueue(n *node) {
	r := d.run
	for r.outer != nil && n.seq <= r.floor {
		r = r.outer
	}
	n.queued = true
	n.refs++
	heap.Push(&r.queue, n)
}

// Backward computes the gradient of t with respect to every leaf that requires
// one and adds it to the leaf's Grad. A scalar needs no argument; otherwise dy
// is the gradient flowing in, of t's shape. Memory saved by the forward pass is
// freed step by step as it is used, so a graph can be run once. After an error
// the leaves' gradients are incomplete: zero them and run forward again.
func (t *Tensor) Backward(dy *Tensor) {
	if !t.RequiresGrad() {
		fail("backward", "a tensor that requires a gradient", "one of shape %v that does not", t.shape)
	}
	root := t.node
	if root == nil {
		fail("backward", "the result of an operation", "a leaf")
	}
	if root.queued {
		failDone(root.op)
	}
	switch {
	case dy == nil && t.Len() != 1:
		fail("backward", "a gradient for a result that is not a scalar", "none for shape %v", t.shape)
	case dy != nil && !sameShape(dy.shape, t.shape):
		fail("backward", fmt.Sprintf("a gradient of shape %v", t.shape), "%v", dy.shape)
	case dy != nil:
		requireDevice("backward", t, dy)
	}
	var grad *Tensor
	if dy != nil && dy.DType() == t.DType() {
		grad = dy.alias()
	} else {
		grad = bare(t.dev, newStorage(t.dev, t.DType(), t.Len()), 0, t.shape)
		if dy == nil {
			t.dev.backend.Fill(grad.Array(), 1)
		} else {
			t.dev.backend.Copy(grad.Array(), dy.Array())
		}
	}
	t.dev.NoGrad(func() { t.dev.runBackward(root, grad, 0) })
}

// runBackward runs the graph from root, whose gradient it takes over.
func (d *Device) runBackward(root *node, grad *Tensor, floor uint64) {
	r := &run{floor: floor, outer: d.run}
	d.run = r
	defer func() {
		d.run = r.outer
		for _, n := range r.queue { // left over after a panic
			n.finish()
		}
		if d.run == nil {
			d.atEnd = nil
		}
	}()
	root.grad = grad
	d.enqueue(root)
	for r.queue.Len() > 0 {
		heap.Pop(&r.queue).(*node).step()
	}
	for r.outer == nil && len(d.atEnd) > 0 {
		fn := d.atEnd[0]
		d.atEnd = d.atEnd[1:]
		fn()
	}
}

// step runs one node's gradient function and queues the nodes it fed.
func (n *node) step() {
	defer n.finish()
	dy := n.grad
	n.grad = nil
	n.dev.Scope(func() *Tensor {
		defer dy.Release()
		n.backward(&Backward{n, dy}, dy)
		return nil
	})
	for _, e := range n.inputs {
		if e.node != nil && e.node.grad != nil && !e.node.queued {
			n.dev.enqueue(e.node)
		}
	}
}

// finish takes a node out of the graph: done, or abandoned after a panic.
func (n *node) finish() {
	for _, e := range n.inputs {
		switch {
		case e.leaf != nil && e.leaf.dead: // nobody can ask for this gradient
			e.leaf.dropGrad()
		case e.node != nil && e.node.grad != nil && !e.node.queued: // half made
			e.node.grad.Release()
			e.node.grad = nil
		}
	}
	n.done = true
	n.clear()
	n.release() // the queue's reference
}

// AtBackwardEnd runs fn when the outermost Backward now running on d has
// finished all its nodes.
func (d *Device) AtBackwardEnd(fn func()) {
	if d.run == nil {
		fail("at_backward_end", "a running backward pass", "none")
	}
	d.atEnd = append(d.atEnd, fn)
}
