package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"dpolab/kernels/device"
)

// Work is shared among goroutines that stay. To wake a sleeping thread takes
// tens of microseconds, as long as many an operation, and a training step has
// hundreds: so a worker that has finished looks out for its next call for a
// while, and so does a caller for its workers' end. Then both sleep, and an idle
// program costs nothing. Nobody looks out while more goroutines compute than
// there are processors: the time would be taken from those that do the work.

// lookout is how long to look out: longer than what lies between the operations
// of a training step.
const lookout = 200 * time.Microsecond

// crew holds the workers of all backends of the process.
var crew struct {
	mu   sync.Mutex
	idle []*worker // the last to finish is called first: it may not sleep yet
	// places counts the threads that open backends may use.
	places int
	// awake counts the goroutines that compute or look out, busy those that
	// compute.
	awake, busy atomic.Int32
}

type worker struct {
	call signal
	job  *job
	turn turn
}

// job is one run. Jobs are used again.
type job struct {
	fn      func(w int, t *turn)
	parts   int
	taken   atomic.Int32 // parts
	left    atomic.Int32 // workers that have not finished
	end     signal
	mu      sync.Mutex
	failure any
}

var jobs = sync.Pool{New: func() any { return &job{end: newSignal()} }}

// run calls fn(0) … fn(parts-1) and waits: at once as far as there are
// processors that no other goroutine computes on, one after the other beyond
// that. More goroutines than processors would wait for those among them that do
// not run, in the middle of an operation that they share. A panic in any is
// raised here.
func (b *Backend) run(parts int, fn func(w int, t *turn)) {
	b.turn.end()
	if parts <= 1 {
		if parts == 1 {
			fn(0, &b.turn)
		}
		return
	}
	helpers := reserve(parts - 1)
	defer crew.busy.Add(-1)
	if helpers == 0 {
		for w := range parts {
			fn(w, &b.turn)
		}
		return
	}
	j := jobs.Get().(*job)
	j.fn, j.parts, j.failure = fn, parts, nil
	j.taken.Store(0)
	j.left.Store(int32(helpers))
	crew.awake.Add(1)
	for range helpers {
		call(j)
	}
	j.do(&b.turn)
	j.end.wait()
	crew.awake.Add(-1)
	failure := j.failure
	j.fn = nil
	jobs.Put(j)
	if failure != nil {
		panic(failure)
	}
}

// reserve counts the caller as computing, and as many helpers, at most n, as
// there are processors left for.
func reserve(n int) (helpers int) {
	most, _ := device.Processors()
	for {
		busy := crew.busy.Load()
		helpers = max(0, min(n, most-int(busy)-1))
		if crew.busy.CompareAndSwap(busy, busy+1+int32(helpers)) {
			return helpers
		}
	}
}

// do takes parts until none is left.
func (j *job) do(t *turn) {
	defer func() {
		if p := recover(); p != nil {
			j.mu.Lock()
			j.failure = p
			j.mu.Unlock()
		}
	}()
	for w := int(j.taken.Add(1)) - 1; w < j.parts; w = int(j.taken.Add(1)) - 1 {
		j.fn(w, t)
	}
}

// call has an idle worker, or else a new one, take part in a job.
func call(j *job) {
	crew.mu.Lock()
	var w *worker
	if n := len(crew.idle); n > 0 {
		w = crew.idle[n-1]
		crew.idle = crew.idle[:n-1]
	}
	crew.mu.Unlock()
	if w == nil {
		w = &worker{call: newSignal()}
		crew.awake.Add(1)
		go w.work()
	}
	w.job = j
	w.call.raise()
}

func (w *worker) work() {
	for {
		w.call.wait()
		j := w.job
		w.turn.end()
		j.do(&w.turn)
		w.job = nil
		crew.busy.Add(-1)
		crew.mu.Lock()
		crew.idle = append(crew.idle, w)
		crew.mu.Unlock()
		if j.left.Add(-1) == 0 {
			j.end.raise()
		}
	}
}

// signal passes from one goroutine to another that waits for it: awake at
// first, asleep after a while.
type signal struct {
	state *atomic.Int32
	wake  chan struct{}
}

const (
	quiet = iota
	raised
	asleep
)

func newSignal() signal { return signal{new(atomic.Int32), make(chan struct{}, 1)} }

func (s signal) raise() {
	if s.state.Swap(raised) == asleep {
		s.wake <- struct{}{}
	}
}

// wait returns once the signal was raised, and takes it back. The caller is
// counted among those awake, before and after.
func (s signal) wait() {
	if !s.sighted() && s.state.CompareAndSwap(quiet, asleep) {
		crew.awake.Add(-1)
		<-s.wake
		crew.awake.Add(1)
	}
	s.state.Store(quiet)
}

// sighted looks out for the signal.
func (s signal) sighted() bool {
	most, _ := device.Processors()
	return look(func() bool { return s.state.Load() == raised }, func() bool { return int(crew.awake.Load()) <= most })
}

// await waits until n parts are done that other workers have begun. It gives
// the processor away rarely: the Go scheduler wakes a thread each time.
func await(done *atomic.Int64, n int) {
	for !look(func() bool { return int(done.Load()) >= n }, func() bool { return true }) {
		runtime.Gosched()
	}
}

// look says whether seen became true within the time of a lookout, while worth
// was true.
func look(seen, worth func() bool) bool {
	const glances = 100 // between looks at the clock
	var until time.Time
	for {
		for range glances {
			if seen() {
				return true
			}
		}
		if !worth() {
			return false
		}
		if now := time.Now(); until.IsZero() {
			until = now.Add(lookout)
		} else if now.After(until) {
			return false
		}
	}
}
