// Package ref is the slow, obvious backend: pure Go, float64 arithmetic, one
// textbook formula per operation. It is the oracle that every other backend is
// tested against and the device of all gradient checks, so it prefers being
// plainly right to being fast. It takes float64 operands besides the types of
// the contract.
//
// Freed memory is filled with NaN bytes and a pointer that was not allocated
// panics, so that mistakes of the layers above show up here.
package ref

import (
	"fmt"
	"math"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

func init() {
	kernels.Register(device.Ref, func(d device.Device, threads int) (kernels.Backend, error) { return New(d), nil })
}

// Backend is one instance of the reference backend.
type Backend struct {
	dev    device.Device
	blocks map[unsafe.Pointer][]byte // live memory, exactly as long as asked for
	stats  kernels.MemoryStats
	limit  int64
}

var (
	_ kernels.Backend   = (*Backend)(nil)
	_ kernels.Norms     = (*Backend)(nil)
	_ kernels.Rotary    = (*Backend)(nil)
	_ kernels.Attention = (*Backend)(nil)
	_ kernels.LogProbs  = (*Backend)(nil)
	_ kernels.Gated     = (*Backend)(nil)
	_ kernels.Lists     = (*Backend)(nil)
)

// New returns an instance for a device.
func New(d device.Device) *Backend {
	return &Backend{dev: d, blocks: map[unsafe.Pointer][]byte{}}
}

func (b *Backend) Device() device.Device { return b.dev }
func (b *Backend) Describe() string      { return "float64 reference, 1 thread" }
func (b *Backend) Synchronize()          {}

func (b *Backend) Close() error {
	b.blocks = map[unsafe.Pointer][]byte{}
	b.stats = kernels.MemoryStats{}
	return nil
}

// SetLimit makes Alloc fail beyond that many live bytes; 0 lifts the limit.
func (b *Backend) SetLimit(bytes int64) { b.limit = bytes }

// alignment of every allocation, in bytes.
const alignment = 64

func (b *Backend) Alloc(n int) (unsafe.Pointer, error) {
	if n < 0 {
		return nil, fmt.Errorf("ref: alloc of %d bytes", n)
	}
	if b.limit > 0 && b.stats.LiveBytes+int64(n) > b.limit {
		return nil, fmt.Errorf("ref: %d bytes asked, %d live, limit %d", n, b.stats.LiveBytes, b.limit)
	}
	// Room to move the start to the alignment, and one byte so that the
	// pointer is valid even for n = 0.
	room := make([]byte, n+alignment)
	skip := (alignment - int(uintptr(unsafe.Pointer(&room[0]))%alignment)) % alignment
	p := unsafe.Pointer(&room[skip])
	b.blocks[p] = room[skip : skip+n]
	poison(b.blocks[p])
	b.stats.LiveBytes += int64(n)
	b.stats.PeakBytes = max(b.stats.PeakBytes, b.stats.LiveBytes)
	b.stats.ReservedBytes = b.stats.LiveBytes
	b.stats.Allocs++
	b.stats.SystemAllocs++
	return p, nil
}

// poison fills memory with bytes that are a NaN in every floating type and -1
// in every integer type.
func poison(memory []byte) {
	for i := range memory {
		memory[i] = 0xff
	}
}

func (b *Backend) Free(p unsafe.Pointer) {
	memory, ok := b.blocks[p]
	if !ok {
		panic(&kernels.Error{Op: "free", Err: fmt.Errorf("%p was not allocated here", p)})
	}
	poison(memory)
	delete(b.blocks, p)
	b.stats.LiveBytes -= int64(len(memory))
	b.stats.ReservedBytes = b.stats.LiveBytes
}

func (b *Backend) Upload(dst unsafe.Pointer, src []byte) {
	copy(unsafe.Slice((*byte)(dst), len(src)), src)
}
func (b *Backend) Download(dst []byte, src unsafe.Pointer) {
	copy(dst, unsafe.Slice((*byte)(src), len(dst)))
}
func (b *Backend) MemoryStats() kernels.MemoryStats { return b.stats }
func (b *Backend) ResetPeak()                       { b.stats.PeakBytes = b.stats.LiveBytes }

// EmptyCache has nothing to do: freed memory is not kept.
func (b *Backend) EmptyCache() {}

// load reads an array as float64.
func load(a kernels.Array) []float64 {
	out := make([]float64, a.Len)
	for i := range out {
		out[i] = at(a, i)
	}
	return out
}

// at reads one element.
func at(a kernels.Array, i int) float64 {
	p := unsafe.Add(a.Data, i*a.DType.Size())
	switch a.DType {
	case dtype.Float32:
		return float64(*(*float32)(p))
	case dtype.Float64:
		return *(*float64)(p)
	case dtype.BFloat16:
		return float64(dtype.Float32FromBFloat16(*(*uint16)(p)))
	case dtype.Float16:
		return float64(dtype.Float32FromFloat16(*(*uint16)(p)))
	case dtype.Int32:
		return float64(*(*int32)(p))
	case dtype.Int64:
		return float64(*(*int64)(p))
	}
	panic(&kernels.Error{Op: "load", Err: fmt.Errorf("no type %s", a.DType)})
}

// set stores one element, rounded once to the array's type.
func set(a kernels.Array, i int, v float64) {
	p := unsafe.Add(a.Data, i*a.DType.Size())
	switch a.DType {
	case dtype.Float32:
		*(*float32)(p) = float32(v)
	case dtype.Float64:
		*(*float64)(p) = v
	case dtype.BFloat16:
		*(*uint16)(p) = dtype.BFloat16FromFloat32(toOdd(v))
	case dtype.Float16:
		*(*uint16)(p) = dtype.Float16FromFloat32(toOdd(v))
	case dtype.Int32:
		*(*int32)(p) = int32(v)
	case dtype.Int64:
		*(*int64)(p) = int64(v)
	default:
		panic(&kernels.Error{Op: "store", Err: fmt.Errorf("no type %s", a.DType)})
	}
}

// toOdd rounds to float32 by truncation with the last bit set when anything
// was lost, so that a second rounding to 16 bits gives what one would have.
func toOdd(v float64) float32 {
	f := float32(v)
	if float64(f) == v || v != v || math.IsInf(float64(f), 0) {
		return f
	}
	if math.Abs(float64(f)) > math.Abs(v) {
		f = math.Float32frombits(math.Float32bits(f) - 1)
	}
	return math.Float32frombits(math.Float32bits(f) | 1)
}

// raw is an array's memory.
func raw(a kernels.Array) []byte { return unsafe.Slice((*byte)(a.Data), a.Bytes()) }

// store writes a whole array.
func store(a kernels.Array, values []float64) {
	for i, v := range values {
		set(a, i, v)
	}
}

// indices reads an int32 array.
func indices(a kernels.Array) []int {
	out := make([]int, a.Len)
	for i := range out {
		out[i] = int(at(a, i))
	}
	return out
}
