// Package cuda is the CUDA backend: the kernels of src/, matrix products by
// cuBLASLt, and a caching allocator, on one GPU.
//
// # One rank, two streams
//
// A [Backend] is one rank's share of a GPU: an allocator and a stream in which
// every operation is queued in order. Operations return as soon as they are
// queued; [Backend.Synchronize], [Backend.Download] and operations that return
// a number wait. A second stream is for what runs beside that: collectives, and
// copies from and to the host. Several ranks may share one GPU.
//
// # What is needed
//
// The program is linked with no NVIDIA library. Opening the first device
// searches for the driver and cuBLASLt and loads them; see package find for
// where. The kernels are embedded as PTX, which the driver compiles for the
// chip and caches; where NVRTC is found, kernels written in a cell can be
// compiled too.
//
// # Errors
//
// Operations panic with [*kernels.Error]. What only the device can see, such as
// an index out of range, is raised by the next operation that waits. After a
// failure that the driver calls sticky (a kernel that read outside of memory),
// every call fails until the process ends: the driver knows no way back.
package cuda

import (
	"errors"
	"fmt"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/device"
)

func init() {
	kernels.Register(device.CUDA, open)
	kernels.RegisterList(device.CUDA, Devices)
}

// Backend is one rank's GPU: an allocator and a stream.
type Backend struct {
	*allocator
	operations
	dev       device.Device
	gpu       driver.Device
	info      driver.Info
	stream    driver.Stream // kernels.Compute
	transfer  driver.Stream // kernels.Transfer
	events    eventPool
	functions map[string]*function
	modules   map[string]driver.Module
	compiled  []driver.Module     // of user's kernels
	packed    *[maxArguments]byte // a launch's arguments, copied here so that theirs stay on the stack
	staging   staging
	pinned    map[unsafe.Pointer]bool // given out by AllocPinned
	products  products
	faults    *fault     // what kernels report, in host memory
	beside    operations // the same on Transfer, for SumPeers
	profile   *profile   // that is being taken, or nil
	closed    bool
}

var (
	_ kernels.Backend   = (*Backend)(nil)
	_ kernels.Norms     = (*Backend)(nil)
	_ kernels.Rotary    = (*Backend)(nil)
	_ kernels.Attention = (*Backend)(nil)
	_ kernels.LogProbs  = (*Backend)(nil)
	_ kernels.Gated     = (*Backend)(nil)
	_ kernels.Lists     = (*Backend)(nil)
	_ kernels.Peers     = (*Backend)(nil)
	_ kernels.Pinned    = (*Backend)(nil)
	_ kernels.Selective = (*Backend)(nil)
)

// New returns an instance on GPU d.Index.
func New(d device.Device) (*Backend, error) {
	gpu, err := openDevice(d.Index)
	if err != nil {
		return nil, err
	}
	b := &Backend{dev: d, gpu: gpu, info: gpu.Info(), functions: map[string]*function{}, modules: map[string]driver.Module{}, pinned: map[unsafe.Pointer]bool{}, packed: new([maxArguments]byte)}
	if b.stream, err = gpu.NewStream(); err != nil {
		return nil, fmt.Errorf("cuda: %s: %w", d, err)
	}
	if b.transfer, err = gpu.NewStream(); err != nil {
		return nil, errors.Join(fmt.Errorf("cuda: %s: %w", d, err), b.stream.Destroy())
	}
	b.events.gpu = gpu
	b.allocator = newAllocator(d, gpu, b.stream)
	if err := errors.Join(b.openFaults(), b.staging.open(gpu, b.stream)); err != nil {
		return nil, errors.Join(fmt.Errorf("cuda: %s: %w", d, err), b.Close())
	}
	fault := uintptr(unsafe.Pointer(b.faults))
	b.operations = operations{on: b, fault: fault}
	b.beside = operations{on: &transferring{b}, fault: fault}
	return b, nil
}

func (b *Backend) Device() device.Device { return b.dev }

// Describe names the GPU, its compute capability and its memory.
func (b *Backend) Describe() string {
	return fmt.Sprintf("%s, compute capability %d.%d, %d multiprocessors, %.1f GiB",
		b.info.Name, b.info.Major, b.info.Minor, b.info.Multiprocessors, float64(b.info.Memory)/(1<<30))
}

// Synchronize waits until everything queued so far is done, and raises what
// went wrong on the device meanwhile.
func (b *Backend) Synchronize() {
	b.check("synchronize", b.stream.Synchronize())
	b.check("synchronize", b.transfer.Synchronize())
	b.raiseFault()
}

// Close frees everything the instance holds. Live memory goes too.
func (b *Backend) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	errs := []error{b.stream.Synchronize(), b.transfer.Synchronize()}
	for _, m := range b.modules {
		errs = append(errs, m.Unload())
	}
	for _, m := range b.compiled {
		errs = append(errs, m.Unload())
	}
	errs = append(errs, b.closeProducts(), b.staging.close(), b.closePinned(), b.closeFaults(), b.allocator.close(), b.events.close(), b.stream.Destroy(), b.transfer.Destroy())
	return errors.Join(errs...)
}

// check panics if a call failed.
func (b *Backend) check(op string, err error) {
	if err != nil {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%s: %w", b.dev, err)})
	}
}

// scratch is Alloc for an operation's own temporary memory.
func (b *Backend) scratch(op string, n int) unsafe.Pointer {
	p, err := b.Alloc(n)
	if err != nil {
		panic(&kernels.Error{Op: op, Err: err})
	}
	return p
}

// pointer turns a device address into what an Array holds. It is no Go
// pointer, and the conversion is written so that it is not mistaken for one.
func pointer(p driver.Ptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

func open(d device.Device, threads int) (kernels.Backend, error) {
	b, err := New(d)
	if err != nil {
		return nil, err
	}
	return b, nil
}
