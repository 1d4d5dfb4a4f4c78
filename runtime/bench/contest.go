package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"dpolab/runtime/data"
)

// Contest is one job done by several sides in turn.
type Contest struct {
	Section string  `json:"section"` // steps, precision, kernels, layouts, scaling or start
	Case    string  `json:"case"`
	Threads int     `json:"threads"`
	Unit    string  `json:"unit"`               // tokens, pairs or GFLOP
	Work    float64 `json:"work"`               // units per turn
	Law     float64 `json:"expected,omitempty"` // time over the section's first row, by arithmetic
	Sides   []Side  `json:"sides"`
}

// Side is what one side of a contest measured.
type Side struct {
	Name    string    `json:"name"`
	Ours    bool      `json:"ours"`
	Warm    []float64 `json:"warm"` // seconds of the unmeasured first steps
	Seconds []float64 `json:"seconds"`
	CPU     []float64 `json:"cpu,omitempty"`    // seconds of processor time
	Losses  []float64 `json:"losses,omitempty"` // of every step, the unmeasured first ones included
	Tokens  float64   `json:"tokens,omitempty"` // computed per turn, on average
	// Resident bytes: after the start, and the peak while turns were taken.
	IdleRSS   int64 `json:"idle_rss,omitempty"`
	PeakRSS   int64 `json:"peak_rss,omitempty"`
	Allocated int64 `json:"allocated,omitempty"`
	// Of the precision section: before the first step, and what weights take.
	LogProbs       []float32 `json:"logprobs,omitempty"`
	ParameterBytes int       `json:"parameter_bytes,omitempty"`
	// Of the start section: bytes left on Go's heap, and allocated there.
	HeapGrowth    int64   `json:"heap_growth,omitempty"`
	HeapAllocated int64   `json:"heap_allocated,omitempty"`
	Tried         []Trial `json:"tried,omitempty"`
	Error         string  `json:"error,omitempty"`
}

// Trial is one setting that was tried before the contest.
type Trial struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds,omitempty"`
	Error   string  `json:"error,omitempty"`
}

// entrant is one side before the contest: a job, or several that compute the
// same, of which the fastest is taken.
type entrant struct {
	name     string
	ours     bool
	settings []setting
}

type setting struct {
	name string
	env  []string
	job  Job
	// compare asks for log-probabilities and the size of the weights first.
	compare bool
}

// runner is an entrant in its process.
type runner struct {
	*child
	side *Side
	sum  float64
}

// A side is warm after this many steps, and not before it has spent so long in
// them: PyTorch chooses and caches kernels, our allocator learns its sizes, and
// processors raise their clock.
const (
	warmSteps   = 3
	warmSeconds = 2
)

// hold runs a contest: batches[0] warms up, each further batch is one round.
func (d *driver) hold(ctx context.Context, c Contest, entrants []entrant, batches [][]data.Example) Contest {
	c.Sides = make([]Side, 0, len(entrants))
	var runners []*runner
	for _, e := range entrants {
		if !e.ours && d.options.Python == "" {
			continue
		}
		c.Sides = append(c.Sides, Side{Name: e.name, Ours: e.ours})
		side := &c.Sides[len(c.Sides)-1]
		d.say("%s, %d threads: %s", c.Case, c.Threads, e.name)
		best, err := d.fastest(ctx, e, batches[0], side)
		if err == nil {
			var r *runner
			if r, err = d.enter(ctx, best, side, batches); err == nil {
				runners = append(runners, r)
			}
		}
		if err != nil {
			side.Error = err.Error()
			d.say("%v", err)
		}
	}
	round := func(take func(r *runner) error) {
		for _, r := range runners {
			if r.side.Error != "" {
				continue
			}
			if err := take(r); err != nil {
				r.side.Error = err.Error()
				d.say("%v", err)
			}
		}
	}
	// All sides take as many steps as the one that needs most: their losses are
	// compared step by step.
	for n := 0; n < warmSteps || slices.ContainsFunc(runners, (*runner).cold); n++ {
		round(func(r *runner) error { return r.turn(batches[0], false) })
	}
	round((*runner).resetPeak)
	for _, batch := range batches[1:] {
		round(func(r *runner) error { return r.turn(batch, true) })
	}
	for _, r := range runners {
		r.finish()
	}
	return c
}

// The settings of a side take so many steps in turn, and no more once each has
// spent so long in them.
const (
	trySteps   = 5
	trySeconds = 5
)

// fastest tries an entrant's settings, if there is a choice. They take turns, as
// sides do: tried one after the other they would be measured on a machine that
// others load differently meanwhile.
func (d *driver) fastest(ctx context.Context, e entrant, batch []data.Example, side *Side) (setting, error) {
	if len(e.settings) == 1 {
		return e.settings[0], nil
	}
	scratch := make([]Side, len(e.settings))
	runners := make([]*runner, len(e.settings)) // nil for a setting that does not work
	try := func(i int, measured bool) {
		if runners[i] == nil {
			return
		}
		if err := runners[i].turn(batch, measured); err != nil {
			scratch[i].Error = err.Error()
			runners[i].stop()
			runners[i] = nil
		}
	}
	for i, s := range e.settings {
		scratch[i].Name, scratch[i].Ours = e.name, e.ours
		r, err := d.enter(ctx, s, &scratch[i], [][]data.Example{batch})
		if err != nil {
			scratch[i].Error = err.Error()
			continue
		}
		runners[i] = r
		try(i, false)
	}
	began := time.Now()
	for n := 0; n < trySteps && time.Since(began).Seconds() < trySeconds*float64(len(runners)); n++ {
		for i := range runners {
			try(i, true)
		}
	}
	best, least := -1, math.Inf(1)
	for i, r := range runners {
		t := Trial{Name: e.settings[i].name, Error: scratch[i].Error}
		if r != nil {
			r.finish()
			if t.Seconds = slices.Min(scratch[i].Seconds); t.Seconds < least {
				best, least = i, t.Seconds
			}
		}
		side.Tried = append(side.Tried, t)
	}
	if best < 0 {
		return setting{}, fmt.Errorf("bench: %s: no setting works: %s", e.name, side.Tried[0].Error)
	}
	return e.settings[best], nil
}

// enter starts a side's process and opens the job.
func (d *driver) enter(ctx context.Context, s setting, side *Side, batches [][]data.Example) (*runner, error) {
	argv := d.options.Self
	if !side.Ours {
		argv = []string{d.options.Python, d.options.Server}
	}
	threads := s.job.Threads * max(1, s.job.Ranks)
	env := append([]string{fmt.Sprintf("OMP_NUM_THREADS=%d", threads), fmt.Sprintf("GOMAXPROCS=%d", threads)}, s.env...)
	c, err := startChild(ctx, side.Name, argv, env)
	if err != nil {
		return nil, err
	}
	r := &runner{child: c, side: side}
	if err := r.open(s, batches); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *runner) open(s setting, batches [][]data.Example) error {
	if _, err := r.ask(request{Op: "versions"}); err != nil {
		return err
	}
	if idle, err := r.ask(request{Op: "memory"}); err == nil {
		r.side.IdleRSS = idle.RSS
	}
	if _, err := r.ask(request{Op: "open", Job: &s.job}); err != nil {
		return err
	}
	if r.side.Ours {
		var all []data.Example
		for _, b := range batches {
			all = append(all, b...)
		}
		if _, err := r.ask(request{Op: "prepare", Examples: wire(all)}); err != nil {
			return err
		}
	}
	if s.compare {
		answer, err := r.ask(request{Op: "logprobs", Examples: wire(batches[0])})
		if err != nil {
			return err
		}
		r.side.LogProbs, r.side.ParameterBytes = answer.LogProbs, answer.ParameterBytes
	}
	return nil
}

// cold reports whether the side needs more unmeasured steps.
func (r *runner) cold() bool {
	sum := 0.0
	for _, s := range r.side.Warm {
		sum += s
	}
	return r.side.Error == "" && sum < warmSeconds
}

func (r *runner) resetPeak() error {
	_, err := r.ask(request{Op: "reset_peak"})
	return err
}

// turn takes one step.
func (r *runner) turn(batch []data.Example, measured bool) error {
	step, err := r.ask(request{Op: "step", Examples: wire(batch)})
	if err != nil {
		return err
	}
	r.side.Losses = append(r.side.Losses, step.Loss)
	if !measured {
		r.side.Warm = append(r.side.Warm, step.Seconds...)
	} else {
		r.side.Seconds, r.side.CPU = append(r.side.Seconds, step.Seconds...), append(r.side.CPU, step.CPU...)
		r.sum += float64(step.Tokens)
	}
	return nil
}

func (r *runner) finish() {
	if n := len(r.side.Seconds); n > 0 {
		r.side.Tokens = r.sum / float64(n)
	}
	if m, err := r.ask(request{Op: "memory"}); err == nil {
		r.side.PeakRSS, r.side.Allocated = m.Peak, m.Allocated
	}
	if err := r.stop(); err != nil && r.side.Error == "" {
		r.side.Error = err.Error()
	}
}
