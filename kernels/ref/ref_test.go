package ref_test

import (
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
	"dpolab/kernels/ref"
)

// TestConformance runs the suite on the reference itself: its results are
// their own oracle, so what is checked is memory, accumulation and determinism.
func TestConformance(t *testing.T) {
	kerneltest.Run(t, func(int) kernels.Backend { return ref.New(device.Device{Type: device.Ref}) })
}
