package cpu

import (
	"runtime"
	"sync/atomic"
	"time"

	"dpolab/kernels/device"
)

// To the Go runtime a kernel is a system call. Its monitor takes the P away from
// a goroutine that is in one and was last scheduled 10 ms ago, or at once where
// no P is idle; and each time it does, it goes on to look every 20 µs. Under a
// training step that costs a tenth of a processor, in a virtual machine more:
// 120 GFLOP/s instead of 150 on two cores (BenchmarkKernels). Two habits let it
// sleep: one P is left over, and goroutines that run kernels ask the scheduler
// for another turn before theirs is 10 ms old.

// turnLength is how long a goroutine computes before it asks for another turn.
const turnLength = 5 * time.Millisecond

// turn is a goroutine's time since it was last scheduled, as far as is known.
type turn struct{ began atomic.Int64 }

var epoch = time.Now()

// end asks for another turn if this one has lasted.
func (t *turn) end() {
	now := int64(time.Since(epoch))
	if now-t.began.Load() > int64(turnLength) {
		t.began.Store(now)
		runtime.Gosched()
	}
}

// places tells the Go runtime that n more threads will be in kernels, or so many
// fewer.
func places(n int) {
	crew.mu.Lock()
	defer crew.mu.Unlock()
	crew.places += n
	// Beyond two ranks to a processor its time is short in any case.
	most, _ := device.Processors()
	want := min(max(crew.places, most), 2*most) + 1
	if runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
}
