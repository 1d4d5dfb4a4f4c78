package tensor

// In-place writes are for tensors that autograd does not track at the moment:
// anything under NoGrad, and anything that needs no gradient. A graph that
// saved the tensor before notices and refuses to run.

// CopyFrom overwrites x with y's elements, converted to x's type.
func (x *Tensor) CopyFrom(y *Tensor) *Tensor {
	x.writable("copy_from", y)
	requireShape("copy_from", y, x.shape...)
	x.dev.backend.Copy(x.Array(), y.Array())
	return x
}

// Fill overwrites every element.
func (x *Tensor) Fill(value float64) *Tensor {
	x.writable("fill", nil)
	x.dev.backend.Fill(x.Array(), value)
	return x
}

// Zero overwrites every element with 0.
func (x *Tensor) Zero() *Tensor { return x.Fill(0) }

// AddScaledInPlace adds alpha·y to x.
func (x *Tensor) AddScaledInPlace(alpha float64, y *Tensor) *Tensor {
	x.writable("add_scaled", y)
	requireShape("add_scaled", y, x.shape...)
	x.dev.backend.AddScaled(x.Array(), alpha, y.Array())
	return x
}

// writable checks that an in-place write is allowed and records it.
func (x *Tensor) writable(op string, y *Tensor) {
	requireDevice(op, x, y)
	if x.dev.GradEnabled() && (x.RequiresGrad() || y != nil && y.RequiresGrad()) {
		fail(op, "tensors that need no gradient, or NoGrad around the write", "one that autograd tracks")
	}
	x.Touch()
}
