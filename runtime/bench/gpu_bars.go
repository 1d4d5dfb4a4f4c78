package bench

import (
	"fmt"
	"strings"
)

// bar is what a figure should reach on one H200.
type bar struct {
	what, want string
	// value gives the figure, its text and whether it is reached; text is "" as
	// long as a row for it lacks.
	value func(r *gpuRun) (text string, reached bool)
}

// theCase finds a case of bfloat16 DPO with cached reference log-probs, which
// the bars are about, in another type if one is given.
func (r *gpuRun) theCase(lengths, dtype string) *gpuCase {
	for _, c := range r.cases {
		if c.Kind == "dpo" && c.Cached && c.Lengths == lengths && c.DType == dtype {
			return c
		}
	}
	return &gpuCase{}
}

// faster is how much faster one row is than another.
func faster(a gpuRow, aOK bool, b gpuRow, bOK bool, want float64) (string, bool) {
	if !aOK || !bOK {
		return "", false
	}
	return fmt.Sprintf("%.2f", a.rate()/b.rate()), a.rate() >= want*b.rate()
}

// beside compares our best row with another side's.
func beside(lengths string, other func(string) bool, want float64) func(r *gpuRun) (string, bool) {
	return func(r *gpuRun) (string, bool) {
		c := r.theCase(lengths, "bfloat16")
		ours, ok := c.best(named(oursName))
		theirs, has := c.best(other)
		return faster(ours, ok, theirs, has, want)
	}
}

func idle(lengths string) func(r *gpuRun) (string, bool) {
	return func(r *gpuRun) (string, bool) {
		c := r.theCase(lengths, "bfloat16")
		if c.Profile == nil {
			return "", false
		}
		g := gap(c.Profile.Busy, c.profiled.Seconds)
		return fmt.Sprintf("%.1f %%", 100*g), g < 0.05
	}
}

// leanest compares peaks at the largest batch that both sides have run.
func leanest(r *gpuRun) (string, bool) {
	c := r.theCase("fixed", "bfloat16")
	for i := len(c.Rows) - 1; i >= 0; i-- {
		for _, row := range c.Rows {
			theirs := c.Rows[i]
			if row.Name == oursName && bestPyTorch(theirs.Name) && theirs.Error == "" && theirs.Batch == row.Batch && theirs.Peak > 0 && row.Peak > 0 {
				share := float64(row.Peak) / float64(theirs.Peak)
				return fmt.Sprintf("%.2f (%.1f and %.1f GiB with %d pairs)", share, gib(row.Peak), gib(theirs.Peak), row.Batch), share <= 0.7
			}
		}
	}
	return "", false
}

var bars = []bar{
	{"utilisation, fixed length", "46 %, if possible 53 %", func(r *gpuRun) (string, bool) {
		row, ok := r.theCase("fixed", "bfloat16").best(named(oursName))
		if !ok || r.o.Peak == 0 {
			return "", false
		}
		return fmt.Sprintf("%.1f %%, %.0f tokens/s", 100*r.utilisation(row), float64(row.Tokens)/row.Total), r.utilisation(row) >= 0.46
	}},
	{"bfloat16 to TF32, fixed length", "1.8 times", func(r *gpuRun) (string, bool) {
		narrow, ok := r.theCase("fixed", "bfloat16").best(named(oursName))
		wide, has := r.theCase("fixed", "tf32").best(named(oursName))
		return faster(narrow, ok, wide, has, 1.8)
	}},
	{"to the best PyTorch step, fixed length", "1.2 times", beside("fixed", bestPyTorch, 1.2)},
	{"peak memory, of the best PyTorch step's", "0.7 at most", leanest},
	{"idle, fixed length", "less than 5 %", idle("fixed")},
	{"to the reference's step, HH lengths", "5 times", beside("HH", named(referenceName), 5)},
	{"to the best PyTorch step, HH lengths", "3 times", beside("HH", bestPyTorch, 3)},
	{"idle, HH lengths", "less than 5 %", idle("HH")},
}

// bars writes what should be reached beside what was.
func (r *gpuRun) bars(b *strings.Builder) {
	fmt.Fprintf(b, "\nWhat is to be reached on one H200, DPO in bfloat16 with cached reference log-probs:\n\n| | want | measured | |\n|---|---|---|---|\n")
	for _, bar := range bars {
		text, reached := bar.value(r)
		verdict := map[bool]string{true: "reached", false: "not reached"}[reached]
		if text == "" {
			text, verdict = "not measured", ""
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", bar.what, bar.want, text, verdict)
	}
}
