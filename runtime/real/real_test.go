package real

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/config"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/generate"
	"dpolab/runtime/models"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/tensor"
	"dpolab/runtime/tokenizer"
	"dpolab/runtime/train"
)

// setting finds the model and the data, or skips.
func setting(t *testing.T) (model, hh string) {
	model = os.Getenv("DPOLAB_REAL_MODEL")
	if model == "" {
		t.Skip("DPOLAB_REAL_MODEL is not set; make test-real sets it")
	}
	shared := os.Getenv("DPOLAB_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "shared")
	}
	if !filepath.IsAbs(shared) {
		shared = filepath.Join("..", "..", shared)
	}
	hh = filepath.Join(shared, "data", "hh", "harmless-base-test.jsonl.gz")
	if _, err := os.Stat(hh); err != nil {
		t.Skipf("no HH data at %s", hh)
	}
	return model, hh
}

func start(t *testing.T, words ...string) *config.Run {
	t.Helper()
	exp, err := config.Parse(words)
	if err != nil {
		t.Fatal(err)
	}
	run, err := exp.Start(context.Background(), train.Events{Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// TestEnglish checks the checkpoint end to end: greedy continuation is English.
func TestEnglish(t *testing.T) {
	model, _ := setting(t)
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m, err := models.Load(model, dev, dtype.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.Load(model)
	if err != nil {
		t.Fatal(err)
	}
	c := generate.DefaultConfig()
	c.DoSample, c.MaxNewTokens = false, 8
	out, err := generate.Generate(context.Background(), m, [][]int32{tok.Encode("The capital of France is", false), tok.Encode("One, two, three, four,", false)}, c)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Paris", "five"} {
		if text := tok.Decode(out[i], true); !strings.Contains(text, want) {
			t.Errorf("continuation %q does not mention %q", text, want)
		}
	}
}

// TestMainJob fine-tunes, then overfits 16 pairs with DPO under FSDP on two
// ranks in bfloat16: the loss goes from ln 2 to below 0.5 and every pair is
// ranked right. The checkpoint reloads to the same log-probs, and float32
// agrees with bfloat16 within the stated band.
func TestMainJob(t *testing.T) {
	model, hh := setting(t)
	dir := t.TempDir()
	common := []string{"model=blank_model", "model.name_or_path=" + model, "model.block_name=LlamaDecoderLayer", "datasets=[hh]", "hh.path=" + hh,
		"trainer=FSDPTrainer", "devices=cpu:2", "model.fsdp_policy_mp=bfloat16", "model.fsdp_reduce_dtype=float32", "model.reference_dtype=bfloat16",
		"batch_size=16", "gradient_accumulation_steps=2", "eval_batch_size=16", "n_eval_examples=16", "max_length=192", "max_prompt_length=128",
		"sample_during_eval=false", "do_first_eval=false", "warmup_steps=1", "optimizer=RMSprop", "reference_cache_dir=" + filepath.Join(dir, "reference")}
	sft := filepath.Join(dir, "sft")
	run := start(t, append(common, "loss=sft", "lr=1e-6", "n_examples=16", "exp_name=sft", "local_run_dir="+sft)...)
	if err := run.Trainer.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	first, _ := run.Trainer.History().Series("loss/train")
	if len(first) != 1 {
		t.Fatalf("SFT took %d steps, want 1", len(first))
	}
	perRank := run.Trainer.Sharded(0).ShardBytes()
	run.Close()

	run = start(t, append(common, "loss=dpo", "loss.beta=0.1", "lr=1e-6", "n_examples=16", "model.archive="+sft, "exp_name=dpo", "local_run_dir="+filepath.Join(dir, "dpo"))...)
	defer run.Close()
	tr := run.Trainer
	batch, err := run.Train.Next()
	if err != nil {
		t.Fatal(err)
	}
	var m train.Metrics
	steps := 0
	for ; steps < 12; steps++ {
		if m, err = tr.Step(batch); err != nil {
			t.Fatal(err)
		}
		t.Log(m)
		if steps == 0 && math.Abs(m["loss/train"]-math.Ln2) > 0.03 {
			t.Errorf("the first loss is %g, want ln 2 within bfloat16's noise", m["loss/train"])
		}
		if m["loss/train"] < 0.45 && m["rewards_train/accuracies"] == 1 {
			break
		}
	}
	if m["loss/train"] >= 0.5 || m["rewards_train/accuracies"] != 1 {
		t.Errorf("after %d steps: loss %g, accuracy %g; want below 0.5 and 1", steps, m["loss/train"], m["rewards_train/accuracies"])
	}

	saved := filepath.Join(dir, "saved")
	if err := tr.SaveTo(saved); err != nil {
		t.Fatal(err)
	}
	before, err := tr.LogProbs(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetMixedPrecision(fsdp.FullPrecision()); err != nil {
		t.Fatal(err)
	}
	full, err := tr.LogProbs(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range before { // bfloat16 keeps 8 bits; errors of a sum over tokens grow slowly
		if d := math.Abs(float64(before[i] - full[i])); d > 0.02*math.Abs(float64(full[i]))+0.5 {
			t.Errorf("response %d: log-prob %g in bfloat16, %g in float32", i, before[i], full[i])
		}
	}
	again := start(t, append(common, "loss=dpo", "loss.beta=0.1", "n_examples=16", "model.archive="+saved, "exp_name=again", "local_run_dir="+filepath.Join(dir, "again"))...)
	defer again.Close()
	reloaded, err := again.Trainer.LogProbs(context.Background(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i := range before {
		if before[i] != reloaded[i] {
			t.Errorf("response %d: log-prob %g, %g after reloading", i, before[i], reloaded[i])
		}
	}
	if whole := 4 * 134515008; perRank > whole/2+whole/50 {
		t.Errorf("a rank of two holds %d bytes of masters, the whole takes %d", perRank, whole)
	}
}
