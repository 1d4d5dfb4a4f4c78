package nccl

// #include "nccl.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// ErrAborted is what every call on a communicator returns after Abort.
var ErrAborted = errors.New("nccl: the communicator was aborted")

// Comm is one rank's end of a communicator. Run is for one goroutine at a
// time; Err, Abort and Close may be called by others.
type Comm struct {
	lib        *Library
	rank, size int
	mu         sync.Mutex // held for calls that return at once, never for a wait
	comm       C.nccl_comm
	gone       bool
}

// Join makes this rank's end of a new communicator and waits until all ranks
// have joined, or until stop is closed.
func (l *Library) Join(id ID, size, rank int, stop <-chan struct{}) (*Comm, error) {
	c := &Comm{lib: l, rank: rank, size: size}
	code := C.nccl_init(l.lib, &c.comm, C.int(size), (*C.nccl_id)(unsafe.Pointer(&id)), C.int(rank))
	if code != C.nccl_success && code != C.nccl_in_progress {
		return nil, l.failed("ncclCommInitRankConfig", code, nil)
	}
	if err := c.settle("ncclCommInitRankConfig", stop); err != nil {
		c.Abort()
		return nil, err
	}
	return c, nil
}

// Rank and Size are this rank's place and the number of ranks.
func (c *Comm) Rank() int { return c.rank }
func (c *Comm) Size() int { return c.size }

// settle polls until what has been called is under way on the stream.
func (c *Comm) settle(call string, stop <-chan struct{}) error {
	for wait := time.Microsecond; ; wait = min(2*wait, time.Millisecond) {
		busy, err := c.state(call)
		if err != nil || !busy {
			return err
		}
		select {
		case <-stop:
			return fmt.Errorf("%s: %w", call, ErrAborted)
		default:
		}
		if wait < 20*time.Microsecond {
			runtime.Gosched()
		} else {
			time.Sleep(wait)
		}
	}
}

func (c *Comm) state(call string) (busy bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false, ErrAborted
	}
	var state C.int
	if code := C.nccl_state(c.lib.lib, c.comm, &state); code != C.nccl_success && code != C.nccl_in_progress {
		return false, c.lib.failed("ncclCommGetAsyncError", code, c.comm)
	}
	switch state {
	case C.nccl_success:
		return false, nil
	case C.nccl_in_progress:
		return true, nil
	}
	return false, c.lib.failed(call, state, c.comm)
}

// Err returns what has gone wrong since, such as a peer that left.
func (c *Comm) Err() error {
	_, err := c.state("collective")
	return err
}

// Kind is a collective.
type Kind int

const (
	AllGather     Kind = C.nccl_all_gather
	ReduceScatter Kind = C.nccl_reduce_scatter
	AllReduce     Kind = C.nccl_all_reduce
	Broadcast     Kind = C.nccl_broadcast
	Reduce        Kind = C.nccl_reduce
)

// Op is one collective. Reductions are sums.
//
//   - AllGather: Recv is Size times as long as Send.
//   - ReduceScatter: Send is Size times as long as Recv.
//   - AllReduce, Broadcast, Reduce: both have one length; they may be the same
//     memory. Recv is written on Root only by Reduce, Send read on Root only
//     by Broadcast.
type Op struct {
	Kind       Kind
	Send, Recv kernels.Array
	Root       int
}

// Run hands collectives to a stream (a CUstream), as one group. It returns when
// they are queued, which may need the other ranks.
func (c *Comm) Run(ops []Op, stream unsafe.Pointer) error {
	if len(ops) == 0 {
		return nil
	}
	list := make([]C.nccl_op, len(ops))
	for i, op := range ops {
		var err error
		if list[i], err = op.lay(c.size); err != nil {
			return err
		}
	}
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return ErrAborted
	}
	code := C.nccl_run(c.lib.lib, c.comm, &list[0], C.int(len(list)), stream)
	c.mu.Unlock()
	if code != C.nccl_success && code != C.nccl_in_progress {
		return c.lib.failed("ncclGroupEnd", code, c.comm)
	}
	return c.settle("ncclGroupEnd", nil)
}

// lay checks an operation and lays it out for C.
func (op Op) lay(size int) (C.nccl_op, error) {
	send, recv := op.Send, op.Recv
	count, fits := send.Len, recv.Len == send.Len
	switch op.Kind {
	case AllGather:
		fits = recv.Len == size*send.Len
	case ReduceScatter:
		count, fits = recv.Len, send.Len == size*recv.Len
	}
	t, known := types[send.DType]
	if !fits || !known || send.DType != recv.DType {
		return C.nccl_op{}, fmt.Errorf("nccl: collective of %d × %s into %d × %s on %d ranks", send.Len, send.DType, recv.Len, recv.DType, size)
	}
	return C.nccl_op{send: send.Data, recv: recv.Data, count: C.size_t(count), kind: C.int(op.Kind), _type: t, root: C.int(op.Root)}, nil
}

var types = map[dtype.DType]C.int{
	dtype.Int32: 2, dtype.Int64: 4, dtype.Float16: 6, dtype.Float32: 7, dtype.Float64: 8, dtype.BFloat16: 9,
}

// Abort ends what is under way on the stream, on this rank: every rank must do
// it, as the others' ends wait for this one. The communicator cannot be used
// any more.
func (c *Comm) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.gone = true
		C.nccl_abort(c.lib.lib, c.comm)
	}
}

// Close frees a communicator whose work is done.
func (c *Comm) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	c.gone = true
	if code := C.nccl_destroy(c.lib.lib, c.comm); code != C.nccl_success && code != C.nccl_in_progress {
		return c.lib.failed("ncclCommDestroy", code, nil)
	}
	return nil
}
