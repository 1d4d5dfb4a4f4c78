//go:build cuda

package cuda_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"dpolab/kernels"
	_ "dpolab/kernels/cpu"
	_ "dpolab/kernels/cuda"
	"dpolab/kernels/cuda/internal/fake"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/train"
)

// blocks are the tiny models of runtime/models and the blocks FSDP wraps.
var blocks = map[string]string{"gptneox": "GPTNeoXLayer", "gpt2": "GPT2Block", "llama": "LlamaDecoderLayer"}

// steps trains a tiny model with DPO for three steps and returns the loss and
// the gradient's norm of each.
func steps(t *testing.T, model, devices string, mp fsdp.MixedPrecision, offload bool) []float64 {
	t.Helper()
	dir, err := filepath.Abs("../../runtime/models/testdata/" + model)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pairs.jsonl")
	var pairs []byte
	for i := range 12 {
		pairs = fmt.Appendf(pairs, `{"prompt":"question %d %s","chosen":"yes %d","rejected":"no never %d"}`+"\n", i, "abcdefgh"[:i%8], i*i, i)
	}
	if err := os.WriteFile(path, pairs, 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := data.Load("pairs", path, data.Train)
	if err != nil {
		t.Fatal(err)
	}
	o := data.DefaultOptions()
	o.BatchSize, o.Epochs, o.Limits = 4, 1, data.Limits{MaxLength: 32, MaxPromptLength: 16}
	it, err := data.NewIterator([]*data.Dataset{set}, data.Tokenizer{Encode: func(s string) []int32 {
		var ids []int32
		for i := range len(s) {
			ids = append(ids, int32(s[i])%40+1)
		}
		return ids
	}}, o)
	if err != nil {
		t.Fatal(err)
	}
	list, err := kernels.ParseDevices(devices)
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(list, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := train.DefaultSettings()
	s.Loss, s.BatchSize, s.EvalBatchSize, s.LR, s.WarmupSteps, s.DoFirstEval = loss.DPO(0.1, 0), 4, 4, 1e-3, 1, false
	s.Optimizer, s.Sharding = "AdamW", fsdp.Config{BlockName: blocks[model], MixedPrecision: mp, CPUOffload: offload}
	tr, err := train.New(w, s, train.Inputs{PolicyDir: dir, ReferenceDir: dir, Source: it, Total: it.Total()}, train.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var out []float64
	for _, r := range tr.History().Records {
		out = append(out, r.Metrics["loss/train"], r.Metrics["grad_norm"])
	}
	if len(out) != 6 {
		t.Fatalf("%d numbers of 3 steps", len(out))
	}
	return out
}

// TestTraining: a GPU, and two ranks that share it, train as the CPU does; so
// do ranks with a GPU each where there are two.
func TestTraining(t *testing.T) {
	if os.Getenv("DPOLAB_TEST_CUDA") == "" {
		fake.Install(t)
	}
	for _, c := range []struct {
		model, devices string
		mp             fsdp.MixedPrecision
		offload        bool
		tolerance      float64
	}{
		{"gptneox", "cuda:0", fsdp.FullPrecision(), false, 1e-3},
		{"gptneox", "cuda:0,0", fsdp.FullPrecision(), false, 1e-3},
		{"gptneox", "cuda:0", fsdp.BFloat16Mixed(), false, 3e-2},
		{"gpt2", "cuda:0", fsdp.FullPrecision(), false, 1e-3},
		{"llama", "cuda:0,0", fsdp.FullPrecision(), true, 1e-3},
		{"gptneox", "cuda:0", fsdp.BFloat16Mixed(), true, 3e-2},
	} {
		t.Run(fmt.Sprintf("%s on %s, %s, offload %v", c.model, c.devices, c.mp, c.offload), func(t *testing.T) {
			want := steps(t, c.model, "cpu", c.mp, false)
			if c.offload { // a copy that is not waited for is not done, and what it should have written is NaN
				t.Setenv("FAKE_CUDA_LAZY", "1")
				t.Setenv("DPOLAB_POISON", "1")
			}
			got := steps(t, c.model, c.devices, c.mp, c.offload)
			most := 0.0
			for i := range want {
				d := math.Abs(got[i]-want[i]) / math.Abs(want[i])
				if most = max(most, d); !(d <= c.tolerance) {
					t.Errorf("number %d is %g, on the CPU %g: off by %.2g", i, got[i], want[i], d)
				}
			}
			t.Logf("off by %.2g at most", most)
		})
	}
}
