package cpu

// #include "cpu.h"
// #include <stdlib.h>
// #include <string.h>
import "C"

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/internal/blocks"
)

// allocator hands out memory outside Go's heap and keeps what is freed, so that
// a warm training step asks nothing of the system: clearing fresh pages took a
// sixth of the time of steps whose batches have ever other lengths. Memory is
// taken in segments, which cost nothing before they are written to. They are
// cut into blocks, and freed blocks are joined again, so that all batches share
// the memory of the longest.
type allocator struct {
	mu     sync.Mutex
	pools  [2]*blocks.Pool[use] // small and large
	live   map[uintptr]*block
	stats  kernels.MemoryStats
	limit  int64
	poison bool
}

const (
	quantum      = 64       // every block's alignment and size unit
	smallBlock   = 64 << 10 // blocks up to this come from small segments
	smallSegment = 1 << 20
	largeSegment = 64 << 20 // taken for larger blocks up to half of it
	segmentUnit  = 2 << 20  // of segments for blocks beyond that: a large page
)

// use is what is known of a block that is in use: the bytes asked for.
type use struct {
	asked int
	large bool
}

type block = blocks.Block[use]

func newAllocator() *allocator {
	return &allocator{pools: [2]*blocks.Pool[use]{blocks.NewPool[use](quantum), blocks.NewPool[use](smallBlock)}, live: map[uintptr]*block{},
		poison: os.Getenv("DPOLAB_POISON") != ""}
}

// SetLimit makes Alloc fail beyond that many live bytes; 0 lifts the limit.
func (a *allocator) SetLimit(bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = bytes
}

// pool is where large or small blocks are cut.
func (a *allocator) pool(large bool) *blocks.Pool[use] {
	if large {
		return a.pools[1]
	}
	return a.pools[0]
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
	want := blocks.Round(n, quantum)
	large := want > smallBlock
	b := a.pool(large).Take(want)
	if b == nil {
		if b = a.grow(want, large); b == nil {
			return nil, fmt.Errorf("cpu: the system has no %d bytes; %d are live", n, a.stats.LiveBytes)
		}
	}
	b.Note = use{n, large}
	if a.poison {
		C.memset(pointer(b.At), 0xff, C.size_t(b.Size))
	}
	a.live[b.At] = b
	a.stats.Allocs++
	a.stats.LiveBytes += int64(n)
	a.stats.PeakBytes = max(a.stats.PeakBytes, a.stats.LiveBytes)
	return pointer(b.At), nil
}

// pointer is an address outside Go's heap as a pointer.
func pointer(at uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&at)) }

// grow takes a segment from the system and returns its first want bytes; nil if
// the system has none. The lock is held.
func (a *allocator) grow(want int, large bool) *block {
	segment := smallSegment
	if large {
		segment = largeSegment
		if want > largeSegment/2 { // with room for it to grow with the next batch
			segment = roundUp(2*want, segmentUnit)
		}
	}
	p := C.cpu_alloc(C.size_t(segment))
	if p == nil {
		a.trim()
		segment = want
		p = C.cpu_alloc(C.size_t(segment))
	}
	if p == nil {
		return nil
	}
	a.stats.ReservedBytes += int64(segment)
	a.stats.SystemAllocs++
	return a.pool(large).Add(uintptr(p), segment, want)
}

func (a *allocator) Free(p unsafe.Pointer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.live[uintptr(p)]
	if b == nil {
		panic(&kernels.Error{Op: "free", Err: fmt.Errorf("%p was not allocated here", p)})
	}
	if a.poison {
		C.memset(p, 0xff, C.size_t(b.Size))
	}
	a.release(b)
}

// release frees a live block; the lock is held.
func (a *allocator) release(b *block) {
	delete(a.live, b.At)
	a.stats.LiveBytes -= int64(b.Note.asked)
	a.pool(b.Note.large).PutBack(b)
}

// trim gives segments that are wholly free back; the lock is held.
func (a *allocator) trim() {
	for _, p := range a.pools {
		p.Trim(func(at uintptr, size int) {
			C.free(pointer(at))
			a.stats.ReservedBytes -= int64(size)
		})
	}
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
	for _, b := range a.live {
		a.release(b)
	}
	a.trim()
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
