package train

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func (t *Trainer) log(format string, args ...any) {
	if t.events.Log != nil {
		t.events.Log(fmt.Sprintf(format, args...))
	}
}

// logStep prints a step's statistics unless the last line is too recent.
func (t *Trainer) logStep(m Metrics) {
	if now := time.Now(); now.Sub(t.logged).Seconds() > t.settings.LogInterval {
		t.logged = now
		t.log("train stats after %d examples: %s", t.examples, m)
		return
	}
	t.log("skipping logging after %d examples to avoid logging too frequently", t.examples)
}

// remember adds a record to the history.
func (t *Trainer) remember(split string, m Metrics) Record {
	r := Record{Split: split, Examples: t.examples, Updates: t.updates, Seconds: time.Since(t.started).Seconds(), Metrics: m}
	t.history.Records = append(t.history.Records, r)
	return r
}

// tell hands a record to who wants it, and adds it to metrics.jsonl.
func (t *Trainer) tell(r Record) {
	if t.events.Record != nil {
		t.events.Record(r)
	}
	if t.settings.RunDir == "" || !t.world.Leads() {
		return
	}
	if err := appendRecord(filepath.Join(t.settings.RunDir, "metrics.jsonl"), r); err != nil {
		t.log("metrics.jsonl: %v", err)
	}
}

func appendRecord(path string, r Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
