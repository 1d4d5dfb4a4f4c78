package plot

import (
	"fmt"
	"image/color"
	"sync"
)

// Theme says how a figure looks. Colours are written #rrggbb.
type Theme struct {
	Background string
	Foreground string   // text and axes
	Grid       string   // lines at the ticks
	Palette    []string // series, in turn
	// HeatMap runs from the least to the greatest value.
	HeatMap []string
}

// The palettes take colours of Okabe and Ito (2008), which are told apart with
// any colour vision; a theme leaves out those too close to its background.

// heat follows Cividis (Nuñez, Anderton and Renslow 2018): even in lightness,
// and seen alike with and without red-green blindness.
var heat = []string{"#00224e", "#2a3f6d", "#575c6d", "#7c7b78", "#a59c74", "#d2c060", "#fee838"}

// Light is dark on white.
func Light() Theme {
	return Theme{Background: "#ffffff", Foreground: "#24292f", Grid: "#e1e4e8", HeatMap: heat,
		Palette: []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}}
}

// Dark is light on near black.
func Dark() Theme {
	return Theme{Background: "#111418", Foreground: "#d7dae0", Grid: "#31363d", HeatMap: heat,
		Palette: []string{"#56b4e9", "#e69f00", "#2fbf94", "#f0e442", "#d98cb7", "#ff7b39"}}
}

var current = struct {
	sync.Mutex
	theme Theme
}{theme: Light()}

// SetTheme changes the theme of figures that have none of their own.
func SetTheme(t Theme) {
	t.check("SetTheme")
	current.Lock()
	defer current.Unlock()
	current.theme = t
}

// DefaultTheme is what SetTheme was given last, Light before that.
func DefaultTheme() Theme {
	current.Lock()
	defer current.Unlock()
	return current.theme
}

// check raises a theme that cannot be drawn in.
func (t Theme) check(op string) {
	if len(t.Palette) == 0 || len(t.HeatMap) < 2 {
		refuse(op, "a palette and two colours of a heat map", "%d and %d colours", len(t.Palette), len(t.HeatMap))
	}
	all := append([]string{t.Background, t.Foreground, t.Grid}, t.Palette...)
	for _, c := range append(all, t.HeatMap...) {
		if _, ok := parse(c); !ok {
			refuse(op, "colours like #0072b2", "%q", c)
		}
	}
}

func parse(text string) (color.NRGBA, bool) {
	c := color.NRGBA{A: 255}
	n, err := fmt.Sscanf(text, "#%02x%02x%02x", &c.R, &c.G, &c.B)
	return c, err == nil && n == 3 && len(text) == 7
}

// rgb is parse for colours that check has seen.
func rgb(text string) color.NRGBA {
	c, _ := parse(text)
	return c
}

// faded is c at a part of its strength.
func faded(c color.NRGBA, part float64) color.NRGBA {
	c.A = uint8(255 * part)
	return c
}

// shade is the heat map's colour at part, from 0 to 1.
func (t Theme) shade(part float64) color.NRGBA {
	at := min(max(part, 0), 1) * float64(len(t.HeatMap)-1)
	i := min(int(at), len(t.HeatMap)-2)
	a, b, f := rgb(t.HeatMap[i]), rgb(t.HeatMap[i+1]), at-float64(i)
	mix := func(x, y uint8) uint8 { return uint8(float64(x) + f*(float64(y)-float64(x)) + 0.5) }
	return color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 255}
}
