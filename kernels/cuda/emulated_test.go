package cuda

import (
	"sync"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/cuda/internal/emulate"
	"dpolab/kernels/device"
	"dpolab/kernels/kerneltest"
)

// emulated runs the operations on kernels compiled for the CPU. Memory and
// matrix products are the CPU backend's; everything else is what a GPU runs.
type emulated struct {
	kernels.Memory
	kernels.Products
	operations
	host   *cpu.Backend
	lib    *emulate.Library
	faults *fault
}

var (
	_ kernels.Backend   = (*emulated)(nil)
	_ kernels.Norms     = (*emulated)(nil)
	_ kernels.Rotary    = (*emulated)(nil)
	_ kernels.Attention = (*emulated)(nil)
	_ kernels.LogProbs  = (*emulated)(nil)
	_ kernels.Gated     = (*emulated)(nil)
	_ kernels.Lists     = (*emulated)(nil)
)

var library = sync.OnceValues(func() (*emulate.Library, error) {
	so, err := emulate.Build("")
	if err != nil {
		return nil, err
	}
	return emulate.Open(so)
})

func newEmulated(t testing.TB) *emulated {
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	host, err := cpu.New(device.Device{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	e := &emulated{Memory: host, Products: host, host: host, lib: lib, faults: new(fault)}
	e.operations = operations{on: e, fault: uintptr(unsafe.Pointer(e.faults))}
	return e
}

func (e *emulated) launch(kernel string, grid [3]int, threads, shared int, args unsafe.Pointer, size uintptr) {
	if err := e.lib.Launch(kernel, grid, threads, shared, args); err != nil {
		panic(err) // no *kernels.Error: a fault of the kernel itself
	}
}

func (e *emulated) Device() device.Device { return device.Device{Type: device.CUDA} }
func (e *emulated) Describe() string      { return "kernels of the CUDA backend on the CPU" }
func (e *emulated) SetLimit(bytes int64)  { e.host.SetLimit(bytes) }
func (e *emulated) Close() error          { return e.host.Close() }

func (e *emulated) Synchronize() {
	b := Backend{faults: e.faults}
	b.raiseFault()
}

// TestEmulated runs the whole suite.
func TestEmulated(t *testing.T) {
	kerneltest.Run(t, func(int) kernels.Backend { return newEmulated(t) })
}
