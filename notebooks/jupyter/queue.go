package jupyter

import (
	"sync"
	"time"
)

// abortWindow is how long after a failure cells are aborted that were asked for
// before it: they may still have been on their way.
const abortWindow = 100 * time.Millisecond

// executeQueue holds cells that wait for their turn.
type executeQueue struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []*request
	fallen  []*request // those behind a cell that failed
	closed  bool
	failed  time.Time // when a cell failed that stops those behind it
}

func (q *executeQueue) init() { q.changed.L = &q.mu }

func (q *executeQueue) put(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, r)
	q.changed.Signal()
}

// take waits for the next cell; ok is false once the queue is closed.
func (q *executeQueue) take() (r *request, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	if q.closed {
		return nil, false
	}
	r = q.waiting[0]
	q.waiting = q.waiting[1:]
	return r, true
}

// fail notes that a cell has failed, and that those which wait behind it are not
// to run.
func (q *executeQueue) fail() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = time.Now()
	q.fallen, q.waiting = append(q.fallen, q.waiting...), nil
}

// behind takes the cells that a failure has kept from running.
func (q *executeQueue) behind() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	fallen := q.fallen
	q.fallen = nil
	return fallen
}

// aborted tells whether a cell was asked for before the last failure, as far as
// the front end's clock tells.
func (q *executeQueue) aborted(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed.IsZero() || time.Since(q.failed) > abortWindow {
		return false
	}
	asked, err := time.Parse(time.RFC3339Nano, r.header.Date)
	return err == nil && asked.Before(q.failed)
}

func (q *executeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.changed.Broadcast()
}
