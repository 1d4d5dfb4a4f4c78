package plot_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/stdlib/plot"
)

func wave(n int, f func(i int) float64) (xs, ys []float64) {
	for i := range n {
		xs, ys = append(xs, float64(i*8)), append(ys, f(i))
	}
	return xs, ys
}

// gallery has one figure of each kind.
func gallery() map[string]*plot.Figure {
	xs, a := wave(120, func(i int) float64 { return 0.69*math.Exp(-float64(i)/60) + 0.02*math.Sin(float64(i)) })
	_, b := wave(120, func(i int) float64 { return 0.69*math.Exp(-float64(i)/50) + 0.03*math.Cos(float64(i)*1.7) })
	var diff, values, others []float64
	for i := range a {
		diff = append(diff, math.Abs(a[i]-b[i]))
		values = append(values, math.Sin(float64(i)*12.9)+math.Sin(float64(i)*7.1))
		others = append(others, 1+math.Sin(float64(i)*3.3)+math.Sin(float64(i)*5.7))
	}
	cells := make([][]float64, 12)
	for i := range cells {
		for j := range 20 {
			cells[i] = append(cells[i], math.Sin(float64(i)/3)*math.Cos(float64(j)/4))
		}
	}
	line := plot.New("loss/train").Line("float32", xs, a).Line("bfloat16", xs, b).XLabel("pairs").YLabel("loss")
	logs := plot.New("|difference|").Line("difference", xs, diff).XLabel("pairs").LogY()
	many := plot.New("learning rates")
	for k, name := range []string{"5e-7", "1e-6", "2e-6", "5e-6", "1e-5", "2e-5", "5e-5"} {
		x, ys := wave(40, func(i int) float64 { return math.Exp(-float64(i)/20) + float64(k)*0.2 })
		many.Line("lr "+name, x, ys)
	}
	bars := plot.New("examples per second").Bars("float32", []float64{10.5, 20.1, 38}).Bars("bfloat16", []float64{17, 33.2, 61.5}).
		Categories([]string{"cpu:1", "cpu:2", "cpu:4"}).YLabel("pairs/s")
	long := plot.New("gradient norm by module").Bars("", []float64{1, 3, -2, 5, 0.5, 2, 3, 1}).Categories([]string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
		"self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "lm_head"})
	hist := plot.New("rewards").Histogram("chosen", others, 24).Histogram("rejected", values, 24).XLabel("reward").YLabel("responses")
	dots := plot.New("chosen against rejected").Points("before", values, others).Points("after", others, a).XLabel("chosen").YLabel("rejected")
	heat := plot.New("attention").HeatMap(cells).XLabel("key").YLabel("query")
	named := plot.New("confusion").HeatMap([][]float64{{0.9, 0.05, 0.05}, {0.2, 0.7, 0.1}, {0.1, 0.3, 0.6}}).
		Rows([]string{"friendly", "neutral", "rude"}).Columns([]string{"friendly", "neutral", "rude"})
	return map[string]*plot.Figure{"line": line, "log": logs, "many": many, "bars": bars, "long": long, "hist": hist, "dots": dots, "heat": heat, "named": named,
		"grid": plot.Grid(3, line, logs, bars, hist, heat, dots)}
}

// TestGallery draws every kind in both themes, twice with the same bytes. With
// DPOLAB_GALLERY set to a directory the figures stay there to be looked at.
func TestGallery(t *testing.T) {
	dir := os.Getenv("DPOLAB_GALLERY")
	if dir == "" {
		dir = t.TempDir()
	}
	again := gallery()
	for name, f := range gallery() {
		var before []byte
		for theme, look := range map[string]plot.Theme{"light": plot.Light(), "dark": plot.Dark()} {
			path := filepath.Join(dir, name+"-"+theme+".png")
			f.Theme(look).Save(path)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(content))
			if err != nil || img.Bounds().Dx() < 600 {
				t.Fatalf("%s: image %v: %v", name, img, err)
			}
			if !bytes.Equal(content, again[name].Theme(look).PNG()) || f.SVG() != again[name].SVG() {
				t.Errorf("%s: two drawings differ", name)
			}
			if bytes.Equal(before, content) {
				t.Errorf("%s: the themes look the same", name)
			}
			before = content
		}
		checkXML(t, name, f.SVG())
		checkWidth(t, f.Text(64, 6), 64)
		t.Logf("%s\n%s", name, f)
	}
}

func checkXML(t *testing.T, name, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: SVG: %v", name, err)
		}
	}
}

func checkWidth(t *testing.T, text string, width int) {
	t.Helper()
	for _, l := range strings.Split(text, "\n") {
		if n := len([]rune(l)); n > width+8 {
			t.Errorf("%d characters, want about %d: %s", n, width, l)
		}
	}
}

func TestSVGHoldsWhatIsDrawn(t *testing.T) {
	xs := []float64{1, 2, 3}
	svg := plot.New("a < b & c").Line("x→y", xs, xs).Line("other", xs, []float64{3, 2, 1}).XLabel("pairs").SVG()
	for _, want := range []string{"a &lt; b &amp; c", "x→y", "other", "pairs", "#0072B2", "#D55E00", "sans-serif"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the SVG", want)
		}
	}
	f := plot.New("").Line("a", xs, xs)
	one := f.SVG()
	if f.Line("a", xs, xs).SVG() != one || f.Line("a", xs, []float64{1, 4, 9}).SVG() == one {
		t.Error("a series given again does not replace the old one")
	}
	xs[0] = 50
	if strings.Contains(f.String(), "50") {
		t.Error("a figure sees later changes of its slices")
	}
	m := f.MIME()
	if len(m) != 2 || m["text/plain"] != f.String() || m["image/svg+xml"] != f.SVG() {
		t.Errorf("MIME bundle is %v", m)
	}
}

func TestGapsAndEmptyPanels(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	xs := []float64{0, 1, 2, 3, 4, 5}
	gap := plot.New("gap").Line("a", xs, []float64{1, 2, nan, inf, 3, 1})
	if n := strings.Count(gap.SVG(), "stroke:#0072B2"); n < 3 { // legend, and a line to each side of the gap
		t.Errorf("%d strokes of the line, want 3 or more", n)
	}
	for name, f := range map[string]*plot.Figure{
		"nothing":      plot.New("t"),
		"not a number": plot.New("t").Line("a", []float64{1}, []float64{nan}),
		"log of zero":  plot.New("t").Line("a", []float64{1, 2}, []float64{0, -1}).LogY(),
		"no values":    plot.New("t").Histogram("a", nil, 0),
		"no bars":      plot.New("t").Bars("a", []float64{nan}),
	} {
		if !strings.Contains(f.SVG(), "no values") || !strings.Contains(f.String(), "no values") {
			t.Errorf("%s: drawn as %s", name, f)
		}
		f.PNG()
	}
	for name, f := range map[string]*plot.Figure{
		"one point":       plot.New("t").Line("a", []float64{5}, []float64{7}),
		"log point":       plot.New("t").Line("a", []float64{5}, []float64{7}).LogX().LogY(),
		"flat":            plot.New("t").Line("a", []float64{0, 1}, []float64{0, 0}),
		"one value":       plot.New("t").Histogram("a", []float64{3, 3, 3}, 4),
		"nan cell":        plot.New("t").HeatMap([][]float64{{1, nan}, {2, 3}}),
		"only nans":       plot.New("t").HeatMap([][]float64{{nan}}),
		"large":           plot.New("t").HeatMap(make300()),
		"log bars":        plot.New("t").Bars("a", []float64{1, 1000}).LogY(),
		"tiny range":      plot.New("t").Line("a", []float64{1, 2}, []float64{1, 1 + 1e-12}),
		"one bit apart":   plot.New("t").Line("a", []float64{1, 2}, []float64{1, math.Nextafter(1, 2)}),
		"subnormal":       plot.New("t").Line("a", []float64{1, 2}, []float64{0, 5e-324}),
		"the whole range": plot.New("t").Line("a", []float64{-1e300, 1e300}, []float64{1, 2}),
		"all decades":     plot.New("t").Line("a", []float64{1, 2}, []float64{1e-299, 1e299}).LogY(),
		"huge":            plot.New("t").Line("a", []float64{0, 1e300}, []float64{-1e300, 1e300}),
	} {
		if len(f.PNG()) == 0 || f.SVG() == "" || f.String() == "" {
			t.Errorf("%s: not drawn", name)
		}
	}
}

func make300() [][]float64 {
	out := make([][]float64, 300)
	for i := range out {
		out[i] = make([]float64, 3)
		out[i][i%3] = float64(i)
	}
	return out
}

func TestText(t *testing.T) {
	xs := []float64{0, 1, 2, 3}
	got := plot.New("loss").Line("a", xs, []float64{4, 3, 2, 1}).XLabel("pairs").Text(20, 2)
	if lines := strings.Split(got, "\n"); len(lines) != 4 || lines[0] != "loss  a 4 → 1" || !strings.Contains(lines[1], "4 ┤⠉⠒") || !strings.Contains(lines[3], "3 pairs") {
		t.Errorf("drawn as\n%s", got)
	}
	two := plot.New("").Line("first", xs, []float64{0, 0, 0, 0}).Line("second", xs, []float64{1, 1, 1, 1}).Text(60, 4)
	lines := strings.Split(two, "\n")
	if !strings.HasSuffix(lines[1], " b") || !strings.HasSuffix(lines[4], " a") || !strings.Contains(lines[0], "a first") {
		t.Errorf("lines are not named at their ends:\n%s", two)
	}
	bars := plot.New("speed").Bars("", []float64{1, 2, 4}).Categories([]string{"x", "yy", "z"}).Text(40, 4)
	var lengths []int
	for _, l := range strings.Split(bars, "\n")[1:] {
		lengths = append(lengths, strings.Count(l, "█"))
	}
	if len(lengths) != 3 || lengths[2] < 2*lengths[1]-1 || lengths[1] < 2*lengths[0]-1 || lengths[2] > 2*lengths[1]+1 {
		t.Errorf("bars of 1, 2, 4 are %v characters long:\n%s", lengths, bars)
	}
}

func TestErrors(t *testing.T) {
	one := []float64{1}
	grid := plot.Grid(2, plot.New("a"), plot.New("b"))
	bad := plot.Light()
	bad.Palette = []string{"blue"}
	for _, c := range []struct {
		name string
		call func()
		want []string
	}{
		{"lengths", func() { plot.New("").Line("a", one, nil) }, []string{"Figure.Line", "as many ys as xs", "0 and 1"}},
		{"suffix", func() { plot.New("").Save("x.pdf") }, []string{"Figure.Save", ".svg or .png", "x.pdf"}},
		{"folder", func() { plot.New("").Save(filepath.Join(t.TempDir(), "no", "x.svg")) }, []string{"Figure.Save", "no such file"}},
		{"grid", func() { grid.Line("a", one, one) }, []string{"one panel", "one of 2"}},
		{"mixed", func() { plot.New("").Line("a", one, one).Bars("b", one) }, []string{"Figure.Bars", "alone"}},
		{"groups", func() { plot.New("").Bars("a", one).Bars("b", []float64{1, 2}) }, []string{"1 values", "got 2"}},
		{"ragged", func() { plot.New("").HeatMap([][]float64{{1, 2}, {3}}) }, []string{"2 numbers", "1 in row 1"}},
		{"empty", func() { plot.New("").HeatMap(nil) }, []string{"Figure.HeatMap", "none"}},
		{"over heat", func() { plot.New("").HeatMap([][]float64{{1}}).Line("a", one, one) }, []string{"without a heat map"}},
		{"theme", func() { plot.New("").Theme(bad) }, []string{"Figure.Theme", "blue"}},
		{"no theme", func() { plot.SetTheme(plot.Theme{}) }, []string{"SetTheme", "palette"}},
		{"size", func() { plot.New("").Size(0, 5) }, []string{"Figure.Size", "0 by 5"}},
		{"bins", func() { plot.New("").Histogram("a", one, -1) }, []string{"Figure.Histogram", "-1"}},
		{"no parts", func() { plot.Grid(2) }, []string{"Grid", "0 figures"}},
		{"nil part", func() { plot.Grid(2, nil) }, []string{"nil at place 0"}},
	} {
		err := raised(c.call)
		if err == nil {
			t.Errorf("%s: nothing was raised", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %q without %q", c.name, err, w)
			}
		}
	}
}

func raised(fn func()) (err error) {
	defer func() {
		if e, ok := recover().(*plot.Error); ok {
			err = e
		}
	}()
	fn()
	return nil
}

func TestDefaultTheme(t *testing.T) {
	f := plot.New("t").Line("a", []float64{0, 1}, []float64{0, 1})
	light := f.SVG()
	plot.SetTheme(plot.Dark())
	defer plot.SetTheme(plot.Light())
	if dark := f.SVG(); dark == light || !strings.Contains(dark, "#111418") {
		t.Error("SetTheme does not reach figures made before")
	}
}
