package dpo_test

import (
	"strings"
	"testing"

	"dpolab/stdlib/dpo"
)

// TestProgramsAreNotJobs: a program that a launcher has started several times
// says so rather than train several times.
func TestProgramsAreNotJobs(t *testing.T) {
	for k, v := range map[string]string{"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"} {
		t.Setenv(k, v)
	}
	err := raised(t, func() { dpo.FSDP(demo.Model(), dpo.FSDPConfig{Devices: "cpu:3"}) })
	if want := "torchrun has started 4 processes"; !strings.Contains(err.Error(), want) {
		t.Errorf("raised %v, want %q", err, want)
	}
}

// TestOffload trains with masters on the host as without.
func TestOffload(t *testing.T) {
	var losses [2][]float64
	for i, offload := range []bool{false, true} {
		cfg := dpo.DefaultFSDPConfig()
		cfg.CPUOffload = offload
		m := dpo.FSDP(demo.Model(), cfg)
		tr := dpo.NewTrainer(m, nil, demo.Train, nil, config())
		losses[i] = tr.Run().Values("loss/train")
		tr.Close()
		m.Close()
	}
	if len(losses[0]) == 0 || len(losses[0]) != len(losses[1]) {
		t.Fatalf("%d and %d losses", len(losses[0]), len(losses[1]))
	}
	for i := range losses[0] {
		if losses[0][i] != losses[1][i] {
			t.Errorf("step %d: loss %g, offloaded %g", i+1, losses[0][i], losses[1][i])
		}
	}
}
