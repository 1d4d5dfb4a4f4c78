package nn

import (
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// Buffer is a tensor computed from the configuration rather than trained. Its
// values are kept in float32 on the host, so that changing the type never loses
// anything for good.
type Buffer struct {
	// Value is the buffer on its device; nil before PlaceBuffers.
	Value  *tensor.Tensor
	shape  []int
	values []float32
	// keepFloat32 marks tables that a blanket buffer type must not touch:
	// inverse frequencies in bfloat16 ruin long positions.
	keepFloat32 bool
}

// NewBuffer returns a buffer of the given values. keepFloat32 exempts it from
// BufferDType unless asked for by name.
func NewBuffer(values []float32, keepFloat32 bool, shape ...int) *Buffer {
	return &Buffer{shape: append([]int(nil), shape...), values: values, keepFloat32: keepFloat32}
}

// KeepsFloat32 reports whether the buffer is exempt from a blanket type.
func (b *Buffer) KeepsFloat32() bool { return b.keepFloat32 }

// Place puts the buffer on dev in type dt; dtype.Invalid means float32.
func (b *Buffer) Place(dev *tensor.Device, dt dtype.DType) {
	if dt == dtype.Invalid {
		dt = dtype.Float32
	}
	b.Release()
	full := tensor.FromFloat32(dev, b.values, b.shape...).Keep()
	if dt == dtype.Float32 {
		b.Value = full
		return
	}
	b.Value = tensor.Empty(dev, dt, b.shape...).Keep()
	dev.Backend().Copy(b.Value.Array(), full.Array())
	full.Release()
}

// Release frees the device copy.
func (b *Buffer) Release() {
	if b.Value != nil {
		b.Value.Release()
		b.Value = nil
	}
}

// PlaceBuffers places every buffer of m on dev in type dt, those that keep
// float32 excepted.
func PlaceBuffers(m Module, dev *tensor.Device, dt dtype.DType) {
	Walk(m, func(_ string, sub Module) {
		for _, b := range sub.Base().buffers {
			if b.buffer.keepFloat32 {
				b.buffer.Place(dev, dtype.Invalid)
			} else {
				b.buffer.Place(dev, dt)
			}
		}
	})
}
