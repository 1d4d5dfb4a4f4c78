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
	workers := min(b.threads, (n+grain-1)/grain)
	if workers <= 1 {
		fn(0, n)
		return
	}
	chunk := (n + workers - 1) / workers
	if grain%vectorUnit == 0 { // elementwise: cuts must not move elements into or out of a vector's tail
		chunk = (chunk + vectorUnit - 1) / vectorUnit * vectorUnit
	}
	run(workers, func(w int) {
		if lo, hi := w*chunk, min((w+1)*chunk, n); lo < hi {
			fn(lo, hi)
		}
	})
}

// tasks runs fn for every index below n, each on whichever thread is free.
func (b *Backend) tasks(n int, fn func(i int)) {
	workers := min(b.threads, n)
	if workers <= 1 {
		for i := range n {
			fn(i)
		}
		return
	}
	b.share(n, workers, func(next func() int) {
		for i := next(); i >= 0; i = next() {
			fn(i)
		}
	})
}

// share runs fn on up to threads threads, each of which asks next for indices
// below n until it returns -1.
func (b *Backend) share(n, threads int, fn func(next func() int)) {
	var taken atomic.Int64
	next := func() int {
		if i := taken.Add(1) - 1; i < int64(n) {
			return int(i)
		}
		return -1
	}
	workers := min(threads, n)
	if workers <= 1 {
		fn(next)
		return
	}
	run(workers, func(int) { fn(next) })
}

// ranges runs fn over [0, n) in up to threads equal ranges.
func (b *Backend) ranges(n, threads int, fn func(lo, hi int)) {
	workers := min(threads, n)
	if workers <= 1 {
		fn(0, n)
		return
	}
	run(workers, func(w int) { fn(n*w/workers, n*(w+1)/workers) })
}

// run calls fn(0) … fn(workers-1) at once and waits. A panic in any is raised
// here.
func run(workers int, fn func(w int)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failure any
	guarded := func(w int) {
		defer func() {
			if p := recover(); p != nil {
				mu.Lock()
				failure = p
				mu.Unlock()
			}
		}()
		fn(w)
	}
	wg.Add(workers - 1)
	for w := 1; w < workers; w++ {
		go func() {
			defer wg.Done()
			guarded(w)
		}()
	}
	guarded(0)
	wg.Wait()
	if failure != nil {
		panic(failure)
	}
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
		p = C.aligned_alloc(64, C.GEMM_SCRATCH*4)
	}
	defer func() {
		scratchPool.mu.Lock()
		scratchPool.free = append(scratchPool.free, p)
		scratchPool.mu.Unlock()
	}()
	fn((*C.float)(p))
}
