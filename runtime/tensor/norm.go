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
	stats := promote(x.DType(), dtype.Float32)
	mean, rstd := Empty(x.dev, stats, rows), Empty(x.dev, stats, rows)
	y := Empty(x.dev, x.DType(), x.shape...)
	fused.LayerNorm(y.Array(), mean.Array(), rstd.Array(), x.Array(), weight.Array(), optional(bias), rows, cols, eps)
	return record("layer_norm", y, []*Tensor{x, weight, bias}, []*Tensor{x, weight, mean, rstd}, func(b *Backward, dy *Tensor) {
		x, w := b.Saved(0), b.Saved(1)
		dx := Empty(x.dev, x.DType(), x.shape...)
		var dw, db kernels.Array
		if b.Needs(1) {
			dw = b.Zeroed(1).Array()
		}
		if b.Needs(2) {
			db = b.Zeroed(2).Array()
		}
		fused.LayerNormGrad(dx.Array(), dw, db, dy.Array(), x.Array(), w.Array(), b.Saved(2).Array(), b.Saved(3).Array(), rows, cols)
		b.Give(0, dx)
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
	rstd := Empty(x.dev, promote(x.DType(), dtype.Float32), rows)
	y := Empty(x.dev, x.DType(), x.shape...)
	fused.RMSNorm(y.Array(), rstd.Array(), x.Array(), weight.Array(), rows, cols, eps)
	return record("rms_norm", y, []*Tensor{x, weight}, []*Tensor{x, weight, rstd}, func(b *Backward, dy *Tensor) {
		x, w := b.Saved(0), b.Saved(1)
		dx := Empty(x.dev, x.DType(), x.shape...)
		var dw kernels.Array
		if b.Needs(1) {
			dw = b.Zeroed(1).Array()
		}
		fused.RMSNormGrad(dx.Array(), dw, dy.Array(), x.Array(), w.Array(), b.Saved(2).Array(), rows, cols)
		b.Give(0, dx)
	})
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
