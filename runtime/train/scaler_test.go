package train

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/nn"
)

// TestScalerGrowsAndBacksOff as torch.amp.GradScaler does.
func TestScalerGrowsAndBacksOff(t *testing.T) {
	s := NewLossScaler(true)
	if s.Scale != 65536 || s.GrowthInterval != 2000 {
		t.Errorf("starts at %g, growing every %d steps", s.Scale, s.GrowthInterval)
	}
	s.GrowthInterval = 3
	inf, nan := math.Inf(1), math.NaN()
	for i, c := range []struct {
		norm  float64
		taken bool
		scale float64
		good  int
	}{
		{1, true, 65536, 1}, {0, true, 65536, 2}, {1e30, true, 131072, 0},
		{1, true, 131072, 1}, {inf, false, 65536, 0}, {nan, false, 32768, 0},
		{1, true, 32768, 1}, {1, true, 32768, 2}, {inf, false, 16384, 0}, // the count starts again
		{1, true, 16384, 1}, {1, true, 16384, 2}, {1, true, 32768, 0},
	} {
		if taken := s.Update(c.norm); taken != c.taken || s.Scale != c.scale || s.Good != c.good {
			t.Errorf("step %d, norm %g: taken %v, scale %g after %d good steps, want %+v", i, c.norm, taken, s.Scale, s.Good, c)
		}
	}
	if s.Skipped != 3 {
		t.Errorf("%d steps skipped, want 3", s.Skipped)
	}
	for range 100 {
		s.Update(inf)
	}
	if s.Scale != 1 {
		t.Errorf("scale falls to %g, want no less than 1", s.Scale)
	}
}

// TestScalerFollowsThePrecision: off means a scale of 1 and every step taken;
// turning on what is on keeps what was learnt.
func TestScalerFollowsThePrecision(t *testing.T) {
	s := NewLossScaler(false)
	for range 3000 {
		if !s.Update(math.Inf(1)) {
			t.Fatal("a step was skipped without loss scaling")
		}
	}
	if s.Scale != 1 || s.Skipped != 0 {
		t.Errorf("without loss scaling: %+v", s)
	}
	s.Enable(true)
	s.Update(math.Inf(1))
	s.Enable(true)
	if s.Scale != 32768 {
		t.Errorf("enabled twice, the scale is %g, want 32768", s.Scale)
	}
	s.Enable(false)
	if s.Scale != 1 {
		t.Errorf("disabled, the scale is %g", s.Scale)
	}
	s.Enable(true)
	if s.Scale != 65536 || s.Good != 0 {
		t.Errorf("enabled again: %+v", s)
	}
}

// masters has the bits of every rank's masters and optimizer state.
func masters(t *testing.T, tr *Trainer) (out [2][]uint32) {
	t.Helper()
	err := tr.world.Run(func(r *distributed.Rank) error {
		rep := tr.replicas[r.Rank]
		for _, p := range nn.Parameters(rep.policy) {
			for _, v := range p.Master().Float32s() {
				out[r.Rank] = append(out[r.Rank], math.Float32bits(v))
			}
			if p.MasterGrad() != nil {
				return fmt.Errorf("a gradient is left after the step")
			}
		}
		for _, s := range rep.optimizer.State() {
			for _, v := range s.Tensor.Float32s() {
				out[r.Rank] = append(out[r.Rank], math.Float32bits(v))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStepWithInfIsSkipped trains in float16 with a loss whose gradient
// overflows on demand: such a step changes nothing but the scale, the next one
// trains again, and the run can be saved and resumed, skipped step and all.
func TestStepWithInfIsSkipped(t *testing.T) {
	factor := 1.0
	dpo := loss.DPO(0.1, 0)
	s := DefaultSettings()
	s.Loss = func(lp loss.LogProbs) loss.Output {
		out := dpo(lp)
		out.Losses = out.Losses.MulScalar(factor)
		return out
	}
	s.ReferenceDType = dtype.Float32
	s.Sharding.MixedPrecision = fsdp.Uniform(dtype.Float16)
	tr := trainer(t, s, Inputs{ReferenceDir: model})
	step := func(tr *Trainer, by float64) Metrics {
		t.Helper()
		factor = by
		m, err := tr.Step(examples())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	start := masters(t, tr)
	if m := step(tr, 0.01); math.IsInf(m["grad_norm"], 0) || !(m["grad_norm"] > 0) || tr.scaler.Good != 1 {
		t.Fatalf("a normal step: norm %g, %+v", m["grad_norm"], tr.scaler)
	}
	before := masters(t, tr)
	if reflect.DeepEqual(before, start) {
		t.Fatal("a normal step changes nothing")
	}
	m := step(tr, 1e8)
	if !math.IsInf(m["grad_norm"], 1) && !math.IsNaN(m["grad_norm"]) {
		t.Fatalf("the gradient did not overflow: norm %g", m["grad_norm"])
	}
	if !reflect.DeepEqual(masters(t, tr), before) {
		t.Error("a step that overflowed changed masters or optimizer state")
	}
	if tr.scaler.Scale != 32768 || tr.scaler.Skipped != 1 || tr.scaler.Good != 0 {
		t.Errorf("after an overflow: %+v", tr.scaler)
	}
	for rank, rep := range tr.replicas {
		if n := rep.optimizer.Steps(); n != 1 {
			t.Errorf("rank %d counts %d optimizer steps, want 1", rank, n)
		}
	}
	dir := filepath.Join(t.TempDir(), "checkpoint")
	if err := tr.SaveTo(dir); err != nil {
		t.Fatal(err)
	}
	resumed := trainer(t, s, Inputs{ReferenceDir: model})
	if err := resumed.Resume(dir); err != nil {
		t.Fatal(err)
	}
	if *resumed.scaler != *tr.scaler {
		t.Errorf("resumed with %+v, saved %+v", resumed.scaler, tr.scaler)
	}
	if got := resumed.History().Records[1].Metrics["grad_norm"]; !math.IsInf(got, 1) && !math.IsNaN(got) {
		t.Errorf("the skipped step's norm is read back as %g", got)
	}
	step(tr, 0.01)
	if reflect.DeepEqual(masters(t, tr), before) {
		t.Error("the step after an overflow changes nothing")
	}

	// The scale of a run that needed none is not taken over.
	s.Sharding.MixedPrecision = fsdp.FullPrecision()
	full := trainer(t, s, Inputs{ReferenceDir: model})
	step(full, 1)
	if dir = filepath.Join(t.TempDir(), "checkpoint"); full.SaveTo(dir) != nil {
		t.Fatal("no checkpoint")
	}
	s.Sharding.MixedPrecision = fsdp.Float16Mixed()
	half := trainer(t, s, Inputs{ReferenceDir: model})
	if err := half.Resume(dir); err != nil || half.scaler.Scale != 65536 {
		t.Errorf("float16 after float32: %v, scale %g, want 65536", err, half.scaler.Scale)
	}
}

// TestScaleCancels: a step in float16 does not depend on the scale it was
// taken with, but for rounding.
func TestScaleCancels(t *testing.T) {
	var norms []float64
	for _, scale := range []float64{1024, 65536} {
		s := DefaultSettings()
		s.Loss, s.ReferenceDType, s.Sharding.MixedPrecision = loss.DPO(0.1, 0), dtype.Float32, fsdp.Float16Mixed()
		tr := trainer(t, s, Inputs{ReferenceDir: model})
		tr.scaler.Scale = scale
		m, err := tr.Step(examples())
		if err != nil {
			t.Fatal(err)
		}
		norms = append(norms, m["grad_norm"])
	}
	if !(math.Abs(norms[0]-norms[1]) < 0.01*norms[0]) {
		t.Errorf("gradient norms %v with scales of 1024 and 65536", norms)
	}
}

func TestMetricsSurviveJSON(t *testing.T) {
	m := Metrics{"loss/train": 0.25, "grad_norm": math.Inf(1), "low": math.Inf(-1)}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back Metrics
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(m, back) {
		t.Errorf("%s reads back as %v, %v", text, back, err)
	}
	if err := json.Unmarshal([]byte(`{"loss": NaN}`), &back); err == nil {
		t.Error("what is not JSON was read")
	}
	for _, bad := range []string{`{"loss": "low"}`, `{"loss": [1]}`, `{"loss": null}`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil || !strings.Contains(err.Error(), "metric loss: want a number") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"loss": "NaN"}`), &back); err != nil || !math.IsNaN(back["loss"]) {
		t.Errorf("NaN reads back as %v, %v", back, err)
	}
}
