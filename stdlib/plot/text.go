package plot

import (
	"fmt"
	"math"
	"strings"
)

// String draws the figure for a terminal, 64 columns wide.
func (f *Figure) String() string { return f.Text(64, 6) }

// Text draws the figure with characters: lines and points in braille dots of
// two by four to a character, bars and heat maps in blocks. width is in
// characters, labels included; height is in lines per panel.
func (f *Figure) Text(width, height int) string {
	width, height = max(width, 24), max(height, 2)
	var b strings.Builder
	for i, p := range f.panels {
		if i > 0 {
			b.WriteByte('\n')
		}
		switch {
		case p.cells != nil:
			p.textHeat(&b, width)
		case p.counted(bars):
			p.textBars(&b, width)
		default:
			p.textDots(&b, width, height)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// gutter is the room for labels on the left.
const gutter = 11

// textDots draws lines, points and histograms. Where there are several series
// each line of the chart ends in the letters of those that end there.
func (p *panel) textDots(b *strings.Builder, width, height int) {
	x, y, drawn := p.bounds()
	if !drawn {
		fmt.Fprintf(b, "%s: no values that can be drawn\n", p.title)
		return
	}
	across := width - gutter - 2
	if len(p.series) > 1 {
		across -= 3
	}
	dots := make([][]byte, height)
	for i := range dots {
		dots[i] = make([]byte, across)
	}
	ends := make([]string, height)
	column := func(v float64) float64 { return place(v, x, p.logX) * float64(2*across-1) }
	row := func(v float64) float64 { return (1 - place(v, y, p.logY)) * float64(4*height-1) }
	edges := p.edges()
	var heads []string
	for i, s := range p.series {
		letter := ""
		if len(p.series) > 1 {
			letter = string(rune('a' + i%26))
		}
		heads = append(heads, strings.TrimSpace(letter+" "+p.summary(s)))
		if s.kind == histogram {
			if edges == nil {
				continue
			}
			before := y.lo
			for j, n := range p.counts(s, edges) {
				n = max(n, y.lo)
				mark(dots, column(edges[j]), row(before), column(edges[j]), row(n))
				mark(dots, column(edges[j]), row(n), column(edges[j+1]), row(n))
				before = n
			}
			mark(dots, column(x.hi), row(before), column(x.hi), row(y.lo))
			continue
		}
		for _, run := range p.runs(s) {
			for j, at := range run {
				from := at
				if s.kind == lines && j > 0 {
					from = run[j-1]
				}
				mark(dots, column(from.X), row(from.Y), column(at.X), row(at.Y))
			}
			if at := int(row(run[len(run)-1].Y)+0.5) / 4; s.kind == lines && len(ends[at]) < 3 && !strings.Contains(ends[at], letter) {
				ends[at] += letter
			}
		}
	}
	writeHeads(b, p.title, heads, width)
	for i, r := range dots {
		label := ""
		switch i {
		case 0:
			label = fmt.Sprintf("%.4g", y.hi)
		case height - 1:
			label = fmt.Sprintf("%.4g", y.lo)
		}
		var line strings.Builder
		fmt.Fprintf(&line, "%*s ┤", gutter-1, label)
		for _, d := range r {
			line.WriteRune(rune(0x2800 + int(d)))
		}
		fmt.Fprintln(b, strings.TrimRight(line.String()+" "+ends[i], " "))
	}
	end := strings.TrimSpace(fmt.Sprintf("%.6g %s", x.hi, p.xLabel))
	start := fmt.Sprintf("%.6g", x.lo)
	fmt.Fprintf(b, "%*s %s%*s\n", gutter, "", start, max(across-len(start), len(end)+1), end)
}

// writeHeads writes the title and the series, as many to a line as fit.
func writeHeads(b *strings.Builder, title string, heads []string, width int) {
	line := title
	for _, h := range heads {
		if len([]rune(line+"  "+h)) > width && line != "" {
			fmt.Fprintln(b, line)
			line = ""
		}
		line = strings.TrimSpace(line + "  " + h)
	}
	fmt.Fprintln(b, line)
}

// summary is a series' name with how it went.
func (p *panel) summary(s series) string {
	if s.kind == histogram {
		return fmt.Sprintf("%s of %d values", s.name, len(s.ys))
	}
	if s.kind == points || len(s.ys) == 0 {
		return s.name
	}
	return fmt.Sprintf("%s %.4g → %.4g", s.name, s.ys[0], s.ys[len(s.ys)-1])
}

// place maps v from a span to [0, 1].
func place(v float64, s span, log bool) float64 {
	if log {
		return (math.Log(v) - math.Log(s.lo)) / (math.Log(s.hi) - math.Log(s.lo))
	}
	return (v - s.lo) / (s.hi - s.lo)
}

// brailleBits are the bits of a character's dots by row and column.
var brailleBits = [4][2]byte{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// mark sets the dots of a straight line.
func mark(dots [][]byte, c0, r0, c1, r1 float64) {
	steps := int(math.Max(math.Abs(c1-c0), math.Abs(r1-r0))) + 1
	for s := 0; s <= steps; s++ {
		part := float64(s) / float64(steps)
		c, r := int(math.Round(c0+part*(c1-c0))), int(math.Round(r0+part*(r1-r0)))
		dots[r/4][c/2] |= brailleBits[r%4][c%2]
	}
}

// textBars draws a line per bar, to the right of zero or, below it, to the
// left.
func (p *panel) textBars(b *strings.Builder, width int) {
	fmt.Fprintln(b, p.title)
	_, y, drawn := p.bounds()
	if !drawn {
		fmt.Fprintln(b, "  no values that can be drawn")
		return
	}
	names, n := 0, 0
	for _, c := range p.categories {
		names = max(names, len([]rune(c)))
	}
	for _, s := range p.series {
		n = max(n, len(s.ys))
		names = max(names, len([]rune(s.name)))
	}
	across := max(width-names-12, 8)
	zero := place(math.Max(y.lo, math.Min(0, y.hi)), y, p.logY)
	if p.logY {
		zero = 0
	}
	for i := range n {
		category := fmt.Sprint(i)
		if i < len(p.categories) {
			category = p.categories[i]
		}
		if len(p.series) > 1 {
			fmt.Fprintln(b, category)
		}
		for _, s := range p.series {
			label := category
			if len(p.series) > 1 {
				label = s.name
			}
			if !visible(s.ys[i], p.logY) {
				fmt.Fprintf(b, "%*s │ %g\n", names, label, s.ys[i])
				continue
			}
			at := place(s.ys[i], y, p.logY)
			fmt.Fprintf(b, "%*s │%s %.4g\n", names, label, bar(math.Min(zero, at)*float64(across), math.Max(zero, at)*float64(across)), s.ys[i])
		}
	}
}

// bar fills from one place to the other, the end to an eighth of a character.
func bar(from, to float64) string {
	whole := int(to)
	s := strings.Repeat(" ", int(math.Round(from))) + strings.Repeat("█", max(0, whole-int(math.Round(from))))
	if eighths := int((to - float64(whole)) * 8); eighths > 0 {
		s += string(rune(0x2590 - eighths))
	}
	return s
}

// textHeat draws two characters per cell, darker for less.
func (p *panel) textHeat(b *strings.Builder, width int) {
	shades := []rune(" ░▒▓█")
	values := span{math.Inf(1), math.Inf(-1)}
	for _, r := range p.cells {
		for _, v := range r {
			if visible(v, false) {
				values.take(v)
			}
		}
	}
	if values.lo > values.hi {
		fmt.Fprintf(b, "%s: no values that can be drawn\n", p.title)
		return
	}
	fmt.Fprintf(b, "%s  %.4g (blank) to %.4g (█)\n", p.title, values.lo, values.hi)
	wide := values.widened(false)
	cols := min(len(p.cells[0]), max((width-gutter-2)/2, 1))
	rows := min(len(p.cells), cols)
	for i := range rows {
		at := i * len(p.cells) / rows
		label := fmt.Sprint(at)
		if at < len(p.rows) {
			label = p.rows[at]
		}
		if r := []rune(label); len(r) > gutter-1 {
			label = string(r[:gutter-1])
		}
		fmt.Fprintf(b, "%*s ┤", gutter-1, label)
		for j := range cols {
			v := p.cells[at][j*len(p.cells[0])/cols]
			if !visible(v, false) {
				b.WriteString("··")
				continue
			}
			shade := shades[min(int((v-wide.lo)/(wide.hi-wide.lo)*float64(len(shades))), len(shades)-1)]
			b.WriteString(string(shade) + string(shade))
		}
		b.WriteByte('\n')
	}
}

// Sparkline is a curve in one line of at most width characters, from the least
// value, ▁, to the greatest, █. Of more values than that, neighbours are
// averaged; what is not a number is a gap.
func Sparkline(values []float64, width int) string {
	n := min(len(values), max(width, 1))
	means := make([]float64, n)
	all := span{math.Inf(1), math.Inf(-1)}
	for i := range means {
		lo, hi := i*len(values)/n, (i+1)*len(values)/n
		for _, v := range values[lo:hi] {
			means[i] += v / float64(hi-lo)
		}
		if visible(means[i], false) {
			all.take(means[i])
		}
	}
	steps := []rune("▁▂▃▄▅▆▇█")
	line := make([]rune, n)
	for i, v := range means {
		switch {
		case !visible(v, false):
			line[i] = ' '
		case all.lo == all.hi:
			line[i] = steps[0]
		default:
			line[i] = steps[int(place(v, all, false)*float64(len(steps)-1)+0.5)]
		}
	}
	return string(line)
}
