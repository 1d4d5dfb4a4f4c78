package plot

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// sans is embedded in the program, so figures are the same on every machine.
var sans = font.Font{Typeface: "Liberation", Variant: "Sans"}

// resolution of PNG files in dots per inch: two pixels to one of a screen's.
const resolution = 192

// margin is around and between panels; gap is the same in centimetres.
const (
	gap    = 0.4
	margin = gap * vg.Centimeter
)

// SVG is the figure as an SVG document.
func (f *Figure) SVG() string {
	w, h := f.extent()
	canvas := vgsvg.New(w, h)
	f.draw(draw.New(canvas))
	var out bytes.Buffer
	_, err := canvas.WriteTo(&out)
	check("Figure.SVG", err)
	// A page narrower than the figure shows all of it, smaller.
	text := strings.Replace(out.String(), "<svg ", `<svg style="max-width:100%;height:auto" `, 1)
	// Readers rarely have the font that text was measured with; Arial and
	// Helvetica have its widths.
	return strings.ReplaceAll(text, "font-family:Liberation Sans;", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")
}

// PNG is the figure as an image.
func (f *Figure) PNG() []byte {
	w, h := f.extent()
	canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(resolution))
	f.draw(draw.New(canvas))
	var out bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(&out)
	check("Figure.PNG", err)
	return out.Bytes()
}

// Save writes the figure to a file whose name ends in .svg or .png.
func (f *Figure) Save(path string) {
	var content []byte
	switch strings.ToLower(filepath.Ext(path)) {
	case ".svg":
		content = []byte(f.SVG())
	case ".png":
		content = f.PNG()
	default:
		refuse("Figure.Save", "a path ending in .svg or .png", "%q", path)
	}
	check("Figure.Save", os.WriteFile(path, content, 0o644))
}

// MIME is the figure for a notebook: a drawing, and text beside it. Every
// notebook shows SVG, which is a tenth of a PNG's size.
func (f *Figure) MIME() map[string]string {
	return map[string]string{"image/svg+xml": f.SVG(), "text/plain": f.String()}
}

// extent is the size of the whole figure.
func (f *Figure) extent() (w, h vg.Length) {
	w = vg.Length(f.columns)*(cm(f.width)+margin) + margin
	return w, vg.Length(f.lines())*(cm(f.height)+margin) + margin + f.legend(w).height()
}

func cm(x float64) vg.Length { return vg.Length(x) * vg.Centimeter }

// lines is the number of rows of panels.
func (f *Figure) lines() int { return (len(f.panels) + f.columns - 1) / f.columns }

func (f *Figure) look() Theme {
	if f.theme != nil {
		return *f.theme
	}
	return DefaultTheme()
}

// draw fills the canvas: the legend on top, the panels below.
func (f *Figure) draw(c draw.Canvas) {
	t := f.look()
	edge := vg.Points(2) // beyond the last pixel, which the size may cut in two
	c.SetColor(rgb(t.Background))
	c.Fill(vg.Rectangle{Min: c.Min.Sub(vg.Point{X: edge, Y: edge}), Max: c.Max.Add(vg.Point{X: edge, Y: edge})}.Path())
	l := f.legend(c.Max.X - c.Min.X)
	l.draw(c, t)
	top := c.Max.Y - margin - l.height()
	for i, p := range f.panels {
		x := c.Min.X + margin + vg.Length(i%f.columns)*(cm(f.width)+margin)
		y := top - vg.Length(i/f.columns)*(cm(f.height)+margin)
		p.draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x, Y: y - cm(f.height)}, Max: vg.Point{X: x + cm(f.width), Y: y}}}, t, f.styles(t))
	}
}

// draw fills the panel's canvas.
func (p *panel) draw(c draw.Canvas, t Theme, styles map[string]style) {
	g := plot.New()
	dress(g, t)
	g.Title.Text, g.X.Label.Text, g.Y.Label.Text = p.title, p.xLabel, p.yLabel
	width, height := (c.Max.X - c.Min.X).Points(), (c.Max.Y - c.Min.Y).Points()
	g.X.Tick.Marker = ticker{p.logX, max(3, int(width/44))}
	g.Y.Tick.Marker = ticker{p.logY, max(3, int(height/28))}
	x, y, drawn := p.bounds()
	if !drawn {
		g.X.Tick.Marker, g.Y.Tick.Marker = plot.ConstantTicks{}, plot.ConstantTicks{}
		g.Draw(c)
		label := g.Title.TextStyle
		label.YAlign = draw.YCenter
		c.FillText(label, c.Center(), "no values that can be drawn")
		return
	}
	if p.logX {
		g.X.Scale = plot.LogScale{}
	}
	if p.logY {
		g.Y.Scale = plot.LogScale{}
	}
	if p.cells != nil {
		p.drawHeat(g, c, t)
		return
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = rgb(t.Grid), rgb(t.Grid)
	if p.counted(bars) { // nothing is read off between the bars
		grid.Vertical.Color = nil
		p.nameBars(g, width)
	}
	g.Add(grid)
	p.addSeries(g, styles)
	g.X.Min, g.X.Max, g.Y.Min, g.Y.Max = x.lo, x.hi, y.lo, y.hi
	g.Draw(c)
}

// dress gives a plot the theme's colours and the embedded font.
func dress(g *plot.Plot, t Theme) {
	ink := rgb(t.Foreground)
	g.BackgroundColor = nil
	g.Title.TextStyle.Color, g.Title.TextStyle.Font, g.Title.Padding = ink, font.From(sans, 12), vg.Points(6)
	for _, a := range []*plot.Axis{&g.X, &g.Y} {
		a.Color, a.Tick.Color, a.Label.TextStyle.Color, a.Tick.Label.Color = ink, ink, ink, ink
		a.Label.TextStyle.Font, a.Tick.Label.Font = font.From(sans, 10), font.From(sans, 9)
		a.Label.Padding, a.Tick.Length = vg.Points(3), vg.Points(4)
		a.LineStyle.Width, a.Tick.LineStyle.Width = vg.Points(0.7), vg.Points(0.7)
	}
}

// span is the range of an axis.
type span struct{ lo, hi float64 }

func (s *span) take(v float64) { s.lo, s.hi = min(s.lo, v), max(s.hi, v) }

// widened is a range of some extent, for an axis that has a single value, or
// several that float64 hardly tells apart.
func (s span) widened(log bool) span {
	switch size := math.Max(math.Abs(s.lo), math.Abs(s.hi)); {
	case s.hi-s.lo > math.Max(1e-12*size, 1e-290):
		return s
	case log:
		return span{s.lo / 2, s.hi * 2}
	}
	pad := math.Abs(s.lo) * 0.1
	if pad == 0 {
		pad = 0.5
	}
	return span{s.lo - pad, s.hi + pad}
}

// bounds is what the axes run over; drawn is false if no value can be shown.
func (p *panel) bounds() (x, y span, drawn bool) {
	x, y = span{math.Inf(1), math.Inf(-1)}, span{math.Inf(1), math.Inf(-1)}
	if p.cells != nil {
		return span{0, float64(len(p.cells[0]))}, span{0, float64(len(p.cells))}, true
	}
	edges := p.edges()
	for _, s := range p.series {
		switch s.kind {
		case bars:
			if !p.logY {
				y.take(0)
			}
			for i, v := range s.ys {
				x.take(float64(i) - 0.5)
				x.take(float64(i) + 0.5)
				if visible(v, p.logY) {
					y.take(v)
					drawn = true
				}
			}
		case histogram:
			if edges == nil {
				continue
			}
			x.take(edges[0])
			x.take(edges[len(edges)-1])
			if !p.logY {
				y.take(0)
			}
			for _, n := range p.counts(s, edges) {
				if visible(n, p.logY) {
					y.take(n)
					drawn = true
				}
			}
		default:
			for i := range s.xs {
				if visible(s.xs[i], p.logX) && visible(s.ys[i], p.logY) {
					x.take(s.xs[i])
					y.take(s.ys[i])
					drawn = true
				}
			}
		}
	}
	if p.logY && (p.counted(bars) || p.counted(histogram)) {
		y.lo /= 2 // the least bar is seen, too
	}
	return x.widened(p.logX), y.widened(p.logY), drawn
}

func (p *panel) counted(k kind) bool {
	for _, s := range p.series {
		if s.kind == k {
			return true
		}
	}
	return false
}
