package live

import (
	"fmt"
	"html"
	"math"
	"strings"

	"dpolab/stdlib/plot"
)

// figures are the panels that have a curve, with the evaluations if there is
// room to tell them from it.
func (v *View) figures(evaluations bool) []*plot.Figure {
	var out []*plot.Figure
	for _, p := range v.panels {
		evaluations := evaluations && len(p.dots.xs) > 0
		if len(p.line.xs) < 2 && !evaluations {
			continue
		}
		name := ""
		if evaluations {
			name = "training"
		}
		f := plot.New(p.title).XLabel(v.unit)
		if len(p.line.xs) > 0 {
			f.Line(name, p.line.xs, p.line.ys)
		}
		if evaluations {
			f.Points("evaluation", p.dots.xs, p.dots.ys)
		}
		out = append(out, f)
	}
	return out
}

// head says in words how far the run is.
func (v *View) head() string {
	parts := []string{fmt.Sprintf("%d %s", v.done, v.unit)}
	if v.total > 0 {
		parts[0] = fmt.Sprintf("%d of %d %s", v.done, v.total, v.unit)
	}
	if speed := v.speed(); speed > 0 {
		parts = append(parts, fmt.Sprintf("%.3g/s", speed))
		left := float64(v.total-v.done) / speed
		switch {
		case v.total > 0 && left > 0:
			parts = append(parts, clock(left)+" left")
		default:
			parts = append(parts, "in "+clock(v.last.Sub(v.start).Seconds()))
		}
	}
	return strings.Join(parts, " · ")
}

// numbers names the newest values.
func (v *View) numbers() string {
	var parts []string
	for _, m := range []struct{ name, key, format string }{
		{"loss", "loss/train", "%.4f"}, {"accuracy", "rewards_train/accuracies", "%.2f"}, {"margin", "rewards_train/margins", "%.3f"}, {"gradient norm", "grad_norm", "%.3g"}, {"lr", "lr", "%.3g"},
	} {
		if y, ok := v.values[m.key]; ok {
			parts = append(parts, m.name+" "+fmt.Sprintf(m.format, y))
		}
	}
	return strings.Join(parts, " · ")
}

// clock writes a duration as 12 s, 3:05 or 2:03:05.
func clock(seconds float64) string {
	if !(seconds < 1e9) {
		return "?"
	}
	s := int(math.Ceil(seconds))
	switch {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// part is how much of the run is done, from 0 to 1, negative if the end is not
// known.
func (v *View) part() float64 {
	if v.total <= 0 {
		return -1
	}
	return min(float64(v.done)/float64(v.total), 1)
}

// bar draws progress with characters, by eighths of one.
func bar(part float64, width int) string {
	eighths := int(part * float64(8*width))
	full := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		full += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return full + strings.Repeat("░", width-len([]rune(full)))
}

// text is the run for a terminal: all there is to say in the first line, the
// curves side by side below.
func (v *View) text(width int) string {
	line := v.title + "  "
	if p := v.part(); p >= 0 {
		line += bar(p, 16) + "  "
	}
	line += v.head()
	now := v.numbers()
	if short := strings.Split(now, " · "); now != "" {
		line += " · " + strings.Join(short[:min(3, len(short))], " · ")
	}
	figures := v.figures(false)
	if len(figures) == 0 {
		return line
	}
	columns := min(len(figures), max(1, width/30))
	each := min((width-2*(columns-1))/columns, 60)
	var blocks [][]string
	for _, f := range figures[:columns] {
		blocks = append(blocks, strings.Split(f.Text(each, 4), "\n"))
	}
	return line + "\n" + sideBySide(blocks, each)
}

func sideBySide(blocks [][]string, width int) string {
	rows := 0
	for _, b := range blocks {
		rows = max(rows, len(b))
	}
	lines := make([]string, rows)
	for i := range lines {
		var l strings.Builder
		for _, b := range blocks {
			cell := ""
			if i < len(b) {
				cell = b[i]
			}
			l.WriteString(cell + strings.Repeat(" ", max(width+2-len([]rune(cell)), 0)))
		}
		lines[i] = strings.TrimRight(l.String(), " ")
	}
	return strings.Join(lines, "\n")
}

// page is a run without curves: a line with a bar.
func (v *View) page() string {
	line := html.EscapeString(v.title) + " "
	if v.total > 0 {
		line += fmt.Sprintf(`<progress value="%d" max="%d"></progress> `, v.done, v.total)
	}
	line += html.EscapeString(v.head())
	if now := v.numbers(); now != "" {
		line += " · " + html.EscapeString(now)
	}
	return "<div><code>" + line + "</code></div>"
}
