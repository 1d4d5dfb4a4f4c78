// Package driver is what the CUDA backend asks of NVIDIA's driver, as a small
// interface: devices, memory, modules, streams, events, launches.
//
// # Implementation
//
// The implementation (build tag cuda) drives gorgonia.org/cu, whose C calls go
// through a table of our own: trampolines_cuda.S defines every driver function
// as a jump through an entry of the table, and [Load] fills the table from the
// libcuda that the search found. Until then every entry answers "no device".
// So the program is linked with no NVIDIA library and starts without one, and
// the driver is initialised when a GPU is first asked for. Calls that
// gorgonia.org/cu lacks (launches with packed arguments, pinned memory,
// function attributes, compiler logs) go through the same table.
//
// gorgonia.org/cu includes cuda.h. include/ holds one of our own, with the
// types, values and prototypes that are used and nothing else; the Makefile
// names that folder in CGO_CFLAGS, because cgo flags of one package do not
// reach another.
//
// # Threads
//
// A CUDA context belongs to a thread. Every call here makes its device's
// context current first, so values may be used from any goroutine; calls on
// one device must not overlap unless the driver allows it.
package driver

import (
	"fmt"
	"unsafe"
)

// Ptr is an address in device memory.
type Ptr uintptr

// Driver is a loaded and initialised driver.
type Driver interface {
	// Version is the driver API's: 12040 is 12.4.
	Version() int
	Count() (int, error)
	// Open holds the device's primary context, which all users in this process share.
	Open(index int) (Device, error)
}

// Info describes a device.
type Info struct {
	Name                 string
	Major, Minor         int // compute capability
	Memory               int64
	Multiprocessors      int
	SharedMemoryPerBlock int // without opting in to more
	SharedMemoryOptin    int // the most a kernel may opt in to
	PCIBus               string
}

// Device is one GPU.
type Device interface {
	Info() Info
	MemoryInfo() (free, total int64, err error)
	Alloc(n int64) (Ptr, error)
	Free(p Ptr) error
	// AllocHost allocates page-locked host memory.
	AllocHost(n int64) (unsafe.Pointer, error)
	FreeHost(p unsafe.Pointer) error
	// LoadModule loads PTX or a cubin.
	LoadModule(image []byte) (Module, error)
	// AllowShared lets a kernel use that much dynamic shared memory.
	AllowShared(f Function, bytes int) error
	NewStream() (Stream, error)
	// NewEvent makes an event; only one with a time can be asked for Since.
	NewEvent(timed bool) (Event, error)
	// EnablePeer lets this device's kernels read the other's memory.
	EnablePeer(other Device) error
	// Context is the CUcontext, for libraries.
	Context() unsafe.Pointer
	// Enter makes the context current on this thread, for calls into libraries
	// that use it; the caller has locked its goroutine to the thread.
	Enter() error
	Close() error
}

// Module is a loaded set of kernels.
type Module interface {
	Function(name string) (Function, error)
	Unload() error
}

// Function is a kernel.
type Function struct{ handle unsafe.Pointer }

// Stream is a queue of work that runs in order.
type Stream interface {
	Upload(dst Ptr, src unsafe.Pointer, n int64) error
	Download(dst unsafe.Pointer, src Ptr, n int64) error
	Copy(dst, src Ptr, n int64) error
	Fill(dst Ptr, value byte, n int64) error
	// Launch runs a kernel whose one parameter is a structure of size bytes.
	Launch(f Function, grid [3]int, threads, shared int, args unsafe.Pointer, size int) error
	Record(e Event) error
	Wait(e Event) error
	Synchronize() error
	Handle() unsafe.Pointer
	Destroy() error
}

// Event marks a place in a stream.
type Event interface {
	Synchronize() error
	// Done reports whether the work before the event has finished.
	Done() (bool, error)
	// Since is the time from an earlier event to this one in seconds.
	Since(start Event) (float64, error)
	Destroy() error
}

// Error is a failed driver call.
type Error struct {
	Call string
	Code int // CUresult
	Text string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (CUDA error %d)", e.Call, e.Text, e.Code)
}

// OutOfMemory is CUDA_ERROR_OUT_OF_MEMORY.
const OutOfMemory = 2
