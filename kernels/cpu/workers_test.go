package cpu

import (
	"sync"
	"sync/atomic"
	"testing"

	"dpolab/kernels/device"
)

// TestRanksShareProcessors: ranks of more threads than there are processors
// compute on no more goroutines than these, but for one of each rank, and do
// every part once.
func TestRanksShareProcessors(t *testing.T) {
	const ranks, parts, times = 4, 8, 50
	most, _ := device.Processors()
	var active, top atomic.Int32
	var wg sync.WaitGroup
	for r := range ranks {
		b, err := New(device.Device{Index: r}, parts)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		wg.Go(func() {
			for range times {
				var done [parts]atomic.Int32
				b.run(parts, func(w int, _ *turn) {
					n := active.Add(1)
					for old := top.Load(); n > old && !top.CompareAndSwap(old, n); old = top.Load() {
					}
					for range 10000 { // long enough for others to come in
						done[w].Load()
					}
					done[w].Add(1)
					active.Add(-1)
				})
				for w := range done {
					if n := done[w].Load(); n != 1 {
						t.Errorf("part %d was done %d times", w, n)
					}
				}
			}
		})
	}
	wg.Wait()
	if limit := int32(most + ranks - 1); top.Load() > limit {
		t.Errorf("%d goroutines computed at once, want at most %d", top.Load(), limit)
	}
	if busy := crew.busy.Load(); busy != 0 {
		t.Errorf("%d goroutines are still counted as computing", busy)
	}
}
