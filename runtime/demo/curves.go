package demo

import (
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// palette tells runs apart, also for readers who see no red and green.
var palette = []color.Color{color.RGBA{R: 0, G: 114, B: 178, A: 255}, color.RGBA{R: 213, G: 94, B: 0, A: 255}}

// drawCurves writes the loss, reward accuracy and margin of the runs over the
// examples seen, side by side, as one SVG.
func drawCurves(path string, runs ...*result) error {
	panels := []struct{ title, metric string }{
		{"loss", "loss/train"}, {"reward accuracy", "rewards_train/accuracies"}, {"reward margin", "rewards_train/margins"}}
	canvas := vgsvg.New(27*vg.Centimeter, 8*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Centimeter, PadTop: vg.Millimeter * 3, PadBottom: vg.Millimeter * 3, PadLeft: vg.Millimeter * 3, PadRight: vg.Millimeter * 3}
	for i, panel := range panels {
		p := plot.New()
		p.Title.Text, p.X.Label.Text = panel.title, "examples"
		p.Add(plotter.NewGrid())
		for j, r := range runs {
			xs, ys := r.history.Series(panel.metric)
			points := make(plotter.XYs, len(xs))
			for k := range xs {
				points[k] = plotter.XY{X: xs[k], Y: ys[k]}
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return fmt.Errorf("demo: %s: %w", panel.title, err)
			}
			line.Color, line.Width = palette[j%len(palette)], vg.Points(1.5)
			p.Add(line)
			if i == 0 {
				p.Legend.Add(r.name, line)
				p.Legend.Top = true
			}
		}
		p.Draw(tiles.At(draw.New(canvas), i, 0))
	}
	return writeSVG(path, canvas)
}

func writeSVG(path string, canvas *vgsvg.Canvas) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if _, err := canvas.WriteTo(f); err != nil {
		f.Close()
		return fmt.Errorf("demo: %w", err)
	}
	return f.Close()
}
