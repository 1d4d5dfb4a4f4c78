package bench

import (
	"context"
	"fmt"
	"strings"
)

// operation is one kernel at one size.
type operation struct {
	name   string
	flops  float64
	kernel Kernel
}

// operations are those of the fixed-length steps.
func operations() []operation {
	var out []operation
	product := func(what string, m, n, k int, ta, tb bool) {
		form := map[[2]bool]string{{false, false}: "NN", {false, true}: "NT", {true, false}: "TN"}[[2]bool{ta, tb}]
		out = append(out, operation{fmt.Sprintf("kernel gemm %s %dx%dx%d %s", form, m, n, k, what), 2 * float64(m) * float64(n) * float64(k),
			Kernel{Name: "gemm", M: m, N: n, K: k, TransA: ta, TransB: tb}})
	}
	for _, d := range []int{768, 256} {
		rows := map[int]int{768: 1024, 256: 2048}[d]
		product("forward", rows, 4*d, d, false, false)
		product("input gradient", rows, d, 4*d, false, true)
		product("weight gradient", d, 4*d, rows, true, false)
	}
	product("logits", 1024, 50304, 768, false, true)
	for _, gradient := range []bool{false, true} {
		suffix, times := " forward", 1.0
		if gradient {
			suffix, times = " gradient", 2.5
		}
		for _, a := range []Kernel{{Batch: 4, Heads: 12, Length: 256, HeadDim: 64}, {Batch: 2, Heads: 8, Length: 1024, HeadDim: 64}} {
			a.Name, a.Gradient = "attention", gradient
			seen := float64(a.Batch) * float64(a.Length) * float64(a.Length+1) / 2
			out = append(out, operation{fmt.Sprintf("kernel attention B%d H%d T%d%s", a.Batch, a.Heads, a.Length, suffix), times * 4 * seen * float64(a.Heads*a.HeadDim), a})
		}
	}
	for _, gradient := range []bool{false, true} {
		suffix, times := " forward", 1.0
		if gradient {
			suffix, times = " forward and gradient", 3.0
		}
		k := Kernel{Name: "logprob", Rows: 1024, Hidden: 768, Vocabulary: 50304, Gradient: gradient}
		out = append(out, operation{"kernel log-prob R1024 V50304" + suffix, times * 2 * 1024 * 768 * 50304, k})
	}
	return out
}

// kernels times single operations on both sides. Work is the arithmetic that
// the operation needs; what a side computes twice does not count.
func (d *driver) kernels(ctx context.Context) error {
	for _, op := range operations() {
		if !d.options.wants(op.name) || d.options.Quick && strings.HasSuffix(op.name, "V50304 forward") {
			continue // quick: the gradient's case computes forward too
		}
		for _, dt := range []string{"float32", "bfloat16"} {
			for _, threads := range d.threads() {
				if err := ctx.Err(); err != nil {
					return err
				}
				k := op.kernel
				k.DType, k.Threads, k.Repetitions = dt, threads, 1
				k.Calls = max(1, int(5e9/op.flops))
				d.add(ctx, d.holdKernel(ctx, Contest{Section: "kernels", Case: op.name + " " + dt, Threads: threads, Unit: "GFLOP", Work: op.flops / 1e9}, k, dt == "float32" || !d.slowBF16))
			}
		}
	}
	return nil
}

// peaks measures the ceiling of the kernels' figures.
func (d *driver) peaks(ctx context.Context) error {
	if !d.options.wants("kernel") {
		return nil
	}
	for _, threads := range d.options.Threads {
		d.add(ctx, d.holdKernel(ctx, Contest{Section: "kernels", Case: peakCase, Threads: threads, Unit: "GFLOP", Work: 1e-9},
			Kernel{Name: "peak", Threads: threads, DType: "float32", Repetitions: 1, Calls: 1}, false))
	}
	return nil
}

const peakCase = "multiply-adds without memory"

// holdKernel is hold for one kernel.
func (d *driver) holdKernel(ctx context.Context, c Contest, k Kernel, both bool) Contest {
	d.say("%s, %d threads", c.Case, c.Threads)
	sides := []entrant{{name: "dpolab", ours: true}}
	if both && d.options.Python != "" {
		sides = append(sides, entrant{name: "PyTorch"})
	}
	c.Sides = make([]Side, len(sides))
	children := make([]*child, len(sides))
	for i, e := range sides {
		c.Sides[i] = Side{Name: e.name, Ours: e.ours}
		r, err := d.kernelChild(ctx, e.ours, k.Threads)
		if err != nil {
			c.Sides[i].Error = err.Error()
		}
		children[i] = r
	}
	for range d.options.Rounds {
		for i, r := range children {
			if c.Sides[i].Error != "" {
				continue
			}
			answer, err := r.ask(request{Op: "kernel", Kernel: &k})
			if err != nil {
				c.Sides[i].Error = err.Error()
				d.say("%v", err)
				continue
			}
			c.Sides[i].Seconds = append(c.Sides[i].Seconds, answer.Seconds...)
		}
	}
	return c
}

// kernelChild returns a process for kernels of one thread count; it is kept
// for the whole section.
func (d *driver) kernelChild(ctx context.Context, ours bool, threads int) (*child, error) {
	key := fmt.Sprintf("%t %d", ours, threads)
	if c := d.children[key]; c != nil {
		return c, nil
	}
	argv := d.options.Self
	if !ours {
		argv = []string{d.options.Python, d.options.Server}
	}
	c, err := startChild(ctx, key, argv, []string{fmt.Sprintf("OMP_NUM_THREADS=%d", threads), fmt.Sprintf("GOMAXPROCS=%d", threads)})
	if err == nil {
		d.children[key] = c
	}
	return c, err
}

// dismiss ends the processes of kernelChild.
func (d *driver) dismiss() {
	for key, c := range d.children {
		if err := c.stop(); err != nil {
			d.say("%v", err)
		}
		delete(d.children, key)
	}
}
