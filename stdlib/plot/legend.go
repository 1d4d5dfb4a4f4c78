package plot

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// legend names the series above the panels, where nothing can be hidden by it.
type legend struct {
	entries []entry
	rows    int
	styles  map[string]style
	label   text.Style
}

// entry is a name with its place, in points from the left, and row.
type entry struct {
	name string
	kind kind
	x    vg.Length
	row  int
}

const (
	legendRow = vg.Length(16)
	swatch    = vg.Length(20)
)

// legend lays the names out over a width; a figure without names has none.
func (f *Figure) legend(width vg.Length) legend {
	t := f.look()
	l := legend{styles: f.styles(t), label: text.Style{Color: rgb(t.Foreground), Font: font.From(sans, 10), Handler: plot.DefaultTextHandler,
		XAlign: draw.XLeft, YAlign: draw.YCenter}}
	kinds := map[string]kind{}
	for _, p := range f.panels {
		for _, s := range p.series {
			if _, ok := kinds[s.name]; !ok {
				kinds[s.name] = s.kind
			}
		}
	}
	x := margin
	for _, name := range f.Series() {
		w := swatch + vg.Points(5) + l.label.Width(name) + vg.Points(16)
		if x > margin && x+w > width {
			x = margin
			l.rows++
		}
		l.entries = append(l.entries, entry{name, kinds[name], x, l.rows})
		x += w
	}
	if len(l.entries) > 0 {
		l.rows++
	}
	return l
}

func (l legend) height() vg.Length { return vg.Length(l.rows) * legendRow }

func (l legend) draw(c draw.Canvas, t Theme) {
	for _, e := range l.entries {
		look := l.styles[e.name]
		x, y := c.Min.X+e.x, c.Max.Y-margin/2-vg.Length(e.row)*legendRow-legendRow/2
		switch e.kind {
		case lines:
			c.StrokeLine2(draw.LineStyle{Color: look.color, Width: vg.Points(2), Dashes: look.dashes}, x, y, x+swatch, y)
		case points:
			c.DrawGlyphNoClip(draw.GlyphStyle{Color: look.color, Radius: vg.Points(3), Shape: look.glyph}, vg.Point{X: x + swatch/2, Y: y})
		default:
			fill := look.color
			if e.kind == histogram {
				fill = faded(fill, 0.45)
			}
			c.FillPolygon(fill, []vg.Point{{X: x + 4, Y: y - 4}, {X: x + swatch - 2, Y: y - 4}, {X: x + swatch - 2, Y: y + 4}, {X: x + 4, Y: y + 4}})
		}
		c.FillText(l.label, vg.Point{X: x + swatch + vg.Points(5), Y: y}, e.name)
	}
}
