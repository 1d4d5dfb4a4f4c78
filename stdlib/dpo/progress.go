package dpo

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"dpolab/stdlib/internal/gonb"
)

// Progress is how far a long call has come.
type Progress struct {
	Title string
	Done  int
	Total int    // 0 if unknown
	Text  string // what there is to say, such as the loss
	End   bool   // the call has returned
}

// SetProgress is for hosts: fn shows the progress of long calls, several times
// a second at most as often as they step. nil is a bar on stderr, if that is a
// terminal, and a line below the cell in a GoNB notebook.
func SetProgress(fn func(p Progress)) {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.progress = fn
}

// show passes progress on.
func show(p Progress) {
	session.mu.Lock()
	fn := session.progress
	session.mu.Unlock()
	if fn == nil && gonb.Enabled() {
		fn = cell.show
	} else if fn == nil {
		fn = bar.show
	}
	fn(p)
}

// bar is the default renderer.
var bar terminalBar

type terminalBar struct {
	shown *progressbar.ProgressBar
	title string
}

func (b *terminalBar) show(p Progress) {
	if p.End || p.Title != b.title {
		if b.shown != nil {
			b.shown.Clear()
		}
		b.shown, b.title = nil, p.Title
		if p.End {
			return
		}
	}
	if b.shown == nil {
		if st, err := os.Stderr.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
			return
		}
		total := p.Total
		if total == 0 {
			total = -1
		}
		b.shown = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("pairs"), progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(250*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
		b.shown.Set(p.Done)
	}
	text := p.Title
	if p.Text != "" {
		text += "  " + p.Text
	}
	b.shown.Describe(text)
	b.shown.Set(p.Done)
}
