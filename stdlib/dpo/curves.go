package dpo

import (
	"strings"

	"dpolab/stdlib/plot"
)

// Figure is what package plot draws. Printed, it draws itself with characters;
// Save writes SVG or PNG, and a notebook shows it as it is.
type Figure = plot.Figure

// Curves draws loss, reward accuracy and reward margin of a run over the pairs
// seen.
func Curves(h *History) *Figure { return CompareCurves([]string{""}, []*History{h}) }

// Curves draws loss, reward accuracy and reward margin so far.
func (t *Trainer) Curves() *Figure { return Curves(t.History()) }

// mainMetrics are what a run is judged by.
var mainMetrics = []string{"loss/train", "rewards_train/accuracies", "rewards_train/margins"}

// CompareCurves draws several runs into the same panels.
func CompareCurves(names []string, runs []*History) *Figure {
	return CurvesOf(mainMetrics, names, runs)
}

// CurvesOf draws the given metrics, a panel each, one line per run. A metric
// that no run has is left out; if none is left it raises.
func CurvesOf(metrics, names []string, runs []*History) *Figure {
	return plot.Grid(3, curves("CurvesOf", metrics, names, runs)...)
}

// ComparePrecisions draws what a precision costs and gives: loss and reward
// margin of each run, how far the loss is from the first run's at the same
// number of pairs, and pairs per second.
//
//	dpo.ComparePrecisions([]string{"float32", "bfloat16"}, []*dpo.History{full, mixed}).Save("precision.svg")
func ComparePrecisions(names []string, runs []*History) *Figure {
	const op = "ComparePrecisions"
	if len(runs) < 2 {
		refuse(op, "two runs at least", "%d", len(runs))
	}
	panels := curves(op, []string{"loss/train", "rewards_train/margins"}, names, runs)
	off := plot.New("|loss − loss of " + names[0] + "|").XLabel("pairs").LogY()
	for i, h := range runs[1:] {
		at, by := away(runs[0], h)
		off.Line(names[i+1], at, by)
	}
	speed := plot.New("pairs per second").Categories([]string{""})
	for i, h := range runs {
		speed.Bars(names[i], []float64{h.speed()})
	}
	return plot.Grid(2, append(panels, off, speed)...)
}

// curves makes the panels.
func curves(op string, metrics, names []string, runs []*History) []*Figure {
	if len(names) != len(runs) || len(runs) == 0 {
		refuse(op, "a name for each of at least one run", "%d names, %d runs", len(names), len(runs))
	}
	var panels []*Figure
	for _, metric := range metrics {
		f, found := plot.New(metric).XLabel("pairs"), false
		for i, h := range runs {
			if xs, ys := h.inner().Series(metric); len(xs) > 0 {
				f.Line(names[i], xs, ys)
				found = true
			}
		}
		if found {
			panels = append(panels, f)
		}
	}
	if len(panels) == 0 {
		refuse(op, "a metric that a run has recorded", "%s", strings.Join(metrics, ", "))
	}
	return panels
}
