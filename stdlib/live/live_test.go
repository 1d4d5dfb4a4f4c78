package live

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"dpolab/stdlib/display"
)

// host counts what a notebook would get.
type host struct {
	pictures []map[string]string
	ids      map[string]int
	settled  int
}

func notebook(t *testing.T) *host {
	h := &host{ids: map[string]int{}}
	display.SetBackend(display.Backend{
		Update: func(id string, b map[string]string) { h.pictures = append(h.pictures, b); h.ids[id]++ },
		Settle: func(string) { h.settled++ },
	})
	t.Cleanup(func() { display.SetBackend(display.Backend{}) })
	return h
}

func metrics(i int) map[string]float64 {
	return map[string]float64{"loss/train": 1 / float64(i+1), "rewards_train/accuracies": 0.5, "rewards_train/margins": float64(i), "grad_norm": 2}
}

// TestRun: a run of many fast steps is one display, drawn seldom, that ends
// with its last state.
func TestRun(t *testing.T) {
	h := notebook(t)
	v := New("training <b>", "pairs")
	v.Begin(0, 4000)
	for i := range 1000 {
		v.Train(4*(i+1), 4000, metrics(i))
	}
	v.Eval(4000, map[string]float64{"loss/eval": 0.25})
	if len(h.pictures) > 20 {
		t.Errorf("%d drawings of a moment's run", len(h.pictures))
	}
	v.End()
	if len(h.ids) != 1 || h.settled != 1 {
		t.Fatalf("%d displays, %d settled", len(h.ids), h.settled)
	}
	last := h.pictures[len(h.pictures)-1]
	svg := last["image/svg+xml"]
	for _, part := range []string{"training &lt;b&gt;", "4000 of 4000 pairs", "loss 0.0010 · accuracy 0.50 · margin 999.000 · gradient norm 2", "reward accuracy", "evaluation"} {
		if !strings.Contains(svg, part) {
			t.Errorf("the picture lacks %q", part)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	if len(svg) > 200_000 {
		t.Errorf("a picture of %d bytes", len(svg))
	}
	if first, _, _ := strings.Cut(last["text/plain"], "\n"); !strings.HasPrefix(first, "training <b>  ████████████████  4000 of 4000 pairs · ") {
		t.Errorf("text begins %q", first)
	}
	v.End()
	v.Train(4004, 8000, metrics(1000)) // goes on in the next cell
	v.Train(4008, 8000, metrics(1001))
	v.Train(4012, 8000, metrics(1002))
	v.End()
	if len(h.ids) != 2 || h.settled != 2 {
		t.Errorf("%d displays, %d settled after the second cell", len(h.ids), h.settled)
	}
}

// TestMoment: what is over at once is not shown.
func TestMoment(t *testing.T) {
	h := notebook(t)
	v := New("log-probabilities", "pairs")
	v.Begin(0, 2)
	v.Progress(1, 2)
	v.Progress(2, 2)
	v.End()
	if len(h.pictures) != 0 {
		t.Errorf("%d drawings", len(h.pictures))
	}
	v.Begin(0, 100)
	v.start = v.start.Add(-time.Second)
	v.Progress(10, 100)
	v.End()
	if len(h.pictures) != 1 || !strings.Contains(h.pictures[0]["text/html"], `<progress value="10" max="100">`) {
		t.Errorf("drawings %v", h.pictures)
	}
}

// TestSeries: a long curve keeps its shape in few points.
func TestSeries(t *testing.T) {
	var s series
	const n = 100_000
	for i := range n {
		s.add(float64(i), math.Sin(2*math.Pi*float64(i)/n))
	}
	if len(s.xs) >= most || len(s.xs) < most/3 {
		t.Fatalf("%d points", len(s.xs))
	}
	for i, x := range s.xs {
		if want := math.Sin(2 * math.Pi * x / n); math.Abs(s.ys[i]-want) > 1e-3 || i > 0 && x <= s.xs[i-1] {
			t.Fatalf("point %d at %g is %g, want %g", i, x, s.ys[i], want)
		}
	}
}

func TestClock(t *testing.T) {
	for seconds, want := range map[float64]string{0.25: "0.2 s", 11.2: "12 s", 60: "1:00", 3725: "1:02:05", math.Inf(1): "?", math.NaN(): "?"} {
		if got := clock(seconds); got != want {
			t.Errorf("%g seconds are %q, want %q", seconds, got, want)
		}
	}
}
