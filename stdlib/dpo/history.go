package dpo

import (
	"fmt"
	"sort"
	"strings"

	"dpolab/runtime/train"
)

// History is every record of a trainer so far.
type History struct{ records []Record }

// History returns the records so far; later steps do not change it.
func (t *Trainer) History() *History {
	return &History{append([]train.Record(nil), t.runtime.History().Records...)}
}

// Len is the number of records, Record the one at i.
func (h *History) Len() int { return len(h.records) }

// Record returns record i, in the order in which they were made.
func (h *History) Record(i int) Record {
	if i < 0 || i >= len(h.records) {
		refuse("History.Record", fmt.Sprintf("0 to %d", len(h.records)-1), "%d", i)
	}
	return h.records[i]
}

func (h *History) inner() *train.History { return &train.History{Records: h.records} }

// Examples are the pairs seen at each value of a metric, Values the values.
func (h *History) Examples(metric string) []float64 {
	xs, _ := h.inner().Series(metric)
	return xs
}

// Values are a metric's values in order. A name that no record has is raised
// with the names there are.
func (h *History) Values(metric string) []float64 {
	_, ys := h.inner().Series(metric)
	if ys == nil {
		refuse("History.Values", "one of "+strings.Join(h.Names(), ", "), "%q", metric)
	}
	return ys
}

// Last is a metric's newest value, NaN if there is none.
func (h *History) Last(metric string) float64 { return h.inner().Last(metric) }

// Names lists the metrics there are, sorted.
func (h *History) Names() []string {
	seen := map[string]bool{}
	for _, r := range h.records {
		for k := range r.Metrics {
			seen[k] = true
		}
	}
	var out []string
	for k := range seen {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// String shows how the main metrics went, first to last.
func (h *History) String() string {
	steps, evals := 0, 0
	for _, r := range h.records {
		if r.Split == "train" {
			steps++
		} else {
			evals++
		}
	}
	s := fmt.Sprintf("%d steps, %d evaluations", steps, evals)
	for _, name := range []string{"loss/train", "rewards_train/accuracies", "rewards_train/margins", "loss/eval", "rewards_eval/accuracies"} {
		if _, ys := h.inner().Series(name); len(ys) > 0 {
			s += fmt.Sprintf("\n%-26s %9.4f → %9.4f", name, ys[0], ys[len(ys)-1])
		}
	}
	return s
}
