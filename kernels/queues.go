package kernels

import "unsafe"

// Queue is one of a device's ordered sequences of work. What is handed to one
// queue runs in that order; two queues run side by side unless a wait orders
// them.
type Queue uint8

const (
	// Compute is where every operation of the other interfaces runs, and in
	// whose order memory is allocated and freed.
	Compute Queue = iota
	// Transfer runs beside it: collectives, and copies to and from the host.
	Transfer
	NumQueues
)

// Event is a point in a queue's work.
type Event interface {
	// Done reports whether the work before the event has finished. Any
	// goroutine may ask, at any time, and is answered at once.
	Done() bool
	// Synchronize waits on the host until it has.
	Synchronize()
	// Release gives the event back. Waits for it that were handed to a queue
	// before stay in force.
	Release()
}

// Queues is a backend whose operations return before they are done, and that
// can run other work beside them.
//
// Memory handed to Transfer belongs to it until Compute waits for an event
// recorded behind that work: whoever frees or writes it earlier races with it.
// In the other direction, Transfer must wait for an event on Compute behind
// which the memory was allocated and filled.
//
// Composition: a backend without it finishes every operation before it
// returns, so all work is in order by itself.
type Queues interface {
	// Record returns the point behind everything handed to q so far.
	Record(q Queue) Event
	// Wait makes whatever is handed to q from now on begin after e, and returns
	// at once. e may come from another instance on any device of this type in
	// this process.
	Wait(q Queue, e Event)
	// Handle is the queue as the device's own libraries know it: for CUDA a
	// CUstream.
	Handle(q Queue) unsafe.Pointer
}

// Peers is a backend that reads the memory of other instances on the same
// device: several ranks on one GPU, whose contexts are one. The work is handed
// to Transfer; ordering it behind what the other instances do is the caller's
// part, by events.
//
// Composition: Copy and AddScaled, as the instances of the CPU do it, for which
// all memory is one.
type Peers interface {
	Queues
	// CopyPeer copies src, of another instance, to dst. Types and lengths are
	// equal.
	CopyPeer(dst, src Array)
	// SumPeers stores in dst the sum of srcs, taken in float32 in the order
	// given and rounded once, to nearest even. All have dst's length; the srcs
	// have one type, which need not be dst's. dst may be one of srcs, or
	// overlap with none.
	SumPeers(dst Array, srcs []Array)
}

// Pinned is a backend with host memory that copies beside the computation can
// use: page-locked, for CUDA. What is not given back goes when the instance is
// closed.
//
// Composition: ordinary memory, Upload and Download.
type Pinned interface {
	Queues
	// AllocPinned returns n bytes of host memory, aligned to 64.
	AllocPinned(n int) (unsafe.Pointer, error)
	FreePinned(p unsafe.Pointer)
	// UploadPinned and DownloadPinned hand a copy from or to such memory to
	// Transfer and return at once: the host must not touch it before an event
	// recorded behind the copy is done.
	UploadPinned(dst unsafe.Pointer, src []byte)
	DownloadPinned(dst []byte, src unsafe.Pointer)
}
