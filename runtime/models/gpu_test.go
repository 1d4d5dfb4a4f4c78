package models_test

import (
	"os"
	"testing"

	_ "dpolab/kernels/cuda"
	"dpolab/kernels/device"
	"dpolab/runtime/tensor"
)

// TestGoldensOnGPU is TestGoldens on this machine's GPU: make test-cuda asks
// for it.
func TestGoldensOnGPU(t *testing.T) {
	if os.Getenv("DPOLAB_TEST_CUDA") == "" {
		t.Skip("no GPU: TestGoldens runs on the CPU")
	}
	for _, dir := range goldenDirs(t) {
		for _, g := range append([]golden{fullGolden, tf32Golden}, narrowGoldens...) {
			dev, err := tensor.Open(device.Device{Type: device.CUDA}, 0)
			if err != nil {
				t.Fatal(err)
			}
			g.check(t, dir, dev)
		}
	}
}
