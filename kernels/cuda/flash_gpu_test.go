//go:build cuda

package cuda

import (
	"fmt"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// TestFlashOnGPU is TestFlash on this machine's GPU.
func TestFlashOnGPU(t *testing.T) {
	if !onGPU {
		t.Skip("no GPU: TestFlash runs the same kernels on the CPU")
	}
	for _, dt := range []dtype.DType{dtype.BFloat16, dtype.Float16} {
		for _, dim := range []int{64, 80, 128} {
			t.Run(fmt.Sprint(dt, " ", dim), func(t *testing.T) {
				b, err := New(device.Device{Type: device.CUDA})
				if err != nil {
					t.Fatal(err)
				}
				testFlash(t, b, dt, dim)
			})
		}
	}
}
