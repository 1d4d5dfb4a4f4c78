package tensor

import (
	"fmt"
	"unsafe"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// Memory is host memory that belongs to somebody else, such as a mapped file,
// and that tensors live in. What is written to such a tensor is written there.
type Memory struct {
	data []byte
	gone bool
}

// NewMemory returns a place for tensors in data, which must not move and must
// stay until Forget.
func NewMemory(data []byte) *Memory { return &Memory{data: data} }

// Tensor returns a tensor over the bytes from offset on, with the values that
// are there. The device must compute in host memory, see Device.UsesHostMemory.
func (m *Memory) Tensor(dev *Device, dt dtype.DType, offset int, shape ...int) *Tensor {
	n := numel(shape)
	if !dev.UsesHostMemory() {
		fail("memory", "a device that computes in host memory", "%s", dev)
	}
	if m.gone || offset < 0 || offset%dt.Size() != 0 || offset+n*dt.Size() > len(m.data) {
		fail("memory", fmt.Sprintf("%d %s values at %d within %d bytes", n, dt, offset, len(m.data)), "a place outside, crooked or gone")
	}
	s := &storage{dev: dev, dtype: dt, len: n, refs: 1, memory: m, ptr: unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.data)), offset)}
	return newTensor(dev, s, 0, append([]int(nil), shape...))
}

// Forget is to be called before the memory goes away: using a tensor in it is
// an error from then on, not a crash.
func (m *Memory) Forget() { m.gone, m.data = true, nil }

// UsesHostMemory reports whether the device's kernels read host memory, so that
// tensors can live in a Memory.
func (d *Device) UsesHostMemory() bool { return d.backend.Device().Type == device.CPU }
