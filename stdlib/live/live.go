// Package live shows how a run goes while it goes: one display with progress,
// speed, time left and curves, which changes in place and stays with its last
// picture.
//
//	v := live.New("training", "pairs")
//	for ... {
//		v.Progress(done, total)
//		v.Train(done, metrics)
//	}
//	v.End()
//
// In a notebook the display is a drawing, in a terminal a bar with a chart of
// characters; where neither is, nothing is drawn.
package live

import (
	"sync"
	"time"

	"dpolab/stdlib/display"
)

const (
	// interval is the least time between two drawings. Notebooks limit messages,
	// and eyes see no more.
	interval = 300 * time.Millisecond
	// share is how many times as long as a drawing took the next one waits at
	// least: drawing takes a twentieth of the run's time at most.
	share = 20
	// patience is how long a run is not shown: a moment needs no display.
	patience = 700 * time.Millisecond
	// soon is after how many steps it is shown all the same.
	soon = 3
)

// View is a run being shown. Its methods may be called by several goroutines.
type View struct {
	title, unit string

	mu          sync.Mutex
	id          string
	done, total int
	begun       int       // done when the display began
	start       time.Time // when it began
	last        time.Time // of the newest step
	steps       int       // since the display began
	drawn       time.Time
	cost        time.Duration // of the last drawing
	stale       bool          // there is more than was drawn
	panels      []*panel
	values      map[string]float64
}

// New is a view of a run that counts units, such as pairs.
func New(title, unit string) *View { return &View{title: title, unit: unit, panels: mainPanels()} }

// Begin says that work begins, or goes on: the time until the next step counts
// for the speed. done is what there is already, total 0 if it is not known. It
// reports whether a display begins, which End ends.
func (v *View) Begin(done, total int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	begins := v.id == ""
	if begins {
		v.id, v.begun, v.start, v.steps, v.drawn, v.cost = display.NewID(), done, time.Now(), 0, time.Time{}, 0
		v.last = v.start
	}
	v.done, v.total = done, total
	return begins
}

// Train tells of a step: what is done, and the step's metrics.
func (v *View) Train(done, total int, metrics map[string]float64) {
	v.Begin(done, total)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values = metrics
	v.add(done, metrics)
	v.step()
}

// Eval tells of an evaluation after so many units.
func (v *View) Eval(done int, metrics map[string]float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(done, metrics)
	v.stale = true
	v.draw(false)
}

// Recall tells of a step or an evaluation of the past.
func (v *View) Recall(done int, metrics map[string]float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.add(done, metrics)
}

func (v *View) add(done int, metrics map[string]float64) {
	for _, p := range v.panels {
		if y, ok := metrics[p.train]; ok {
			p.line.add(float64(done), y)
		}
		if y, ok := metrics[p.eval]; ok {
			p.dots.add(float64(done), y)
		}
	}
}

// Progress tells of a step without metrics.
func (v *View) Progress(done, total int) {
	v.Begin(done, total)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.step()
}

func (v *View) step() {
	v.steps++
	v.last = time.Now()
	v.stale = true
	v.draw(false)
}

// End leaves the display with its last picture; the next step begins another,
// which goes on with the curves of this one.
func (v *View) End() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.id == "" {
		return
	}
	v.draw(true)
	if !v.drawn.IsZero() {
		display.Settle(v.id)
	}
	v.id = ""
}

// draw updates the display unless that would be too early; the lock is held.
func (v *View) draw(last bool) {
	if v.id == "" || !v.stale || !display.Live() {
		return
	}
	now := time.Now()
	if v.drawn.IsZero() {
		few := v.steps < soon || v.values == nil
		if few && now.Sub(v.start) < patience {
			return
		}
	} else if wait := max(interval, share*v.cost); !last && now.Sub(v.drawn) < wait {
		return
	}
	bundle := map[string]string{"text/plain": v.text(display.Columns() - 1)}
	if display.Rich() {
		for mime, content := range v.picture() {
			bundle[mime] = content
		}
	}
	display.Update(v.id, bundle)
	v.drawn, v.cost, v.stale = time.Now(), time.Since(now), false
}

// speed is units per second since the display began, 0 if nothing is done.
func (v *View) speed() float64 {
	seconds := v.last.Sub(v.start).Seconds()
	if v.done <= v.begun || seconds <= 0 {
		return 0
	}
	return float64(v.done-v.begun) / seconds
}
