package cpu

// #include "cpu.h"
// #include <stdlib.h>
import "C"

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// vectorUnit is a multiple of every tier's vector length, in elements.
const vectorUnit = 64

// parallel runs fn over [0, n) in ranges of at least grain, on up to the
// backend's number of threads. Which range a result falls into must not change
// it.
func (b *Backend) parallel(n, grain int, fn func(lo, hi int)) {
	if n <= 0 {
		return
	}
	workers := max(1, min(b.threads, (n+grain-1)/grain))
	chunk := (n + workers - 1) / workers
	if grain%vectorUnit == 0 { // elementwise: cuts must not move elements into or out of a vector's tail
		chunk = (chunk + vectorUnit - 1) / vectorUnit * vectorUnit
	}
	b.run(workers, func(w int, _ *turn) {
		if lo, hi := w*chunk, min((w+1)*chunk, n); lo < hi {
			fn(lo, hi)
		}
	})
}

// ranges runs fn over [0, n) in up to threads equal ranges.
func (b *Backend) ranges(n, threads int, fn func(lo, hi int)) {
	workers := min(threads, n)
	b.run(workers, func(w int, _ *turn) { fn(n*w/workers, n*(w+1)/workers) })
}

// tasks runs fn for every index below n, each on whichever thread is free.
func (b *Backend) tasks(n int, fn func(i int)) { b.each(b.threads, n, fn) }

// each is tasks on up to so many threads.
func (b *Backend) each(threads, n int, fn func(i int)) {
	var l line
	b.run(min(threads, n), func(_ int, t *turn) {
		for i := l.next(t, n); i >= 0; i = l.next(t, n) {
			fn(i)
		}
	})
}

// line hands out indices, each to one of those who ask.
type line struct{ taken atomic.Int64 }

// next is the next index below n, or -1.
func (l *line) next(t *turn, n int) int {
	t.end()
	if i := l.taken.Add(1) - 1; i < int64(n) {
		return int(i)
	}
	return -1
}

// scratchPool keeps the memory that matrix products pack into: a few megabytes
// per thread, shared by all backends of the process.
var scratchPool struct {
	mu   sync.Mutex
	free []unsafe.Pointer
}

// withScratch runs fn with product scratch memory.
func withScratch(fn func(scratch *C.float)) {
	scratchPool.mu.Lock()
	var p unsafe.Pointer
	if n := len(scratchPool.free); n > 0 {
		p = scratchPool.free[n-1]
		scratchPool.free = scratchPool.free[:n-1]
	}
	scratchPool.mu.Unlock()
	if p == nil {
		p = C.cpu_alloc(C.GEMM_SCRATCH * 4)
	}
	defer func() {
		scratchPool.mu.Lock()
		scratchPool.free = append(scratchPool.free, p)
		scratchPool.mu.Unlock()
	}()
	fn((*C.float)(p))
}
