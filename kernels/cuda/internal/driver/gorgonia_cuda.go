//go:build cuda

package driver

// #cgo CFLAGS: -I${SRCDIR}/include
// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Built reports whether this program has the CUDA driver's bindings.
const Built = true

// A gorgonia handle is a structure with the one C pointer in it; were that to
// change, these would not compile.
var (
	_ [unsafe.Sizeof(unsafe.Pointer(nil)) - unsafe.Sizeof(cu.Stream{})]byte
	_ [unsafe.Sizeof(unsafe.Pointer(nil)) - unsafe.Sizeof(cu.CUContext{})]byte
)

// Load opens the driver library at path and initialises it. A program loads
// one driver, once.
func Load(path string) (Driver, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	const size = 512
	message := (*C.char)(C.calloc(1, size))
	defer C.free(unsafe.Pointer(message))
	switch code := C.shim_load(name, message, size); {
	case code < 0:
		return nil, errors.New(C.GoString(message))
	case code > 0:
		return nil, &Error{Call: "cuInit", Code: int(code), Text: C.GoString(message)}
	}
	return gorgonia{}, nil
}

type gorgonia struct{}

// wrap turns an error of the bindings into ours. Theirs is an integer type
// that is not exported.
func wrap(call string, err error) error {
	if err == nil {
		return nil
	}
	code := reflect.ValueOf(err)
	if code.Kind() != reflect.Int {
		return fmt.Errorf("%s: %w", call, err)
	}
	return check(call, C.CUresult(code.Int()))
}

// check turns a result of our own calls into an error.
func check(call string, code C.CUresult) error {
	if code == C.CUDA_SUCCESS {
		return nil
	}
	var text *C.char
	e := &Error{Call: call, Code: int(code), Text: "unknown error"}
	if C.cuGetErrorString(code, &text) == C.CUDA_SUCCESS && text != nil {
		e.Text = C.GoString(text)
	}
	return e
}

func (gorgonia) Version() int { return cu.Version() }

func (gorgonia) Count() (int, error) {
	n, err := cu.NumDevices()
	return n, wrap("cuDeviceGetCount", err)
}

func (gorgonia) Open(index int) (Device, error) {
	dev, err := cu.GetDevice(index)
	if err != nil {
		return nil, wrap("cuDeviceGet", err)
	}
	ctx, err := dev.RetainPrimaryCtx()
	if err != nil {
		return nil, wrap("cuDevicePrimaryCtxRetain", err)
	}
	d := &gpu{dev: dev, ctx: ctx}
	if err := d.describe(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

type gpu struct {
	dev  cu.Device
	ctx  cu.CUContext
	info Info
}

func (d *gpu) describe() error {
	name, err := d.dev.Name()
	if err != nil {
		return wrap("cuDeviceGetName", err)
	}
	d.info.Name = name
	if d.info.Memory, err = d.dev.TotalMem(); err != nil {
		return wrap("cuDeviceTotalMem", err)
	}
	for _, a := range []struct {
		attribute cu.DeviceAttribute
		to        *int
	}{
		{cu.ComputeCapabilityMajor, &d.info.Major}, {cu.ComputeCapabilityMinor, &d.info.Minor},
		{cu.MultiprocessorCount, &d.info.Multiprocessors}, {cu.MaxSharedMemoryPerBlock, &d.info.SharedMemoryPerBlock},
		{sharedMemoryOptin, &d.info.SharedMemoryOptin},
	} {
		if *a.to, err = d.dev.Attribute(a.attribute); err != nil {
			return wrap("cuDeviceGetAttribute", err)
		}
	}
	bus := (*C.char)(C.calloc(1, 32))
	defer C.free(unsafe.Pointer(bus))
	if err := check("cuDeviceGetPCIBusId", C.cuDeviceGetPCIBusId(bus, 32, C.CUdevice(d.dev))); err != nil {
		return err
	}
	d.info.PCIBus = C.GoString(bus)
	return nil
}

func (d *gpu) Info() Info { return d.info }

func (d *gpu) Context() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&d.ctx)) }

func (d *gpu) context() C.CUcontext { return C.CUcontext(d.Context()) }

func (d *gpu) Enter() error { return wrap("cuCtxSetCurrent", cu.SetCurrentContext(d.ctx)) }

// do calls fn on a thread whose context is the device's.
func (d *gpu) do(call string, fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := d.Enter(); err != nil {
		return err
	}
	return wrap(call, fn())
}

func (d *gpu) MemoryInfo() (free, total int64, err error) {
	err = d.do("cuMemGetInfo", func() (err error) { free, total, err = cu.MemInfo(); return err })
	return free, total, err
}

func (d *gpu) Alloc(n int64) (p Ptr, err error) {
	err = d.do("cuMemAlloc", func() error {
		got, err := cu.MemAlloc(n)
		p = Ptr(got)
		return err
	})
	return p, err
}

func (d *gpu) Free(p Ptr) error {
	return d.do("cuMemFree", func() error { return cu.MemFree(cu.DevicePtr(p)) })
}

func (d *gpu) AllocHost(n int64) (unsafe.Pointer, error) {
	out := (*unsafe.Pointer)(C.calloc(1, 8)) // C memory: what is stored there is no Go pointer
	defer C.free(unsafe.Pointer(out))
	err := check("cuMemHostAlloc", C.shim_host_alloc(d.context(), out, C.size_t(n)))
	return *out, err
}

func (d *gpu) FreeHost(p unsafe.Pointer) error {
	return d.do("cuMemFreeHost", func() error { return cu.MemFreeHost(p) })
}

func (d *gpu) EnablePeer(other Device) error {
	o := other.(*gpu)
	if able, err := d.dev.CanAccessPeer(o.dev); err != nil || able == 0 {
		return errors.Join(fmt.Errorf("%s cannot read the memory of %s", d.info.PCIBus, o.info.PCIBus), wrap("cuDeviceCanAccessPeer", err))
	}
	return d.do("cuCtxEnablePeerAccess", func() error {
		if err := o.ctx.EnablePeerAccess(0); err != nil && err != cu.PeerAccessAlreadyEnabled {
			return err
		}
		return nil
	})
}

func (d *gpu) Close() error { return wrap("cuDevicePrimaryCtxRelease", d.dev.ReleasePrimaryCtx()) }

type module struct {
	dev *gpu
	mod C.CUmodule
}

func (d *gpu) LoadModule(image []byte) (Module, error) {
	text := C.CBytes(append(image, 0))
	defer C.free(text)
	const size = 8192
	log := (*C.char)(C.calloc(1, size))
	defer C.free(unsafe.Pointer(log))
	m := &module{dev: d}
	if err := check("cuModuleLoadDataEx", C.shim_module(d.context(), &m.mod, text, log, size)); err != nil {
		if words := C.GoString(log); words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
		return nil, err
	}
	return m, nil
}

func (m *module) Function(name string) (f Function, err error) {
	mod := *(*cu.Module)(unsafe.Pointer(&m.mod))
	err = m.dev.do("cuModuleGetFunction "+name, func() error {
		fn, err := mod.Function(name)
		if err == nil {
			f.handle = *(*unsafe.Pointer)(unsafe.Pointer(&fn))
		}
		return err
	})
	return f, err
}

// sharedMemoryOptin is CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN,
// which the bindings have no name for.
const sharedMemoryOptin cu.DeviceAttribute = 97

func (d *gpu) AllowShared(f Function, bytes int) error {
	return check("cuFuncSetAttribute", C.shim_function_shared(d.context(), C.CUfunction(f.handle), C.int(bytes)))
}

func (m *module) Unload() error {
	mod := *(*cu.Module)(unsafe.Pointer(&m.mod))
	return m.dev.do("cuModuleUnload", mod.Unload)
}

type stream struct {
	dev *gpu
	s   cu.Stream
}

func (d *gpu) NewStream() (Stream, error) {
	s := &stream{dev: d}
	err := d.do("cuStreamCreate", func() (err error) { s.s, err = cu.MakeStream(cu.NonBlocking); return err })
	return s, err
}

func (s *stream) Handle() unsafe.Pointer { return unsafe.Pointer(s.s.C()) }

func (s *stream) Upload(dst Ptr, src unsafe.Pointer, n int64) error {
	return s.dev.do("cuMemcpyHtoDAsync", func() error { return cu.MemcpyHtoDAsync(cu.DevicePtr(dst), src, n, s.s) })
}

func (s *stream) Download(dst unsafe.Pointer, src Ptr, n int64) error {
	return s.dev.do("cuMemcpyDtoHAsync", func() error { return cu.MemcpyDtoHAsync(dst, cu.DevicePtr(src), n, s.s) })
}

func (s *stream) Copy(dst, src Ptr, n int64) error {
	return s.dev.do("cuMemcpyDtoDAsync", func() error { return cu.MemcpyDtoDAsync(cu.DevicePtr(dst), cu.DevicePtr(src), n, s.s) })
}

func (s *stream) Fill(dst Ptr, value byte, n int64) error {
	return s.dev.do("cuMemsetD8Async", func() error { return cu.MemsetD8Async(cu.DevicePtr(dst), value, n, s.s) })
}

func (s *stream) Launch(f Function, grid [3]int, threads, shared int, args unsafe.Pointer, size int) error {
	return check("cuLaunchKernel", C.shim_launch(s.dev.context(), C.CUfunction(f.handle), C.uint(grid[0]), C.uint(grid[1]), C.uint(grid[2]),
		C.uint(threads), C.uint(shared), C.CUstream(s.Handle()), args, C.size_t(size)))
}

func (s *stream) Record(e Event) error {
	return s.dev.do("cuEventRecord", func() error { return e.(*event).e.Record(s.s) })
}

func (s *stream) Wait(e Event) error {
	return s.dev.do("cuStreamWaitEvent", func() error { return s.s.Wait(e.(*event).e, 0) })
}

func (s *stream) Synchronize() error { return s.dev.do("cuStreamSynchronize", s.s.Synchronize) }
func (s *stream) Destroy() error     { return s.dev.do("cuStreamDestroy", s.s.Destroy) }

type event struct {
	dev *gpu
	e   cu.Event
}

func (d *gpu) NewEvent(timed bool) (Event, error) {
	e := &event{dev: d}
	flags := cu.BlockingSyncEvent // a thread that waits sleeps
	if !timed {
		flags |= cu.DisableTiming
	}
	err := d.do("cuEventCreate", func() (err error) { e.e, err = cu.MakeEvent(flags); return err })
	return e, err
}

func (e *event) Done() (bool, error) {
	pending := false
	err := e.dev.do("cuEventQuery", func() error {
		err := e.e.Query()
		if err == cu.NotReady {
			pending = true
			return nil
		}
		return err
	})
	return !pending, err
}

func (e *event) Synchronize() error { return e.dev.do("cuEventSynchronize", e.e.Synchronize) }

func (e *event) Since(start Event) (seconds float64, err error) {
	err = e.dev.do("cuEventElapsedTime", func() error {
		ms, err := start.(*event).e.Elapsed(e.e)
		seconds = ms / 1000
		return err
	})
	return seconds, err
}

func (e *event) Destroy() error {
	return e.dev.do("cuEventDestroy", func() error { return cu.DestroyEvent(&e.e) })
}
