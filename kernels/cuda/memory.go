package cuda

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"sync"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/device"
)

// allocator hands out device memory and keeps what is freed. Because
// everything an instance does is ordered in one stream, memory may be handed
// out again as soon as it is freed: whatever still reads it comes first. So
// neither Alloc nor Free waits for the device, and a warm training step makes
// no call to the driver.
//
// Memory is taken from the driver in segments, which are cut into blocks; a
// freed block is joined with free neighbours. Sizes are rounded to eight
// buckets for each power of two, so that batches whose numbers of tokens
// differ a little use the same blocks.
type allocator struct {
	mu     sync.Mutex
	dev    device.Device
	gpu    driver.Device
	stream driver.Stream
	live   map[driver.Ptr]*block
	free   [2][]*block // small and large, by size, then address
	stats  kernels.MemoryStats
	limit  int64
	poison bool
	shared *usage // the device's figures, over all instances
}

const (
	quantum      = 512       // every block's alignment and size unit
	smallBlock   = 1 << 20   // blocks up to this come from small segments
	smallSegment = 2 << 20   // taken whole for small blocks
	largeSegment = 20 << 20  // taken for larger blocks up to half of it
	segmentUnit  = 2 << 20   // of segments for blocks beyond that
	namedBlock   = 256 << 10 // blocks from this on remember who made them
)

// block is a run of bytes in a segment, in use or free.
type block struct {
	at         driver.Ptr
	size       int64
	asked      int64
	large      bool
	inUse      bool
	prev, next *block // neighbours in the segment
	site       site   // who asked, for large blocks
}

func newAllocator(dev device.Device, gpu driver.Device, stream driver.Stream) *allocator {
	return &allocator{dev: dev, gpu: gpu, stream: stream, live: map[driver.Ptr]*block{},
		poison: os.Getenv("DPOLAB_POISON") != "", shared: usageOf(dev.Index)}
}

// SetLimit makes Alloc fail beyond that many live bytes; 0 lifts the limit.
func (a *allocator) SetLimit(bytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = bytes
}

// bucket rounds a size up to what is really set aside for it.
func bucket(n int64) int64 {
	if n <= 8*quantum {
		return max((n+quantum-1)/quantum, 1) * quantum
	}
	step := int64(1) << (bits.Len64(uint64(n-1)) - 4)
	return (n + step - 1) / step * step
}

// pool is 1 for blocks of large segments.
func pool(large bool) int {
	if large {
		return 1
	}
	return 0
}

func (a *allocator) Alloc(n int) (unsafe.Pointer, error) {
	if n < 0 {
		return nil, fmt.Errorf("cuda: alloc of %d bytes", n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit > 0 && a.stats.LiveBytes+int64(n) > a.limit {
		return nil, a.exhausted(int64(n), fmt.Sprintf("the limit is %s", size(a.limit)))
	}
	want := bucket(int64(n))
	large := want > smallBlock
	b := a.take(want, large)
	if b == nil {
		var err error
		if b, err = a.grow(int64(n), want, large); err != nil {
			return nil, err
		}
	}
	a.split(b, want)
	b.inUse, b.asked, b.site = true, int64(n), site{}
	if b.size >= namedBlock {
		b.site = caller()
	}
	if a.poison {
		if err := a.stream.Fill(b.at, 0xff, b.size); err != nil {
			return nil, err
		}
	}
	a.live[b.at] = b
	a.stats.Allocs++
	a.stats.LiveBytes += b.asked
	a.stats.PeakBytes = max(a.stats.PeakBytes, a.stats.LiveBytes)
	a.shared.use(b.asked)
	return pointer(b.at), nil
}

// order sorts free blocks by size, then address.
func order(x, y *block) int {
	switch {
	case x.size != y.size:
		return int(min(max(x.size-y.size, -1), 1))
	case x.at < y.at:
		return -1
	case x.at > y.at:
		return 1
	}
	return 0
}

// take removes the smallest free block that is large enough.
func (a *allocator) take(want int64, large bool) *block {
	list := a.free[pool(large)]
	i, _ := slices.BinarySearchFunc(list, &block{size: want}, order)
	if i == len(list) {
		return nil
	}
	b := list[i]
	a.free[pool(large)] = slices.Delete(list, i, i+1)
	return b
}

// file puts a block among the free ones.
func (a *allocator) file(b *block) {
	list := a.free[pool(b.large)]
	i, _ := slices.BinarySearchFunc(list, b, order)
	a.free[pool(b.large)] = slices.Insert(list, i, b)
}

// unfile takes a given block out of the free ones.
func (a *allocator) unfile(b *block) {
	list := a.free[pool(b.large)]
	i, _ := slices.BinarySearchFunc(list, b, order)
	a.free[pool(b.large)] = slices.Delete(list, i, i+1)
}

// split gives back what of b is beyond want.
func (a *allocator) split(b *block, want int64) {
	least := int64(quantum)
	if b.large {
		least = smallBlock
	}
	if b.size-want < least {
		return
	}
	rest := &block{at: b.at + driver.Ptr(want), size: b.size - want, large: b.large, prev: b, next: b.next}
	if b.next != nil {
		b.next.prev = rest
	}
	b.next, b.size = rest, want
	a.file(rest)
}

// grow asks the driver for a segment. Where it has none, free segments are
// given back first: they may be in the wrong sizes.
func (a *allocator) grow(asked, want int64, large bool) (*block, error) {
	segment := int64(smallSegment)
	if large {
		segment = largeSegment
		if want > largeSegment/2 {
			segment = (want + segmentUnit - 1) / segmentUnit * segmentUnit
		}
	}
	p, err := a.gpu.Alloc(segment)
	if outOfMemory(err) {
		if err := a.trim(); err != nil {
			return nil, err
		}
		if p, err = a.gpu.Alloc(segment); outOfMemory(err) && segment > want {
			segment = want
			p, err = a.gpu.Alloc(segment)
		}
	}
	if outOfMemory(err) {
		return nil, a.exhausted(asked, "the device has no more")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.dev, err)
	}
	a.stats.SystemAllocs++
	a.stats.ReservedBytes += segment
	a.shared.reserve(segment)
	return &block{at: p, size: segment, large: large}, nil
}

func outOfMemory(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code == driver.OutOfMemory
}

func (a *allocator) Free(p unsafe.Pointer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.live[driver.Ptr(uintptr(p))]
	if b == nil {
		panic(&kernels.Error{Op: "free", Err: fmt.Errorf("%s: %p was not allocated here", a.dev, p)})
	}
	if a.poison {
		if err := a.stream.Fill(b.at, 0xff, b.size); err != nil {
			panic(&kernels.Error{Op: "free", Err: fmt.Errorf("%s: %w", a.dev, err)})
		}
	}
	delete(a.live, b.at)
	a.stats.LiveBytes -= b.asked
	a.shared.use(-b.asked)
	a.putBack(b)
}

// putBack joins a block that is no longer used with its free neighbours.
func (a *allocator) putBack(b *block) {
	b.inUse = false
	if next := b.next; next != nil && !next.inUse {
		a.unfile(next)
		b.join(next)
	}
	if prev := b.prev; prev != nil && !prev.inUse {
		a.unfile(prev)
		prev.join(b)
		b = prev
	}
	a.file(b)
}

// join adds the block that follows b to it.
func (b *block) join(next *block) {
	b.size += next.size
	b.next = next.next
	if b.next != nil {
		b.next.prev = b
	}
}

// trim gives segments that are wholly free back to the driver, when the device
// has done all that may use them. The lock is held.
func (a *allocator) trim() error {
	errs := []error{a.stream.Synchronize()}
	for i, list := range a.free {
		var kept []*block
		for _, b := range list {
			if b.prev != nil || b.next != nil {
				kept = append(kept, b)
				continue
			}
			errs = append(errs, a.gpu.Free(b.at))
			a.stats.ReservedBytes -= b.size
			a.shared.reserve(-b.size)
		}
		a.free[i] = kept
	}
	return errors.Join(errs...)
}

// EmptyCache gives what is cached and wholly free back to the device.
func (a *allocator) EmptyCache() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.trim(); err != nil {
		panic(&kernels.Error{Op: "empty cache", Err: fmt.Errorf("%s: %w", a.dev, err)})
	}
}

// close frees everything, live blocks included. The device is idle.
func (a *allocator) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for at, b := range a.live {
		a.shared.use(-b.asked)
		delete(a.live, at)
		a.putBack(b)
	}
	err := a.trim()
	a.stats = kernels.MemoryStats{}
	return err
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
