package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"dpolab/kernels"
)

// write hands the report over as far as it has come.
func (r *gpuRun) write() error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Training steps on %s\n\n%s, commit %s, %s", strings.SplitN(r.what, ",", 2)[0], r.what, machine().Commit, r.began.UTC().Format(time.DateOnly))
	if r.torch != "" {
		fmt.Fprintf(&b, ", beside %s", r.torch)
	}
	fmt.Fprintf(&b, ".\n\nA model of %d layers, width %d, %d heads and %d tokens with random weights. A row is the best of batches of %s pairs, rising until\nmemory ends, nothing is gained or a step takes longer than %d s; a figure comes from %d steps after one that warms up.\n",
		r.o.Shape.Layers, r.o.Shape.Hidden, r.o.Shape.Heads, r.o.Shape.Vocabulary, strings.Trim(fmt.Sprint(r.o.Batches), "[]"), slow, r.o.Rounds)
	fmt.Fprintf(&b, `
Tokens are those of the sequences: a prompt counts once for each response, as PyTorch computes it, padding not at all. Utilisation
(MFU) is the arithmetic that those sequences need without sharing or recomputation over the dense bfloat16 peak of %s
(whatever the type): 6 operations for each weight in a product and token (the input embedding is none), and 3 times the causal half
of attention's two products; a third more where the reference model is asked. Memory is the most that was allocated at once, by
either side's own count, without what its allocator keeps in reserve.
`, r.peakText())
	r.bars(&b)
	for _, c := range r.cases {
		r.table(&b, c)
		if c.Profile != nil {
			r.profile(&b, c)
		}
	}
	if len(r.failed) > 0 {
		fmt.Fprintf(&b, "\n## What did not run\n\n")
		for _, f := range r.failed {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(f, "\n", " "))
		}
	}
	if r.over {
		fmt.Fprintf(&b, "\nThe %s that were given ended before all was measured; `--limit 0` measures all.\n", r.o.Limit)
	}
	return r.save(gpuSlug(r.what), b.String())
}

func (r *gpuRun) peakText() string {
	if r.o.Peak == 0 {
		return "this device, which is not known"
	}
	if r.world > 1 {
		return fmt.Sprintf("%d times %.0f TFLOP/s", r.world, r.o.Peak/1e12)
	}
	return fmt.Sprintf("%.0f TFLOP/s", r.o.Peak/1e12)
}

// utilisation is a row's, 0 if the peak is not known.
func (r *gpuRun) utilisation(row gpuRow) float64 {
	if r.o.Peak == 0 {
		return 0
	}
	return row.flops / row.Total / r.o.Peak / float64(r.world)
}

// table writes each side's best row, and what it is to ours.
func (r *gpuRun) table(b *strings.Builder, c *gpuCase) {
	fmt.Fprintf(b, "\n## %s\n\n| | pairs a step | s a step | tokens/s | pairs/s | MFU | peak GiB | ours is faster by |\n|---|---|---|---|---|---|---|---|\n", c.title(r.o))
	var order []string
	for _, row := range c.Rows {
		if !slices.Contains(order, row.Name) {
			order = append(order, row.Name)
		}
	}
	ours, ok := c.best(named(oursName))
	if !ok {
		fmt.Fprintf(b, "| %s | not measured | | | | | | |\n", oursName)
	}
	for _, name := range order {
		row, measured := c.best(named(name))
		if measured {
			utilisation, ratio := "", ""
			if r.o.Peak > 0 {
				utilisation = fmt.Sprintf("%.1f %%", 100*r.utilisation(row))
			}
			if ok {
				ratio = fmt.Sprintf("%.2f", ours.rate()/row.rate())
			}
			fmt.Fprintf(b, "| %s | %d | %.3f | %.0f | %.2f | %s | %.1f | %s |\n", name, row.Batch, row.Seconds, float64(row.Tokens)/row.Total, row.rate(), utilisation, gib(row.Peak), ratio)
		}
		for _, row := range c.Rows {
			if row.Name == name && row.Error != "" {
				fmt.Fprintf(b, "| %s | %s | | | | | | |\n", name, strings.NewReplacer("\n", " ", "|", "/").Replace(row.Error))
			}
		}
	}
}

func gib(n int64) float64 { return float64(n) / (1 << 30) }

// shownProducts is how many products of different shapes a profile names.
const shownProducts = 8

// profile writes where a step's time goes.
func (r *gpuRun) profile(b *strings.Builder, c *gpuCase) {
	p, step := c.Profile, c.profiled.Seconds
	fmt.Fprintf(b, "\n### Where the time goes\n\nOne step of %d pairs on the device, every piece of work between two of its events: busy for %.1f ms. The step takes %.1f ms as it\nis, so for %.1f %% of it the device had nothing to do; with the events, which slow the host, %.1f ms, of which %.1f %%.\n\n| | launches | ms | of the step | |\n|---|---|---|---|---|\n",
		c.profiled.Batch, 1e3*p.Busy, 1e3*step, 100*gap(p.Busy, step), 1e3*p.Span, 100*gap(p.Busy, p.Span))
	families := map[string]kernels.Work{}
	var order []string
	var products []kernels.Work
	for _, w := range p.Work {
		f, seen := families[w.Family]
		if !seen {
			order = append(order, w.Family)
		}
		f.Count, f.Seconds, f.Flops = f.Count+w.Count, f.Seconds+w.Seconds, f.Flops+w.Flops
		families[w.Family] = f
		if w.Flops > 0 {
			products = append(products, w)
		}
	}
	slices.SortFunc(order, func(a, b string) int { return cmp.Compare(families[b].Seconds, families[a].Seconds) })
	line := func(name string, w kernels.Work) {
		speed := ""
		if w.Flops > 0 {
			speed = fmt.Sprintf("%.0f TFLOP/s", w.Flops/w.Seconds/1e12)
		}
		fmt.Fprintf(b, "| %s | %d | %.2f | %.1f %% | %s |\n", name, w.Count, 1e3*w.Seconds, 100*w.Seconds/step, speed)
	}
	for _, name := range order {
		line(name, families[name])
	}
	if len(products) == 0 {
		return
	}
	slices.SortFunc(products, func(a, b kernels.Work) int { return cmp.Compare(b.Seconds, a.Seconds) })
	fmt.Fprintf(b, "\n| products, M×N×K | launches | ms | of the step | |\n|---|---|---|---|---|\n")
	for _, w := range products[:min(len(products), shownProducts)] {
		line(w.Name, w)
	}
}

// gap is the share of whole in which nothing ran.
func gap(busy, whole float64) float64 { return max(0, 1-busy/whole) }
