package dpo

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figure is curves over the pairs seen, one panel per metric, one line per run.
// Printed, it draws itself with characters; Save writes an SVG.
type Figure struct{ panels []panel }

type panel struct {
	title string
	lines []line
}

type line struct {
	name   string
	xs, ys []float64
}

// Curves draws loss, reward accuracy and reward margin of a run.
func Curves(h *History) *Figure { return CompareCurves([]string{""}, []*History{h}) }

// CompareCurves draws several runs into the same panels.
func CompareCurves(names []string, runs []*History) *Figure {
	return CurvesOf([]string{"loss/train", "rewards_train/accuracies", "rewards_train/margins"}, names, runs)
}

// CurvesOf draws the given metrics. A metric that no run has is left out; if
// none is left it raises.
func CurvesOf(metrics, names []string, runs []*History) *Figure {
	if len(names) != len(runs) || len(runs) == 0 {
		refuse("CurvesOf", "a name for each of at least one run", "%d names, %d runs", len(names), len(runs))
	}
	f := &Figure{}
	for _, metric := range metrics {
		p := panel{title: metric}
		for i, h := range runs {
			if xs, ys := h.inner().Series(metric); len(xs) > 0 {
				p.lines = append(p.lines, line{names[i], xs, ys})
			}
		}
		if len(p.lines) > 0 {
			f.panels = append(f.panels, p)
		}
	}
	if len(f.panels) == 0 {
		refuse("CurvesOf", "a metric that a run has recorded", "%s", strings.Join(metrics, ", "))
	}
	return f
}

// palette tells lines apart, also for readers who see no red and green.
var palette = []color.Color{color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255}}

// SVG is the figure as an SVG document.
func (f *Figure) SVG() string {
	canvas := vgsvg.New(vg.Length(len(f.panels))*9*vg.Centimeter, 8*vg.Centimeter)
	pad := 3 * vg.Millimeter
	tiles := draw.Tiles{Rows: 1, Cols: len(f.panels), PadX: vg.Centimeter, PadTop: pad, PadBottom: pad, PadLeft: pad, PadRight: pad}
	for i, panel := range f.panels {
		p := plot.New()
		p.Title.Text, p.X.Label.Text = panel.title, "pairs"
		p.Add(plotter.NewGrid())
		for j, l := range panel.lines {
			points := plotter.XYs{}
			for k := range l.xs {
				if !math.IsNaN(l.ys[k]) && !math.IsInf(l.ys[k], 0) { // what plots refuse
					points = append(points, plotter.XY{X: l.xs[k], Y: l.ys[k]})
				}
			}
			if len(points) == 0 {
				continue
			}
			drawn, err := plotter.NewLine(points)
			check("Figure.SVG", err)
			drawn.Color, drawn.Width = palette[j%len(palette)], vg.Points(1.5)
			p.Add(drawn)
			if i == 0 && l.name != "" {
				p.Legend.Add(l.name, drawn)
				p.Legend.Top = true
			}
		}
		p.Draw(tiles.At(draw.New(canvas), i, 0))
	}
	var out bytes.Buffer
	_, err := canvas.WriteTo(&out)
	check("Figure.SVG", err)
	return out.String()
}

// Save writes the figure to an SVG file.
func (f *Figure) Save(path string) {
	if !strings.HasSuffix(path, ".svg") {
		refuse("Figure.Save", "a path that ends in .svg", "%q", path)
	}
	check("Figure.Save", os.WriteFile(path, []byte(f.SVG()), 0o644))
}

// String draws the figure for a terminal.
func (f *Figure) String() string {
	var b strings.Builder
	for i, p := range f.panels {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.draw(48, 6))
	}
	return strings.TrimRight(b.String(), "\n")
}

// draw renders a panel with braille characters, two by four dots each.
func (p panel) draw(width, height int) string {
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, l := range p.lines {
		for i := range l.xs {
			if !math.IsNaN(l.ys[i]) && !math.IsInf(l.ys[i], 0) {
				x0, x1, y0, y1 = math.Min(x0, l.xs[i]), math.Max(x1, l.xs[i]), math.Min(y0, l.ys[i]), math.Max(y1, l.ys[i])
			}
		}
	}
	if x0 > x1 {
		return p.title + ": no finite values\n"
	}
	dots := make([][]byte, height)
	for i := range dots {
		dots[i] = make([]byte, width)
	}
	column := func(x float64) float64 { return scale(x, x0, x1) * float64(2*width-1) }
	row := func(y float64) float64 { return (1 - scale(y, y0, y1)) * float64(4*height-1) }
	for _, l := range p.lines {
		for i := range l.xs {
			j := max(i-1, 0)
			mark(dots, column(l.xs[j]), row(l.ys[j]), column(l.xs[i]), row(l.ys[i]))
		}
	}
	var b strings.Builder
	var names []string
	for _, l := range p.lines {
		if l.name != "" {
			names = append(names, fmt.Sprintf("%s %.4g → %.4g", l.name, l.ys[0], l.ys[len(l.ys)-1]))
		}
	}
	fmt.Fprintln(&b, strings.TrimSpace(p.title+"  "+strings.Join(names, "   ")))
	for i, r := range dots {
		label := ""
		switch i {
		case 0:
			label = fmt.Sprintf("%.4g", y1)
		case height - 1:
			label = fmt.Sprintf("%.4g", y0)
		}
		fmt.Fprintf(&b, "%10s ┤", label)
		for _, d := range r {
			b.WriteRune(rune(0x2800 + int(d)))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%10s  %-*g%*g pairs\n", "", width/2, x0, width-width/2, x1)
	return b.String()
}

// scale maps x from [lo, hi] to [0, 1]; a single point lies in the middle.
func scale(x, lo, hi float64) float64 {
	if hi == lo {
		return 0.5
	}
	return (x - lo) / (hi - lo)
}

// brailleBits are the bits of a character's dots by row and column.
var brailleBits = [4][2]byte{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// mark sets the dots of a straight line.
func mark(dots [][]byte, c0, r0, c1, r1 float64) {
	if math.IsNaN(r0+r1) || math.IsInf(r0, 0) || math.IsInf(r1, 0) {
		return
	}
	steps := int(math.Max(math.Abs(c1-c0), math.Abs(r1-r0))) + 1
	for s := 0; s <= steps; s++ {
		part := float64(s) / float64(steps)
		c, r := int(math.Round(c0+part*(c1-c0))), int(math.Round(r0+part*(r1-r0)))
		dots[r/4][c/2] |= brailleBits[r%4][c%2]
	}
}
