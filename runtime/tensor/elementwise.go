package tensor

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// unary applies an elementwise function, y = f(x), with gradient dy·f'(x).
func unary(name string, op kernels.UnaryOp, x *Tensor) *Tensor {
	requireFloat(name, x)
	y := Empty(x.dev, x.DType(), x.shape...)
	x.dev.backend.Unary(op, y.Array(), x.Array())
	return record(name, y, []*Tensor{x}, []*Tensor{x}, func(b *Backward, dy *Tensor) {
		x := b.Saved(0)
		dx := Empty(x.dev, x.DType(), x.shape...)
		x.dev.backend.UnaryGrad(op, dx.Array(), dy.Array(), x.Array())
		b.Give(0, dx)
	})
}

// Neg returns -x.
func (x *Tensor) Neg() *Tensor { return unary("neg", kernels.Neg, x) }

// Exp returns e^x.
func (x *Tensor) Exp() *Tensor { return unary("exp", kernels.Exp, x) }

// Log returns the natural logarithm.
func (x *Tensor) Log() *Tensor { return unary("log", kernels.Log, x) }

// Sqrt returns the square root.
func (x *Tensor) Sqrt() *Tensor { return unary("sqrt", kernels.Sqrt, x) }

// Square returns x².
func (x *Tensor) Square() *Tensor { return unary("square", kernels.Square, x) }

// Abs returns |x|; its slope at 0 is 0.
func (x *Tensor) Abs() *Tensor { return unary("abs", kernels.Abs, x) }

// Reciprocal returns 1/x.
func (x *Tensor) Reciprocal() *Tensor { return unary("reciprocal", kernels.Reciprocal, x) }

// ReLU returns max(x, 0); its slope at 0 is 0.
func (x *Tensor) ReLU() *Tensor { return unary("relu", kernels.ReLU, x) }

// Sigmoid returns 1/(1+e^-x).
func (x *Tensor) Sigmoid() *Tensor { return unary("sigmoid", kernels.Sigmoid, x) }

// LogSigmoid returns log(sigmoid(x)) without overflow.
func (x *Tensor) LogSigmoid() *Tensor { return unary("logsigmoid", kernels.LogSigmoid, x) }

// Softplus returns log(1+e^x) without overflow.
func (x *Tensor) Softplus() *Tensor { return unary("softplus", kernels.Softplus, x) }

// Tanh returns the hyperbolic tangent.
func (x *Tensor) Tanh() *Tensor { return unary("tanh", kernels.Tanh, x) }

// SiLU returns x·sigmoid(x).
func (x *Tensor) SiLU() *Tensor { return unary("silu", kernels.SiLU, x) }

// GELU returns x·Φ(x) with the normal distribution's Φ by erf, as GPT-NeoX
// does.
func (x *Tensor) GELU() *Tensor { return unary("gelu", kernels.GELU, x) }

// GELUTanh is the tanh approximation of GELU that GPT-2 was trained with.
func (x *Tensor) GELUTanh() *Tensor { return unary("gelu_tanh", kernels.GELUTanh, x) }

// AddScalar returns x + c.
func (x *Tensor) AddScalar(c float64) *Tensor { return affine("add_scalar", x, 1, c) }

// MulScalar returns x · c.
func (x *Tensor) MulScalar(c float64) *Tensor { return affine("mul_scalar", x, c, 0) }

func affine(name string, x *Tensor, mul, add float64) *Tensor {
	requireFloat(name, x)
	y := Empty(x.dev, x.DType(), x.shape...)
	x.dev.backend.Affine(y.Array(), x.Array(), mul, add)
	return record(name, y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		if mul == 1 {
			b.Give(0, dy)
			return
		}
		dx := Empty(dy.dev, dy.DType(), dy.shape...)
		dy.dev.backend.Affine(dx.Array(), dy.Array(), mul, 0)
		b.Give(0, dx)
	})
}

// requireFloat checks an operand's type, and that its memory is there, before
// anything is allocated for the result.
func requireFloat(op string, x *Tensor) {
	if x.dead || x.storage.ptr == nil {
		fail(op, "a tensor with memory", "one of shape %v that was released or discarded", x.shape)
	}
	if !x.DType().IsFloat() {
		fail(op, "a floating type", "%s", x.DType())
	}
}

func requireDevice(op string, x *Tensor, others ...*Tensor) {
	for _, y := range others {
		if y == nil || y.dev == x.dev {
			continue
		}
		if x.dev.String() == y.dev.String() {
			fail(op, "operands on one device", "two instances of %s", x.dev)
		}
		fail(op, "operands on one device", "%s and %s", x.dev, y.dev)
	}
}

func requireDims(op string, x *Tensor, dims int) {
	if len(x.shape) != dims {
		fail(op, fmt.Sprintf("%d axes", dims), "shape %v", x.shape)
	}
}

func requireShape(op string, x *Tensor, shape ...int) {
	if !sameShape(x.shape, shape) {
		fail(op, fmt.Sprintf("shape %v", shape), "%v", x.shape)
	}
}

func requireIndex(op string, x *Tensor) {
	if x.DType() != dtype.Int32 {
		fail(op, "int32 indices", "%s", x.DType())
	}
}
