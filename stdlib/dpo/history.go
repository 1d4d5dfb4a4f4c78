package dpo

import (
	"fmt"
	"sort"
	"strings"

	"dpolab/runtime/train"
	"dpolab/stdlib/display"
	"dpolab/stdlib/plot"
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

// Table shows how every metric that changes went, with a small curve of each.
func (h *History) Table() *display.Table {
	t := display.NewTable("metric", "values", "first", "last", "least", "greatest", "course")
	for _, name := range h.Names() {
		_, ys := h.inner().Series(name)
		lo, hi := ys[0], ys[0]
		for _, y := range ys {
			lo, hi = min(lo, y), max(hi, y)
		}
		if lo == hi && len(ys) > 1 || strings.HasPrefix(name, "counters/") {
			continue
		}
		number := func(y float64) string { return fmt.Sprintf("%.4g", y) }
		t.Row(name, fmt.Sprint(len(ys)), number(ys[0]), number(ys[len(ys)-1]), number(lo), number(hi), plot.Sparkline(ys, 24))
	}
	return t
}

// String shows how the main metrics went, first to last.
func (h *History) String() string {
	s := fmt.Sprintf("%d steps, %d evaluations", h.steps(), len(h.records)-h.steps())
	for _, name := range []string{"loss/train", "rewards_train/accuracies", "rewards_train/margins", "loss/eval", "rewards_eval/accuracies"} {
		if _, ys := h.inner().Series(name); len(ys) > 0 {
			s += strings.TrimRight(fmt.Sprintf("\n%-26s %9.4f → %9.4f  %s", name, ys[0], ys[len(ys)-1], plot.Sparkline(ys, 24)), " ")
		}
	}
	return s
}

// MIME shows the table as a notebook does.
func (h *History) MIME() map[string]string {
	page := fmt.Sprintf("<div><b>%d steps, %d evaluations</b></div>", h.steps(), len(h.records)-h.steps())
	if len(h.records) > 0 {
		page += h.Table().HTML()
	}
	return map[string]string{"text/html": page, "text/plain": h.String()}
}
