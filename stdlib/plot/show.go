package plot

import (
	"fmt"
	"os"
	"sync"

	"dpolab/stdlib/internal/gonb"
)

var shown = struct {
	sync.Mutex
	fn func(bundle map[string]string)
}{}

// SetShow is for hosts: fn shows what Figure.Show is called for, given as MIME
// gives it. nil is the default: below the cell in a GoNB notebook, and as text
// on standard output elsewhere.
func SetShow(fn func(bundle map[string]string)) {
	shown.Lock()
	defer shown.Unlock()
	shown.fn = fn
}

// Show displays the figure where the program runs: as an image below the cell of
// a notebook, with characters in a terminal.
func (f *Figure) Show() {
	shown.Lock()
	fn := shown.fn
	shown.Unlock()
	switch {
	case fn != nil:
		fn(f.MIME())
	case gonb.Enabled():
		gonb.Show(f.MIME())
	default:
		_, err := fmt.Fprintln(os.Stdout, f)
		check("Figure.Show", err)
	}
}
