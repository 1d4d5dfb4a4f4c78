package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// ticker places at most most labelled ticks at round numbers.
type ticker struct {
	log  bool
	most int
}

// Ticks is what gonum's axes ask for.
func (t ticker) Ticks(lo, hi float64) []plot.Tick {
	if t.log {
		return t.decades(lo, hi)
	}
	step := round(lo, hi, t.most)
	first := math.Ceil(lo/step - 1e-9)
	var out []plot.Tick
	for i := range t.most + 1 {
		if v := (first + float64(i)) * step; v <= hi+step*1e-9 {
			out = append(out, plot.Tick{Value: v, Label: number(v, step)})
		}
	}
	return out
}

// round is the least step of 1, 2 or 5 times a power of ten that gives at most
// most ticks.
func round(lo, hi float64, most int) float64 {
	for e := math.Floor(math.Log10((hi - lo) / float64(most+1))); ; e++ {
		for _, m := range []float64{1, 2, 5} {
			step := m * math.Pow(10, e)
			if math.Floor(hi/step+1e-9)-math.Ceil(lo/step-1e-9)+1 <= float64(most) {
				return step
			}
		}
	}
}

// decades labels powers of ten, every nth if there are many, and 2 and 5 between
// them if there are few.
func (t ticker) decades(lo, hi float64) []plot.Tick {
	first, last := math.Floor(math.Log10(lo)), math.Ceil(math.Log10(hi))
	every := math.Ceil((last - first + 1) / float64(max(t.most, 2)))
	inner := 3*(last-first) <= float64(max(t.most, 6))
	var out []plot.Tick
	for e := first; e <= last; e++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, e)
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) {
				continue
			}
			tick := plot.Tick{Value: v}
			if m == 1 && math.Mod(e-first, every) == 0 || inner && (m == 2 || m == 5) {
				tick.Label = number(v, v)
			}
			out = append(out, tick)
		}
	}
	return out
}

// number writes v, a multiple of step, as short as its neighbours can still be
// told from it: 0.25, 12k, 5e-7.
func number(v, step float64) string {
	if math.Abs(v) < step*1e-9 {
		return "0"
	}
	a := math.Abs(v)
	switch {
	case a >= 1e15 || a < 1e-4 || step < 1e-6:
		digits := max(0, int(math.Floor(math.Log10(a)+1e-9)-math.Floor(math.Log10(step)+1e-9)))
		text := strconv.FormatFloat(v, 'e', digits, 64)
		mantissa, exponent, _ := strings.Cut(text, "e")
		e, _ := strconv.Atoi(exponent)
		return strings.ReplaceAll(fmt.Sprintf("%se%d", mantissa, e), "-", "−")
	case a >= 1e4:
		for _, u := range []struct {
			size float64
			name string
		}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
			if a >= u.size {
				return number(v/u.size, step/u.size) + u.name
			}
		}
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	return strings.ReplaceAll(strconv.FormatFloat(v, 'f', decimals, 64), "-", "−")
}
