package distributed

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"dpolab/kernels/nccl"
)

// A collective over NCCL that is not finished after this time, or that a rank
// of this process has not come to, is taken for one that never will be. The
// environment variable DPOLAB_NCCL_TIMEOUT sets it in seconds.
const patience = time.Minute

func patienceFromEnvironment() (time.Duration, error) {
	text := os.Getenv("DPOLAB_NCCL_TIMEOUT")
	if text == "" {
		return patience, nil
	}
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || !(s > 0 && s < 1e9) {
		return 0, fmt.Errorf("distributed: DPOLAB_NCCL_TIMEOUT=%q: want a number of seconds", text)
	}
	return time.Duration(s * float64(time.Second)), nil
}

// flight is a collective on a rank's second queue.
type flight struct {
	what  string
	since time.Time
	end   *shared
}

// note says what a rank does now, for the watchdog.
func (r *Rank) note(what string) {
	r.mu.Lock()
	r.last, r.lastTime = what, time.Now()
	r.mu.Unlock()
}

// depart adds a collective to those under way.
func (r *Rank) depart(what string, end *shared) {
	r.mu.Lock()
	r.flights = append(r.flights, flight{what, time.Now(), end})
	r.land()
	r.mu.Unlock()
}

// land forgets the collectives that are finished, which they are in order.
func (r *Rank) land() {
	for len(r.flights) > 0 && r.flights[0].end.Done() {
		r.flights[0].end.release()
		r.flights = r.flights[1:]
	}
}

// trouble is what is wrong with a rank's collectives, nil if nothing is known.
func (r *Rank) trouble(patience time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.land()
	what := r.last
	if len(r.flights) > 0 {
		f := r.flights[0]
		what = f.what
		if time.Since(f.since) > patience {
			return fmt.Errorf("rank %d: %s has not finished after %s", r.Rank, what, patience)
		}
	}
	for _, c := range r.comms {
		if err := c.Err(); err != nil && !errors.Is(err, nccl.ErrAborted) {
			return fmt.Errorf("rank %d: %s: %w", r.Rank, what, err)
		}
	}
	return nil
}

// disconnect aborts all of a rank's communicators, so that its device goes on.
func (r *Rank) disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.comms {
		c.Abort()
	}
}

// watch looks after a world's NCCL collectives until stop is closed.
func (w *World) watch(stop <-chan struct{}) {
	tick := time.NewTicker(min(w.patience/20, 200*time.Millisecond))
	defer tick.Stop()
	var failed <-chan struct{}
	if w.job != nil {
		failed = w.job.Failed()
	}
	for {
		select {
		case <-stop:
			return
		case <-failed:
			w.fail(w.job.Err())
			return
		case <-tick.C:
		}
		for _, r := range w.ranks {
			if err := r.trouble(w.patience); err != nil {
				w.fail(err)
				return
			}
		}
		if err := w.lobby.overdue(w.patience, w.whereabouts); err != nil {
			w.fail(err)
			return
		}
	}
}

// whereabouts is what rank i was last seen in.
func (w *World) whereabouts(i int) string {
	r := w.ranks[i-w.first]
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == "" {
		return "it has started none"
	}
	return fmt.Sprintf("it was last in %s, %s ago", r.last, time.Since(r.lastTime).Round(time.Second/10))
}

// fail sends every rank home: those that wait on the host, and those whose
// device waits. In a job, the other processes are told.
func (w *World) fail(err error) {
	w.lobby.fail(err)
	for _, r := range w.ranks {
		r.disconnect()
	}
	if w.job != nil && w.job.Err() == nil {
		w.job.Fail(err)
	}
}
