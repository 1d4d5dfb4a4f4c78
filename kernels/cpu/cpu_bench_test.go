package cpu_test

import (
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
)

// BenchmarkKernels measures operations on the best tier, or on the one that
// DPOLAB_CPU names.
func BenchmarkKernels(b *testing.B) {
	kerneltest.Bench(b, func(threads int) kernels.Backend {
		backend, err := cpu.New(device.Device{}, threads)
		if err != nil {
			b.Fatal(err)
		}
		return backend
	})
}
