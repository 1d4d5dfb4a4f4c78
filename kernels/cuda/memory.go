package cuda

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cuda/internal/driver"
	"dpolab/kernels/device"
	"dpolab/kernels/internal/blocks"
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
	pools  [2]*blocks.Pool[use] // small and large
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

// use is what is known of a block that is in use.
type use struct {
	asked int64
	large bool
	site  site // who asked, for large blocks
}

type block = blocks.Block[use]

func newAllocator(dev device.Device, gpu driver.Device, stream driver.Stream) *allocator {
	return &allocator{dev: dev, gpu: gpu, stream: stream, live: map[driver.Ptr]*block{},
		pools: [2]*blocks.Pool[use]{blocks.NewPool[use](quantum), blocks.NewPool[use](smallBlock)}, poison: os.Getenv("DPOLAB_POISON") != "", shared: usageOf(dev.Index)}
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
		return nil, fmt.Errorf("cuda: alloc of %d bytes", n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit > 0 && a.stats.LiveBytes+int64(n) > a.limit {
		return nil, a.exhausted(int64(n), fmt.Sprintf("the limit is %s", size(a.limit)))
	}
	want := blocks.Round(n, quantum)
	large := want > smallBlock
	b := a.pool(large).Take(want)
	if b == nil {
		var err error
		if b, err = a.grow(n, want, large); err != nil {
			return nil, err
		}
	}
	b.Note = use{asked: int64(n), large: large}
	if b.Size >= namedBlock {
		b.Note.site = caller()
	}
	at := driver.Ptr(b.At)
	if a.poison {
		if err := a.stream.Fill(at, 0xff, int64(b.Size)); err != nil {
			return nil, err
		}
	}
	a.live[at] = b
	a.stats.Allocs++
	a.stats.LiveBytes += int64(n)
	a.stats.PeakBytes = max(a.stats.PeakBytes, a.stats.LiveBytes)
	a.shared.use(int64(n))
	return pointer(at), nil
}

// grow asks the driver for a segment. Where it has none, free segments are
// given back first: they may be in the wrong sizes.
func (a *allocator) grow(asked, want int, large bool) (*block, error) {
	segment := smallSegment
	if large {
		segment = largeSegment
		if want > largeSegment/2 {
			segment = (want + segmentUnit - 1) / segmentUnit * segmentUnit
		}
	}
	p, err := a.gpu.Alloc(int64(segment))
	if outOfMemory(err) {
		if err := a.trim(); err != nil {
			return nil, err
		}
		if p, err = a.gpu.Alloc(int64(segment)); outOfMemory(err) && segment > want {
			segment = want
			p, err = a.gpu.Alloc(int64(segment))
		}
	}
	if outOfMemory(err) {
		return nil, a.exhausted(int64(asked), "the device has no more")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.dev, err)
	}
	a.stats.SystemAllocs++
	a.stats.ReservedBytes += int64(segment)
	a.shared.reserve(int64(segment))
	return a.pool(large).Add(uintptr(p), segment, want), nil
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
		if err := a.stream.Fill(driver.Ptr(b.At), 0xff, int64(b.Size)); err != nil {
			panic(&kernels.Error{Op: "free", Err: fmt.Errorf("%s: %w", a.dev, err)})
		}
	}
	a.release(b)
}

// release frees a live block.
func (a *allocator) release(b *block) {
	delete(a.live, driver.Ptr(b.At))
	a.stats.LiveBytes -= b.Note.asked
	a.shared.use(-b.Note.asked)
	a.pool(b.Note.large).PutBack(b)
}

// trim gives segments that are wholly free back to the driver, when the device
// has done all that may use them. The lock is held.
func (a *allocator) trim() error {
	errs := []error{a.stream.Synchronize()}
	for _, p := range a.pools {
		p.Trim(func(at uintptr, size int) {
			errs = append(errs, a.gpu.Free(driver.Ptr(at)))
			a.stats.ReservedBytes -= int64(size)
			a.shared.reserve(-int64(size))
		})
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
	for _, b := range a.live {
		a.release(b)
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
