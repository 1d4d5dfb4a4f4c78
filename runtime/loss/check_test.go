package loss_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
)

// TestCheck: the check passes right losses and finds each kind of wrong one.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		fn    loss.PreferenceLoss
		ok    bool
		input string
	}{
		"dpo":      {loss.DPO(0.2, 0.1), true, ""},
		"ipo":      {loss.IPO(0.5), true, ""},
		"averaged": {loss.AveragedIPO(0.5), true, ""},
		"constant": {func(lp loss.LogProbs) loss.Output { return loss.Output{Losses: lp.ReferenceChosen} }, true, ""},
		"half": {func(lp loss.LogProbs) loss.Output {
			return loss.Output{Losses: lp.PolicyChosen.Detach().Sub(lp.PolicyRejected)}
		}, false, "PolicyChosen"},
		"scaled": {func(lp loss.LogProbs) loss.Output { // right values, gradients a thousandth too large
			x := lp.PolicyRejected
			return loss.Output{Losses: x.MulScalar(1.001).Sub(x.Detach().MulScalar(0.001))}
		}, false, "PolicyRejected"},
		"not finite": {func(lp loss.LogProbs) loss.Output { return loss.Output{Losses: lp.PolicyChosen.Log()} }, false, "PolicyChosen"},
	} {
		r, err := loss.Check(c.fn)
		if err != nil {
			t.Fatal(err)
		}
		if r.OK != c.ok || c.input != "" && r.Input != c.input || r.OK && !(r.MaxError < 1e-5) {
			t.Errorf("%s: %s", name, r)
		}
		if want := map[bool]string{true: " ok:", false: " WRONG:"}[c.ok]; !strings.Contains(r.String(), want) {
			t.Errorf("%s prints %q", name, r)
		}
	}
}

// TestComplete: what a loss leaves out is added, what it gets wrong refused.
func TestComplete(t *testing.T) {
	dev, err := tensor.Open(device.Device{Type: device.Ref}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	of := func(xs ...float32) *tensor.Tensor { return tensor.FromFloat32(dev, xs) }
	lp := loss.LogProbs{PolicyChosen: of(-1, -2), PolicyRejected: of(-3, -4), ReferenceChosen: of(-2, -2), ReferenceRejected: of(-2, -5)}
	out := loss.Complete(loss.Output{Losses: of(5, 6)}, lp)
	if c, r := out.ChosenRewards.Float32s(), out.RejectedRewards.Float32s(); c[0] != 1 || c[1] != 0 || r[0] != -1 || r[1] != 1 {
		t.Errorf("rewards %v and %v, want the log-ratios", c, r)
	}
	kept := of(7, 8)
	if out := loss.Complete(loss.Output{Losses: of(5, 6), ChosenRewards: kept}, lp); out.ChosenRewards != kept {
		t.Error("a loss's own rewards were replaced")
	}
	for name, out := range map[string]loss.Output{"none": {}, "scalar": {Losses: of(1, 2).Mean()}, "long": {Losses: of(1, 2, 3)},
		"column": {Losses: of(1, 2).Reshape(2, 1)}, "rewards": {Losses: of(1, 2), ChosenRewards: of(1)}} {
		var misuse *tensor.Error
		if err := tensor.Try(func() { loss.Complete(out, lp) }); !errors.As(err, &misuse) || !strings.Contains(err.Error(), "[2]") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := loss.Check(func(lp loss.LogProbs) loss.Output { return loss.Output{Losses: lp.PolicyChosen.MulScalar(math.Pi)} }); err != nil || r.Values != 12 {
		t.Errorf("%v, %s", err, r)
	}
}
