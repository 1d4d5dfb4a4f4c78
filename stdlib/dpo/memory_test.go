package dpo_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/stdlib/dpo"
)

func TestMemoryComesBack(t *testing.T) {
	dpo.Reset()
	defer func() { demo = dpo.Demo() }() // Reset took the shared one
	demo = dpo.Demo()
	if r := dpo.Memory(); len(r) != 0 {
		t.Fatalf("before: %s", r)
	}
	anchor := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()) // keeps the devices open
	idle := dpo.Memory().Live()
	if want := int64(4 * anchor.NumParameters()); idle < want || idle > want+want/8 {
		t.Errorf("a model of %d bytes takes %d", want, idle)
	}
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, config())
	tr.Steps(1)
	settled := dpo.Memory().Live()
	tr.SetLoss(func(lp dpo.LogProbs) dpo.LossOutput { panic("in the middle of a step") })
	func() { defer func() { recover() }(); tr.Step() }()
	tr.SetLoss(dpo.DPO(0.1))
	lp := tr.Forward(demo.Test.Slice(0, 2).Tokenize(policy.Tokenizer(), 128))
	_ = lp.PolicyChosen.Exp()
	tr.ZeroGrad()
	tr.Evaluate()
	if live := dpo.Memory().Live(); live > settled+4096 {
		t.Errorf("%d bytes in use after failures, %d before", live, settled)
	}
	tr.Close()
	policy.Close()
	if live := dpo.Memory().Live(); live != idle {
		t.Errorf("%d bytes in use after Close, %d before", live, idle)
	}
	anchor.Close()
	if r := dpo.Memory(); len(r) != 0 {
		t.Errorf("after closing all: %s", r)
	}
}

func TestOutOfMemoryIsAnError(t *testing.T) {
	policy := wrapped(t)
	tr := dpo.NewTrainer(policy, nil, demo.Train, nil, config())
	defer tr.Close()
	tr.Steps(1)
	before := dpo.Memory().Live()
	dpo.LimitMemory(before/2 + 1<<20) // per rank; a step needs several times as much
	err := raised(t, func() { tr.Step() })
	dpo.LimitMemory(0)
	if !errors.Is(err, dpo.OutOfMemory) {
		t.Errorf("raised %v", err)
	}
	if live := dpo.Memory().Live(); live > before {
		t.Errorf("%d bytes in use after running out, %d before", live, before)
	}
	dpo.LimitMemory(before/2 + 1<<20)
	err = raised(t, func() { dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()) })
	dpo.LimitMemory(0)
	if live := dpo.Memory().Live(); !errors.Is(err, dpo.OutOfMemory) || live > before {
		t.Errorf("wrapping a second model raised %v and left %d bytes, %d before", err, live, before)
	}
	if m := tr.Step(); m == nil || m["counters/updates"] != 2 {
		t.Errorf("the step after it: %v", m)
	}
}

func TestWrapAgainSaveAndCopy(t *testing.T) {
	m := demo.Model()
	defer m.Close()
	pairs := demo.Test.Slice(0, 3).Tokenize(m.Tokenizer(), 128)
	one := dpo.ComputeLogProbs(m, pairs) // unwrapped, on one device
	dpo.FSDP(m, dpo.FSDPConfig{Devices: "cpu:2"})
	if d := one.MaxDifference(dpo.ComputeLogProbs(m, pairs)); d > 1e-3 {
		t.Errorf("wrapping moves log-probabilities by %g", d)
	}
	cfg := config()
	cfg.Loss = dpo.SFT()
	tr := dpo.NewTrainer(m, nil, demo.Train, nil, cfg)
	tr.Steps(2)
	trained := dpo.ComputeLogProbs(m, pairs)
	if trained.MaxDifference(one) < 0.1 {
		t.Error("training changed nothing")
	}
	dpo.FSDP(m, dpo.FSDPConfig{Devices: "cpu:1", Strategy: dpo.NoShard})
	if d := trained.MaxDifference(dpo.ComputeLogProbs(m, pairs)); d > 1e-3 {
		t.Errorf("moving a trained model changes log-probabilities by %g", d)
	}
	if err := raised(t, func() { tr.Step() }); !strings.Contains(err.Error(), "new trainer") {
		t.Error(err)
	}
	tr.Close()
	dir := filepath.Join(t.TempDir(), "saved")
	dpo.Save(m, dir)
	for name, same := range map[string]*dpo.Model{"copy": m.Copy(), "saved": dpo.LoadModel(dir)} {
		if d := trained.MaxDifference(dpo.ComputeLogProbs(same, pairs)); d > 1e-3 {
			t.Errorf("%s: log-probabilities differ by %g", name, d)
		}
		same.Close()
	}
}

func TestCheckpointResumes(t *testing.T) {
	want := losses(t, dpo.DPO(0.1), nil)
	dir := filepath.Join(t.TempDir(), "ckpt")
	reference := demo.Model()
	defer reference.Close()
	tr := dpo.NewTrainer(wrapped(t), reference, demo.Train, nil, config())
	tr.Steps(2)
	tr.SaveCheckpoint(dir)
	tr.Close()
	resumed := dpo.NewTrainer(dpo.FSDP(dpo.LoadModel(dir), dpo.DefaultFSDPConfig()), reference, demo.Train, nil, config())
	defer resumed.Close()
	resumed.Resume(dir)
	for i, got := range resumed.Run().Values("loss/train") {
		if got != want[i] {
			t.Errorf("step %d: loss %g resumed, %g straight", i+1, got, want[i])
		}
	}
}
