// Package queuetest is a device with queues, for tests of what is built on
// them: the CPU backend, with a second queue that is a goroutine. Work on that
// queue really runs beside the rest and later than it was handed over, so code
// that forgets to wait computes with the wrong bytes.
//
//	queuetest.Register(queuetest.Options{Delay: time.Millisecond})
//	list, err := device.ParseList("cuda:0,0") // two ranks on one such device
//
// It takes the place of CUDA in the test programs that register it. Operations
// on the compute queue are finished when they return, as the CPU's are; waiting
// there for an event of the other queue blocks.
package queuetest

import (
	"fmt"
	"time"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// Options are what a test may want of the device.
type Options struct {
	// Delay is slept before each piece of work on the second queue.
	Delay time.Duration
	// Devices is how many there are; 0 means 8.
	Devices int
	// Observe, if given, is told of each "upload" and "download" of page-locked
	// memory as it is handed over.
	Observe func(what string)
}

// Register makes device.CUDA open such devices.
func Register(o Options) {
	n := o.Devices
	if n == 0 {
		n = 8
	}
	kernels.Register(device.CUDA, func(d device.Device, threads int) (kernels.Backend, error) {
		if d.Index < 0 || d.Index >= n {
			return nil, fmt.Errorf("queuetest: no device %d, have %d", d.Index, n)
		}
		b, err := New(d, max(threads, 1), o.Delay)
		if err == nil && o.Observe != nil {
			b.observe = o.Observe
		}
		return b, err
	})
	kernels.RegisterList(device.CUDA, func() (list []device.Device, err error) {
		for i := range n {
			list = append(list, device.Device{Type: device.CUDA, Index: i})
		}
		return list, nil
	})
}

// Backend is one rank's device.
type Backend struct {
	*cpu.Backend
	dev  device.Device
	side *cpu.Backend // computes for the second queue
	// queues holds nothing for Compute but its handle's worth: a queue that
	// libraries may use as well.
	queues  [kernels.NumQueues]*queue
	pinned  map[unsafe.Pointer]bool
	observe func(what string)
}

var (
	_ kernels.Backend = (*Backend)(nil)
	_ kernels.Peers   = (*Backend)(nil)
	_ kernels.Pinned  = (*Backend)(nil)
)

// New returns an instance on d.
func New(d device.Device, threads int, delay time.Duration) (*Backend, error) {
	main, err := cpu.New(d, threads)
	if err != nil {
		return nil, err
	}
	side, err := cpu.New(d, 1)
	if err != nil {
		return nil, err
	}
	b := &Backend{Backend: main, dev: d, side: side, pinned: map[unsafe.Pointer]bool{}, observe: func(string) {}}
	b.queues[kernels.Compute] = newQueue(0)
	b.queues[kernels.Transfer] = newQueue(delay)
	return b, nil
}

func (b *Backend) Describe() string { return "queues of the CPU, for tests" }

// Record on Compute is behind what libraries have put there, too.
func (b *Backend) Record(q kernels.Queue) kernels.Event {
	e := make(event)
	b.queues[q].add(func() { close(e) })
	if q == kernels.Compute {
		<-e
	}
	return e
}

func (b *Backend) Wait(q kernels.Queue, e kernels.Event) {
	if q == kernels.Compute {
		<-e.(event)
		return
	}
	b.queues[q].add(func() { <-e.(event) })
}

func (b *Backend) Handle(q kernels.Queue) unsafe.Pointer { return unsafe.Pointer(b.queues[q].handle) }

// Synchronize waits for both queues.
func (b *Backend) Synchronize() {
	for q := range b.queues {
		e := make(event)
		b.queues[q].add(func() { close(e) })
		<-e
	}
}

func (b *Backend) CopyPeer(dst, src kernels.Array) {
	if dst.DType != src.DType || dst.Len != src.Len {
		panic(&kernels.Error{Op: "copy_peer", Err: fmt.Errorf("%d × %s to %d × %s", src.Len, src.DType, dst.Len, dst.DType)})
	}
	b.queues[kernels.Transfer].add(func() { b.side.Copy(dst, src) })
}

func (b *Backend) SumPeers(dst kernels.Array, srcs []kernels.Array) {
	srcs = append([]kernels.Array(nil), srcs...)
	b.queues[kernels.Transfer].add(func() {
		p, err := b.side.Alloc(4 * dst.Len)
		if err != nil {
			panic(err)
		}
		defer b.side.Free(p)
		acc := kernels.Array{Data: p, DType: dtype.Float32, Len: dst.Len}
		b.side.Copy(acc, srcs[0])
		for _, s := range srcs[1:] {
			b.side.AddScaled(acc, 1, s)
		}
		b.side.Copy(dst, acc)
	})
}

func (b *Backend) AllocPinned(n int) (unsafe.Pointer, error) {
	p, err := b.side.Alloc(n)
	if err == nil {
		b.pinned[p] = true
	}
	return p, err
}

func (b *Backend) FreePinned(p unsafe.Pointer) {
	if !b.pinned[p] {
		panic(&kernels.Error{Op: "free_pinned", Err: fmt.Errorf("%p was not allocated here", p)})
	}
	delete(b.pinned, p)
	b.side.Free(p)
}

// Pinned is how many blocks of AllocPinned are not given back.
func (b *Backend) Pinned() int { return len(b.pinned) }

func (b *Backend) UploadPinned(dst unsafe.Pointer, src []byte) {
	b.observe("upload")
	b.queues[kernels.Transfer].add(func() { copy(unsafe.Slice((*byte)(dst), len(src)), src) })
}

func (b *Backend) DownloadPinned(dst []byte, src unsafe.Pointer) {
	b.observe("download")
	b.queues[kernels.Transfer].add(func() { copy(dst, unsafe.Slice((*byte)(src), len(dst))) })
}

// Close finishes the queues' work and frees everything.
func (b *Backend) Close() error {
	for _, q := range b.queues {
		q.close()
	}
	if err := b.side.Close(); err != nil {
		return err
	}
	return b.Backend.Close()
}
