package fsdp

import (
	"unsafe"

	"dpolab/kernels"
	"dpolab/runtime/tensor"
)

// offloaded reports whether masters live on the host.
func (g *group) offloaded() bool { return g.home != g.dev }

// move copies an array of a device to a tensor of the same length and type. At
// most one of the two places is not the host's.
func move(dst *tensor.Tensor, from *tensor.Device, src kernels.Array) {
	to, at := dst.Device(), dst.Array()
	switch {
	case src.Len == 0:
	case to == from:
		to.Backend().Copy(at, src)
	case to.UsesHostMemory():
		from.Backend().Download(unsafe.Slice((*byte)(at.Data), at.Bytes()), src.Data)
	default:
		to.Backend().Upload(at.Data, unsafe.Slice((*byte)(src.Data), src.Bytes()))
	}
}

// moved returns a copy of t on another device; the caller releases it.
func moved(to *tensor.Device, t *tensor.Tensor) *tensor.Tensor {
	out := tensor.Empty(to, t.DType(), t.Shape()...).Keep()
	move(out, t.Device(), t.Array())
	return out
}
