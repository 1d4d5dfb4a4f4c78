package dpo_test

import (
	"errors"
	"strings"
	"testing"

	"dpolab/stdlib/dpo"
	"dpolab/stdlib/plot"
)

func TestEndOfDataIsRaised(t *testing.T) {
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
	defer tr.Close()
	m := tr.Steps(100) // there are 4
	if m == nil || m["counters/updates"] != 4 {
		t.Errorf("metrics of the last step there was: %v", m)
	}
	for _, fn := range []func(){func() { tr.Step() }, func() { tr.Steps(3) }} {
		if err := raised(t, fn); !errors.Is(err, dpo.EndOfData) || !strings.Contains(err.Error(), "after 32 pairs") {
			t.Errorf("after the end: %v", err)
		}
	}
	if tr.Next() || tr.NextBatch() != nil {
		t.Error("there is a batch after the end")
	}
	if h := tr.Run(); h.Len() != 4 {
		t.Errorf("Run after the end: %d records", h.Len())
	}
	if err := raised(t, func() { tr.Steps(0) }); !strings.Contains(err.Error(), "got 0") {
		t.Error(err)
	}
}

func TestCurvesOfRuns(t *testing.T) {
	var runs []*dpo.History
	var figure *dpo.Figure
	for _, mp := range []dpo.MixedPrecision{dpo.FullPrecision(), dpo.BFloat16Mixed()} {
		tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
		tr.SetMixedPrecision(mp)
		tr.Steps(3)
		figure = tr.Curves()
		runs = append(runs, tr.History())
		tr.Close()
	}
	if s := figure.String(); !strings.Contains(s, "loss/train") || !strings.Contains(s, "24 pairs") {
		t.Errorf("curves of a trainer:\n%s", s)
	}
	names := []string{"float32", "bfloat16"}
	if got := dpo.CompareCurves(names, runs).Series(); strings.Join(got, ",") != "float32,bfloat16" {
		t.Errorf("lines %v", got)
	}
	svg := dpo.ComparePrecisions(names, runs).SVG()
	for _, w := range []string{"|loss − loss of float32|", "pairs per second", "rewards_train/margins", "bfloat16"} {
		if !strings.Contains(svg, w) {
			t.Errorf("no %q in the comparison", w)
		}
	}
	for name, c := range map[string]struct {
		call func()
		want string
	}{
		"names":  {func() { dpo.CompareCurves(names[:1], runs) }, "1 names, 2 runs"},
		"metric": {func() { dpo.CurvesOf([]string{"loss/nothing"}, names, runs) }, "loss/nothing"},
		"one":    {func() { dpo.ComparePrecisions(names[:1], runs[:1]) }, "two runs"},
	} {
		if err := raised(t, c.call); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var drawing *plot.Error
	if err := raised(t, func() { plot.New("").Save("x.gif") }); !errors.As(err, &drawing) {
		t.Errorf("an error of package plot is %v", err)
	}
}
