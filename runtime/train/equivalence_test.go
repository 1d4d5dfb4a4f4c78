package train_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "dpolab/kernels/cpu"
	_ "dpolab/kernels/cuda"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/queuetest"
	_ "dpolab/kernels/ref"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/loss"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/nn"
	"dpolab/runtime/train"
)

const modelDir = "../models/testdata/llama"

// source writes preference pairs over bytes, which fit the tiny models'
// vocabulary of 61 by remainder, and iterates over them.
func source(t *testing.T, batch, epochs int) *data.Iterator {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pairs.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		fmt.Fprintf(f, `{"prompt":"question %d %s","chosen":"yes %d","rejected":"no never %d"}`+"\n", i, "abcdefgh"[:i%8], i*i, i)
	}
	f.Close()
	set, err := data.Load("pairs", path, data.Train)
	if err != nil {
		t.Fatal(err)
	}
	tok := data.Tokenizer{EOS: 0, Encode: func(s string) []int32 {
		var ids []int32
		for i := range len(s) {
			ids = append(ids, int32(s[i])%60+1)
		}
		return ids
	}}
	o := data.DefaultOptions()
	o.BatchSize, o.Epochs, o.Limits = batch, epochs, data.Limits{MaxLength: 48, MaxPromptLength: 24}
	it, err := data.NewIterator([]*data.Dataset{set}, tok, o)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

type variant struct {
	ranks, accumulation int
	strategy            fsdp.ShardingStrategy
	mp                  fsdp.MixedPrecision
	checkpointing       bool
	offload             bool
	cache               bool
	block               string
	optimizer           string
	device              string // cpu if empty, or cuda where there is a GPU
}

// onGPU runs goldens and equivalences on this machine's GPU, which the ranks
// share: make test-cuda sets it.
var onGPU = os.Getenv("DPOLAB_TEST_CUDA") != ""

func (v variant) devices() string {
	if v.device == "cuda" || v.device == "" && onGPU { // ranks that share one
		return "cuda:0" + strings.Repeat(",0", max(v.ranks, 1)-1)
	}
	return fmt.Sprintf("%s:%d", cmp.Or(v.device, "cpu"), max(v.ranks, 1))
}

func settings(v variant) train.Settings {
	s := train.DefaultSettings()
	s.Loss, s.BatchSize, s.EvalBatchSize, s.LR, s.WarmupSteps, s.MaxGradNorm = loss.DPO(0.1, 0), 8, 8, 1e-3, 2, 1
	s.GradientAccumulationSteps = max(v.accumulation, 1)
	s.ReferenceDType, s.DoFirstEval = dtype.Float32, false
	if v.optimizer != "" {
		s.Optimizer = v.optimizer
	}
	s.Sharding = fsdp.Config{BlockName: v.block, Strategy: v.strategy, ShardSize: 2, MixedPrecision: v.mp, ActivationCheckpointing: v.checkpointing, CPUOffload: v.offload}
	return s
}

func newTrainer(t *testing.T, v variant, s train.Settings, it *data.Iterator, dir string) *train.Trainer {
	t.Helper()
	devices, err := device.ParseList(v.devices())
	if err != nil {
		t.Fatal(err)
	}
	w, err := distributed.NewWorld(devices, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	in := train.Inputs{PolicyDir: dir, ReferenceDir: modelDir, Source: it, Total: it.Total()}
	if v.cache {
		if in.Cache, err = train.OpenReferenceCache("", train.ReferenceName{}); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := train.New(w, s, in, train.Events{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// trajectory trains and returns loss and gradient norm of every step and the
// final parameters.
func trajectory(t *testing.T, v variant) (steps []float64, params map[string][]float32) {
	t.Helper()
	tr := newTrainer(t, v, settings(v), source(t, 8, 2), modelDir)
	if err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, r := range tr.History().Records {
		steps = append(steps, r.Metrics["loss/train"], r.Metrics["grad_norm"])
	}
	if len(steps) != 12 {
		t.Fatalf("%d numbers of 6 steps", len(steps))
	}
	return steps, parameters(t, tr)
}

func parameters(t *testing.T, tr *train.Trainer) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	err := tr.World().Run(func(r *distributed.Rank) error {
		for _, np := range nn.NamedParameters(tr.Policy(r.Rank)) {
			full := tr.Sharded(r.Rank).FullTensor(np.Parameter, np.Parameter.Master())
			if r.Rank == 0 {
				out[np.Name] = full.Float32s()
			}
			full.Release()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compare(t *testing.T, name string, want, got []float64, wantParams, gotParams map[string][]float32, tol float64) {
	t.Helper()
	for i := range want {
		if d := math.Abs(want[i]-got[i]) / (math.Abs(want[i]) + 1e-3); !(d <= tol) {
			t.Errorf("%s: number %d is %g, want %g", name, i, got[i], want[i])
		}
	}
	for p, w := range wantParams {
		for i, g := range gotParams[p] {
			if d := math.Abs(float64(w[i] - g)); !(d <= tol*0.1+tol*math.Abs(float64(w[i]))) {
				t.Errorf("%s: %s[%d] is %g, want %g", name, p, i, g, w[i])
				break
			}
		}
	}
}

// TestEquivalence: one trajectory however the work is spread.
func TestEquivalence(t *testing.T) {
	const block = "LlamaDecoderLayer"
	base, baseParams := trajectory(t, variant{optimizer: "AdamW", strategy: fsdp.NoShard})
	for name, v := range map[string]variant{
		"2 ranks, FULL_SHARD":        {ranks: 2, block: block},
		"4 ranks, FULL_SHARD":        {ranks: 4, block: block},
		"3 uneven ranks":             {ranks: 3, block: block},
		"2 ranks, NO_SHARD":          {ranks: 2, block: block, strategy: fsdp.NoShard},
		"2 ranks, SHARD_GRAD_OP":     {ranks: 2, block: block, strategy: fsdp.ShardGradOp},
		"4 ranks, HYBRID_SHARD":      {ranks: 4, block: block, strategy: fsdp.HybridShard},
		"accumulation of 4":          {accumulation: 4, block: block},
		"2 ranks, accumulation of 2": {ranks: 2, accumulation: 2, block: block},
		"activation checkpointing":   {ranks: 2, block: block, checkpointing: true},
		"cached reference":           {ranks: 2, block: block, cache: true},
		"one group for all":          {ranks: 2},
		"float32 as mixed precision": {ranks: 2, block: block, mp: fsdp.Uniform(dtype.Float32)},
	} {
		v.optimizer = "AdamW"
		steps, params := trajectory(t, v)
		compare(t, name, base, steps, baseParams, params, 2e-3)
	}
	again, againParams := trajectory(t, variant{ranks: 2, block: block, optimizer: "AdamW"})
	twice, twiceParams := trajectory(t, variant{ranks: 2, block: block, optimizer: "AdamW"})
	compare(t, "the same run twice", again, twice, againParams, twiceParams, 0)
}

// TestDevicesWithQueuesTakeTheSameWay, to the last bit: ranks that share one
// GPU, gather ahead and reduce behind, with masters there or on the host.
func TestDevicesWithQueuesTakeTheSameWay(t *testing.T) {
	queuetest.Register(queuetest.Options{Delay: 20 * time.Microsecond})
	for _, mp := range []fsdp.MixedPrecision{fsdp.FullPrecision(), fsdp.BFloat16Mixed()} {
		v := variant{ranks: 2, block: "LlamaDecoderLayer", optimizer: "AdamW", mp: mp}
		want, wantParams := trajectory(t, v)
		for _, v.offload = range []bool{false, true} {
			for _, v.device = range []string{"cpu", "cuda"} {
				got, gotParams := trajectory(t, v)
				compare(t, fmt.Sprintf("%s, offload %v, %s", v.device, v.offload, mp), want, got, wantParams, gotParams, 0)
			}
		}
	}
}

// TestMixedPrecision: bfloat16 follows float32 within its rounding, float16
// with a loss scale too, and masters stay float32.
func TestMixedPrecision(t *testing.T) {
	base, _ := trajectory(t, variant{ranks: 2, block: "LlamaDecoderLayer"})
	for name, mp := range map[string]fsdp.MixedPrecision{
		"bfloat16 mixed": fsdp.BFloat16Mixed(), "bfloat16 uniform": fsdp.Uniform(dtype.BFloat16), "float16 mixed": fsdp.Float16Mixed(),
	} {
		steps, _ := trajectory(t, variant{ranks: 2, block: "LlamaDecoderLayer", mp: mp})
		different := false
		for i := range base {
			if d := math.Abs(base[i]-steps[i]) / (math.Abs(base[i]) + 0.1); !(d < 0.15) {
				t.Errorf("%s: number %d is %g, float32 gives %g", name, i, steps[i], base[i])
			}
			different = different || base[i] != steps[i]
		}
		if !different {
			t.Errorf("%s gives float32's very numbers: the precision was not used", name)
		}
	}
}

// TestToggle: switching to bfloat16 and back between steps leaves masters and
// optimizer state as they were.
func TestToggle(t *testing.T) {
	v := variant{ranks: 2, block: "LlamaDecoderLayer"}
	tr := newTrainer(t, v, settings(v), source(t, 8, 2), modelDir)
	before := parameters(t, tr)
	examples, err := source(t, 8, 1).Next()
	if err != nil {
		t.Fatal(err)
	}
	full, err := tr.LogProbs(context.Background(), examples)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetMixedPrecision(fsdp.BFloat16Mixed()); err != nil {
		t.Fatal(err)
	}
	low, err := tr.LogProbs(context.Background(), examples)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.SetMixedPrecision(fsdp.FullPrecision()); err != nil {
		t.Fatal(err)
	}
	back, err := tr.LogProbs(context.Background(), examples)
	if err != nil {
		t.Fatal(err)
	}
	for i := range full {
		if full[i] != back[i] {
			t.Errorf("response %d: %g before, %g after switching there and back", i, full[i], back[i])
		}
		if full[i] == low[i] {
			t.Errorf("response %d: bfloat16 gives float32's %g", i, low[i])
		}
	}
	compare(t, "masters", nil, nil, before, parameters(t, tr), 0)
}

// TestResume: a run that is saved after two steps and resumed elsewhere, on as
// many ranks, continues bit for bit.
func TestResume(t *testing.T) {
	v := variant{ranks: 2, block: "LlamaDecoderLayer", optimizer: "RMSprop"}
	straight := newTrainer(t, v, settings(v), source(t, 8, 2), modelDir)
	if err := straight.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := settings(v)
	s.RunDir = dir
	stop, halt := context.WithCancel(context.Background())
	steps := 0
	interrupted := newTrainer(t, v, s, source(t, 8, 2), modelDir)
	interrupted.SetProgress(func(done, total int, m train.Metrics) {
		if steps++; steps == 2 {
			halt()
		}
	})
	if err := interrupted.Run(stop); !errors.Is(err, train.ErrInterrupted) {
		t.Fatalf("got %v, want an interruption", err)
	}
	saved := filepath.Join(dir, "step-16")
	resumed := newTrainer(t, v, s, source(t, 8, 2), saved)
	if err := resumed.Resume(saved); err != nil {
		t.Fatal(err)
	}
	if err := resumed.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, r := range straight.History().Records {
		if got := resumed.History().Records[i].Metrics["loss/train"]; got != r.Metrics["loss/train"] {
			t.Errorf("step %d: loss %g after resuming, %g straight", i+1, got, r.Metrics["loss/train"])
		}
	}
	compare(t, "resumed", nil, nil, parameters(t, straight), parameters(t, resumed), 0)
}
