package plot

import (
	"fmt"
	"math"
)

// Figure is one panel, or several in a [Grid]. Its methods change it and return
// it, so that they can be chained.
type Figure struct {
	panels  []*panel
	columns int
	theme   *Theme // nil takes the default at the time of drawing
	width   float64
	height  float64 // of a panel, in centimetres
}

// panel is one pair of axes.
type panel struct {
	title, xLabel, yLabel string
	logX, logY            bool
	series                []series
	categories            []string // what the bars stand for
	cells                 [][]float64
	rows, cols            []string // labels of a heat map
}

type kind int

const (
	lines kind = iota
	points
	bars
	histogram
)

// series is what one call adds. Bars have values only, a histogram the values
// it counts.
type series struct {
	kind   kind
	name   string
	xs, ys []float64
	bins   int
}

// New is an empty figure of one panel.
func New(title string) *Figure {
	return &Figure{panels: []*panel{{title: title}}, columns: 1, width: 12, height: 8}
}

// Grid puts figures side by side, columns to a row, as copies: later changes of
// the parts do not change it. Panels are as wide as fit a notebook's page, 9 cm at
// most and 5 cm at least.
func Grid(columns int, parts ...*Figure) *Figure {
	if columns < 1 || len(parts) == 0 {
		refuse("Grid", "a column and a figure at least", "%d columns, %d figures", columns, len(parts))
	}
	g := &Figure{}
	for i, f := range parts {
		if f == nil {
			refuse("Grid", "figures", "nil at place %d", i)
		}
		for _, p := range f.panels {
			c := *p
			c.series = append([]series(nil), p.series...)
			g.panels = append(g.panels, &c)
		}
	}
	g.columns = min(columns, len(g.panels))
	g.width = min(9, max(legible, (page-gap)/float64(g.columns)-gap))
	g.height = g.width / 1.2
	return g
}

// Centimetres: what a notebook beside its side bar shows without scrolling, since
// Jupyter does not shrink drawings, and the narrowest panel of a grid.
const (
	page    = 20
	legible = 5
)

// one is the only panel, which series and labels go to.
func (f *Figure) one(op string) *panel {
	if f == nil || len(f.panels) != 1 {
		n := 0
		if f != nil {
			n = len(f.panels)
		}
		refuse("Figure."+op, "a figure of one panel", "one of %d", n)
	}
	return f.panels[0]
}

// add puts a series in, in the place of one of the same name.
func (p *panel) add(op string, s series) {
	if p.cells != nil {
		refuse("Figure."+op, "a figure without a heat map", "one with it")
	}
	for i, old := range p.series {
		if (old.kind == bars) != (s.kind == bars) {
			refuse("Figure."+op, "bars alone in their panel", "bars and something else; Grid puts them side by side")
		}
		if s.name != "" && old.name == s.name {
			p.series[i] = s
			return
		}
	}
	p.series = append(p.series, s)
}

func copied(xs []float64) []float64 { return append([]float64(nil), xs...) }

func pairs(op string, xs, ys []float64) ([]float64, []float64) {
	if len(xs) != len(ys) {
		refuse("Figure."+op, "as many ys as xs", "%d and %d", len(ys), len(xs))
	}
	return copied(xs), copied(ys)
}

// Line joins points in their order.
func (f *Figure) Line(name string, xs, ys []float64) *Figure {
	xs, ys = pairs("Line", xs, ys)
	f.one("Line").add("Line", series{kind: lines, name: name, xs: xs, ys: ys})
	return f
}

// Points draws points alone, a shape for each name.
func (f *Figure) Points(name string, xs, ys []float64) *Figure {
	xs, ys = pairs("Points", xs, ys)
	f.one("Points").add("Points", series{kind: points, name: name, xs: xs, ys: ys})
	return f
}

// Bars draws a bar per value; several names stand in groups. Categories says
// what the groups are.
func (f *Figure) Bars(name string, values []float64) *Figure {
	p := f.one("Bars")
	for _, s := range p.series {
		if s.kind == bars && len(s.ys) != len(values) && s.name != name {
			refuse("Figure.Bars", fmt.Sprintf("%d values, as %q has", len(s.ys), s.name), "%d", len(values))
		}
	}
	p.add("Bars", series{kind: bars, name: name, ys: copied(values)})
	return f
}

// Categories names the groups of bars, from left to right.
func (f *Figure) Categories(names []string) *Figure {
	f.one("Categories").categories = append([]string(nil), names...)
	return f
}

// Histogram counts values in bins of equal width, which all histograms of a
// panel share; bins of 0 goes by their number.
func (f *Figure) Histogram(name string, values []float64, bins int) *Figure {
	if bins < 0 {
		refuse("Figure.Histogram", "0 bins or more", "%d", bins)
	}
	f.one("Histogram").add("Histogram", series{kind: histogram, name: name, ys: copied(values), bins: bins})
	return f
}

// HeatMap draws a table of numbers, the first row at the top. Beyond 256 rows
// or columns neighbours are averaged.
func (f *Figure) HeatMap(rows [][]float64) *Figure {
	p := f.one("HeatMap")
	if len(p.series) > 0 {
		refuse("Figure.HeatMap", "a figure without series", "one with %d", len(p.series))
	}
	if len(rows) == 0 || len(rows[0]) == 0 {
		refuse("Figure.HeatMap", "at least one number", "none")
	}
	p.cells = nil
	for i, r := range rows {
		if len(r) != len(rows[0]) {
			refuse("Figure.HeatMap", fmt.Sprintf("%d numbers in each row", len(rows[0])), "%d in row %d", len(r), i)
		}
		p.cells = append(p.cells, copied(r))
	}
	return f
}

// Rows and Columns label a heat map.
func (f *Figure) Rows(labels []string) *Figure {
	f.one("Rows").rows = append([]string(nil), labels...)
	return f
}

// Columns labels the columns of a heat map.
func (f *Figure) Columns(labels []string) *Figure {
	f.one("Columns").cols = append([]string(nil), labels...)
	return f
}

// Title replaces the title.
func (f *Figure) Title(text string) *Figure { f.one("Title").title = text; return f }

// XLabel and YLabel say what the axes measure.
func (f *Figure) XLabel(text string) *Figure { f.one("XLabel").xLabel = text; return f }

// YLabel says what the upright axis measures.
func (f *Figure) YLabel(text string) *Figure { f.one("YLabel").yLabel = text; return f }

// LogX and LogY make an axis logarithmic.
func (f *Figure) LogX() *Figure { f.one("LogX").logX = true; return f }

// LogY makes the upright axis logarithmic.
func (f *Figure) LogY() *Figure { f.one("LogY").logY = true; return f }

// Theme draws this figure in t.
func (f *Figure) Theme(t Theme) *Figure { t.check("Figure.Theme"); f.theme = &t; return f }

// Size sets width and height of each panel in centimetres.
func (f *Figure) Size(width, height float64) *Figure {
	if !(width >= 3 && width <= 200 && height >= 2 && height <= 200) {
		refuse("Figure.Size", "3 to 200 by 2 to 200 centimetres", "%g by %g", width, height)
	}
	f.width, f.height = width, height
	return f
}

// Series lists the names in the figure, each once, in the order of the legend.
func (f *Figure) Series() []string {
	var names []string
	seen := map[string]bool{"": true}
	for _, p := range f.panels {
		for _, s := range p.series {
			if !seen[s.name] {
				seen[s.name] = true
				names = append(names, s.name)
			}
		}
	}
	return names
}

// visible reports whether a value can be drawn on an axis: differences of those
// beyond 1e300 are no numbers any more.
func visible(v float64, log bool) bool { return math.Abs(v) <= 1e300 && (!log || v > 1e-300) }

// edges are the bounds of the bins that a panel's histograms share, nil if
// there is nothing to count.
func (p *panel) edges() []float64 {
	lo, hi, n, bins := math.Inf(1), math.Inf(-1), 0, 0
	for _, s := range p.series {
		if s.kind != histogram {
			continue
		}
		bins = max(bins, s.bins)
		for _, v := range s.ys {
			if visible(v, p.logX) {
				lo, hi, n = min(lo, v), max(hi, v), n+1
			}
		}
	}
	if n == 0 {
		return nil
	}
	if bins == 0 {
		bins = min(max(int(math.Ceil(math.Sqrt(float64(n)))), 5), 50)
	}
	if p.logX {
		lo, hi = math.Log(lo), math.Log(hi)
	}
	if lo == hi {
		lo, hi = lo-0.5, hi+0.5
	}
	out := make([]float64, bins+1)
	for i := range out {
		out[i] = lo + (hi-lo)*float64(i)/float64(bins)
		if p.logX {
			out[i] = math.Exp(out[i])
		}
	}
	return out
}

// counts is how many of a histogram's values fall into each bin.
func (p *panel) counts(s series, edges []float64) []float64 {
	out := make([]float64, len(edges)-1)
	for _, v := range s.ys {
		if !visible(v, p.logX) {
			continue
		}
		at := len(out) - 1
		for i := range out {
			if v < edges[i+1] {
				at = i
				break
			}
		}
		out[at]++
	}
	return out
}
