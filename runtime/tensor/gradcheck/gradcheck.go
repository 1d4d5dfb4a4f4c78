// Package gradcheck compares gradients with finite differences, in float64 on
// the reference device:
//
//	err := gradcheck.Check(func(in []*tensor.Tensor) *tensor.Tensor {
//		return in[0].Mul(in[1]).Tanh()
//	}, inputs, gradcheck.DefaultOptions())
//
// The result of fn may have any shape: it is projected on a fixed direction
// first, so every output element counts.
package gradcheck

import (
	"fmt"
	"math"

	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// Options are the step of the central differences and the tolerances: analytic
// and numeric may differ by Absolute + Relative·|numeric|.
type Options struct {
	Step               float64
	Absolute, Relative float64
}

// DefaultOptions suit smooth functions of values around 1 in float64.
func DefaultOptions() Options { return Options{Step: 1e-5, Absolute: 1e-8, Relative: 1e-6} }

// Check differentiates fn at the inputs, float64 tensors, with respect to all
// of them. The error names the input, the element and both values.
func Check(fn func(in []*tensor.Tensor) *tensor.Tensor, inputs []*tensor.Tensor, o Options) error {
	var direction []float64
	project := func(in []*tensor.Tensor) *tensor.Tensor {
		y := fn(in)
		if direction == nil {
			direction = make([]float64, y.Len())
			for i := range direction {
				direction[i] = math.Cos(float64(3*i + 1)) // no symmetry, no zeros
			}
		}
		w := tensor.FromFloat64(y.Device(), direction, y.Shape()...)
		return y.Mul(w).Sum()
	}
	analytic := make([][]float64, len(inputs))
	for i, in := range inputs {
		if in.DType() != dtype.Float64 {
			return fmt.Errorf("gradcheck: input %d: want float64, got %s", i, in.DType())
		}
		in.ZeroGrad()
		in.SetRequiresGrad(true)
	}
	dev := inputs[0].Device()
	dev.Scope(func() *tensor.Tensor { project(inputs).Backward(nil); return nil })
	for i, in := range inputs {
		analytic[i] = make([]float64, in.Len())
		if g := in.Grad(); g != nil {
			copy(analytic[i], g.Float64s())
		}
	}
	value := func() (v float64) {
		dev.NoGrad(func() {
			dev.Scope(func() *tensor.Tensor { v = project(inputs).Item(); return nil })
		})
		return v
	}
	for i, in := range inputs {
		values := in.Float64s()
		for j := range values {
			at := func(x float64) float64 {
				moved := append([]float64(nil), values...)
				moved[j] = x
				write(in, moved)
				return value()
			}
			numeric := (at(values[j]+o.Step) - at(values[j]-o.Step)) / (2 * o.Step)
			write(in, values)
			if diff := math.Abs(numeric - analytic[i][j]); !(diff <= o.Absolute+o.Relative*math.Abs(numeric)) {
				return fmt.Errorf("gradcheck: input %d, element %d: analytic %g, numeric %g", i, j, analytic[i][j], numeric)
			}
		}
	}
	return nil
}

func write(t *tensor.Tensor, values []float64) {
	dev := t.Device()
	dev.NoGrad(func() {
		dev.Scope(func() *tensor.Tensor { t.CopyFrom(tensor.FromFloat64(dev, values, t.Shape()...)); return nil })
	})
}
