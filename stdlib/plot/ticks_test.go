package plot

import (
	"strings"
	"testing"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		log    bool
		most   int
		want   string
	}{
		{0, 1, false, 6, "0 0.2 0.4 0.6 0.8 1.0"},
		{0, 32000, false, 5, "0 10k 20k 30k"},
		{0, 2.5e6, false, 6, "0 500k 1.0M 1.5M 2.0M 2.5M"},
		{0, 5e-7, false, 3, "0 2e−7 4e−7"},
		{-1, 1, false, 5, "−1.0 −0.5 0 0.5 1.0"},
		{3, 4, false, 3, "3.0 3.5 4.0"},
		{1, 1000, true, 4, "1 10 100 1000"},
		{1, 10, true, 6, "1 2 5 10"},
		{1e-8, 1, true, 5, "1e−8 1e−6 0.0001 0.01 1"},
	} {
		var got []string
		for _, tick := range (ticker{c.log, c.most}).Ticks(c.lo, c.hi) {
			if tick.Label != "" {
				got = append(got, tick.Label)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%g to %g: %s, want %s", c.lo, c.hi, s, c.want)
		}
	}
}
