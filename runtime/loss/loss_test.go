package loss_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
	"dpolab/runtime/tensor/gradcheck"
)

// pair is one preference pair as a loss sees it.
type pair struct {
	policyChosen, policyRejected, referenceChosen, referenceRejected float64
	chosenTokens, rejectedTokens                                     float64
}

// h is the margin of the two log-ratios.
func (p pair) h() float64 {
	return (p.policyChosen - p.policyRejected) - (p.referenceChosen - p.referenceRejected)
}

// mean has log-probabilities per token.
func (p pair) mean() pair {
	p.policyChosen, p.referenceChosen = p.policyChosen/p.chosenTokens, p.referenceChosen/p.chosenTokens
	p.policyRejected, p.referenceRejected = p.policyRejected/p.rejectedTokens, p.referenceRejected/p.rejectedTokens
	return p
}

func logSigmoid(x float64) float64 { return -math.Log1p(math.Exp(-x)) }

var pairs = []pair{
	{-10, -12, -11, -11.5, 4, 5},
	{-3, -2, -3, -2, 1, 3}, // the policy is the reference
	{-20, -8, -9, -10, 10, 4},
	{-5.5, -30, -6, -25, 3, 12},
	{-1, -1, -2, -4, 2, 2},
}

// losses has one row per loss: the loss, its equation, and β and the
// log-probabilities that its rewards are made of.
var losses = []struct {
	name    string
	fn      loss.PreferenceLoss
	formula func(p pair) float64
	beta    float64
	average bool
}{
	{"DPO", loss.DPO(0.3, 0), func(p pair) float64 { return -logSigmoid(0.3 * p.h()) }, 0.3, false},
	{"conservative DPO", loss.DPO(0.5, 0.2), func(p pair) float64 {
		return -0.8*logSigmoid(0.5*p.h()) - 0.2*logSigmoid(-0.5*p.h())
	}, 0.5, false},
	{"ReferenceFree", loss.ReferenceFree(0.2, 0.1), func(p pair) float64 {
		z := 0.2 * (p.policyChosen - p.policyRejected)
		return -0.9*logSigmoid(z) - 0.1*logSigmoid(-z)
	}, 0.2, false},
	{"IPO", loss.IPO(0.25), func(p pair) float64 { return math.Pow(p.h()-2, 2) }, 0.25, false},
	{"AveragedIPO", loss.AveragedIPO(0.4), func(p pair) float64 { return math.Pow(p.mean().h()-1.25, 2) }, 0.4, true},
}

func oracle(t *testing.T) *tensor.Device { return open(t, device.Device{Type: device.Ref}) }

// logProbs puts pairs on dev as the tensors in[0:4], and the lengths.
func logProbs(dev *tensor.Device, ps []pair) (loss.LogProbs, []*tensor.Tensor) {
	var c [6][]float64
	for _, p := range ps {
		for i, v := range []float64{p.policyChosen, p.policyRejected, p.referenceChosen, p.referenceRejected, p.chosenTokens, p.rejectedTokens} {
			c[i] = append(c[i], v)
		}
	}
	var x []*tensor.Tensor
	for _, v := range c {
		x = append(x, tensor.FromFloat64(dev, v))
	}
	return from(x), x
}

func from(x []*tensor.Tensor) loss.LogProbs {
	return loss.LogProbs{PolicyChosen: x[0], PolicyRejected: x[1], ReferenceChosen: x[2], ReferenceRejected: x[3], ChosenLengths: x[4], RejectedLengths: x[5]}
}

// TestLosses holds every loss against its equation, its gradient against
// finite differences, and what all losses share: one value per pair whatever
// stands beside it, constant rewards, a constant reference.
func TestLosses(t *testing.T) {
	for _, c := range losses {
		t.Run(c.name, func(t *testing.T) {
			dev := oracle(t)
			lp, x := logProbs(dev, pairs)
			lp.PolicyChosen.SetRequiresGrad(true)
			lp.PolicyRejected.SetRequiresGrad(true)
			out := c.fn(lp)
			var want, chosen, rejected []float64
			for _, p := range pairs {
				want = append(want, c.formula(p))
				if c.average {
					p = p.mean()
				}
				chosen = append(chosen, c.beta*(p.policyChosen-p.referenceChosen))
				rejected = append(rejected, c.beta*(p.policyRejected-p.referenceRejected))
			}
			compare(t, "losses", out.Losses.Float64s(), want, 0)
			compare(t, "chosen rewards", out.ChosenRewards.Float64s(), chosen, 1e-6)
			compare(t, "rejected rewards", out.RejectedRewards.Float64s(), rejected, 1e-6)
			if out.ChosenRewards.RequiresGrad() || out.RejectedRewards.RequiresGrad() {
				t.Error("gradients flow through the rewards")
			}
			for i := range pairs {
				alone, _ := logProbs(dev, pairs[i:i+1])
				if got := c.fn(alone).Losses.Item(); got != out.Losses.Float64s()[i] {
					t.Errorf("pair %d has loss %g alone and %g in a batch", i, got, out.Losses.Float64s()[i])
				}
			}
			err := gradcheck.Check(func(in []*tensor.Tensor) *tensor.Tensor {
				return c.fn(from(slices.Concat(in, x[2:]))).Losses
			}, x[:2], gradcheck.DefaultOptions())
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSFTIsTheNegativeLogProbability(t *testing.T) {
	dev := oracle(t)
	logps := tensor.FromFloat64(dev, []float64{-12.5, -0.25, 0}).SetRequiresGrad(true)
	compare(t, "losses", loss.SFT(logps).Float64s(), []float64{12.5, 0.25, 0}, 0)
	loss.SFT(logps).Mean().Backward(nil)
	compare(t, "gradient", logps.Grad().Float64s(), []float64{-1. / 3, -1. / 3, -1. / 3}, 0)
	logps.ZeroGrad()
	err := gradcheck.Check(func(in []*tensor.Tensor) *tensor.Tensor { return loss.SFT(in[0]) }, []*tensor.Tensor{logps}, gradcheck.DefaultOptions())
	if err != nil {
		t.Error(err)
	}
}

// TestAveragedIPOForgetsLength: repeating every token of both responses
// doubles the sums, which only the averaged loss ignores.
func TestAveragedIPOForgetsLength(t *testing.T) {
	dev := oracle(t)
	p := pairs[0]
	long := pair{2 * p.policyChosen, 2 * p.policyRejected, 2 * p.referenceChosen, 2 * p.referenceRejected, 2 * p.chosenTokens, 2 * p.rejectedTokens}
	lp, _ := logProbs(dev, []pair{p, long})
	if l := loss.AveragedIPO(0.1)(lp).Losses.Float64s(); l[0] != l[1] {
		t.Errorf("averaged losses %v depend on the length", l)
	}
	if l := loss.IPO(0.1)(lp).Losses.Float64s(); l[0] == l[1] {
		t.Errorf("summed losses %v do not depend on the length", l)
	}
}

// TestUntrainedPolicy has the values that every run starts from.
func TestUntrainedPolicy(t *testing.T) {
	dev := oracle(t)
	lp, _ := logProbs(dev, pairs[1:2])
	for _, c := range []struct {
		name string
		fn   loss.PreferenceLoss
		want float64
	}{{"DPO", loss.DPO(0.1, 0), math.Ln2}, {"conservative DPO", loss.DPO(0.7, 0.3), math.Ln2}, {"IPO", loss.IPO(0.1), 25}} {
		if got := c.fn(lp).Losses.Item(); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s starts at %g, want %g", c.name, got, c.want)
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	lp, _ := logProbs(oracle(t), pairs)
	lp.ChosenLengths = nil
	for _, c := range []struct {
		name string
		call func()
		want string
	}{
		{"zero beta", func() { loss.DPO(0, 0) }, "DPO: want beta > 0, got 0"},
		{"negative beta", func() { loss.IPO(-1) }, "IPO: want beta > 0, got -1"},
		{"NaN beta", func() { loss.ReferenceFree(math.NaN(), 0) }, "ReferenceFree: want beta > 0, got NaN"},
		{"averaged", func() { loss.AveragedIPO(0) }, "AveragedIPO: want beta > 0"},
		{"half of the labels wrong", func() { loss.DPO(0.1, 0.5) }, "DPO: want label_smoothing in [0, 0.5), got 0.5"},
		{"NaN smoothing", func() { loss.ReferenceFree(0.1, math.NaN()) }, "ReferenceFree: want label_smoothing"},
		{"no lengths", func() { loss.AveragedIPO(0.1)(lp) }, "AveragedIPO: want the lengths of the responses, got none"},
		{"unequal", func() {
			dev := lp.PolicyChosen.Device()
			loss.DPO(0.1, 0)(loss.LogProbs{PolicyChosen: lp.PolicyChosen, PolicyRejected: tensor.FromFloat64(dev, []float64{1, 2}),
				ReferenceChosen: lp.ReferenceChosen, ReferenceRejected: lp.ReferenceRejected})
		}, "sub: want"},
	} {
		err := tensor.Try(c.call)
		var misuse *tensor.Error
		if !errors.As(err, &misuse) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
