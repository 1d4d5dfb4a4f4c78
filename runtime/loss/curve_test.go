package loss_test

import (
	"math"
	"testing"

	"dpolab/runtime/loss"
)

// TestCurve: the losses as their papers draw them, over the margin.
func TestCurve(t *testing.T) {
	hs := []float64{-30, -5, 0, 5, 30}
	for name, c := range map[string]struct {
		fn   loss.PreferenceLoss
		want func(h float64) float64
	}{
		"DPO": {loss.DPO(0.1, 0), func(h float64) float64 { return math.Log1p(math.Exp(-0.1 * h)) }},
		"IPO": {loss.IPO(0.1), func(h float64) float64 { return (h - 5) * (h - 5) }},
	} {
		got, err := loss.Curve(c.fn, hs)
		if err != nil || len(got) != len(hs) {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		for i, h := range hs {
			if math.Abs(got[i]-c.want(h)) > 1e-9*math.Max(1, c.want(h)) {
				t.Errorf("%s at %g is %g, want %g", name, h, got[i], c.want(h))
			}
		}
	}
	if got, err := loss.Curve(loss.IPO(0.1), nil); len(got) != 0 || err != nil {
		t.Errorf("of no margins: %v, %v", got, err)
	}
}
