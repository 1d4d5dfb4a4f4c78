package dpo

import (
	"fmt"
	"math"

	"dpolab/stdlib/display"
)

// CompareRuns sets runs side by side: how loss, reward accuracy and margin went
// from the first step to the last, the speed, and how far the loss is at most
// from the first run's at the same number of pairs.
//
//	dpo.CompareRuns([]string{"float32", "bfloat16"}, []*dpo.History{full, mixed})
func CompareRuns(names []string, runs []*History) *display.Table {
	if len(names) != len(runs) || len(runs) == 0 {
		refuse("CompareRuns", "a name for each of at least one run", "%d names, %d runs", len(names), len(runs))
	}
	t := display.NewTable("run", "steps", "loss", "→", "accuracy", "→", "margin", "→", "pairs/s", "loss off by at most")
	for i, h := range runs {
		row := []string{names[i], fmt.Sprint(h.steps())}
		for _, m := range []struct{ name, format string }{{"loss/train", "%.4f"}, {"rewards_train/accuracies", "%.2f"}, {"rewards_train/margins", "%.3f"}} {
			if _, ys := h.inner().Series(m.name); len(ys) > 0 {
				row = append(row, fmt.Sprintf(m.format, ys[0]), fmt.Sprintf(m.format, ys[len(ys)-1]))
			} else {
				row = append(row, "–", "–")
			}
		}
		row = append(row, "–", "–")
		if speed := h.speed(); speed > 0 {
			row[len(row)-2] = fmt.Sprintf("%.3g", speed)
		}
		if _, by := away(runs[0], h); i > 0 && len(by) > 0 {
			most := 0.0
			for _, y := range by {
				most = math.Max(most, y)
			}
			row[len(row)-1] = fmt.Sprintf("%.1e", most)
		}
		t.Row(row...)
	}
	return t
}

// steps is the number of training steps recorded.
func (h *History) steps() int {
	n := 0
	for _, r := range h.records {
		if r.Split == "train" {
			n++
		}
	}
	return n
}

// speed is training pairs per second, NaN if no step was timed.
func (h *History) speed() float64 {
	seconds, pairs := 0.0, 0.0
	for _, r := range h.records {
		if s := r.Metrics["step_seconds"]; r.Split == "train" && s > 0 {
			seconds, pairs = seconds+s, pairs+s*r.Metrics["examples_per_second"]
		}
	}
	return pairs / seconds
}

// away is how far the loss of h is from that of first, at the pairs seen that
// both have.
func away(first, h *History) (at, by []float64) {
	base := map[float64]float64{}
	xs, ys := first.inner().Series("loss/train")
	for i, x := range xs {
		base[x] = ys[i]
	}
	xs, ys = h.inner().Series("loss/train")
	for i, x := range xs {
		if y, ok := base[x]; ok {
			at, by = append(at, x), append(by, math.Abs(ys[i]-y))
		}
	}
	return at, by
}
