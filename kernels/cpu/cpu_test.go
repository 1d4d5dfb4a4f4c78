package cpu_test

import (
	"strings"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
)

// TestConformance runs the whole suite on every tier this processor has.
func TestConformance(t *testing.T) {
	for _, tier := range cpu.Tiers() {
		t.Run(tier, func(t *testing.T) {
			kerneltest.Run(t, func(threads int) kernels.Backend {
				b, err := cpu.NewTier(device.Device{}, threads, tier)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}

// TestBF16Modes runs the suite's products in each way that the processor can
// compute those of bfloat16.
func TestBF16Modes(t *testing.T) {
	able := false
	for _, mode := range []string{"native", "widen"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("DPOLAB_BF16", mode)
			b, err := cpu.New(device.Device{}, 1)
			if mode == "native" && err != nil {
				if !strings.Contains(err.Error(), "AVX512_BF16") {
					t.Errorf("error %q does not name what is missing", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.Describe(), mode) || !strings.Contains(b.Describe(), "DPOLAB_BF16") {
				t.Errorf("%q does not say that products are %s and why", b.Describe(), mode)
			}
			b.Close()
			able = able || mode == "native"
			kerneltest.RunCases(t, []string{"gemm", "log_prob", "attention"}, func(threads int) kernels.Backend {
				b, err := cpu.New(device.Device{}, threads)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Setenv("DPOLAB_BF16", "fast")
		if _, err := cpu.New(device.Device{}, 1); err == nil || !strings.Contains(err.Error(), `"fast"`) {
			t.Errorf("error %v, want one that names the unknown mode", err)
		}
	})
	t.Logf("AVX512_BF16: %t", able)
}
