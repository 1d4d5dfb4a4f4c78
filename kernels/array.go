package kernels

import (
	"fmt"
	"unsafe"

	"dpolab/kernels/dtype"
)

// Array is a contiguous run of elements in one device's memory. It is a plain
// value and owns nothing: whoever allocated the memory frees it.
//
// Data may be a device address, so only the backend that made it may read it.
type Array struct {
	Data  unsafe.Pointer
	DType dtype.DType
	Len   int // elements
}

// IsNil reports whether the array is absent, as an optional operand may be.
func (a Array) IsNil() bool { return a.Data == nil }

// Bytes is the size of the array in memory.
func (a Array) Bytes() int { return a.Len * a.DType.Size() }

// Slice returns elements [lo, hi) of a.
func (a Array) Slice(lo, hi int) Array {
	if lo < 0 || hi < lo || hi > a.Len {
		panic(&Error{Op: "slice", Err: fmt.Errorf("[%d:%d) of %d elements", lo, hi, a.Len)})
	}
	return Array{unsafe.Add(a.Data, lo*a.DType.Size()), a.DType, hi - lo}
}

// Heads is a view of attention heads inside a larger row-major array: element
// i of head h in row t is at t*Row + h*Head + i, counted from the start of the
// array. It lets queries, keys and values be read where a fused projection
// left them.
type Heads struct {
	Array
	Row, Head int
}

// Error is what a backend panics with when an operation cannot be done: memory
// is exhausted, a launch failed, an operand has a type the backend does not
// take. Shape errors are caught one layer up, before a kernel is called.
type Error struct {
	Op  string
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }
