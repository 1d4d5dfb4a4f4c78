package tensor

import (
	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// axis resolves a possibly negative axis and returns the sizes before, at and
// after it.
func (x *Tensor) axis(op string, d int) (at, outer, mid, inner int) {
	at = d
	if d < 0 {
		at += len(x.shape)
	}
	if at < 0 || at >= len(x.shape) {
		fail(op, "an axis of the tensor", "axis %d of shape %v", d, x.shape)
	}
	return at, numel(x.shape[:at]), x.shape[at], numel(x.shape[at+1:])
}

func without(shape []int, d int, keep bool) []int {
	out := append([]int(nil), shape[:d]...)
	if keep {
		out = append(out, 1)
	}
	return append(out, shape[d+1:]...)
}

// Sum returns the sum of all elements, a scalar.
func (x *Tensor) Sum() *Tensor {
	requireFloat("sum", x)
	y := Empty(x.dev, x.DType())
	x.dev.backend.Reduce(kernels.Sum, y.Array(), x.Array(), 1, x.Len(), 1)
	shape := x.shape
	return record("sum", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		b.Give(0, dy.expand(shape))
	})
}

// Mean returns the mean of all elements, a scalar.
func (x *Tensor) Mean() *Tensor {
	return x.dev.Scope(func() *Tensor { return x.Sum().MulScalar(1 / float64(x.Len())) })
}

// SumDim sums along axis d, which disappears unless keep is set.
func (x *Tensor) SumDim(d int, keep bool) *Tensor {
	requireFloat("sum", x)
	d, outer, mid, inner := x.axis("sum", d)
	y := Empty(x.dev, x.DType(), without(x.shape, d, keep)...)
	x.dev.backend.Reduce(kernels.Sum, y.Array(), x.Array(), outer, mid, inner)
	shape := x.shape
	return record("sum_dim", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		b.Give(0, dy.Reshape(without(shape, d, true)...).expand(shape))
	})
}

// MeanDim averages along axis d.
func (x *Tensor) MeanDim(d int, keep bool) *Tensor {
	at, _, mid, _ := x.axis("mean", d)
	return x.dev.Scope(func() *Tensor { return x.SumDim(at, keep).MulScalar(1 / float64(mid)) })
}

// MaxDim returns the largest element along axis d. Where several are largest
// the gradient is shared equally, as torch.amax does.
func (x *Tensor) MaxDim(d int, keep bool) *Tensor {
	requireFloat("max", x)
	d, outer, mid, inner := x.axis("max", d)
	y := Empty(x.dev, x.DType(), without(x.shape, d, keep)...)
	x.dev.backend.Reduce(kernels.Max, y.Array(), x.Array(), outer, mid, inner)
	return record("max_dim", y, []*Tensor{x}, []*Tensor{x, y}, func(b *Backward, dy *Tensor) {
		x := b.Saved(0)
		kept := without(x.shape, d, true)
		is := x.Equal(b.Saved(1).Reshape(kept...))
		share := dy.Reshape(kept...).Div(is.SumDim(d, true))
		b.Give(0, is.Mul(share))
	})
}

// expand repeats a tensor over a larger shape, without history.
func (x *Tensor) expand(shape []int) *Tensor {
	y := Empty(x.dev, x.DType(), shape...)
	x.dev.copyStrided(y.Array(), x.Array(), shape, strides(shape), broadcastStrides(x.shape, shape))
	return y
}

// Softmax normalises along axis d.
func (x *Tensor) Softmax(d int) *Tensor { return softmax("softmax", x, d, false) }

// LogSoftmax is the logarithm of Softmax, without overflow.
func (x *Tensor) LogSoftmax(d int) *Tensor { return softmax("log_softmax", x, d, true) }

func softmax(name string, x *Tensor, d int, log bool) *Tensor {
	requireFloat(name, x)
	at, _, cols, inner := x.axis(name, d)
	if inner != 1 { // bring the axis to the end and back
		last := len(x.shape) - 1
		return x.dev.Scope(func() *Tensor {
			return softmax(name, x.Transpose(at, last), last, log).Transpose(at, last)
		})
	}
	y := Empty(x.dev, x.DType(), x.shape...)
	rows := 0
	if cols > 0 {
		rows = x.Len() / cols
	}
	x.dev.backend.Softmax(y.Array(), x.Array(), rows, cols, log)
	return record(name, y, []*Tensor{x}, []*Tensor{y}, func(b *Backward, dy *Tensor) {
		y := b.Saved(0)
		dx := Empty(y.dev, y.DType(), y.shape...)
		y.dev.backend.SoftmaxGrad(dx.Array(), dy.Array(), y.Array(), rows, cols, log)
		b.Give(0, dx)
	})
}

// SegmentSum adds up runs of x [R]: element i of the result [N] is the sum of
// x[offsets[i]:offsets[i+1]], for offsets of N+1 non-decreasing positions. It
// turns token log-probabilities into one per response. The result is float32
// (float64 for float64).
func SegmentSum(x *Tensor, offsets []int32) *Tensor {
	requireFloat("segment_sum", x)
	requireDims("segment_sum", x, 1)
	n := len(offsets) - 1
	if n < 0 || offsets[0] != 0 || int(offsets[n]) != x.Len() {
		fail("segment_sum", "offsets from 0 to the length", "%v for %d elements", offsets, x.Len())
	}
	be := x.dev.backend
	dt := promote(x.DType(), dtype.Float32)
	y := Empty(x.dev, dt, n)
	for i := range n {
		lo, hi := int(offsets[i]), int(offsets[i+1])
		if hi < lo {
			fail("segment_sum", "offsets that do not fall", "%v", offsets)
		}
		be.Reduce(kernels.Sum, y.Array().Slice(i, i+1), x.Array().Slice(lo, hi), 1, hi-lo, 1)
	}
	return record("segment_sum", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		e := b.n.inputs[0]
		dx := Empty(dy.dev, e.dtype, e.shape...)
		for i := range n {
			lo, hi := int(offsets[i]), int(offsets[i+1])
			part := Empty(dy.dev, dy.DType(), hi-lo)
			dy.dev.copyStrided(part.Array(), dy.Array().Slice(i, i+1), []int{hi - lo}, []int{1}, []int{0})
			be.Copy(dx.Array().Slice(lo, hi), part.Array())
		}
		b.Give(0, dx)
	})
}
