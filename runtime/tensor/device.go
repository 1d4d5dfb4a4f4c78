package tensor

import (
	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// Device is one place where tensors live and operations run in order: a
// backend with its allocator, the autograd switch and the stack of open scopes.
// It belongs to one goroutine at a time; each rank has one of its own.
type Device struct {
	backend  kernels.Backend
	noGrad   int
	scopes   []*scope
	sequence uint64
	run      *run     // the backward pass in progress
	atEnd    []func() // to call when the outermost one has finished
}

// Open returns a new Device on d; threads limits its CPU threads, 0 takes the
// backend's choice. The backend's package must be linked in.
func Open(d device.Device, threads int) (*Device, error) {
	b, err := kernels.Open(d, threads)
	if err != nil {
		return nil, err
	}
	return OpenOn(b), nil
}

// OpenOn returns a Device that computes on the given backend.
func OpenOn(b kernels.Backend) *Device { return &Device{backend: b} }

// Backend gives access to the kernels, for code that works below tensors:
// collectives, optimizers, checkpoints.
func (d *Device) Backend() kernels.Backend { return d.backend }

func (d *Device) String() string { return d.backend.Device().String() }

// Supports reports why the device cannot compute in a type, or nil.
func (d *Device) Supports(dt dtype.DType) error {
	if s, ok := d.backend.(kernels.Selective); ok {
		return s.Supports(dt)
	}
	return nil
}

// MemoryStats are the allocator's figures.
func (d *Device) MemoryStats() kernels.MemoryStats { return d.backend.MemoryStats() }

// Close frees all memory of the device; its tensors must not be used again.
func (d *Device) Close() error { return d.backend.Close() }

// NoGrad runs fn with gradient recording off, as torch.no_grad does.
func (d *Device) NoGrad(fn func()) {
	d.noGrad++
	defer func() { d.noGrad-- }()
	fn()
}

// EnableGrad runs fn with recording on even inside NoGrad, as
// torch.enable_grad does.
func (d *Device) EnableGrad(fn func()) {
	saved := d.noGrad
	d.noGrad = 0
	defer func() { d.noGrad = saved }()
	fn()
}

// GradEnabled reports whether operations are recorded.
func (d *Device) GradEnabled() bool { return d.noGrad == 0 }
