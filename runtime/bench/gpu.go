package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"dpolab/kernels"
	_ "dpolab/kernels/cuda" // the backend that is measured
	"dpolab/runtime/tensor"
)

// GPUOptions say what to measure on a GPU.
type GPUOptions struct {
	Devices        string // "cuda:0", "cuda:all"; "cpu" tries the program out
	Python, Script string // PyTorch's side; an empty Python leaves it out
	// Limit is when to stop beginning with further rows; 0 measures all, and
	// torch.compile in every type.
	Limit   time.Duration
	Rounds  int   // timed steps a row
	Batches []int // pairs a step to try, rising until memory ends or nothing is gained
	Shape   Shape
	Length  int     // of the fixed sequences
	Peak    float64 // operations a second in bfloat16, for the utilisation; 0 looks the GPU up
	WorkDir string
}

// DefaultGPUOptions measure a model of Pythia-2.8B's shape for eight minutes.
func DefaultGPUOptions() GPUOptions {
	return GPUOptions{Devices: "cuda:0", Script: ".ci/python/bench_cuda.py", Limit: 8 * time.Minute, Rounds: 3, Batches: []int{4, 8, 16, 32},
		Shape: Shape{"gpt_neox", 32, 2560, 32, 50304, 2048}, Length: 512}
}

// densePeaks are datasheets' dense bfloat16 rates, by what names contain.
var densePeaks = []struct {
	name string
	rate float64
}{{"H200", 989e12}, {"H100 PCIe", 756e12}, {"H100", 989e12}, {"A100", 312e12}, {"L40S", 362e12}, {"4090", 165e12}, {"A10", 125e12}, {"L4", 121e12}}

// gpuRun is one measurement of everything.
type gpuRun struct {
	o      GPUOptions
	what   string // the GPU
	world  int
	model  string // the directory of its weights
	began  time.Time
	cases  []*gpuCase
	over   bool // the time was over before everything was measured
	torch  string
	save   func(name, text string) error
	logf   func(string)
	failed []string
}

// MeasureGPU measures training steps on a GPU. save is given the report, whole
// so far, whenever a row has come, and the GPU's name as a file may bear it.
//
// The model stays in memory over all cases that it serves: precisions are
// switched between steps. Each side has the GPU to itself.
func MeasureGPU(ctx context.Context, o GPUOptions, save func(name, text string) error, logf func(string)) error {
	list, err := kernels.ParseDevices(o.Devices)
	if err != nil {
		return err
	}
	dev, err := tensor.Open(list[0], 0)
	if err != nil {
		return err
	}
	r := &gpuRun{o: o, what: dev.Backend().Describe(), world: len(list), began: time.Now(), save: save, logf: logf}
	if err := dev.Close(); err != nil {
		return err
	}
	for _, p := range densePeaks {
		if r.o.Peak == 0 && strings.Contains(r.what, p.name) {
			r.o.Peak = p.rate
		}
	}
	if r.world > 1 && o.Python != "" {
		r.failed = append(r.failed, "PyTorch's side runs on one GPU, and was left out beside several")
		r.o.Python = ""
	}
	if r.o.WorkDir == "" {
		if r.o.WorkDir, err = os.MkdirTemp("", "bench-cuda"); err != nil {
			return err
		}
		defer os.RemoveAll(r.o.WorkDir)
	}
	r.say("writing random weights")
	if r.model, err = (&driver{dir: r.o.WorkDir}).checkpoint(o.Shape, 1); err != nil {
		return err
	}
	return r.measure(ctx)
}

// gpuPlan are the cases, what matters most first. Those of a group are served
// by one model in memory.
func gpuPlan() [][]*gpuCase {
	plan := [][]*gpuCase{{}, {}, {}, {}}
	add := func(group int, c gpuCase) { plan[group] = append(plan[group], &c) }
	for _, dt := range []string{"bfloat16", "tf32", "float32"} {
		for _, lengths := range []string{"fixed", "HH"} {
			add(0, gpuCase{Kind: "dpo", Lengths: lengths, DType: dt, Cached: true})
			add(1, gpuCase{Kind: "sft", Lengths: lengths, DType: dt})
			group := 3 // a float32 reference model
			if dt == "bfloat16" {
				group = 2
			}
			add(group, gpuCase{Kind: "dpo", Lengths: lengths, DType: dt})
		}
	}
	return plan
}

func (r *gpuRun) measure(ctx context.Context) error {
	for _, group := range gpuPlan() {
		for _, side := range []func(context.Context, []*gpuCase) error{r.ours, r.theirs} {
			if r.late() {
				r.over = true
				break
			}
			if err := side(ctx, group); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.failed = append(r.failed, err.Error())
			}
			if err := r.write(); err != nil {
				return err
			}
		}
	}
	return r.write()
}

// late reports whether no further row is to be begun.
func (r *gpuRun) late() bool { return r.o.Limit > 0 && time.Since(r.began) > r.o.Limit }

// listed puts a case into the report.
func (r *gpuRun) listed(c *gpuCase) *gpuCase {
	for _, have := range r.cases {
		if have == c {
			return c
		}
	}
	r.cases = append(r.cases, c)
	return c
}

func (r *gpuRun) say(format string, args ...any) {
	r.logf(fmt.Sprintf("%4.0f s  %s", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...)))
}

// gpuSlug is a GPU's name as a file may bear it.
func gpuSlug(what string) string {
	name := strings.ToLower(strings.SplitN(what, ",", 2)[0])
	return strings.Trim(strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
}
