package queuetest

// #include "stream.h"
// #include <stdlib.h>
import "C"

import (
	"runtime/cgo"
	"sync"
	"time"
	"unsafe"

	"dpolab/kernels"
)

// queue runs what it is given in order, in a goroutine of its own.
type queue struct {
	mu     sync.Mutex
	more   *sync.Cond
	work   []func()
	closed bool
	ended  chan struct{}
	delay  time.Duration // before everything that runs
	handle *C.stream
	self   cgo.Handle
}

func newQueue(delay time.Duration) *queue {
	q := &queue{delay: delay, ended: make(chan struct{})}
	q.more = sync.NewCond(&q.mu)
	q.self = cgo.NewHandle(q)
	q.handle = C.stream_new(C.uintptr_t(q.self))
	go q.run()
	return q
}

func (q *queue) run() {
	defer close(q.ended)
	for {
		q.mu.Lock()
		for len(q.work) == 0 && !q.closed {
			q.more.Wait()
		}
		if len(q.work) == 0 {
			q.mu.Unlock()
			return
		}
		fn := q.work[0]
		q.work = q.work[1:]
		q.mu.Unlock()
		time.Sleep(q.delay)
		fn()
	}
}

func (q *queue) add(fn func()) {
	q.mu.Lock()
	q.work = append(q.work, fn)
	q.mu.Unlock()
	q.more.Signal()
}

// close lets the queue finish what it has.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Signal()
	<-q.ended
	q.self.Delete()
	C.free(unsafe.Pointer(q.handle))
}

// event is done when its channel is closed.
type event chan struct{}

var _ kernels.Event = event(nil)

func (e event) Done() bool {
	select {
	case <-e:
		return true
	default:
		return false
	}
}

func (e event) Synchronize() { <-e }
func (event) Release()       {}

//export queuetestLaunch
func queuetestLaunch(s *C.stream, fn, arg unsafe.Pointer) {
	cgo.Handle(s.queue).Value().(*queue).add(func() { C.stream_call((*[0]byte)(fn), arg) })
}
