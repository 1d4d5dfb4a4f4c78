package dpo_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dpolab/stdlib/dpo"
)

// attach is what every cell says.
func attach(s *dpo.NamedSession, cfg dpo.TrainConfig) *dpo.Trainer {
	policy := s.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	return dpo.NewTrainer(policy, nil, demo.Train, demo.Test.Slice(0, 4), cfg)
}

// toggled trains four steps, the middle ones in bfloat16, and says all numbers.
func toggled(tr *dpo.Trainer, step int) {
	mp := dpo.FullPrecision()
	if step == 1 || step == 2 {
		mp = dpo.BFloat16Mixed()
	}
	if tr.MixedPrecision() != mp {
		tr.SetMixedPrecision(mp)
	}
	tr.Step()
}

func numbers(tr *dpo.Trainer) string {
	h, text := tr.History(), ""
	for i := range h.Len() {
		m := h.Record(i).Metrics
		text += fmt.Sprintf("%s %d %x %x %x\n", h.Record(i).Split, h.Record(i).Examples, m["loss/train"], m["grad_norm"], m["loss/eval"])
	}
	lp := tr.ComputeLogProbs(demo.Test.Slice(0, 4).Tokenize(dpo.LoadTokenizer(demo.Path), 128))
	return text + fmt.Sprintf("%x %x", lp.Chosen, lp.Rejected)
}

func uninterrupted() string {
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	defer policy.Close()
	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test.Slice(0, 4), config())
	defer tr.Close()
	for step := range 4 {
		toggled(tr, step)
	}
	tr.Evaluate()
	return numbers(tr)
}

// TestSessionCell is the process that TestSessionOverProcesses runs.
func TestSessionCell(t *testing.T) {
	dir := os.Getenv("DPOLAB_TEST_SESSION")
	if dir == "" {
		return
	}
	s := dpo.Session(dir)
	step := s.Updates()
	tr := attach(s, config())
	if step == 4 {
		tr.Evaluate()
	} else {
		toggled(tr, step)
	}
	os.Exit(0) // as a cell ends: nothing is closed
}

// TestSessionOverProcesses takes every step in a process of its own.
func TestSessionOverProcesses(t *testing.T) {
	dir := t.TempDir() + "/exp"
	for range 5 {
		c := exec.Command(os.Args[0], "-test.run", "^TestSessionCell$")
		c.Env = append(os.Environ(), "DPOLAB_TEST_SESSION="+dir)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	s := dpo.Session(dir)
	defer s.Close()
	if h := s.History(); h.Len() != 5 || s.Updates() != 4 {
		t.Errorf("%d records, %d updates, want 5 and 4", h.Len(), s.Updates())
	}
	if c := s.Curves().String(); !strings.Contains(c, "32 pairs") {
		t.Errorf("curves without a trainer:\n%s", c)
	}
	tr := attach(s, config())
	if got, want := numbers(tr), uninterrupted(); got != want {
		t.Errorf("over processes:\n%s\nin one:\n%s", got, want)
	}
}

func TestSessionInOneProcess(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if l := dpo.Sessions(); len(l) != 0 || l.String() != "no sessions" {
		t.Errorf("at first: %s", l)
	}
	s := dpo.Session("exp")
	defer s.Close()
	if s != dpo.Session("exp") || !strings.Contains(s.String(), "empty") {
		t.Errorf("the same name gives another session, or %s", s)
	}
	cfg := config()
	tr := attach(s, cfg)
	tr.Steps(2)
	old := tr
	tr = attach(dpo.Session("exp"), cfg) // the cell is run again
	if err := raised(t, func() { old.Step() }); !strings.Contains(err.Error(), "closed") {
		t.Errorf("the trainer before: %v", err)
	}
	if m := tr.Step(); m["counters/updates"] != 3 {
		t.Errorf("the cell run again goes on with update %v", m["counters/updates"])
	}
	policy := s.FSDP(nil, dpo.FSDPConfig{Devices: "cpu:3", Strategy: dpo.FullShard}) // wrapped anew
	policy.SetMixedPrecision(dpo.BFloat16Mixed())
	l := dpo.Sessions()
	if len(l) != 1 || !l[0].Attached || l[0].Updates != 3 || l[0].Examples != 24 || !strings.Contains(l.String(), "LlamaForCausalLM of 1.67 million parameters") {
		t.Errorf("listed as %s", l)
	}
	s.Close()
	if err := raised(t, func() { s.FSDP(nil, dpo.DefaultFSDPConfig()) }); !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
	s = dpo.Session("exp")
	start := time.Now()
	tr = attach(s, cfg)
	if tr.MixedPrecision() != dpo.BFloat16Mixed() || !strings.Contains(s.String(), "3 updates, param=bfloat16") {
		t.Errorf("attached again after %s: %s, %s", time.Since(start), s, tr)
	}
	tr.Run()
	if err := raised(t, func() { tr.Step() }); !strings.Contains(err.Error(), "ended") {
		t.Error(err)
	}
	pairs := tr.EvalBatch()
	before := tr.ComputeLogProbs(pairs)
	s.Restart()
	cfg.Loss, cfg.Optimizer = dpo.SFT(), "SGD"
	tr = attach(s, cfg)
	if d := before.MaxDifference(tr.ComputeLogProbs(pairs)); d != 0 || tr.History().Len() != 0 {
		t.Errorf("Restart moves log-probabilities by %g and leaves %d records", d, tr.History().Len())
	}
	tr.Steps(1)
	s.Restart()
	cfg.Loss = dpo.DPO(0.1)
	tr = attach(s, cfg)
	if loss := tr.Step()["loss/train"]; loss < 0.692 || loss > 0.694 {
		t.Errorf("the first loss of a new run is %g: its reference is not the policy as it is", loss)
	}
	dpo.RemoveSession("exp") // closes it first
	if err := raised(t, func() { dpo.RemoveSession("exp") }); !strings.Contains(err.Error(), "there is none") || len(dpo.Sessions()) != 0 {
		t.Error(err)
	}
}

func TestSessionAsksTheReferenceOnce(t *testing.T) {
	dir := t.TempDir() + "/exp"
	asked := 0
	for range 2 {
		s := dpo.Session(dir)
		reference := demo.Model()
		cfg := config()
		cfg.Epochs, cfg.Examples = 1, 0
		tr := dpo.NewTrainer(s.FSDP(demo.Model(), dpo.DefaultFSDPConfig()), reference, demo.Train.Slice(0, 8), demo.Test.Slice(0, 4), cfg)
		tr.Evaluate()
		asked += reference.Asked()
		reference.Close()
		s.Close()
	}
	if want := 2 * demo.Test.Slice(0, 4).Len(); asked != want {
		t.Errorf("asked for %d log-probabilities over two processes, want %d", asked, want)
	}
}

func TestSessionErrors(t *testing.T) {
	dir := t.TempDir() + "/exp"
	s := dpo.Session(dir)
	defer s.Close()
	for name, c := range map[string]struct {
		call func()
		want string
	}{
		"no name":      {func() { dpo.Session("") }, `""`},
		"dots":         {func() { dpo.Session("..") }, `".."`},
		"empty":        {func() { s.FSDP(nil, dpo.DefaultFSDPConfig()) }, "a model for an empty session"},
		"half masters": {func() { s.FSDP(dpo.LoadModel(demo.Path, dpo.WithDType(dpo.BFloat16)), dpo.DefaultFSDPConfig()) }, "float32 master weights"},
		"a file":       {func() { dpo.Session(filepath.Join(demo.Path, "config.json")) }, "not a directory"},
	} {
		if err := raised(t, c.call); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := config()
	tr := attach(s, cfg)
	tr.Steps(1)
	for name, c := range map[string]struct {
		change func(cfg *dpo.TrainConfig)
		want   string
	}{
		"optimizer": {func(c *dpo.TrainConfig) { c.Optimizer = "RMSprop" }, "optimizer=AdamW"},
		"data":      {func(c *dpo.TrainConfig) { c.Seed = 7 }, "another seed"},
		"mode":      {func(c *dpo.TrainConfig) { c.Loss = dpo.SFT() }, "another mode"},
	} {
		other := cfg
		c.change(&other)
		if err := raised(t, func() { attach(s, other) }); !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Restart") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m := attach(s, cfg).Step(); m["counters/updates"] != 2 {
		t.Errorf("after errors the session goes on with update %v", m["counters/updates"])
	}
}
