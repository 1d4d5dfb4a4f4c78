// Package gradcheck compares gradients with finite differences, in float64 on
// the reference device:
//
//	err := gradcheck.Check(func(in []*tensor.Tensor) *tensor.Tensor {
//		return in[0].Mul(in[1]).Tanh()
//	}, inputs, gradcheck.DefaultOptions())
//
// The result of fn may have any shape: it is projected on a fixed direction
// first, so every output element counts, each with a weight of its own.
//
// # Errors
//
// An error names the input, its element and both values. Misuse inside fn comes
// back as the *tensor.Error it is.
package gradcheck

import (
	"errors"
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

// Check differentiates fn at the inputs, float64 leaves, with respect to all of
// them. It leaves them as they were, without gradients.
func Check(fn func(in []*tensor.Tensor) *tensor.Tensor, inputs []*tensor.Tensor, o Options) (err error) {
	if len(inputs) == 0 {
		return errors.New("gradcheck: want at least one input, got none")
	}
	for i, in := range inputs {
		if in.DType() != dtype.Float64 {
			return fmt.Errorf("gradcheck: input %d: want float64, got %s", i, in.DType())
		}
	}
	if misuse := tensor.Try(func() { err = check(fn, inputs, o) }); misuse != nil {
		return misuse
	}
	return err
}

func check(fn func(in []*tensor.Tensor) *tensor.Tensor, inputs []*tensor.Tensor, o Options) error {
	dev := inputs[0].Device()
	defer func() {
		for _, in := range inputs {
			in.ZeroGrad()
		}
	}()
	for _, in := range inputs {
		in.ZeroGrad()
		in.SetRequiresGrad(true)
	}
	dev.Scope(func() *tensor.Tensor { project(fn, inputs).Backward(nil); return nil })
	for i, in := range inputs {
		analytic := make([]float64, in.Len())
		if g := in.Grad(); g != nil {
			copy(analytic, g.Float64s())
		}
		start := in.Float64s()
		for j := range start {
			at := func(x float64) (y float64) {
				moved := append([]float64(nil), start...)
				moved[j] = x
				dev.NoGrad(func() {
					dev.Scope(func() *tensor.Tensor {
						write(in, moved)
						y = project(fn, inputs).Item()
						return nil
					})
				})
				return y
			}
			numeric := (at(start[j]+o.Step) - at(start[j]-o.Step)) / (2 * o.Step)
			if diff := math.Abs(numeric - analytic[j]); !(diff <= o.Absolute+o.Relative*math.Abs(numeric)) {
				write(in, start)
				return fmt.Errorf("gradcheck: input %d, element %d: analytic %g, numeric %g", i, j, analytic[j], numeric)
			}
		}
		write(in, start)
	}
	return nil
}

// project weighs every element of fn's result with a number between -1 and 1,
// none of them 0, and adds them up.
func project(fn func(in []*tensor.Tensor) *tensor.Tensor, in []*tensor.Tensor) *tensor.Tensor {
	y := fn(in)
	direction := make([]float64, y.Len())
	for i := range direction {
		direction[i] = math.Cos(float64(3*i + 1))
	}
	return y.Mul(tensor.FromFloat64(y.Device(), direction, y.Shape()...)).Sum()
}

func write(t *tensor.Tensor, values []float64) {
	dev := t.Device()
	dev.NoGrad(func() {
		dev.Scope(func() *tensor.Tensor { t.CopyFrom(tensor.FromFloat64(dev, values, t.Shape()...)); return nil })
	})
}
