package plot

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// style is how all series of one name are drawn.
type style struct {
	color  color.NRGBA
	dashes []vg.Length
	glyph  draw.GlyphDrawer
}

// dashes and glyphs tell series apart once more, for prints without colour and
// palettes that start again.
var (
	dashes = [][]vg.Length{nil, {vg.Points(6), vg.Points(3)}, {vg.Points(2), vg.Points(2)}, {vg.Points(8), vg.Points(2), vg.Points(2), vg.Points(2)}}
	glyphs = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}, draw.SquareGlyph{}, draw.PlusGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}}
)

// styles gives each name of the figure its look; series without a name share
// the first.
func (f *Figure) styles(t Theme) map[string]style {
	out := map[string]style{"": {rgb(t.Palette[0]), nil, glyphs[0]}}
	for i, name := range f.Series() {
		n := len(t.Palette)
		out[name] = style{rgb(t.Palette[i%n]), dashes[i/n%len(dashes)], glyphs[i%len(glyphs)]}
	}
	return out
}

// addSeries hands the panel's series to gonum.
func (p *panel) addSeries(g *plot.Plot, styles map[string]style) {
	edges := p.edges()
	groups, at := 0, 0
	for _, s := range p.series {
		if s.kind == bars {
			groups++
		}
	}
	floor := 0.0
	if p.logY {
		_, y, _ := p.bounds()
		floor = y.lo
	}
	for _, s := range p.series {
		look := styles[s.name]
		switch s.kind {
		case lines:
			for _, run := range p.runs(s) {
				l := &plotter.Line{XYs: run, LineStyle: draw.LineStyle{Color: look.color, Width: vg.Points(1.6), Dashes: look.dashes}}
				if len(run) == 1 { // a point between two gaps would not be seen
					g.Add(&plotter.Scatter{XYs: run, GlyphStyle: draw.GlyphStyle{Color: look.color, Radius: vg.Points(1.6), Shape: draw.CircleGlyph{}}})
					continue
				}
				g.Add(l)
			}
		case points:
			for _, run := range p.runs(s) {
				g.Add(&plotter.Scatter{XYs: run, GlyphStyle: draw.GlyphStyle{Color: faded(look.color, 0.85), Radius: vg.Points(2.6), Shape: look.glyph}})
			}
		case bars:
			width := 0.8 / float64(groups)
			var list rectangles
			for i, v := range s.ys {
				if visible(v, p.logY) {
					x := float64(i) - 0.4 + float64(at)*width
					list = append(list, rectangle{x + width*0.04, floor, x + width*0.96, v, look.color, look.color})
				}
			}
			g.Add(list)
			at++
		case histogram:
			if edges == nil {
				continue
			}
			var list rectangles
			for i, n := range p.counts(s, edges) {
				if n > 0 && visible(n, p.logY) {
					list = append(list, rectangle{edges[i], floor, edges[i+1], n, faded(look.color, 0.45), look.color})
				}
			}
			g.Add(list)
		}
	}
}

// runs cuts a series into stretches without a gap.
func (p *panel) runs(s series) []plotter.XYs {
	var out []plotter.XYs
	open := false
	for i := range s.xs {
		if !visible(s.xs[i], p.logX) || !visible(s.ys[i], p.logY) {
			open = false
			continue
		}
		if !open {
			out = append(out, nil)
			open = true
		}
		last := len(out) - 1
		out[last] = append(out[last], plotter.XY{X: s.xs[i], Y: s.ys[i]})
	}
	return out
}

// rectangle spans values on both axes.
type rectangle struct {
	x0, y0, x1, y1 float64
	fill, edge     color.NRGBA
}

// rectangles is a gonum plotter.
type rectangles []rectangle

// Plot draws the rectangles.
func (r rectangles) Plot(c draw.Canvas, g *plot.Plot) {
	x, y := g.Transforms(&c)
	for _, b := range r {
		corners := []vg.Point{{X: x(b.x0), Y: y(b.y0)}, {X: x(b.x1), Y: y(b.y0)}, {X: x(b.x1), Y: y(b.y1)}, {X: x(b.x0), Y: y(b.y1)}}
		c.FillPolygon(b.fill, corners)
		c.StrokeLines(draw.LineStyle{Color: b.edge, Width: vg.Points(0.5)}, append(corners, corners[0]))
	}
}

// nameBars puts the categories under the bars.
func (p *panel) nameBars(g *plot.Plot, width float64) {
	n := 0
	for _, s := range p.series {
		n = max(n, len(s.ys))
	}
	marks := plot.ConstantTicks{}
	for i := range min(n, len(p.categories)) {
		marks = append(marks, plot.Tick{Value: float64(i), Label: p.categories[i]})
	}
	g.X.Tick.Marker, g.X.Tick.Length = marks, 0
	slant(&g.X, marks, (width-50)/float64(max(n, 1)))
}

// slant turns labels that would touch each other, given the room for each in
// points.
func slant(a *plot.Axis, marks plot.ConstantTicks, room float64) {
	for _, m := range marks {
		if a.Tick.Label.Width(m.Label).Points()+6 > room {
			a.Tick.Label.Rotation = 0.6
			a.Tick.Label.XAlign, a.Tick.Label.YAlign = draw.XRight, draw.YTop
			return
		}
	}
}
