package dpo

import "dpolab/stdlib/live"

// ShowProgress turns the displays of long calls off, and on again. They show
// below the cell in a notebook and on standard error in a terminal; where
// neither is they say nothing.
func ShowProgress(on bool) {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.quiet = !on
}

func quiet() bool {
	session.mu.Lock()
	defer session.mu.Unlock()
	return session.quiet
}

// task shows how far a call has come that computes total things. end belongs
// at its end.
func task(title, unit string, total int) (step func(done int), end func()) {
	if quiet() {
		return func(int) {}, func() {}
	}
	v := live.New(title, unit)
	v.Begin(0, total)
	return func(done int) { v.Progress(done, total) }, v.End
}
