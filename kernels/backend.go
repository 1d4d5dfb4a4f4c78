// Package kernels is the contract between the runtime and whatever computes
// for it: operations on raw, contiguous device memory, knowing nothing of
// tensors, gradients or models.
//
// # Backends
//
// [Backend] is what every backend must provide; it is enough to train any
// model, slowly. The optional interfaces in fused.go ([Norms], [Rotary],
// [Attention], [LogProbs], [Gated]) and [Lists] are fused kernels: each is
// documented by the composition of required operations it stands for, and a
// backend without one gets that composition from the tensor package, or from
// [CopyAll] and [AddScaledAll] here.
//
// A backend registers an opener for its device type; [Open] returns a new,
// independent instance with its own allocator and statistics. One instance is
// used by one goroutine at a time.
//
// # Types
//
// Floating operands may be float32, bfloat16 or float16 in any mixture unless
// an operation says otherwise (the ref backend takes float64 too). Arithmetic
// is done in float32 or wider whatever the storage, sums are accumulated in
// float32 or wider, and each result is rounded once, to nearest even, when it
// is stored. Indices are int32.
//
// # Errors
//
// Operations panic with *[Error] on failure; only Alloc returns an error,
// because running out of memory is something callers recover from. A device
// that works on its own finds an index out of range later: the panic then comes
// from the next Synchronize, Download or operation that returns a number, and
// what the operation should have stored is undefined.
package kernels

import (
	"fmt"
	"sort"
	"unsafe"

	"dpolab/kernels/device"
)

// Backend computes on one device.
type Backend interface {
	Memory
	Elementwise
	Movement
	Reductions
	Products
	Updates

	Device() device.Device
	// Describe says what computes, for people: "AVX-512, 2 threads".
	Describe() string
	// Synchronize waits until all work handed over so far is done.
	Synchronize()
	// Close frees everything the instance holds.
	Close() error
}

// Memory allocates and moves device memory.
type Memory interface {
	// Alloc returns at least n bytes, aligned to 64, contents undefined.
	// Alloc(0) returns a valid pointer.
	Alloc(n int) (unsafe.Pointer, error)
	// Free gives memory back to the caching allocator.
	Free(p unsafe.Pointer)
	// Upload copies host bytes to the device, Download device bytes to the
	// host; both return when src may be changed and dst may be read.
	Upload(dst unsafe.Pointer, src []byte)
	Download(dst []byte, src unsafe.Pointer)
	MemoryStats() MemoryStats
	// ResetPeak sets PeakBytes to LiveBytes.
	ResetPeak()
	// EmptyCache gives cached free blocks back to the system.
	EmptyCache()
}

// MemoryStats are an allocator's figures, in bytes.
type MemoryStats struct {
	LiveBytes     int64 // handed out and not freed
	PeakBytes     int64 // highest LiveBytes since the last ResetPeak
	ReservedBytes int64 // held from the system: live, rounding and cache
	Allocs        int64 // calls of Alloc
	SystemAllocs  int64 // those that had to ask the system
}

// Opener makes a backend instance for a device. threads is how many CPU
// threads it may use; 0 leaves that to the backend.
type Opener func(d device.Device, threads int) (Backend, error)

var openers = map[device.Type]Opener{}

// Register makes a device type available to Open. Backends call it in init.
func Register(t device.Type, open Opener) { openers[t] = open }

// Open returns a new backend instance on d.
func Open(d device.Device, threads int) (Backend, error) {
	open := openers[d.Type]
	if open == nil {
		var have []string
		for t := range openers {
			have = append(have, t.String())
		}
		sort.Strings(have)
		return nil, fmt.Errorf("kernels: no backend for %s in this program, have %v", d, have)
	}
	return open(d, threads)
}
