package tensor

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// storage is one allocation, shared by every tensor that views it and by every
// graph node that saved one of those. The last of them to go gives the memory
// back at once.
type storage struct {
	dev     *Device
	ptr     unsafe.Pointer // nil while discarded
	dtype   dtype.DType
	len     int // elements
	refs    int
	memory  *Memory // what ptr points into, if it is not the device's own
	version int     // counts in-place writes, so that backward can tell a saved tensor changed
}

func newStorage(dev *Device, dt dtype.DType, n int) *storage {
	s := &storage{dev: dev, dtype: dt, len: n, refs: 1}
	s.allocate()
	return s
}

func (s *storage) allocate() {
	n := s.len * s.dtype.Size()
	p, err := s.dev.backend.Alloc(n)
	if err != nil {
		panic(&Error{Op: "allocate", Err: fmt.Errorf("%w: %d bytes on %s: %v", ErrOutOfMemory, n, s.dev, err)})
	}
	s.ptr = p
}

func (s *storage) free() {
	if s.memory != nil { // not ours to give back
		return
	}
	if s.ptr != nil {
		s.dev.backend.Free(s.ptr)
	}
	s.ptr = nil
}

func (s *storage) retain() { s.refs++ }

func (s *storage) release() {
	if s.refs--; s.refs == 0 {
		s.free()
	}
}

func (s *storage) array(offset, n int) kernels.Array {
	if s.ptr == nil || s.memory != nil && s.memory.gone {
		fail("access", "a tensor with memory", "one that was released or discarded")
	}
	return kernels.Array{Data: s.ptr, DType: s.dtype, Len: s.len}.Slice(offset, offset+n)
}
