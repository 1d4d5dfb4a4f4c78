package train_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/tokenizer"
	"dpolab/runtime/train"
)

// TestParity repeats, step by step, what the reference's own functions did
// under PyTorch (testdata/goldens.py): batches, losses, rewards, log-probs and
// gradient norms of 20 updates, on one rank and on two.
func TestParity(t *testing.T) {
	losses := map[string]loss.PreferenceLoss{"dpo": loss.DPO(0.1, 0), "cdpo": loss.DPO(0.3, 0.1), "ipo": loss.IPO(0.5), "sft": nil}
	tok, err := tokenizer.Load("../demo/tiny")
	if err != nil {
		t.Fatal(err)
	}
	for model, block := range map[string]string{"gptneox": "GPTNeoXLayer", "llama": "LlamaDecoderLayer"} {
		var golden struct {
			Runs map[string][]map[string]any
		}
		text, err := os.ReadFile(filepath.Join("testdata", model+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &golden); err != nil {
			t.Fatal(err)
		}
		if len(golden.Runs) != len(losses) {
			t.Fatalf("%s: %d golden runs, want %d", model, len(golden.Runs), len(losses))
		}
		for name, fn := range losses {
			for _, ranks := range []string{"cpu:1", "cpu:2"} {
				t.Run(model+"/"+name+"/"+ranks, func(t *testing.T) {
					lr := 1e-4
					if name == "ipo" {
						lr = 1e-5
					}
					replay(t, filepath.Join("testdata", model), block, ranks, fn, lr, tok, golden.Runs[name])
				})
			}
		}
	}
}

func replay(t *testing.T, dir, block, ranks string, fn loss.PreferenceLoss, lr float64, tok *tokenizer.Tokenizer, golden []map[string]any) {
	set, err := data.Load("hh", "testdata/pairs.jsonl", data.Train)
	if err != nil {
		t.Fatal(err)
	}
	o := data.DefaultOptions()
	o.BatchSize, o.Epochs, o.Examples, o.SFT, o.Limits = 4, 0, 80, fn == nil, data.Limits{MaxLength: 48, MaxPromptLength: 20}
	it, err := data.NewIterator([]*data.Dataset{set}, data.Tokenizer{Encode: func(s string) []int32 { return tok.Encode(s, false) }, EOS: tok.EOS()}, o)
	if err != nil {
		t.Fatal(err)
	}
	devices, err := device.ParseList(ranks)
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(devices, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := train.DefaultSettings()
	s.Loss, s.BatchSize, s.GradientAccumulationSteps, s.LR, s.WarmupSteps, s.MaxGradNorm, s.ReferenceDType = fn, 4, 2, lr, 5, 1, dtype.Float32
	s.Sharding = fsdp.Config{BlockName: block}
	tr, err := train.New(w, s, train.Inputs{PolicyDir: dir, ReferenceDir: dir, Source: it}, train.Events{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range golden {
		batch, err := it.Next()
		if err != nil || batch == nil {
			t.Fatalf("step %d: no batch: %v", i, err)
		}
		for j, p := range want["prompts"].([]any) {
			if batch[j].PromptText != p.(string) {
				t.Fatalf("step %d: example %d has prompt %q, want %q", i, j, batch[j].PromptText, p)
			}
		}
		m, err := tr.Step(batch)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range want {
			w, number := v.(float64)
			if !number {
				continue
			}
			got, ok := m[name]
			// Rewards and margins are small differences of log-probs of about 100.
			if tol := 1e-4*math.Abs(w) + 2e-4; !ok || !(math.Abs(got-w) <= tol) {
				t.Errorf("step %d: %s is %g, want %g", i, name, got, w)
			}
		}
		if t.Failed() {
			return
		}
	}
	if more, _ := it.Next(); more != nil {
		t.Error("more batches than the reference made")
	}
}
