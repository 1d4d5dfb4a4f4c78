package dpo_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"dpolab/stdlib/dpo"
)

// losses trains to the end and returns every step's loss and gradient norm.
func losses(t *testing.T, loss dpo.PreferenceLoss, prepare func(tr *dpo.Trainer)) []float64 {
	t.Helper()
	cfg := config()
	cfg.Loss = loss
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, cfg)
	defer tr.Close()
	if prepare != nil {
		prepare(tr)
	}
	h := tr.Run()
	return append(h.Values("loss/train"), h.Values("grad_norm")...)
}

func TestTypedLossIsTheBuiltInOne(t *testing.T) {
	builtin := losses(t, dpo.DPO(0.1), nil)
	calls := 0
	typed := losses(t, func(lp dpo.LogProbs) dpo.LossOutput {
		calls++
		h := lp.PolicyChosen.Sub(lp.PolicyRejected).Sub(lp.ReferenceChosen.Sub(lp.ReferenceRejected))
		return dpo.LossOutput{Losses: h.MulScalar(0.1).LogSigmoid().Neg()}
	}, nil)
	margin := losses(t, dpo.MarginLoss(0.1, func(x *dpo.Tensor) *dpo.Tensor { return x.LogSigmoid().Neg() }), nil)
	if len(builtin) != 8 || calls != 4 {
		t.Fatalf("%d numbers of 4 steps, %d calls of the loss", len(builtin), calls)
	}
	for i := range builtin {
		if d := math.Abs(builtin[i] - typed[i]); d > 1e-6*(1+builtin[i]) {
			t.Errorf("number %d: %g typed, %g built in", i, typed[i], builtin[i])
		}
		if d := math.Abs(builtin[i] - margin[i]); d > 1e-6*(1+builtin[i]) {
			t.Errorf("number %d: %g as a margin loss, %g built in", i, margin[i], builtin[i])
		}
	}
	if builtin[3] >= builtin[0] {
		t.Errorf("the loss does not fall: %v", builtin[:4])
	}
}

func TestCheckLoss(t *testing.T) {
	for name, loss := range map[string]dpo.PreferenceLoss{"DPO": dpo.DPO(0.3), "cDPO": dpo.CDPO(0.1, 0.2), "IPO": dpo.IPO(0.1),
		"AveragedIPO": dpo.AveragedIPO(0.1), "ReferenceFree": dpo.ReferenceFree(0.1),
		"chosen only": func(lp dpo.LogProbs) dpo.LossOutput { return dpo.LossOutput{Losses: lp.PolicyChosen.Neg()} }} {
		if c := dpo.CheckLoss(loss); !c.OK || c.Values != 12 || !(c.MaxError >= 0 && c.MaxError < 1e-5) {
			t.Errorf("%s: %s", name, c)
		}
	}
	half := dpo.CheckLoss(func(lp dpo.LogProbs) dpo.LossOutput {
		return dpo.LossOutput{Losses: lp.PolicyChosen.Sub(lp.PolicyRejected.Detach())}
	})
	if half.OK || half.Input != "PolicyRejected" || math.Abs(half.MaxError-1) > 1e-6 {
		t.Errorf("a loss with half a gradient: %s", half)
	}
	if err := raised(t, func() { dpo.CheckLoss(dpo.SFT()) }); !strings.Contains(err.Error(), "SFT") {
		t.Error(err)
	}
}

func TestMetricScheduleAndCallback(t *testing.T) {
	cfg := config()
	var factors []int
	cfg.Schedule = func(step int) float64 { factors = append(factors, step); return 0 }
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, demo.Test.Slice(0, 2), cfg)
	defer tr.Close()
	tr.AddMetric("kl", func(lp dpo.LogProbs) *dpo.Tensor { return lp.PolicyChosen.Sub(lp.ReferenceChosen).AddScalar(7) })
	var seen []string
	tr.OnRecord(func(r dpo.Record) {
		seen = append(seen, fmt.Sprintf("%s %d", r.Split, r.Updates))
		if r.Split == "train" && r.Updates == 2 {
			tr.Evaluate() // between steps a callback may do what a cell may
			tr.Stop()
		}
	})
	h := tr.Run()
	if got := strings.Join(seen, ", "); got != "train 1, train 2, eval 2" {
		t.Errorf("callbacks: %s", got)
	}
	if fmt.Sprint(factors) != "[0 1]" {
		t.Errorf("schedule was asked for steps %v", factors)
	}
	for _, name := range []string{"kl/train", "kl/eval"} {
		if v := h.Last(name); math.Abs(v-7) > 1e-4 { // a factor of 0 leaves the policy at the reference
			t.Errorf("%s is %g, want 7", name, v)
		}
	}
	tr.AddMetric("kl", func(lp dpo.LogProbs) *dpo.Tensor { return lp.PolicyChosen.Mean() })
	if err := raised(t, func() { tr.Step() }); !strings.Contains(err.Error(), "metric kl") {
		t.Error(err)
	}
}

func TestToggleKeepsLogProbs(t *testing.T) {
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
	defer tr.Close()
	tr.Steps(1)
	pairs := demo.Test.Slice(0, 4).Tokenize(dpo.LoadTokenizer(demo.Path), 128)
	full := tr.ComputeLogProbs(pairs)
	for _, c := range []struct {
		mp   dpo.MixedPrecision
		band float64
	}{{dpo.BFloat16Mixed(), 1.5}, {dpo.Float16Mixed(), 0.3}, {dpo.Uniform(dpo.BFloat16), 1.5}} {
		tr.SetMixedPrecision(c.mp)
		if d := full.MaxDifference(tr.ComputeLogProbs(pairs)); !(d > 0 && d < c.band) {
			t.Errorf("%s: log-probabilities move by %g, want more than 0 and less than %g", c.mp, d, c.band)
		}
		if m := tr.Step(); m == nil || math.IsNaN(m["loss/train"]) {
			t.Errorf("%s: step gives %v", c.mp, m)
		}
		tr.SetMixedPrecision(dpo.FullPrecision())
		full = tr.ComputeLogProbs(pairs)
	}
}

func TestLoopByHandIsTheTrainer(t *testing.T) {
	cfg := config()
	want := losses(t, dpo.DPO(0.1), nil)
	loss := dpo.DPO(0.1)
	for _, micro := range []int{1, 2} {
		tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, cfg)
		var got, norms []float64
		var held *dpo.Tensor
		for b := tr.NextBatch(); b != nil; b = tr.NextBatch() {
			for i := range micro {
				part := b.Slice(i*b.Len()/micro, (i+1)*b.Len()/micro)
				held = loss(tr.Forward(part)).Losses.Mean().MulScalar(1 / float64(micro))
				tr.Backward(held)
			}
			m := tr.OptimizerStep()
			got, norms = append(got, m["loss/train"]), append(norms, m["grad_norm"])
		}
		got = append(got, norms...)
		for i := range want {
			if d := math.Abs(got[i] - want[i]); d > 2e-5*(1+want[i]) {
				t.Errorf("%d microbatches, number %d: %g by hand, %g by the trainer", micro, i, got[i], want[i])
			}
		}
		if err := raised(t, func() { held.Item() }); !strings.Contains(err.Error(), "released") {
			t.Errorf("a tensor of the last step: %v", err)
		}
		tr.Close()
	}
}

func TestReferenceIsAskedOnce(t *testing.T) {
	reference := demo.Model()
	defer reference.Close()
	for i, beta := range []float64{0.05, 0.5} {
		cfg := config()
		cfg.Loss = dpo.DPO(beta)
		tr := dpo.NewTrainer(wrapped(t), reference, demo.Train, nil, cfg)
		tr.Run()
		if reference.Asked() != 64 {
			t.Errorf("run %d: asked for %d responses, want 64 of 32 pairs", i, reference.Asked())
		}
		tr.Close()
	}
}
