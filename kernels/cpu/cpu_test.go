package cpu_test

import (
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
