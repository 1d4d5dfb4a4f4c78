package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dpolab/kernels"
	_ "dpolab/kernels/cuda" // the backend that is measured
	"dpolab/runtime/data"
	"dpolab/runtime/tensor"
)

// GPUOptions say what to measure on a GPU.
type GPUOptions struct {
	Devices        string // "cuda:0", "cuda:all"; "cpu" tries the program out
	Python, Script string // PyTorch's side; an empty Python leaves it out
	Rounds         int    // timed steps a row
	Batches        []int  // pairs a step to try, rising until memory ends
	Shape          Shape
	Length         int     // of the fixed sequences
	Peak           float64 // operations a second in bfloat16, for the utilisation; 0 looks the GPU up
	WorkDir        string
}

// DefaultGPUOptions measure a model of Pythia-2.8B's shape.
func DefaultGPUOptions() GPUOptions {
	return GPUOptions{Devices: "cuda:0", Script: ".ci/python/bench_cuda.py", Rounds: 5, Batches: []int{1, 2, 4, 8, 16, 32},
		Shape: Shape{"gpt_neox", 32, 2560, 32, 50304, 2048}, Length: 512}
}

// densePeaks are datasheets' dense bfloat16 rates, by what names contain.
var densePeaks = []struct {
	name string
	rate float64
}{{"H200", 989e12}, {"H100 PCIe", 756e12}, {"H100", 989e12}, {"A100", 312e12}, {"L40S", 362e12}, {"4090", 165e12}, {"A10", 125e12}, {"L4", 121e12}}

// gpuRow is one line of the report.
type gpuRow struct {
	Name    string  `json:"name"`
	Batch   int     `json:"batch"` // pairs a step
	Seconds float64 `json:"seconds"`
	Total   float64 `json:"total"`
	Pairs   int     `json:"pairs"`
	Tokens  int     `json:"tokens"`
	Peak    int64   `json:"peak"`
	Error   string  `json:"error"`
	flops   float64
}

// gpuTable is one job: all that was measured of it.
type gpuTable struct {
	Kind, Lengths, DType string
	Cached               bool
	Rows                 []gpuRow
}

// MeasureGPU measures training steps on a GPU and writes a report.
func MeasureGPU(ctx context.Context, o GPUOptions, out io.Writer, logf func(string)) (name string, err error) {
	list, err := kernels.ParseDevices(o.Devices)
	if err != nil {
		return "", err
	}
	dev, err := tensor.Open(list[0], 0)
	if err != nil {
		return "", err
	}
	what := dev.Backend().Describe()
	if err := dev.Close(); err != nil {
		return "", err
	}
	for _, p := range densePeaks {
		if o.Peak == 0 && strings.Contains(what, p.name) {
			o.Peak = p.rate
		}
	}
	if o.WorkDir == "" {
		if o.WorkDir, err = os.MkdirTemp("", "bench-cuda"); err != nil {
			return "", err
		}
		defer os.RemoveAll(o.WorkDir)
	}
	d := &driver{dir: o.WorkDir}
	logf("writing random weights")
	model, err := d.checkpoint(o.Shape, 1)
	if err != nil {
		return "", err
	}
	var tables []gpuTable
	for _, lengths := range []string{"fixed", "HH"} {
		for _, kind := range []string{"dpo", "sft"} {
			for _, dt := range []string{"float32", "tf32", "bfloat16"} {
				for _, cached := range []bool{true, false} {
					if kind == "sft" && cached {
						continue
					}
					t := gpuTable{Kind: kind, Lengths: lengths, DType: dt, Cached: cached}
					logf(t.title(o))
					if err := t.measure(ctx, o, model); err != nil {
						return "", err
					}
					tables = append(tables, t)
				}
			}
		}
	}
	fmt.Fprintf(out, "# Training steps on %s\n\n%s, commit %s, %s.\n\n", strings.SplitN(what, ",", 2)[0], what, machine().Commit, time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(out, "A model of %d layers, width %d, %d heads and %d tokens with random weights. Each row is the best of batches of %v pairs that fit, the median of %d steps.\n"+
		"Tokens are those of the sequences, prompts counted once for each response as PyTorch computes them, padding not counted. Utilisation (MFU) is the arithmetic that\n"+
		"those sequences need without sharing or recomputation (6 for each weight in a product and token, 3 times the causal half of attention's two products; 2 and 1 for the reference model's forward),\n"+
		"over the dense bfloat16 peak of %.0f TFLOP/s.\n", o.Shape.Layers, o.Shape.Hidden, o.Shape.Heads, o.Shape.Vocabulary, o.Batches, o.Rounds, o.Peak/1e12)
	for _, t := range tables {
		t.print(out, o)
	}
	return gpuSlug(what), nil
}

func (t gpuTable) title(o GPUOptions) string {
	lengths := fmt.Sprintf("sequences of %d", o.Length)
	if t.Lengths == "HH" {
		lengths = "lengths of Anthropic HH"
	}
	reference := ""
	if t.Kind == "dpo" {
		reference = map[bool]string{true: ", reference cached", false: ", reference asked at every step"}[t.Cached]
	}
	return fmt.Sprintf("%s, %s, %s%s", strings.ToUpper(t.Kind), lengths, t.DType, reference)
}

// gpuPairs are enough pairs for every step of the largest batch.
func gpuPairs(o GPUOptions, lengths string) []data.Example {
	need := o.Batches[len(o.Batches)-1] * (o.Rounds + 2)
	var base []data.Example
	if lengths == "HH" {
		base = randomPairs(o.Shape.Vocabulary)
	} else {
		rng := rand.New(rand.NewPCG(3, 5))
		for range 64 { // a prompt of one token: nothing to share
			base = append(base, data.Example{Prompt: randomTokens(rng, 1, o.Shape.Vocabulary), Chosen: randomTokens(rng, o.Length-1, o.Shape.Vocabulary), Rejected: randomTokens(rng, o.Length-1, o.Shape.Vocabulary)})
		}
	}
	var out []data.Example
	for len(out) < need {
		out = append(out, base[:min(len(base), need-len(out))]...)
	}
	return out
}

// flops is what a pair needs, see the report's text.
func (t gpuTable) flops(s Shape, e data.Example) (flops float64, tokens int) {
	for i, answer := range [][]int32{e.Chosen, e.Rejected} {
		if i == 1 && t.Kind == "sft" {
			break
		}
		n := len(e.Prompt) + len(answer)
		flops += s.stepFlops(1, n)
		if t.Kind == "dpo" && !t.Cached {
			flops += s.stepFlops(1, n) / 3
		}
		tokens += n
	}
	return flops, tokens
}

func (t *gpuTable) measure(ctx context.Context, o GPUOptions, model string) error {
	pairs := gpuPairs(o, t.Lengths)
	if err := t.ours(ctx, o, model, pairs); err != nil {
		return err
	}
	if o.Python == "" {
		return nil
	}
	job, err := json.Marshal(map[string]any{"device": strings.SplitN(o.Devices, ",", 2)[0], "kind": t.Kind, "cached": t.Cached, "dtype": t.DType, "batches": o.Batches, "rounds": o.Rounds, "pairs": wire(pairs)})
	if err != nil {
		return err
	}
	path := filepath.Join(o.WorkDir, "job.json")
	if err := os.WriteFile(path, job, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, o.Python, o.Script, model, path)
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("bench: %s: %w", o.Script, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(printed)); lines.Scan(); {
		var r gpuRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("bench: %s printed %q: %w", o.Script, lines.Text(), err)
		}
		for _, e := range pairs[2*r.Batch : 2*r.Batch+r.Pairs] {
			f, _ := t.flops(o.Shape, e)
			r.flops += f
		}
		t.Rows = append(t.Rows, r)
	}
	return nil
}

// ours measures the product's own trainer, each batch size in a world of its
// own, until memory ends.
func (t *gpuTable) ours(ctx context.Context, o GPUOptions, model string, pairs []data.Example) error {
	kernels.AllowTF32(t.DType == "tf32")
	defer kernels.AllowTF32(false)
	dt := t.DType
	if dt == "tf32" {
		dt = "float32"
	}
	for _, size := range o.Batches {
		j := &Job{Kind: t.Kind, Policy: model, Reference: model, LR: 1e-6, WarmupSteps: 1, MaxGradNorm: 10, Beta: 0.1, DType: dt, Cached: t.Cached, Devices: o.Devices, Optimizer: "AdamW"}
		row, err := t.train(ctx, o, j, size, pairs)
		if errors.Is(err, tensor.ErrOutOfMemory) {
			return nil
		}
		if err != nil {
			return err
		}
		t.Rows = append(t.Rows, row)
	}
	return nil
}

func (t *gpuTable) train(ctx context.Context, o GPUOptions, j *Job, size int, pairs []data.Example) (row gpuRow, err error) {
	opened, err := openJob(j)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, opened.close()) }()
	row = gpuRow{Name: "dpolab", Batch: size}
	if err := opened.prepare(wire(pairs[:size*(o.Rounds+2)])); err != nil {
		return row, err
	}
	var seconds []float64
	for i := range o.Rounds + 2 {
		if err := ctx.Err(); err != nil {
			return row, err
		}
		batch := pairs[i*size : (i+1)*size]
		r, err := opened.step(wire(batch))
		if err != nil {
			return row, err
		}
		if i < 2 { // these warm up
			opened.resetPeak()
			continue
		}
		seconds = append(seconds, r.Seconds[0])
		row.Total += r.Seconds[0]
		row.Pairs += size
		for _, e := range batch {
			f, n := t.flops(o.Shape, e)
			row.flops += f
			row.Tokens += n
		}
	}
	slices.Sort(seconds)
	row.Seconds, row.Peak = seconds[len(seconds)/2], opened.allocated()
	return row, nil
}

// print writes each side's best row, and what it is to ours.
func (t gpuTable) print(out io.Writer, o GPUOptions) {
	fmt.Fprintf(out, "\n## %s\n\n| | pairs a step | s a step | tokens/s | pairs/s | MFU | peak GiB | ours is faster by |\n|---|---|---|---|---|---|---|---|\n", t.title(o))
	best := map[string]gpuRow{}
	var order []string
	for _, r := range t.Rows {
		have, seen := best[r.Name]
		if !seen {
			order = append(order, r.Name)
		}
		if !seen || r.Error == "" && (have.Error != "" || float64(r.Pairs)/r.Total > float64(have.Pairs)/have.Total) {
			best[r.Name] = r
		}
	}
	ours := best["dpolab"]
	for _, name := range order {
		r := best[name]
		if r.Error != "" {
			fmt.Fprintf(out, "| %s | %s | | | | | | |\n", name, strings.ReplaceAll(r.Error, "\n", " "))
			continue
		}
		utilisation, ratio := "unknown peak", ""
		if o.Peak > 0 {
			utilisation = fmt.Sprintf("%.1f %%", 100*r.flops/r.Total/o.Peak)
		}
		if ours.Total > 0 {
			ratio = fmt.Sprintf("%.2f", (float64(ours.Pairs)/ours.Total)/(float64(r.Pairs)/r.Total))
		}
		fmt.Fprintf(out, "| %s | %d | %.3f | %.0f | %.2f | %s | %.1f | %s |\n", name, r.Batch, r.Seconds, float64(r.Tokens)/r.Total, float64(r.Pairs)/r.Total, utilisation, float64(r.Peak)/(1<<30), ratio)
	}
	if len(order) == 0 || order[0] != "dpolab" {
		fmt.Fprintln(out, "| dpolab | no batch fits in memory | | | | | | |")
	}
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
