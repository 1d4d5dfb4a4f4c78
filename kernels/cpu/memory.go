package cpu

// #include "cpu.h"
// #include <stdlib.h>
// #include <string.h>
import "C"

import (
	"fmt"
	"math/bits"
	"os"
	"sync"
	"unsafe"

	"dpolab/kernels"
)

// allocator hands out memory outside Go's heap and keeps what is freed for the
// next request of its size class, so that a warm training step asks nothing of
// the system. Size classes are eight to a power of two: at most an eighth of a
// block is rounding. A request whose class has no free block takes one of up to
// twice the size, so that batches of ever other lengths find memory too.
type allocator struct {
	mu     sync.Mutex
	free   map[int][]unsafe.Pointer // by class
	live   map[unsafe.Pointer]block
	stats  kernels.MemoryStats
	limit  int64
	poison bool
}

// block is a live allocation: the bytes asked for and the class that holds it.
type block struct{ size, class int }

func newAllocator() *allocator {
	return &allocator{free: map[int][]unsafe.Pointer{}, live: map[unsafe.Pointer]block{},
		poison: os.Getenv("DPOLAB_POISON") != ""}
}

// SetLimit makes Alloc fail beyond that many live bytes; 0 lifts the limit.
func (a *allocator) SetLimit(bytes int64) { a.limit = bytes }

// classOf rounds a size up to its class.
func classOf(n int) int {
	if n <= 64 {
		return 64
	}
	step := 1 << max(bits.Len(uint(n-1))-4, 6)
	return (n + step - 1) / step * step
}

func (a *allocator) Alloc(n int) (unsafe.Pointer, error) {
	if n < 0 {
		return nil, fmt.Errorf("cpu: alloc of %d bytes", n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit > 0 && a.stats.LiveBytes+int64(n) > a.limit {
		return nil, fmt.Errorf("cpu: %d bytes asked, %d live, limit %d", n, a.stats.LiveBytes, a.limit)
	}
	class := classOf(n)
	p, found := a.cached(class)
	if p != nil {
		class = found
	} else {
		if p = C.cpu_alloc(C.size_t(class)); p == nil {
			a.trim()
			if p = C.cpu_alloc(C.size_t(class)); p == nil {
				return nil, fmt.Errorf("cpu: the system has no %d bytes; %d are live", n, a.stats.LiveBytes)
			}
		}
		a.stats.ReservedBytes += int64(class)
		a.stats.SystemAllocs++
	}
	if a.poison {
		C.memset(p, 0xff, C.size_t(class))
	}
	a.live[p] = block{n, class}
	a.stats.Allocs++
	a.stats.LiveBytes += int64(n)
	a.stats.PeakBytes = max(a.stats.PeakBytes, a.stats.LiveBytes)
	return p, nil
}

// cached takes a free block of the class, or else the smallest of up to twice
// its size; nil if there is none. The lock is held.
func (a *allocator) cached(class int) (p unsafe.Pointer, found int) {
	for c := class; c <= 2*class; c = classOf(c + 1) {
		if list := a.free[c]; len(list) > 0 {
			a.free[c] = list[:len(list)-1]
			return list[len(list)-1], c
		}
	}
	return nil, 0
}

func (a *allocator) Free(p unsafe.Pointer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.live[p]
	if !ok {
		panic(&kernels.Error{Op: "free", Err: fmt.Errorf("%p was not allocated here", p)})
	}
	if a.poison {
		C.memset(p, 0xff, C.size_t(b.class))
	}
	delete(a.live, p)
	a.stats.LiveBytes -= int64(b.size)
	a.free[b.class] = append(a.free[b.class], p)
}

// trim gives every cached block back; the lock is held.
func (a *allocator) trim() {
	for class, list := range a.free {
		for _, p := range list {
			C.free(p)
			a.stats.ReservedBytes -= int64(class)
		}
	}
	a.free = map[int][]unsafe.Pointer{}
}

func (a *allocator) EmptyCache() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trim()
}

// close frees everything, live blocks included.
func (a *allocator) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trim()
	for p := range a.live {
		C.free(p)
	}
	a.live = map[unsafe.Pointer]block{}
	a.stats = kernels.MemoryStats{}
}

func (a *allocator) MemoryStats() kernels.MemoryStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

func (a *allocator) ResetPeak() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stats.PeakBytes = a.stats.LiveBytes
}

func (a *allocator) Upload(dst unsafe.Pointer, src []byte) {
	copy(unsafe.Slice((*byte)(dst), len(src)), src)
}

func (a *allocator) Download(dst []byte, src unsafe.Pointer) {
	copy(dst, unsafe.Slice((*byte)(src), len(dst)))
}

// must is Alloc for a kernel's own scratch memory.
func (a *allocator) must(op string, n int) unsafe.Pointer {
	p, err := a.Alloc(n)
	if err != nil {
		panic(&kernels.Error{Op: op, Err: err})
	}
	return p
}
