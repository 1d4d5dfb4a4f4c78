package tensor

import "fmt"

// Checkpoint computes fn(x) without keeping what its gradient needs and
// computes it again in backward (arXiv 1604.06174): memory for time. fn must
// give the same result both times. Parameters and other tensors that fn reads
// besides x get their gradients too, but must still be there in backward: not
// released, and not changed in place.
func Checkpoint(x *Tensor, fn func(x *Tensor) *Tensor) *Tensor {
	dev := x.dev
	if !dev.GradEnabled() {
		return dev.Scope(func() *Tensor { return fn(x) })
	}
	var y *Tensor
	dev.NoGrad(func() {
		// Detach: fn may return x, a view of it, or a tensor from elsewhere.
		y = dev.Scope(func() *Tensor { return fn(x).Detach() })
	})
	// Whether anything in fn wants a gradient shows only in backward.
	return attach("checkpoint", y, []*Tensor{x}, []*Tensor{x}, func(b *Backward, dy *Tensor) {
		before := dev.sequence
		in := b.Saved(0).Detach()
		if b.Needs(0) {
			in.requiresGrad = true
			_, in.gradDType = b.slot(0)
		}
		var out *Tensor
		dev.EnableGrad(func() {
			out = dev.Scope(func() *Tensor { return Hook(fn(in), func() {}) })
		})
		if !sameShape(out.shape, dy.shape) {
			fail("checkpoint", fmt.Sprintf("shape %v again", dy.shape), "%v when computed for backward", out.shape)
		}
		if out.node == nil {
			return
		}
		dev.runBackward(out.node, dy.alias(), before)
		if in.grad != nil {
			b.Give(0, in.grad)
		}
	})
}
