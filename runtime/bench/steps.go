package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"dpolab/runtime/data"
)

// job returns the settings that all training jobs share.
func (d *driver) job(kind, policy string, threads int) Job {
	return Job{Kind: kind, Policy: policy, Threads: threads, Ranks: 1, DType: "float32", LR: 1e-6, WarmupSteps: 2, MaxGradNorm: 10, Beta: 0.1, Attention: "sdpa"}
}

// profile names the CPU profile of one of our sides.
func (d *driver) profile(parts ...any) string {
	if d.options.ProfileDir == "" {
		return ""
	}
	return filepath.Join(d.options.ProfileDir, strings.ReplaceAll(strings.TrimSpace(fmt.Sprintln(parts...)), " ", "-")+".pprof")
}

// keepHeap makes the C library reuse freed memory instead of asking the system
// for fresh pages for every large tensor.
var keepHeap = []string{"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=100000000000", "MALLOC_TOP_PAD_=268435456"}

// passive keeps OpenMP's idle threads from spinning, which helps on a machine
// with other work.
const passive = "OMP_WAIT_POLICY=PASSIVE"

// alternatives are settings of PyTorch that compute the same step: as it comes,
// and with the optimizer's kernels fused over parameters and memory kept.
func (d *driver) alternatives(job Job) []setting {
	tuned := job
	tuned.Foreach = true
	kept := setting{name: "heap kept, foreach", env: keepHeap, job: tuned}
	if d.options.Quick {
		return []setting{kept}
	}
	out := []setting{{name: "as it comes", job: job}, kept}
	if job.Threads > 1 {
		out = append(out, setting{name: "heap kept, foreach, passive waiting", env: append(slices.Clone(keepHeap), passive), job: tuned})
	}
	return out
}

// compiler names the sides whose first step compiles the model.
const compiler = "torch.compile"

// theirTypes are the types PyTorch's steps are taken in.
func (d *driver) theirTypes() []string {
	if d.slowBF16 {
		return []string{"float32"}
	}
	return []string{"float32", "bfloat16"}
}

// hopeless is how much longer than in float32 PyTorch's step may take in
// bfloat16 for it to be measured in it too.
const hopeless = 4

// probe finds out whether PyTorch's bfloat16 is of any use on this processor:
// without instructions for it, a step may take twenty times as long, and
// float32 is the best it has.
func (d *driver) probe(ctx context.Context) error {
	if d.options.Python == "" {
		return nil
	}
	dir, err := d.checkpoint(small, 0)
	if err != nil {
		return err
	}
	d.say("is PyTorch's bfloat16 of use here?")
	batches := sequences(2, 2, 128, small.Vocabulary)
	seconds := map[string]float64{}
	for _, dt := range []string{"float32", "bfloat16"} {
		job := d.job("sft", dir, d.options.most())
		job.Autocast = dt == "bfloat16"
		side := Side{Name: "PyTorch " + dt}
		r, err := d.enter(ctx, setting{env: keepHeap, job: job}, &side, batches)
		if err == nil {
			if err = r.turn(batches[0], false); err == nil {
				err = r.turn(batches[1], true)
			}
			r.finish()
		}
		if err != nil {
			d.say("%v", err) // the contests will say so too
			return nil
		}
		seconds[dt] = side.Seconds[0]
	}
	if slower := seconds["bfloat16"] / seconds["float32"]; slower > hopeless {
		d.slowBF16 = true
		d.report.Notes = append(d.report.Notes, fmt.Sprintf("PyTorch's training step takes %.0f times as long in bfloat16 as in float32 on this processor (4 layers, D=256, B=2, T=128), so float32 is its best setting and the one it is measured with.", slower))
	}
	return nil
}

// fixed are the training steps without any padding on either side.
var fixed = []struct {
	name          string
	shape         Shape
	batch, length int
}{
	{"sft gpt2 4x256 V4096 B16 T128", small, 16, 128},
	{"sft gpt2 12x768 V50304 B4 T256", large, 4, 256},
}

func (d *driver) fixedLength(ctx context.Context) error {
	for _, c := range fixed {
		if !d.options.wants(c.name) {
			continue
		}
		dir, err := d.checkpoint(c.shape, 0)
		if err != nil {
			return err
		}
		batches := sequences(1+d.options.Rounds, c.batch, c.length, c.shape.Vocabulary)
		for _, threads := range d.options.Threads {
			if d.options.Quick && c.shape == large && threads != d.options.most() {
				continue
			}
			for _, dt := range d.theirTypes() {
				ours := d.job("sft", dir, threads)
				ours.DType, ours.Profile = dt, d.profile(c.name, dt, threads)
				theirs := d.job("sft", dir, threads)
				theirs.FusedGELU, theirs.Autocast = true, dt == "bfloat16"
				entrants := []entrant{
					{name: "dpolab " + dt, ours: true, settings: []setting{{job: ours}}},
					{name: "PyTorch " + dt, settings: d.alternatives(theirs)},
				}
				if !d.options.Quick || c.shape == small && threads == d.options.most() {
					compiled := theirs
					compiled.Compile, compiled.Foreach = true, true
					entrants = append(entrants, entrant{name: compiler + " " + dt, settings: []setting{{env: keepHeap, job: compiled}}})
				}
				d.add(ctx, d.hold(ctx, Contest{Section: "steps", Case: c.name, Threads: threads, Unit: "tokens", Work: float64(c.batch * c.length)}, entrants, batches))
			}
		}
	}
	return nil
}

// real are the models of the real job.
var real = []struct {
	name  string
	shape Shape
}{{"dpo pythia-70m", pythia}, {"dpo gpt2-124m", gpt2}}

// realJob is DPO on pairs of HH's lengths: our trainer's step and the
// reference code's.
func (d *driver) realJob(ctx context.Context) error {
	for _, c := range real {
		if !d.options.wants(c.name) || d.options.Quick && c.shape == gpt2 {
			continue
		}
		policy, reference, batches, err := d.preferences(c.shape)
		if err != nil {
			return err
		}
		threads := d.options.most()
		for _, dt := range d.theirTypes() {
			theirs := d.job("dpo", policy, threads)
			theirs.Reference, theirs.Autocast = reference, dt == "bfloat16"
			entrants := []entrant{}
			for _, cached := range []bool{true, false} {
				if !cached && (d.options.Quick || c.shape == gpt2) {
					continue // a third process of GPT-2 does not fit beside the reference's in 24 GB
				}
				name := map[bool]string{true: "cached reference", false: "reference each step"}[cached]
				ours := d.job("dpo", policy, threads)
				ours.Reference, ours.DType, ours.Cached, ours.Profile = reference, dt, cached, d.profile(c.name, name, dt, threads)
				entrants = append(entrants, entrant{name: "dpolab " + dt + ", " + name, ours: true, settings: []setting{{job: ours}}})
			}
			entrants = append(entrants, entrant{name: "reference step " + dt, settings: d.alternatives(theirs)})
			d.add(ctx, d.hold(ctx, Contest{Section: "steps", Case: c.name, Threads: threads, Unit: "pairs", Work: pairsPerBatch}, entrants, batches))
		}
	}
	return nil
}

// preferences are the checkpoints and batches of a real job.
func (d *driver) preferences(s Shape) (policy, reference string, batches [][]data.Example, err error) {
	if policy, err = d.checkpoint(s, 1); err != nil {
		return
	}
	if reference, err = d.checkpoint(s, 2); err != nil {
		return
	}
	batches, err = d.pairBatches(1+d.options.Rounds, s.Vocabulary)
	return
}

// precision compares our own float32 and bfloat16.
func (d *driver) precision(ctx context.Context) error {
	threads := d.options.most()
	both := func(c Contest, kind, policy, reference string, batches [][]data.Example) {
		var entrants []entrant
		for _, dt := range []string{"float32", "bfloat16"} {
			ours := d.job(kind, policy, threads)
			ours.Reference, ours.DType, ours.Cached, ours.Profile = reference, dt, kind == "dpo", d.profile("precision", c.Case, dt, threads)
			entrants = append(entrants, entrant{name: dt, ours: true, settings: []setting{{job: ours, compare: true}}})
		}
		c.Section, c.Case, c.Threads = "precision", "precision "+c.Case, threads
		d.add(ctx, d.hold(ctx, c, entrants, batches))
	}
	for _, c := range fixed {
		if !d.options.wants("precision "+c.name) || d.options.Quick && c.shape != small {
			continue
		}
		dir, err := d.checkpoint(c.shape, 0)
		if err != nil {
			return err
		}
		both(Contest{Case: c.name, Unit: "tokens", Work: float64(c.batch * c.length)}, "sft", dir, "", sequences(1+d.options.Rounds, c.batch, c.length, c.shape.Vocabulary))
	}
	for _, c := range real {
		if !d.options.wants("precision "+c.name) || d.options.Quick && c.shape == gpt2 {
			continue
		}
		policy, reference, batches, err := d.preferences(c.shape)
		if err != nil {
			return err
		}
		both(Contest{Case: c.name, Unit: "pairs", Work: pairsPerBatch}, "dpo", policy, reference, batches)
	}
	return nil
}

// threads are the thread counts of kernels, which a quick run measures once.
func (d *driver) threads() []int {
	if d.options.Quick {
		return []int{d.options.most()}
	}
	return d.options.Threads
}

// layouts compares packed batches with padded ones on our side.
func (d *driver) layouts(ctx context.Context) error {
	for _, c := range []struct {
		name  string
		shape Shape
	}{{"layout pythia-70m", pythia}, {"layout gpt2-124m", gpt2}} {
		if !d.options.wants(c.name) || d.options.Quick && c.shape == gpt2 {
			continue
		}
		policy, err := d.checkpoint(c.shape, 1)
		if err != nil {
			return err
		}
		batches, err := d.pairBatches(1+d.options.Rounds, c.shape.Vocabulary)
		if err != nil {
			return err
		}
		var entrants []entrant
		for _, kind := range []string{"packed", "padded"} {
			entrants = append(entrants, entrant{name: kind, ours: true, settings: []setting{{job: d.job(kind, policy, d.options.most())}}})
		}
		d.add(ctx, d.hold(ctx, Contest{Section: "layouts", Case: c.name, Threads: d.options.most(), Unit: "pairs", Work: pairsPerBatch}, entrants, batches))
	}
	return nil
}
