package tensor

import (
	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// Add returns x + y. Binary operations broadcast as NumPy's do: shapes are
// aligned at the last axis and sizes of 1 are repeated. Of two floating types
// the wider one is the result's.
func (x *Tensor) Add(y *Tensor) *Tensor {
	return binary("add", kernels.Add, x, y, nil, nil, func(b *Backward, dy *Tensor) {
		giveBroadcast(b, 0, dy)
		giveBroadcast(b, 1, dy)
	})
}

// Sub returns x - y.
func (x *Tensor) Sub(y *Tensor) *Tensor {
	return binary("sub", kernels.Sub, x, y, nil, nil, func(b *Backward, dy *Tensor) {
		giveBroadcast(b, 0, dy)
		if b.Needs(1) {
			giveBroadcast(b, 1, dy.Neg())
		}
	})
}

// Mul returns x · y.
func (x *Tensor) Mul(y *Tensor) *Tensor {
	return binary("mul", kernels.Mul, x, y, keepFor(x, y), keepFor(y, x), func(b *Backward, dy *Tensor) {
		if b.Needs(0) {
			giveBroadcast(b, 0, dy.Mul(b.Saved(1)))
		}
		if b.Needs(1) {
			giveBroadcast(b, 1, dy.Mul(b.Saved(0)))
		}
	})
}

// Div returns x / y.
func (x *Tensor) Div(y *Tensor) *Tensor {
	return binary("div", kernels.Div, x, y, keepFor(x, y), y, func(b *Backward, dy *Tensor) {
		x, y := b.Saved(0), b.Saved(1)
		dx := dy.Div(y)
		if b.Needs(0) {
			giveBroadcast(b, 0, dx)
		}
		if b.Needs(1) { // -dy·x/y²
			giveBroadcast(b, 1, dx.Mul(x).Div(y).Neg())
		}
	})
}

// Maximum returns the larger of x and y, elementwise. Where they are equal the
// gradient is shared equally, as PyTorch does.
func (x *Tensor) Maximum(y *Tensor) *Tensor { return extremum("maximum", kernels.Maximum, x, y) }

// Minimum returns the smaller of x and y, elementwise.
func (x *Tensor) Minimum(y *Tensor) *Tensor { return extremum("minimum", kernels.Minimum, x, y) }

func extremum(name string, op kernels.BinaryOp, x, y *Tensor) *Tensor {
	return binary(name, op, x, y, x, y, func(b *Backward, dy *Tensor) {
		x, y := b.Saved(0), b.Saved(1)
		won, tied := x.Greater(y), x.Equal(y).MulScalar(0.5)
		if op == kernels.Minimum {
			won = y.Greater(x)
		}
		share := won.Add(tied) // of the gradient that goes to x
		if b.Needs(0) {
			giveBroadcast(b, 0, dy.Mul(share))
		}
		if b.Needs(1) {
			giveBroadcast(b, 1, dy.Mul(share.MulScalar(-1).AddScalar(1)))
		}
	})
}

// Greater returns 1 where x > y, else 0. It has no gradient.
func (x *Tensor) Greater(y *Tensor) *Tensor { return compute("greater", kernels.Greater, x, y) }

// Equal returns 1 where x = y, else 0. It has no gradient.
func (x *Tensor) Equal(y *Tensor) *Tensor { return compute("equal", kernels.Equal, x, y) }

// binary computes and records one operation; saved 0 and 1 are what backward
// reads of x and y.
func binary(name string, op kernels.BinaryOp, x, y, saveX, saveY *Tensor, backward func(*Backward, *Tensor)) *Tensor {
	z := compute(name, op, x, y)
	return record(name, z, []*Tensor{x, y}, []*Tensor{saveX, saveY}, backward)
}

// compute runs the kernel over the broadcast shape.
func compute(name string, op kernels.BinaryOp, x, y *Tensor) *Tensor {
	requireFloat(name, x)
	requireFloat(name, y)
	requireDevice(name, x, y)
	shape := broadcastShape(name, x.shape, y.shape)
	z := Empty(x.dev, promote(x.DType(), y.DType()), shape...)
	x.dev.backend.Binary(op, z.Array(), x.Array(), y.Array(), shape,
		broadcastStrides(x.shape, shape), broadcastStrides(y.shape, shape))
	return z
}

// promote returns the type of a result of two floating types: the common one,
// else the wider; bfloat16 with float16 gives float32.
func promote(a, b dtype.DType) dtype.DType {
	switch {
	case a == b:
		return a
	case a == dtype.Float64 || b == dtype.Float64:
		return dtype.Float64
	}
	return dtype.Float32
}

func broadcastShape(op string, a, b []int) []int {
	n := max(len(a), len(b))
	out := make([]int, n)
	for i := range n {
		da, db := 1, 1
		if j := i - n + len(a); j >= 0 {
			da = a[j]
		}
		if j := i - n + len(b); j >= 0 {
			db = b[j]
		}
		switch {
		case da == db || db == 1:
			out[i] = da
		case da == 1:
			out[i] = db
		default:
			fail(op, "shapes that broadcast", "%v and %v", a, b)
		}
	}
	return out
}

// strides returns row-major element strides.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// broadcastStrides returns the strides that repeat shape over the larger one.
func broadcastStrides(shape, over []int) []int {
	own := strides(shape)
	out := make([]int, len(over))
	for i := range over {
		if j := i - len(over) + len(shape); j >= 0 && shape[j] != 1 {
			out[i] = own[j]
		}
	}
	return out
}

// giveBroadcast sums g over the axes along which input i was repeated.
func giveBroadcast(b *Backward, i int, g *Tensor) {
	if !b.Needs(i) {
		return
	}
	want := b.n.inputs[i].shape
	_, dt := b.slot(i)
	sum := func(d int, keep bool) { // in the gradient's own type if that is wider
		_, outer, mid, inner := g.axis("sum", d)
		s := Empty(g.dev, promote(g.DType(), dt), without(g.shape, d, keep)...)
		g.dev.backend.Reduce(kernels.Sum, s.Array(), g.Array(), outer, mid, inner)
		g = s
	}
	if extra := len(g.shape) - len(want); extra > 0 { // leading axes, as one
		g = g.Reshape(append([]int{numel(g.shape[:extra])}, g.shape[extra:]...)...)
		sum(0, false)
	}
	for d := range want {
		if want[d] == 1 && g.shape[d] != 1 {
			sum(d, true)
		}
	}
	b.Give(i, g)
}
