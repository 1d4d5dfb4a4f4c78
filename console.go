package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"dpolab/runtime/train"
)

// console shows a run in a terminal: a progress bar with rate and time left,
// log lines above it. Piped, it prints log lines only.
type console struct {
	out   *os.File
	tty   bool
	title string
	bar   *progressbar.ProgressBar
	done  int
}

func newConsole(out *os.File) *console {
	st, err := out.Stat()
	return &console{out: out, tty: err == nil && st.Mode()&os.ModeCharDevice != 0}
}

// stage begins a part of a longer program: a bar of its own under a title, and
// no log lines.
func (c *console) stage(title string) train.Events {
	c.close()
	c.title, c.done = title, 0
	return train.Events{Progress: c.progress}
}

func (c *console) events() train.Events {
	c.title = "training"
	return train.Events{Log: c.log, Progress: c.progress}
}

func (c *console) log(line string) {
	if c.tty && strings.HasPrefix(line, "skipping logging") {
		return // the bar shows that the run goes on
	}
	if c.bar != nil {
		c.bar.Clear()
	}
	fmt.Fprintln(c.out, line)
}

func (c *console) progress(done, total int, m train.Metrics) {
	if !c.tty {
		return
	}
	if c.bar == nil {
		if total == 0 {
			total = -1
		}
		c.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(io.Writer(c.out)), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetItsString("examples"), progressbar.OptionSetWidth(24), progressbar.OptionThrottle(250*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true))
		c.bar.Set(c.done)
	}
	text := fmt.Sprintf("%s  loss %.4f", c.title, m["loss/train"])
	if v, ok := m["rewards_train/accuracies"]; ok {
		text += fmt.Sprintf("  accuracy %.2f  margin %.3f", v, m["rewards_train/margins"])
	}
	c.bar.Describe(text)
	c.bar.Set(done)
	c.done = done
}

func (c *console) close() {
	if c.bar != nil {
		c.bar.Clear()
		c.bar = nil
	}
}
