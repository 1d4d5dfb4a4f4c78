// Package cpu is the CPU backend: C kernels called through cgo, vectorised for
// AVX-512, AVX2, NEON or any processor, chosen when the program starts.
//
// The C bodies (body_*.h) are written once and compiled once per tier
// (tier_*.c); [Open] picks the best tier whose every instruction the processor
// has. The environment variable DPOLAB_CPU names one instead: avx512, avx2, neon
// or portable. Work is divided in Go: each operation is cut into ranges that
// worker goroutines run, and a C call is always one range on one thread.
// Results do not depend on the number of threads.
//
// 16-bit types are storage: operands are widened to float32 as they are read,
// and results are rounded once when they are stored. Products of two bfloat16
// matrices are taken by the processor's own instructions where these exist and
// are faster: pairs (AVX512_BF16) at twice float32's rate on some processors, and
// half of it on others, tiles (AMX) at a multiple; or in block-scaled int16, where
// a product's range allows, which is faster on most. The environment variable
// DPOLAB_BF16 is auto (a short measurement decides), widen, native, amx or int16;
// [Backend.Describe] says what was chosen and why.
package cpu

// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -lm
// #include "cpu.h"
// #include <stdlib.h>
import "C"

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

func init() { kernels.Register(device.CPU, open) }

// Backend is one rank's CPU: an allocator and a share of the threads.
type Backend struct {
	*allocator
	dev     device.Device
	ops     *C.cpu_ops
	threads int
	turn    turn
	closed  sync.Once
	bf16    *way // how products of two bfloat16 matrices are computed
	why     string
}

var (
	_ kernels.Backend     = (*Backend)(nil)
	_ kernels.Norms       = (*Backend)(nil)
	_ kernels.Rotary      = (*Backend)(nil)
	_ kernels.Attention   = (*Backend)(nil)
	_ kernels.KeepsLogits = (*Backend)(nil)
	_ kernels.Gated       = (*Backend)(nil)
)

func open(d device.Device, threads int) (kernels.Backend, error) {
	b, err := New(d, threads)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// New returns an instance for rank d.Index that uses up to threads threads;
// 0 means as many as [device.Processors] says.
func New(d device.Device, threads int) (*Backend, error) {
	tier := os.Getenv("DPOLAB_CPU")
	return NewTier(d, threads, tier)
}

// NewTier is New with the instruction-set tier given: "avx512", "avx2", "neon",
// "portable", or "" for the best there is.
func NewTier(d device.Device, threads int, tier string) (*Backend, error) {
	name := C.CString(tier)
	defer C.free(unsafe.Pointer(name))
	ops := C.cpu_select(name)
	if ops == nil {
		return nil, fmt.Errorf("cpu: no tier %q on this processor, which has %s", tier, strings.Join(Tiers(), ", "))
	}
	if threads <= 0 {
		threads, _ = device.Processors()
	}
	places(threads)
	b := &Backend{allocator: newAllocator(), dev: d, ops: ops, threads: threads}
	if err := b.chooseBF16(); err != nil {
		return nil, err
	}
	return b, nil
}

// Tiers lists the instruction-set tiers this processor can run, best first.
func Tiers() []string {
	var out []string
	for _, t := range []string{"avx512", "avx2", "neon", "portable"} {
		name := C.CString(t)
		if C.cpu_select(name) != nil {
			out = append(out, t)
		}
		C.free(unsafe.Pointer(name))
	}
	return out
}

func (b *Backend) Device() device.Device { return b.dev }

// Describe names the tier, the threads and how bfloat16 products are computed.
func (b *Backend) Describe() string {
	return fmt.Sprintf("%s, %d threads; bfloat16 products %s", C.GoString(b.ops.name), b.threads, b.why)
}

func (b *Backend) Synchronize() {}

// Close frees everything, live blocks included.
func (b *Backend) Close() error {
	b.closed.Do(func() { places(-b.threads) })
	b.allocator.close()
	return nil
}

// ctype lays an array out for C.
func ctype(a kernels.Array) C.arr {
	switch a.DType {
	case dtype.Float32, dtype.BFloat16, dtype.Float16, dtype.Int32, dtype.Int64:
	default:
		if a.Data != nil {
			panic(&kernels.Error{Op: "cpu", Err: fmt.Errorf("no kernels for %s", a.DType)})
		}
	}
	return C.arr{p: a.Data, _type: C.int32_t(a.DType)}
}

// part is the C view of elements [lo, hi).
func part(a kernels.Array, lo, hi int) C.arr { return ctype(a.Slice(lo, hi)) }

// floats is a float32 array's address, nil for an absent one.
func floats(op string, a kernels.Array) *C.float {
	if a.Data != nil && a.DType != dtype.Float32 {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("want float32, got %s", a.DType)})
	}
	return (*C.float)(a.Data)
}

// ints is an int32 array's address.
func ints(op string, a kernels.Array) *C.int32_t {
	if a.DType != dtype.Int32 {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("want int32, got %s", a.DType)})
	}
	return (*C.int32_t)(a.Data)
}

// indices views an int32 array from Go.
func indices(op string, a kernels.Array) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(ints(op, a))), a.Len)
}

// checkIndices panics if an index does not name one of n rows.
func checkIndices(op string, index []int32, n int) {
	for i, r := range index {
		if r < 0 || int(r) >= n {
			panic(&kernels.Error{Op: op, Err: fmt.Errorf("index %d at position %d, want 0 to %d", r, i, n-1)})
		}
	}
}
