package plot

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// finest is how many rows and columns of a heat map are drawn at most.
const finest = 256

// drawHeat draws the table and, to its right, what its colours mean.
func (p *panel) drawHeat(g *plot.Plot, c draw.Canvas, t Theme) {
	cells := reduced(p.cells)
	values := span{math.Inf(1), math.Inf(-1)}
	for _, r := range cells {
		for _, v := range r {
			if visible(v, false) {
				values.take(v)
			}
		}
	}
	if values.lo > values.hi {
		values = span{0, 1}
	}
	values = values.widened(false)
	rows, cols := len(cells), len(cells[0])
	var list rectangles
	for i, r := range cells {
		for j, v := range r {
			if visible(v, false) {
				x, y, shade := float64(j), float64(rows-1-i), t.shade((v-values.lo)/(values.hi-values.lo))
				list = append(list, rectangle{x, y, x + 1, y + 1, shade, shade})
			}
		}
	}
	g.Add(list)
	g.X.Min, g.X.Max, g.Y.Min, g.Y.Max = 0, float64(cols), 0, float64(rows)
	g.X.Padding, g.Y.Padding = 0, 0
	const right = 46 // points, for the scale
	width, height := (c.Max.X - c.Min.X).Points(), (c.Max.Y - c.Min.Y).Points()
	labelCells(&g.X, p.cols, len(p.cells[0]), cols, (width-right-50)/24, false)
	if len(p.cols) > 0 {
		marks := g.X.Tick.Marker.(plot.ConstantTicks)
		slant(&g.X, marks, (width-right-50)/float64(max(len(marks), 1)))
	}
	labelCells(&g.Y, p.rows, len(p.cells), rows, (height-50)/14, true)
	area := draw.Crop(c, 0, -vg.Points(right), 0, 0)
	g.Draw(area)
	scale(c, g, g.DataCanvas(area).Rectangle, values, t)
}

// labelCells marks the middle of cells: with their labels, or with numbers,
// leaving out as many as there is no room for.
func labelCells(a *plot.Axis, labels []string, n, drawn int, room float64, down bool) {
	every := max(1, int(math.Ceil(float64(n)/math.Max(room, 1))))
	marks := plot.ConstantTicks{}
	for i := 0; i < n; i += every {
		at := (float64(i) + 0.5) * float64(drawn) / float64(n)
		if down {
			at = float64(drawn) - at
		}
		label := number(float64(i), 1)
		if labels != nil {
			if label = ""; i < len(labels) {
				label = labels[i]
			}
		}
		marks = append(marks, plot.Tick{Value: at, Label: label})
	}
	a.Tick.Marker, a.Tick.Length = marks, 0
}

// scale draws the bar of colours beside the table.
func scale(c draw.Canvas, g *plot.Plot, data vg.Rectangle, values span, t Theme) {
	const steps = 64
	left := data.Max.X + vg.Points(9)
	height := (data.Max.Y - data.Min.Y) / steps
	for i := range steps {
		y := data.Min.Y + vg.Length(i)*height
		c.FillPolygon(t.shade((float64(i)+0.5)/steps), []vg.Point{{X: left, Y: y}, {X: left + vg.Points(9), Y: y},
			{X: left + vg.Points(9), Y: y + height*1.1}, {X: left, Y: y + height*1.1}})
	}
	label := g.Y.Tick.Label
	label.XAlign, label.YAlign = draw.XLeft, draw.YCenter
	for _, m := range (ticker{most: 5}).Ticks(values.lo, values.hi) {
		y := data.Min.Y + vg.Length((m.Value-values.lo)/(values.hi-values.lo))*(data.Max.Y-data.Min.Y)
		c.FillText(label, vg.Point{X: left + vg.Points(12), Y: y}, m.Label)
	}
}

// reduced averages neighbours until there are no more than can be drawn.
func reduced(cells [][]float64) [][]float64 {
	rows, cols := len(cells), len(cells[0])
	if rows <= finest && cols <= finest {
		return cells
	}
	out := make([][]float64, min(rows, finest))
	for i := range out {
		out[i] = make([]float64, min(cols, finest))
		r0, r1 := i*rows/len(out), (i+1)*rows/len(out)
		for j := range out[i] {
			c0, c1 := j*cols/len(out[i]), (j+1)*cols/len(out[i])
			sum, n := 0.0, 0
			for _, r := range cells[r0:r1] {
				for _, v := range r[c0:c1] {
					if visible(v, false) {
						sum, n = sum+v, n+1
					}
				}
			}
			out[i][j] = sum / float64(n)
		}
	}
	return out
}
