package live

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"

	"dpolab/stdlib/plot"
)

// picture is the run for a notebook: one drawing, so that it can be saved and
// shown wherever an image can.
func (v *View) picture() map[string]string {
	figures := v.figures(true)
	if len(figures) == 0 {
		return map[string]string{"text/html": v.page()}
	}
	return map[string]string{"image/svg+xml": v.caption(plot.Grid(len(figures), figures...).Size(6.2, 4.8).SVG())}
}

// extent finds the size that a drawing begins with.
var extent = regexp.MustCompile(`<svg [^>]*?width="([\d.]+)pt" height="([\d.]+)pt"`)

const captionHeight = 44 // points

// caption puts title, bar and numbers above a drawing.
func (v *View) caption(drawing string) string {
	at := extent.FindStringSubmatchIndex(drawing)
	width, _ := strconv.ParseFloat(drawing[at[2]:at[3]], 64)
	height, _ := strconv.ParseFloat(drawing[at[4]:at[5]], 64)
	t := plot.DefaultTheme()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" style="max-width:100%%;height:auto" width="%.6gpt" height="%.6gpt" viewBox="0 0 %.6g %.6g">`, width, height+captionHeight, width, height+captionHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="%s"/>`, t.Background)
	left := 14.0
	text := func(x, y float64, weight, content string) {
		fmt.Fprintf(&b, `<text x="%.6g" y="%.6g" font-family="'Liberation Sans',Arial,Helvetica,sans-serif" font-size="11" font-weight="%s" fill="%s">%s</text>`,
			x, y, weight, t.Foreground, html.EscapeString(content))
	}
	text(left, 19, "bold", v.title)
	left += 7*float64(len([]rune(v.title))) + 10
	if p := v.part(); p >= 0 {
		const long = 130.0
		fmt.Fprintf(&b, `<rect x="%.6g" y="10" width="%g" height="10" rx="3" fill="%s"/>`, left, long, t.Grid)
		fmt.Fprintf(&b, `<rect x="%.6g" y="10" width="%.6g" height="10" rx="3" fill="%s"/>`, left, long*p, t.Palette[0])
		left += long + 10
	}
	text(left, 19, "normal", v.head())
	text(14, 36, "normal", v.numbers())
	// The drawing becomes a part: without its prologue, moved down.
	fmt.Fprintf(&b, `<svg y="%d" width="%.6g" height="%.6g"%s</svg>`, captionHeight, width, height, drawing[at[1]:])
	return b.String()
}
