package demo

import (
	"context"
	"embed"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/config"
	"dpolab/runtime/data"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
)

//go:embed tiny/config.json tiny/tokenizer.json tiny/tokenizer_config.json
var tiny embed.FS

// result is what one DPO run is judged by.
type result struct {
	name                          string
	lossBefore, lossAfter         float64
	accuracyBefore, accuracyAfter float64
	marginBefore, marginAfter     float64
	tokensPerSecond               float64
	parameterBytes                int
	peakBytes                     int64
	toggled                       float64 // largest log-prob difference when only the precision changes
	history                       *train.History
}

// Run performs the demo in dir and prints its table to out. stage is asked for
// the events of each part.
func Run(ctx context.Context, dir string, out io.Writer, stage func(title string) train.Events) error {
	model := filepath.Join(dir, "tiny")
	if err := prepare(dir, model); err != nil {
		return err
	}
	pairs, test := filepath.Join(dir, "train.jsonl"), filepath.Join(dir, "test.jsonl")
	common := []string{"model=blank_model", "model.name_or_path=" + model, "model.block_name=LlamaDecoderLayer", "model.reference_dtype=float32", "datasets=[hh]", "hh.path=" + pairs, "hh.test_path=" + test,
		"trainer=FSDPTrainer", "devices=cpu:2", "batch_size=16", "eval_batch_size=30", "n_eval_examples=30", "warmup_steps=4", "optimizer=AdamW", "max_length=128", "max_prompt_length=64",
		"sample_during_eval=false", "eval_every=100000", "reference_cache_dir=" + filepath.Join(dir, "reference")}
	sft := filepath.Join(dir, "sft")
	if _, err := runOne(ctx, "SFT", append(common, "loss=sft", "lr=2e-3", "n_epochs=8", "exp_name=sft", "local_run_dir="+sft), stage); err != nil {
		return err
	}
	dpo := append(common, "loss=dpo", "loss.beta=0.1", "lr=1e-4", "n_epochs=6", "model.archive="+sft)
	full, err := runOne(ctx, "DPO float32", append(dpo, "exp_name=fp32", "local_run_dir="+filepath.Join(dir, "dpo-float32")), stage)
	if err != nil {
		return err
	}
	mixed, err := runOne(ctx, "DPO bfloat16", append(dpo, "model.fsdp_policy_mp=bfloat16", "model.fsdp_reduce_dtype=float32", "exp_name=bf16", "local_run_dir="+filepath.Join(dir, "dpo-bfloat16")), stage)
	if err != nil {
		return err
	}
	svg := filepath.Join(dir, "curves.svg")
	if err := drawCurves(svg, full, mixed); err != nil {
		return err
	}
	printTable(out, full, mixed)
	fmt.Fprintf(out, "\ncurves      %s\ncheckpoint  %s\n", svg, filepath.Join(dir, "dpo-bfloat16", "LATEST"))
	fmt.Fprintf(out, "demo: ok fp32_tokens_per_s=%.0f bf16_tokens_per_s=%.0f speedup=%.2f param_bytes_ratio=%.2f accuracy_before=%.3f accuracy_after=%.3f\n",
		full.tokensPerSecond, mixed.tokensPerSecond, mixed.tokensPerSecond/full.tokensPerSecond,
		float64(mixed.parameterBytes)/float64(full.parameterBytes), mixed.accuracyBefore, mixed.accuracyAfter)
	return nil
}

// prepare writes the embedded files, the pairs and a freshly initialised
// model. Runs of an earlier demo in the same directory are removed.
func prepare(dir, model string) error {
	for _, old := range []string{"sft", "dpo-float32", "dpo-bfloat16", "reference", "tiny"} {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	if err := os.MkdirAll(model, 0o755); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	cfg, err := tiny.ReadFile("tiny/config.json")
	if err != nil {
		return err
	}
	raw, err := models.ParseConfig(cfg, "demo config.json")
	if err != nil {
		return err
	}
	m, err := models.New(raw)
	if err != nil {
		return err
	}
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 0)
	if err != nil {
		return err
	}
	defer dev.Close()
	nn.Materialize(m, dev, dtype.Float32)
	nn.Initialize(m, m.Config().InitializerRange, 0)
	if err := models.Save(m, model, dtype.Float32); err != nil {
		return err
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		text, err := tiny.ReadFile("tiny/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(model, name), text, 0o644); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	pairs, test := rows()
	if err := writeRows(filepath.Join(dir, "train.jsonl"), pairs); err != nil {
		return err
	}
	return writeRows(filepath.Join(dir, "test.jsonl"), test)
}

// runOne runs one experiment and measures it.
func runOne(ctx context.Context, title string, words []string, stage func(string) train.Events) (*result, error) {
	exp, err := config.Parse(words)
	if err != nil {
		return nil, err
	}
	run, err := exp.Start(ctx, stage(title))
	if err != nil {
		return nil, err
	}
	defer run.Close()
	t := run.Trainer
	r := &result{name: title, history: t.History()}
	if exp.Loss.Name != "sft" { // the reference is asked before the clock starts
		if err := t.PrecomputeReference(ctx, run.Eval); err != nil {
			return nil, err
		}
	}
	if err := t.Run(ctx); err != nil {
		return nil, err
	}
	if exp.Loss.Name == "sft" {
		return r, nil
	}
	r.measure(t)
	final, err := t.Evaluate(ctx)
	if err != nil {
		return nil, err
	}
	first := t.History().Records[0].Metrics
	r.lossBefore, r.accuracyBefore, r.marginBefore = first["loss/eval"], first["rewards_eval/accuracies"], first["rewards_eval/margins"]
	r.lossAfter, r.accuracyAfter, r.marginAfter = final["loss/eval"], final["rewards_eval/accuracies"], final["rewards_eval/margins"]
	r.toggled, err = toggle(ctx, t, run.Eval)
	return r, err
}

// measure reads speed and memory.
func (r *result) measure(t *train.Trainer) {
	tokens, seconds := 0.0, 0.0
	for _, rec := range t.History().Records {
		if rec.Split == "train" {
			tokens += rec.Metrics["tokens"]
			seconds += rec.Metrics["step_seconds"]
		}
	}
	r.tokensPerSecond = tokens / seconds
	r.parameterBytes = t.Sharded(0).ParameterBytes()
	for i := range t.World().Size() {
		r.peakBytes = max(r.peakBytes, t.World().Device(i).MemoryStats().PeakBytes)
	}
}

// toggle switches the trained policy to the other precision and back, and
// returns the largest change of a response's log-probability.
func toggle(ctx context.Context, t *train.Trainer, examples []data.Example) (float64, error) {
	own := t.MixedPrecision()
	other := fsdp.BFloat16Mixed()
	if own != fsdp.FullPrecision() {
		other = fsdp.FullPrecision()
	}
	before, err := t.LogProbs(ctx, examples)
	if err != nil {
		return 0, err
	}
	if err := t.SetMixedPrecision(other); err != nil {
		return 0, err
	}
	after, err := t.LogProbs(ctx, examples)
	if err != nil {
		return 0, err
	}
	largest := 0.0
	for i := range before {
		largest = math.Max(largest, math.Abs(float64(before[i]-after[i])))
	}
	return largest, t.SetMixedPrecision(own)
}

func printTable(out io.Writer, results ...*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tloss\taccuracy\tmargin\ttokens/s\tparameters\tpeak/rank\tlog-prob change\t")
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%.3f → %.3f\t%.2f → %.2f\t%.3f → %.3f\t%.0f\t%.2f MB\t%.1f MB\t%.4f\t\n", r.name, r.lossBefore, r.lossAfter, r.accuracyBefore, r.accuracyAfter,
			r.marginBefore, r.marginAfter, r.tokensPerSecond, float64(r.parameterBytes)/1e6, float64(r.peakBytes)/1e6, r.toggled)
	}
	w.Flush()
	fmt.Fprintln(out, "\nEvaluation pairs, before → after. Log-prob change: the largest one when the trained policy is switched to the other precision.")
}
