package main

import (
	"fmt"
	"io"
	"strings"

	"dpolab/runtime/train"
	"dpolab/stdlib/display"
	"dpolab/stdlib/live"
)

// console shows a run in a terminal: progress and curves that change in place,
// log lines above them. Piped, it prints log lines only.
type console struct {
	out  io.Writer
	view *live.View
}

func newConsole() *console {
	display.Stdout() // all output goes through package display, so there is room for curves
	return &console{out: display.Stderr()}
}

// stage begins a part of a longer program: a display of its own under a title,
// and no log lines.
func (c *console) stage(title string) train.Events {
	c.close()
	c.view = live.New(title, "pairs")
	return train.Events{Progress: c.progress, Record: c.record}
}

func (c *console) events() train.Events {
	e := c.stage("training")
	e.Log = c.log
	return e
}

func (c *console) log(line string) {
	if display.Live() && strings.HasPrefix(line, "skipping logging") {
		return // the display shows that the run goes on
	}
	fmt.Fprintln(c.out, line)
}

func (c *console) progress(done, total int, m train.Metrics) { c.view.Train(done, total, m) }

func (c *console) record(r train.Record) {
	if r.Split == "eval" {
		c.view.Eval(r.Examples, r.Metrics)
	}
}

func (c *console) close() {
	if c.view != nil {
		c.view.End()
	}
}
