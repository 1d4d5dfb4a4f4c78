package loss

import (
	"fmt"
	"math"

	"dpolab/kernels/device"
	_ "dpolab/kernels/ref"
	"dpolab/runtime/tensor"
)

// Gradient tolerances of a Check: analytic and numeric may differ by
// absolute + relative·|numeric|. Losses are smooth functions of numbers between
// 1 and 100, computed in float64.
const (
	checkStep     = 1e-5
	checkAbsolute = 1e-7
	checkRelative = 1e-5
)

// CheckResult is what Check found.
type CheckResult struct {
	OK bool
	// MaxError is the largest difference between a gradient and its finite
	// difference, relative to the tolerance's scale max(1, |numeric|).
	MaxError float64
	// Where it is, and both values.
	Input             string
	Pair              int
	Analytic, Numeric float64
	// Pairs and Values are how many were compared.
	Pairs, Values int
}

// String is one line.
func (c CheckResult) String() string {
	verdict := "ok"
	if !c.OK {
		verdict = "WRONG"
	}
	return fmt.Sprintf("gradient check %s: %d values of %d pairs, largest error %.2g at %s[%d] (analytic %.6g, numeric %.6g)",
		verdict, c.Values, c.Pairs, c.MaxError, c.Input, c.Pair, c.Analytic, c.Numeric)
}

// Check compares a loss's gradient with central differences in float64 on the
// reference device, for pairs that lie on both sides of the margin's zero. It
// panics with *tensor.Error if the loss does not return one loss per pair.
//
// A loss with a kink may fail at a pair that lies on it; the pairs here avoid
// round numbers.
func Check(fn PreferenceLoss) (CheckResult, error) {
	dev, err := tensor.Open(device.Device{Type: device.Ref}, 1)
	if err != nil {
		return CheckResult{}, err
	}
	defer dev.Close()
	values := [6][]float64{
		{-41.37, -12.91, -77.13, -3.41, -25.57, -60.83}, {-44.71, -11.39, -70.29, -6.83, -25.91, -58.07},
		{-42.19, -13.73, -75.67, -4.11, -24.83, -61.49}, {-43.07, -12.13, -73.31, -5.27, -26.41, -60.11},
		{21, 7, 40, 3, 13, 33}, {23, 8, 37, 4, 12, 31},
	}
	lp := LogProbs{}
	fields := []**tensor.Tensor{&lp.PolicyChosen, &lp.PolicyRejected, &lp.ReferenceChosen, &lp.ReferenceRejected, &lp.ChosenLengths, &lp.RejectedLengths}
	// at evaluates Σ losses; with gradient it returns the policy's gradients too.
	at := func(gradient bool) (sum float64, grads [2][]float64) {
		dev.Scope(func() *tensor.Tensor {
			for i, f := range fields {
				*f = tensor.FromFloat64(dev, values[i])
				(*f).SetRequiresGrad(gradient && i < 2)
			}
			total := Complete(fn(lp), lp).Losses.Sum()
			sum = total.Item()
			if !gradient {
				return nil
			}
			if total.RequiresGrad() {
				total.Backward(nil)
			}
			for i, leaf := range []*tensor.Tensor{lp.PolicyChosen, lp.PolicyRejected} {
				grads[i] = make([]float64, len(values[i]))
				if g := leaf.Grad(); g != nil {
					copy(grads[i], g.Float64s())
				}
			}
			return nil
		})
		return sum, grads
	}
	_, grads := at(true)
	r := CheckResult{OK: true, Pairs: len(values[0]), MaxError: -1}
	for i, name := range []string{"PolicyChosen", "PolicyRejected"} {
		for j, x := range values[i] {
			values[i][j] = x + checkStep
			up, _ := at(false)
			values[i][j] = x - checkStep
			down, _ := at(false)
			values[i][j] = x
			numeric, analytic := (up-down)/(2*checkStep), grads[i][j]
			diff := math.Abs(analytic - numeric)
			r.Values++
			if !(diff <= checkAbsolute+checkRelative*math.Abs(numeric)) {
				r.OK = false
			}
			if e := diff / math.Max(1, math.Abs(numeric)); !(e <= r.MaxError) && !math.IsNaN(r.MaxError) {
				r.MaxError, r.Input, r.Pair, r.Analytic, r.Numeric = e, name, j, analytic, numeric
			}
		}
	}
	return r, nil
}
