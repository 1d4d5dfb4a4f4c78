//go:build cuda

package cuda

import (
	"os"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/fake"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
)

// onGPU makes tests use this machine's GPU: make test-cuda sets it.
var onGPU = os.Getenv("DPOLAB_TEST_CUDA") != ""

// TestConformance runs the suite on cuda:0: the whole of it on a GPU; on the
// fake, whose kernels TestEmulated has gone through, the parts in which the
// library, the streams and the allocator count. The fake does its work as late
// as the rules allow.
func TestConformance(t *testing.T) {
	open := func(int) kernels.Backend {
		b, err := New(device.Device{Type: device.CUDA})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if onGPU {
		kerneltest.Run(t, open)
		return
	}
	t.Setenv("FAKE_CUDA_LAZY", "1")
	fake.Install(t)
	kerneltest.RunCases(t, []string{"gemm", "rms_norm", "gather"}, open)
	kerneltest.RunRules(t, open)
}
