package cuda

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
)

// eventPool keeps events that were given back: making one is a call to the
// driver, and a training step needs dozens.
type eventPool struct {
	mu     sync.Mutex
	gpu    driver.Device
	free   []driver.Event
	closed bool
}

func (p *eventPool) take() (driver.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		e := p.free[n-1]
		p.free = p.free[:n-1]
		return e, nil
	}
	return p.gpu.NewEvent(false)
}

func (p *eventPool) put(e driver.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = e.Destroy() // released after its instance was closed
		return
	}
	p.free = append(p.free, e)
}

func (p *eventPool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, e := range p.free {
		errs = append(errs, e.Destroy())
	}
	p.free = nil
	return errors.Join(errs...)
}

// point is a kernels.Event. It keeps its answer once the work is done, so that
// it may be asked after it was given back.
type point struct {
	mu    sync.Mutex
	pool  *eventPool
	event driver.Event // nil once released
	done  bool
}

// Done asks the driver. A device that has failed does no more work, so what
// was queued on it counts as done; the failure is raised where it is waited for.
func (p *point) Done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event != nil && !p.done {
		done, err := p.event.Done()
		p.done = done || err != nil
	}
	return p.done || p.event == nil
}

// Synchronize waits without the lock, so that others may go on asking.
func (p *point) Synchronize() {
	p.mu.Lock()
	e := p.event
	if p.done {
		e = nil
	}
	p.mu.Unlock()
	if e == nil {
		return
	}
	if err := e.Synchronize(); err != nil {
		panic(&kernels.Error{Op: "synchronize", Err: err})
	}
}

func (p *point) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event != nil {
		p.pool.put(p.event)
		p.event = nil
	}
}

func (b *Backend) queue(q kernels.Queue) driver.Stream {
	if q == kernels.Transfer {
		return b.transfer
	}
	return b.stream
}

// Record returns the point behind what q was given so far.
func (b *Backend) Record(q kernels.Queue) kernels.Event {
	e, err := b.events.take()
	b.check("record", err)
	b.check("record", b.queue(q).Record(e))
	return &point{pool: &b.events, event: e}
}

// Wait orders what q is given from now on behind e.
func (b *Backend) Wait(q kernels.Queue, e kernels.Event) {
	p, ok := e.(*point)
	if !ok {
		panic(&kernels.Error{Op: "wait", Err: fmt.Errorf("%s: an event of another kind of device, %T", b.dev, e)})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.event == nil {
		panic(&kernels.Error{Op: "wait", Err: fmt.Errorf("%s: an event that was released", b.dev)})
	}
	b.check("wait", b.queue(q).Wait(p.event))
}

// Handle is the queue's CUstream.
func (b *Backend) Handle(q kernels.Queue) unsafe.Pointer { return b.queue(q).Handle() }

// AllocPinned returns page-locked host memory.
func (b *Backend) AllocPinned(n int) (unsafe.Pointer, error) {
	p, err := b.gpu.AllocHost(int64(max(n, 1)))
	if err != nil {
		return nil, fmt.Errorf("cuda: %s: %d bytes of page-locked memory: %w", b.dev, n, err)
	}
	b.pinned[p] = true
	return p, nil
}

// FreePinned gives it back.
func (b *Backend) FreePinned(p unsafe.Pointer) {
	if !b.pinned[p] {
		panic(&kernels.Error{Op: "free_pinned", Err: fmt.Errorf("%s: %p was not allocated here", b.dev, p)})
	}
	delete(b.pinned, p)
	b.check("free_pinned", b.gpu.FreeHost(p))
}

// closePinned frees what was not given back. The queues are idle.
func (b *Backend) closePinned() error {
	var errs []error
	for p := range b.pinned {
		errs = append(errs, b.gpu.FreeHost(p))
	}
	b.pinned = nil
	return errors.Join(errs...)
}

// UploadPinned queues a copy on Transfer.
func (b *Backend) UploadPinned(dst unsafe.Pointer, src []byte) {
	if len(src) > 0 {
		b.check("upload_pinned", b.transfer.Upload(driver.Ptr(uintptr(dst)), unsafe.Pointer(unsafe.SliceData(src)), int64(len(src))))
	}
}

// DownloadPinned queues a copy on Transfer.
func (b *Backend) DownloadPinned(dst []byte, src unsafe.Pointer) {
	if len(dst) > 0 {
		b.check("download_pinned", b.transfer.Download(unsafe.Pointer(unsafe.SliceData(dst)), driver.Ptr(uintptr(src)), int64(len(dst))))
	}
}

// CopyPeer queues a copy from another instance's memory on Transfer. All
// instances of a device share its context.
func (b *Backend) CopyPeer(dst, src kernels.Array) {
	if dst.DType != src.DType || dst.Len != src.Len {
		panic(&kernels.Error{Op: "copy_peer", Err: fmt.Errorf("%d × %s to %d × %s", src.Len, src.DType, dst.Len, dst.DType)})
	}
	if dst.Len > 0 && dst.Data != src.Data {
		b.check("copy_peer", b.transfer.Copy(driver.Ptr(uintptr(dst.Data)), driver.Ptr(uintptr(src.Data)), int64(dst.Bytes())))
	}
}

// SumPeers queues the sum of several instances' arrays on Transfer.
func (b *Backend) SumPeers(dst kernels.Array, srcs []kernels.Array) { b.beside.sumPeers(dst, srcs) }

// transferring launches kernels on Transfer. They may use no memory of the
// allocator's, which is ordered on Compute.
type transferring struct{ *Backend }

func (t *transferring) launch(kernel string, grid [3]int, threads, shared int, args unsafe.Pointer, size uintptr) {
	t.start(t.transfer, kernel, t.function(kernel), grid, threads, shared, args, size)
}

func (t *transferring) Alloc(n int) (unsafe.Pointer, error) {
	return nil, errors.New("no temporary memory on the second queue")
}
