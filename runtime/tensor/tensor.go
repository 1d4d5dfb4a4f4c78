package tensor

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// Tensor is a handle to a dense, row-major array on one device. Handles are
// cheap; several may view one piece of memory.
type Tensor struct {
	dev     *Device
	storage *storage
	offset  int // elements from the start of the storage
	shape   []int

	node         *node // what computed it; nil for a leaf
	requiresGrad bool
	grad         *Tensor
	gradDType    dtype.DType // type of grad, for a leaf; Invalid means the tensor's own

	scoped bool // listed in an open scope
	dead   bool // released
}

// bare returns a handle that no scope lists; it takes over a reference to s.
func bare(dev *Device, s *storage, offset int, shape []int) *Tensor {
	return &Tensor{dev: dev, storage: s, offset: offset, shape: shape}
}

// newTensor is bare for a handle that callers see.
func newTensor(dev *Device, s *storage, offset int, shape []int) *Tensor {
	t := bare(dev, s, offset, shape)
	dev.adopt(t)
	return t
}

// Empty returns a tensor whose elements are undefined.
func Empty(dev *Device, dt dtype.DType, shape ...int) *Tensor {
	return newTensor(dev, newStorage(dev, dt, numel(shape)), 0, append([]int(nil), shape...))
}

// Zeros returns a tensor of zeros.
func Zeros(dev *Device, dt dtype.DType, shape ...int) *Tensor { return Full(dev, dt, 0, shape...) }

// Full returns a tensor with every element equal to value.
func Full(dev *Device, dt dtype.DType, value float64, shape ...int) *Tensor {
	t := Empty(dev, dt, shape...)
	dev.backend.Fill(t.Array(), value)
	return t
}

// FromFloat32 returns a float32 tensor with a copy of values; without a shape
// it has one axis.
func FromFloat32(dev *Device, values []float32, shape ...int) *Tensor {
	return upload(dev, dtype.Float32, bytesOf(values), len(values), shape)
}

// FromFloat64 returns a float64 tensor with a copy of values (ref devices).
func FromFloat64(dev *Device, values []float64, shape ...int) *Tensor {
	return upload(dev, dtype.Float64, bytesOf(values), len(values), shape)
}

// FromInt32 returns an int32 tensor with a copy of values.
func FromInt32(dev *Device, values []int32, shape ...int) *Tensor {
	return upload(dev, dtype.Int32, bytesOf(values), len(values), shape)
}

func upload(dev *Device, dt dtype.DType, src []byte, n int, shape []int) *Tensor {
	if len(shape) == 0 {
		shape = []int{n}
	}
	if numel(shape) != n {
		fail("tensor", fmt.Sprintf("%d values for shape %v", numel(shape), shape), "%d", n)
	}
	t := Empty(dev, dt, shape...)
	dev.backend.Upload(t.Array().Data, src)
	return t
}

// bytesOf views a slice of numbers as bytes.
func bytesOf[T float32 | float64 | int32 | int64 | uint16](s []T) []byte {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
}

func numel(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			fail("shape", "sizes of 0 or more", "%v", shape)
		}
		n *= d
	}
	return n
}

// Device returns where t lives.
func (t *Tensor) Device() *Device { return t.dev }

// DType returns the element type.
func (t *Tensor) DType() dtype.DType { return t.storage.dtype }

// Shape returns a copy of the sizes; a scalar has none.
func (t *Tensor) Shape() []int { return append([]int(nil), t.shape...) }

// Dim returns the size along axis i; negative i counts from the end.
func (t *Tensor) Dim(i int) int {
	if i < 0 {
		i += len(t.shape)
	}
	if i < 0 || i >= len(t.shape) {
		fail("dim", fmt.Sprintf("an axis of shape %v", t.shape), "%d", i)
	}
	return t.shape[i]
}

// NumDims returns the number of axes.
func (t *Tensor) NumDims() int { return len(t.shape) }

// Len returns the number of elements.
func (t *Tensor) Len() int { return numel(t.shape) }

// Array is the tensor's memory, for kernels. Writing through it is not seen by
// autograd: call Touch afterwards if a graph may have saved the tensor.
func (t *Tensor) Array() kernels.Array {
	if t.dead {
		fail("access", "a live tensor", "one of shape %v that was released", t.shape)
	}
	return t.storage.array(t.offset, t.Len())
}

// Touch records an in-place write: a backward pass that saved t from before
// the write fails with an error instead of using changed values.
func (t *Tensor) Touch() { t.storage.version++ }

// Version counts the in-place writes of t's memory: whoever keeps a copy sees
// by it whether the copy is old.
func (t *Tensor) Version() int { return t.storage.version }

// view returns another handle on t's memory with no history.
func (t *Tensor) view(offset int, shape []int) *Tensor {
	if t.dead {
		fail("view", "a live tensor", "one of shape %v that was released", t.shape)
	}
	t.storage.retain()
	return newTensor(t.dev, t.storage, offset, shape)
}

// alias is Detach for the graph's own use: no scope lists it.
func (t *Tensor) alias() *Tensor {
	if t.dead {
		fail("access", "a live tensor", "one of shape %v that was released", t.shape)
	}
	t.storage.retain()
	return bare(t.dev, t.storage, t.offset, t.shape)
}

// Detach returns a handle on the same memory that is not part of any graph.
func (t *Tensor) Detach() *Tensor { return t.view(t.offset, t.shape) }

// Discard frees t's memory but keeps the tensor, and everything that views it
// or saved it, until Restore. FSDP drops gathered parameters this way between
// forward and backward.
func (t *Tensor) Discard() { t.storage.free() }

// Restore allocates memory for a discarded tensor again, contents undefined;
// it does nothing if the memory is there.
func (t *Tensor) Restore() {
	if t.storage.ptr == nil {
		t.storage.allocate()
	}
}

// Float32s returns the elements converted to float32, in host memory.
func (t *Tensor) Float32s() []float32 {
	out := make([]float32, t.Len())
	t.download(dtype.Float32, bytesOf(out))
	return out
}

// Float64s returns the elements converted to float64, in host memory.
func (t *Tensor) Float64s() []float64 {
	out := make([]float64, t.Len())
	switch t.DType() {
	case dtype.Float64:
		t.download(dtype.Float64, bytesOf(out))
		return out
	case dtype.Int32:
		for i, v := range t.Int32s() {
			out[i] = float64(v)
		}
		return out
	}
	for i, v := range t.Float32s() {
		out[i] = float64(v)
	}
	return out
}

// Int32s returns the elements converted to int32, in host memory.
func (t *Tensor) Int32s() []int32 {
	out := make([]int32, t.Len())
	t.download(dtype.Int32, bytesOf(out))
	return out
}

// Item returns the only element of a tensor of one.
func (t *Tensor) Item() float64 {
	if t.Len() != 1 {
		fail("item", "a tensor of one element", "shape %v", t.shape)
	}
	return t.Float64s()[0]
}

// download copies the elements to dst, converting them to dt on the device
// first if need be.
func (t *Tensor) download(dt dtype.DType, dst []byte) {
	if t.DType() == dt {
		t.dev.backend.Download(dst, t.Array().Data)
		return
	}
	s := newStorage(t.dev, dt, t.Len())
	defer s.release()
	t.dev.backend.Copy(s.array(0, s.len), t.Array())
	t.dev.backend.Download(dst, s.ptr)
}
