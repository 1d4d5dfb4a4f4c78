package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
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
func alternatives(job Job) []setting {
	tuned := job
	tuned.Foreach = true
	out := []setting{{name: "as it comes", job: job}, {name: "heap kept, foreach", env: keepHeap, job: tuned}}
	if job.Threads > 1 {
		out = append(out, setting{name: "heap kept, foreach, passive waiting", env: append(slices.Clone(keepHeap), passive), job: tuned})
	}
	return out
}

// fixedLength is the training step without any padding on either side.
func (d *driver) fixedLength(ctx context.Context) error {
	for _, c := range []struct {
		name          string
		shape         Shape
		batch, length int
	}{
		{"sft gpt2 4x256 V4096 B16 T128", small, 16, 128},
		{"sft gpt2 12x768 V50304 B4 T256", large, 4, 256},
	} {
		if !d.options.wants(c.name) {
			continue
		}
		dir, err := d.checkpoint(c.shape, 0)
		if err != nil {
			return err
		}
		batches := sequences(1+d.options.Rounds, c.batch, c.length, c.shape.Vocabulary)
		for _, threads := range d.threads() {
			for _, dt := range []string{"float32", "bfloat16"} {
				ours := d.job("sft", dir, threads)
				ours.DType, ours.Profile = dt, d.profile(c.name, dt, threads)
				theirs := d.job("sft", dir, threads)
				theirs.FusedGELU, theirs.Autocast = true, dt == "bfloat16"
				entrants := []entrant{
					{name: "dpolab " + dt, ours: true, settings: []setting{{job: ours}}},
					{name: "PyTorch " + dt, settings: alternatives(theirs)},
				}
				if !d.options.Quick {
					compiled := theirs
					compiled.Compile, compiled.Foreach = true, true
					entrants = append(entrants, entrant{name: "torch.compile " + dt, settings: []setting{{env: keepHeap, job: compiled}}})
				}
				d.report.add(d.hold(ctx, Contest{Section: "steps", Case: c.name, Threads: threads, Unit: "tokens", Work: float64(c.batch * c.length)}, entrants, batches))
			}
		}
	}
	return nil
}

// realJob is DPO on pairs of HH's lengths: our trainer's step and the
// reference code's.
func (d *driver) realJob(ctx context.Context) error {
	for _, c := range []struct {
		name  string
		shape Shape
	}{{"dpo pythia-70m", pythia}, {"dpo gpt2-124m", gpt2}} {
		if !d.options.wants(c.name) {
			continue
		}
		policy, err := d.checkpoint(c.shape, 1)
		if err != nil {
			return err
		}
		reference, err := d.checkpoint(c.shape, 2)
		if err != nil {
			return err
		}
		batches, err := d.pairBatches(1+d.options.Rounds, c.shape.Vocabulary)
		if err != nil {
			return err
		}
		threads := d.options.most()
		for _, dt := range []string{"float32", "bfloat16"} {
			theirs := d.job("dpo", policy, threads)
			theirs.Reference, theirs.Autocast = reference, dt == "bfloat16"
			entrants := []entrant{}
			for _, cached := range []bool{true, false} {
				if !cached && c.shape == gpt2 {
					continue // a third process does not fit beside the reference's in 24 GB
				}
				name := map[bool]string{true: "cached reference", false: "reference each step"}[cached]
				ours := d.job("dpo", policy, threads)
				ours.Reference, ours.DType, ours.Cached, ours.Profile = reference, dt, cached, d.profile(c.name, name, dt, threads)
				entrants = append(entrants, entrant{name: "dpolab " + dt + ", " + name, ours: true, settings: []setting{{job: ours}}})
			}
			entrants = append(entrants, entrant{name: "reference step " + dt, settings: alternatives(theirs)})
			d.report.add(d.hold(ctx, Contest{Section: "steps", Case: c.name, Threads: threads, Unit: "pairs", Work: pairsPerBatch}, entrants, batches))
		}
	}
	return nil
}

// threads are the thread counts of cases that a quick run does once.
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
		d.report.add(d.hold(ctx, Contest{Section: "layouts", Case: c.name, Threads: d.options.most(), Unit: "pairs", Work: pairsPerBatch}, entrants, batches))
	}
	return nil
}
