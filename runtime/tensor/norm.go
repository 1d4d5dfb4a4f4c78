package tensor

import (
	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// LayerNorm normalises the last axis of x [.., D] to mean 0 and variance 1 and
// applies weight and bias, both [D]; bias may be nil. Statistics are float32.
func LayerNorm(x, weight, bias *Tensor, eps float64) *Tensor {
	rows, cols := normShape("layer_norm", x, weight, bias)
	fused, ok := x.dev.backend.(kernels.Norms)
	if !ok {
		return x.dev.Scope(func() *Tensor { return composedNorm(x, weight, bias, eps, true) })
	}
	return x.dev.Scope(func() *Tensor { return fusedLayerNorm(fused, x, weight, bias, rows, cols, eps) })
}

func fusedLayerNorm(fused kernels.Norms, x, weight, bias *Tensor, rows, cols int, eps float64) *Tensor {
	mean, rstd := rowNumbers(x, rows), rowNumbers(x, rows)
	y := Empty(x.dev, x.DType(), x.shape...)
	fused.LayerNorm(y.Array(), mean.Array(), rstd.Array(), x.Array(), weight.Array(), optional(bias), rows, cols, eps)
	return recordLayerNorm(fused, y, x, weight, bias, mean, rstd, rows, cols)
}

// AddLayerNorm returns sum = x + r and LayerNorm(sum): a residual connection
// and the norm behind it, in one pass over memory, forward and backward.
func AddLayerNorm(x, r, weight, bias *Tensor, eps float64) (sum, y *Tensor) {
	rows, cols := normShape("layer_norm", x, weight, bias)
	requireDevice("layer_norm", x, r)
	fused, ok := x.dev.backend.(kernels.Norms)
	if !ok || !alike(x, r) {
		sum = x.Add(r)
		return sum, LayerNorm(sum, weight, bias, eps)
	}
	sum = Empty(x.dev, x.DType(), x.shape...)
	y = x.dev.Scope(func() *Tensor {
		mean, rstd := rowNumbers(x, rows), rowNumbers(x, rows)
		y := Empty(x.dev, x.DType(), x.shape...)
		fused.AddLayerNorm(sum.Array(), y.Array(), mean.Array(), rstd.Array(), x.Array(), r.Array(), weight.Array(), optional(bias), rows, cols, eps)
		return recordLayerNorm(fused, y, recordSum(sum, x, r), weight, bias, mean, rstd, rows, cols)
	})
	return sum, y
}

func recordLayerNorm(fused kernels.Norms, y, x, weight, bias, mean, rstd *Tensor, rows, cols int) *Tensor {
	return record("layer_norm", y, []*Tensor{x, weight, bias}, []*Tensor{x, weight, mean, rstd}, func(b *Backward, dy *Tensor) {
		x, w := b.Saved(0), b.Saved(1)
		var dw, db kernels.Array
		if b.Needs(1) {
			dw = b.Zeroed(1).Array()
		}
		if b.Needs(2) {
			db = b.Zeroed(2).Array()
		}
		onto(b, x, func(dx, residual kernels.Array) {
			fused.LayerNormGrad(dx, dw, db, residual, dy.Array(), x.Array(), w.Array(), b.Saved(2).Array(), b.Saved(3).Array(), rows, cols)
		})
	})
}

// RMSNorm divides the last axis of x [.., D] by its root mean square and
// multiplies by weight [D] (arXiv 1910.07467). Statistics are float32.
func RMSNorm(x, weight *Tensor, eps float64) *Tensor {
	rows, cols := normShape("rms_norm", x, weight, nil)
	fused, ok := x.dev.backend.(kernels.Norms)
	if !ok {
		return x.dev.Scope(func() *Tensor { return composedNorm(x, weight, nil, eps, false) })
	}
	return x.dev.Scope(func() *Tensor { return fusedRMSNorm(fused, x, weight, rows, cols, eps) })
}

func fusedRMSNorm(fused kernels.Norms, x, weight *Tensor, rows, cols int, eps float64) *Tensor {
	rstd := rowNumbers(x, rows)
	y := Empty(x.dev, x.DType(), x.shape...)
	fused.RMSNorm(y.Array(), rstd.Array(), x.Array(), weight.Array(), rows, cols, eps)
	return recordRMSNorm(fused, y, x, weight, rstd, rows, cols)
}

// AddRMSNorm returns sum = x + r and RMSNorm(sum), as AddLayerNorm does.
func AddRMSNorm(x, r, weight *Tensor, eps float64) (sum, y *Tensor) {
	rows, cols := normShape("rms_norm", x, weight, nil)
	requireDevice("rms_norm", x, r)
	fused, ok := x.dev.backend.(kernels.Norms)
	if !ok || !alike(x, r) {
		sum = x.Add(r)
		return sum, RMSNorm(sum, weight, eps)
	}
	sum = Empty(x.dev, x.DType(), x.shape...)
	y = x.dev.Scope(func() *Tensor {
		rstd := rowNumbers(x, rows)
		y := Empty(x.dev, x.DType(), x.shape...)
		fused.AddRMSNorm(sum.Array(), y.Array(), rstd.Array(), x.Array(), r.Array(), weight.Array(), rows, cols, eps)
		return recordRMSNorm(fused, y, recordSum(sum, x, r), weight, rstd, rows, cols)
	})
	return sum, y
}

func recordRMSNorm(fused kernels.Norms, y, x, weight, rstd *Tensor, rows, cols int) *Tensor {
	return record("rms_norm", y, []*Tensor{x, weight}, []*Tensor{x, weight, rstd}, func(b *Backward, dy *Tensor) {
		x, w := b.Saved(0), b.Saved(1)
		var dw kernels.Array
		if b.Needs(1) {
			dw = b.Zeroed(1).Array()
		}
		onto(b, x, func(dx, residual kernels.Array) {
			fused.RMSNormGrad(dx, dw, residual, dy.Array(), x.Array(), w.Array(), b.Saved(2).Array(), rows, cols)
		})
	})
}

// rowNumbers returns room for a number for each row of x.
func rowNumbers(x *Tensor, rows int) *Tensor {
	return Empty(x.dev, promote(x.DType(), dtype.Float32), rows)
}

// alike reports whether a sum of x and r has the type and shape of both.
func alike(x, r *Tensor) bool { return x.DType() == r.DType() && sameShape(x.shape, r.shape) }

// recordSum attaches sum, which a fused kernel has stored, as x + r.
func recordSum(sum, x, r *Tensor) *Tensor {
	return record("residual_sum", sum, []*Tensor{x, r}, nil, func(b *Backward, dy *Tensor) {
		b.Give(0, dy)
		b.Give(1, dy)
	})
}

// onto has a kernel make the gradient of input 0, x, and add to it in the same
// pass what has reached x by other ways: those past the norm have been walked
// already.
func onto(b *Backward, x *Tensor, kernel func(dx, residual kernels.Array)) {
	if !b.Needs(0) { // the kernel makes the other gradients
		kernel(Empty(x.dev, x.DType(), x.shape...).Array(), kernels.Array{})
		return
	}
	if b.Onto(0, x.DType(), func(dst, old *Tensor) { kernel(dst.Array(), old.Array()) }) {
		return
	}
	dx := Empty(x.dev, x.DType(), x.shape...)
	kernel(dx.Array(), kernels.Array{})
	b.Give(0, dx)
}

func normShape(op string, x, weight, bias *Tensor) (rows, cols int) {
	requireFloat(op, x)
	requireDevice(op, x, weight, bias)
	if len(x.shape) == 0 {
		fail(op, "at least one axis", "a scalar")
	}
	cols = x.shape[len(x.shape)-1]
	requireFloat(op+" weight", weight)
	requireShape(op+" weight", weight, cols)
	if bias != nil {
		requireFloat(op+" bias", bias)
		requireShape(op+" bias", bias, cols)
	}
	return numel(x.shape[:len(x.shape)-1]), cols
}

// optional returns a tensor's memory, or no array for nil.
func optional(t *Tensor) kernels.Array {
	if t == nil {
		return kernels.Array{}
	}
	return t.Array()
}

// composedNorm is both normalisations out of required operations.
func composedNorm(x, weight, bias *Tensor, eps float64, centered bool) *Tensor {
	wide := x.To(promote(x.DType(), dtype.Float32))
	if centered {
		wide = wide.Sub(wide.MeanDim(-1, true))
	}
	rstd := wide.Square().MeanDim(-1, true).AddScalar(eps).Sqrt().Reciprocal()
	y := wide.Mul(rstd).Mul(weight)
	if bias != nil {
		y = y.Add(bias)
	}
	return y.To(x.DType())
}
