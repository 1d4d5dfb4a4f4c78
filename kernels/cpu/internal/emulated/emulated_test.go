package emulated_test

import (
	"slices"
	"strings"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/cpu/internal/emulated"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
)

// TestTiles runs the suite's products as AMX's tiles compute them.
func TestTiles(t *testing.T) {
	if !slices.Contains(cpu.Tiers(), "avx2") {
		t.Skip("the emulated tier wants AVX2")
	}
	t.Setenv("DPOLAB_BF16", "amx")
	open := func(threads int) kernels.Backend {
		b, err := emulated.New(device.Device{}, threads)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open(1).(*cpu.Backend)
	if what := b.Describe(); !strings.HasPrefix(what, "emulated") || !strings.Contains(what, "amx (tdpbf16ps), as DPOLAB_BF16 says") {
		t.Errorf("the tier calls itself %q", what)
	}
	b.Close()
	kerneltest.RunCases(t, []string{"gemm", "log_prob"}, open)
}

// TestNotOffered: what is emulated is not listed among what the processor has.
func TestNotOffered(t *testing.T) {
	if slices.Contains(cpu.Tiers(), "emulated") {
		t.Error("the emulated tier is offered as one of the processor's")
	}
}
