package train_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	"dpolab/runtime/tokenizer"
	"dpolab/runtime/train"
)

// parity is a place to train in, and how far its numbers may be from the
// reference's in float32.
type parity struct {
	devices        string
	mp             fsdp.MixedPrecision
	tf32           bool
	fraction, more float64 // of a number, and in addition
	norm           float64 // of a gradient norm, which squares a loss's errors into its own
}

// parities are the CPU's, or this machine's GPUs'. Rewards and margins are small
// differences of log-probabilities of about 100, so they have the errors of
// those whatever their size: 1e-5 in float32, 0.07 in bfloat16 on the CPU, and
// 0.005 where operands of products are rounded to TF32 and as much again where
// tensor cores cut them off.
func parities(t *testing.T) []parity {
	full := parity{mp: fsdp.FullPrecision(), fraction: 1e-4, more: 2e-4, norm: 1e-4}
	tf32 := parity{mp: fsdp.FullPrecision(), tf32: true, more: 0.02, norm: 0.05}
	narrow := parity{mp: fsdp.BFloat16Mixed(), more: 0.2, norm: 0.4}
	on := func(p parity, devices string) parity { p.devices = devices; return p }
	if !onGPU {
		return []parity{on(full, "cpu:1"), on(full, "cpu:2"), on(narrow, "cpu:1")}
	}
	if testing.Short() {
		return []parity{on(full, "cuda:0,0"), on(narrow, "cuda:0")}
	}
	out := []parity{on(full, "cuda:0"), on(full, "cuda:0,0"), on(tf32, "cuda:0"), on(narrow, "cuda:0,0")}
	all, err := kernels.ParseDevices("cuda:all")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > 1 {
		out = append(out, on(full, "cuda:0,1"))
	}
	return out
}

// allowed is how far a number of that name may be from the reference's.
func (p parity) allowed(name string, want float64) float64 {
	fraction := p.fraction
	if name == "grad_norm" {
		fraction = p.norm
	}
	return fraction*math.Abs(want) + p.more
}

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
			if testing.Short() && (model != "gptneox" || name != "dpo") {
				continue
			}
			for _, p := range parities(t) {
				t.Run(fmt.Sprintf("%s/%s/%s TF32 %v %s", model, name, p.devices, p.tf32, p.mp), func(t *testing.T) {
					lr := 1e-4
					if name == "ipo" {
						lr = 1e-5
					}
					p.replay(t, filepath.Join("testdata", model), block, fn, lr, tok, golden.Runs[name])
				})
			}
		}
	}
}

func (p parity) replay(t *testing.T, dir, block string, fn loss.PreferenceLoss, lr float64, tok *tokenizer.Tokenizer, golden []map[string]any) {
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
	kernels.AllowTF32(p.tf32)
	defer kernels.AllowTF32(false)
	devices, err := device.ParseList(p.devices)
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
	s.Sharding = fsdp.Config{BlockName: block, MixedPrecision: p.mp}
	tr, err := train.New(w, s, train.Inputs{PolicyDir: dir, ReferenceDir: dir, Source: it}, train.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		golden = golden[:3]
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
			if !number || name == "rewards_train/accuracies" && p.fraction == 0 { // signs of margins as small as the error
				continue
			}
			got, ok := m[name]
			if !ok || !(math.Abs(got-w) <= p.allowed(name, w)) {
				t.Errorf("step %d: %s is %g, want %g", i, name, got, w)
			}
		}
		if t.Failed() {
			return
		}
	}
	if testing.Short() {
		return
	}
	if more, _ := it.Next(); more != nil {
		t.Error("more batches than the reference made")
	}
}
