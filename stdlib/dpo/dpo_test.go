package dpo_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dpolab/stdlib/dpo"
)

var demo *dpo.DemoSet

func TestMain(m *testing.M) {
	dpo.SetContext(context.Background())
	dpo.SetArgs(nil)
	dpo.SetOutput(io.Discard)
	demo = dpo.Demo()
	code := m.Run()
	dpo.Reset()
	os.Exit(code)
}

// config is a small run on the demo's pairs.
func config() dpo.TrainConfig {
	cfg := dpo.DefaultTrainConfig()
	cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.Examples = 8, "AdamW", 1e-4, 0, 32
	cfg.MaxLength, cfg.MaxPromptLength = 128, 64
	return cfg
}

func wrapped(t *testing.T) *dpo.Model {
	t.Helper()
	m := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	t.Cleanup(m.Close)
	return m
}

// raised runs fn, which must raise, and returns the line.
func raised(t *testing.T, fn func()) error {
	t.Helper()
	err := dpo.Try(fn)
	if err == nil {
		t.Fatal("nothing was raised")
	}
	if strings.ContainsRune(err.Error(), '\n') {
		t.Errorf("more than one line: %q", err)
	}
	return err
}

func TestErrorsAreOneLineThatSaysWhat(t *testing.T) {
	policy := wrapped(t)
	tr := dpo.NewTrainer(policy, nil, demo.Train, nil, config())
	defer tr.Close()
	closed := demo.Model()
	closed.Close()
	bad := func(change func(c *dpo.TrainConfig)) func() {
		return func() {
			c := config()
			change(&c)
			dpo.NewTrainer(policy, nil, demo.Train, nil, c)
		}
	}
	for _, c := range []struct {
		name string
		fn   func()
		want []string
	}{
		{"model", func() { dpo.LoadModel("no/such/place") }, []string{"dpo.LoadModel: ", "no/such/place"}},
		{"tokenizer", func() { dpo.LoadTokenizer("no/such/place") }, []string{"dpo.LoadTokenizer: ", "no/such/place"}},
		{"split", func() { dpo.LoadPreferences("hh", "x", "dev") }, []string{"LoadPreferences", `"dev"`}},
		{"source", func() { dpo.LoadPreferences("nowhere", "x", "train") }, []string{"LoadPreferences", "nowhere"}},
		{"beta", func() { dpo.DPO(-1) }, []string{"dpo.DPO: want beta > 0, got -1"}},
		{"smoothing", func() { dpo.CDPO(0.1, 0.7) }, []string{"dpo.CDPO: ", "0.7"}},
		{"devices", func() { dpo.FSDP(demo.Model(), dpo.FSDPConfig{Devices: "tpu:4"}) }, []string{"dpo.FSDP: ", "tpu"}},
		{"block", func() { dpo.FSDP(demo.Model(), dpo.FSDPConfig{Devices: "cpu:2", BlockName: "GPTNeoXLayer"}) }, []string{"dpo.FSDP: ", "GPTNeoXLayer", "LlamaDecoderLayer"}},
		{"closed", func() { dpo.Generate(closed, []string{"x"}, dpo.Greedy(2)) }, []string{"dpo.Generate: ", "closed"}},
		{"nil model", func() { dpo.NewTrainer(nil, nil, demo.Train, nil, config()) }, []string{"dpo.NewTrainer: ", "nil"}},
		{"own reference", func() { dpo.NewTrainer(policy, policy, demo.Train, nil, config()) }, []string{"policy.Copy()"}},
		{"batch size", bad(func(c *dpo.TrainConfig) { c.BatchSize = 0 }), []string{"BatchSize", "1 or more", "got 0"}},
		{"optimizer", bad(func(c *dpo.TrainConfig) { c.Optimizer = "Adagrad" }), []string{"AdamW", `"Adagrad"`}},
		{"lr", bad(func(c *dpo.TrainConfig) { c.LR = math.NaN() }), []string{"LR", "NaN"}},
		{"lengths", bad(func(c *dpo.TrainConfig) { c.MaxLength = 4 }), []string{"NewTrainer", "4"}},
		{"precision", func() { tr.SetMixedPrecision(dpo.MixedPrecision{ParamDType: 200}) }, []string{"SetMixedPrecision"}},
		{"switch to SFT", func() { tr.SetLoss(dpo.SFT()) }, []string{"SetLoss", "SFT"}},
		{"step without backward", func() { tr.OptimizerStep() }, []string{"OptimizerStep", "Backward"}},
		{"no evaluation", func() { tr.Evaluate() }, []string{"Evaluate", "none"}},
		{"empty prompt", func() { dpo.Generate(policy, []string{""}, dpo.Greedy(2)) }, []string{"prompt 0"}},
		{"svg", func() { dpo.Curves(tr.History()) }, []string{"CurvesOf", "loss/train"}},
	} {
		err := dpo.Try(c.fn)
		if err == nil || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: raised %v, want one line", c.name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
	}
}

func TestBadLossesLeaveTheTrainerAsItWas(t *testing.T) {
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
	defer tr.Close()
	good := dpo.DPO(0.1)
	for _, c := range []struct {
		loss dpo.PreferenceLoss
		want string
	}{
		{func(lp dpo.LogProbs) dpo.LossOutput { return dpo.LossOutput{} }, "none"},
		{func(lp dpo.LogProbs) dpo.LossOutput { return dpo.LossOutput{Losses: dpo.Margin(lp).Mean()} }, "shape []"},
		{func(lp dpo.LogProbs) dpo.LossOutput {
			return dpo.LossOutput{Losses: lp.PolicyChosen.Add(lp.PolicyChosen.Narrow(0, 0, 3))}
		}, "3"},
	} {
		tr.SetLoss(c.loss)
		if err := raised(t, func() { tr.Step() }); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q does not say %q", err, c.want)
		}
	}
	// A loss that panics by itself, as a mistake in a cell does.
	tr.SetLoss(func(lp dpo.LogProbs) dpo.LossOutput { panic("typo") })
	func() {
		defer func() {
			if recover() != "typo" {
				t.Error("the loss's own panic was lost")
			}
		}()
		tr.Step()
	}()
	tr.SetLoss(good)
	got := tr.Step()["loss/train"]
	if math.Abs(got-math.Ln2) > 1e-5 || tr.History().Len() != 1 {
		t.Errorf("first good step: loss %g, %d records, want ln 2 and 1", got, tr.History().Len())
	}
}

// losses trains to the end and returns every step's loss and gradient norm.
func losses(t *testing.T, loss dpo.PreferenceLoss, prepare func(tr *dpo.Trainer)) []float64 {
	t.Helper()
	cfg := config()
	cfg.Loss = loss
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, cfg)
	defer tr.Close()
	if prepare != nil {
		prepare(tr)
	}
	h := tr.Run()
	return append(h.Values("loss/train"), h.Values("grad_norm")...)
}

func TestTypedLossIsTheBuiltInOne(t *testing.T) {
	builtin := losses(t, dpo.DPO(0.1), nil)
	calls := 0
	typed := losses(t, func(lp dpo.LogProbs) dpo.LossOutput {
		calls++
		h := lp.PolicyChosen.Sub(lp.PolicyRejected).Sub(lp.ReferenceChosen.Sub(lp.ReferenceRejected))
		return dpo.LossOutput{Losses: h.MulScalar(0.1).LogSigmoid().Neg()}
	}, nil)
	margin := losses(t, dpo.MarginLoss(0.1, func(x *dpo.Tensor) *dpo.Tensor { return x.LogSigmoid().Neg() }), nil)
	if len(builtin) != 8 || calls != 4 {
		t.Fatalf("%d numbers of 4 steps, %d calls of the loss", len(builtin), calls)
	}
	for i := range builtin {
		if d := math.Abs(builtin[i] - typed[i]); d > 1e-6*(1+builtin[i]) {
			t.Errorf("number %d: %g typed, %g built in", i, typed[i], builtin[i])
		}
		if d := math.Abs(builtin[i] - margin[i]); d > 1e-6*(1+builtin[i]) {
			t.Errorf("number %d: %g as a margin loss, %g built in", i, margin[i], builtin[i])
		}
	}
	if builtin[3] >= builtin[0] {
		t.Errorf("the loss does not fall: %v", builtin[:4])
	}
}

func TestCheckLoss(t *testing.T) {
	for name, loss := range map[string]dpo.PreferenceLoss{"DPO": dpo.DPO(0.3), "cDPO": dpo.CDPO(0.1, 0.2), "IPO": dpo.IPO(0.1),
		"AveragedIPO": dpo.AveragedIPO(0.1), "ReferenceFree": dpo.ReferenceFree(0.1),
		"chosen only": func(lp dpo.LogProbs) dpo.LossOutput { return dpo.LossOutput{Losses: lp.PolicyChosen.Neg()} }} {
		if c := dpo.CheckLoss(loss); !c.OK || c.Values != 12 || !(c.MaxError >= 0 && c.MaxError < 1e-5) {
			t.Errorf("%s: %s", name, c)
		}
	}
	half := dpo.CheckLoss(func(lp dpo.LogProbs) dpo.LossOutput {
		return dpo.LossOutput{Losses: lp.PolicyChosen.Sub(lp.PolicyRejected.Detach())}
	})
	if half.OK || half.Input != "PolicyRejected" || math.Abs(half.MaxError-1) > 1e-6 {
		t.Errorf("a loss with half a gradient: %s", half)
	}
	if err := raised(t, func() { dpo.CheckLoss(dpo.SFT()) }); !strings.Contains(err.Error(), "SFT") {
		t.Error(err)
	}
}

func TestMetricScheduleAndCallback(t *testing.T) {
	cfg := config()
	var factors []int
	cfg.Schedule = func(step int) float64 { factors = append(factors, step); return 0 }
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, demo.Test.Slice(0, 2), cfg)
	defer tr.Close()
	tr.AddMetric("kl", func(lp dpo.LogProbs) *dpo.Tensor { return lp.PolicyChosen.Sub(lp.ReferenceChosen).AddScalar(7) })
	var seen []string
	tr.OnRecord(func(r dpo.Record) {
		seen = append(seen, fmt.Sprintf("%s %d", r.Split, r.Updates))
		if r.Split == "train" && r.Updates == 2 {
			tr.Evaluate() // between steps a callback may do what a cell may
			tr.Stop()
		}
	})
	h := tr.Run()
	if got := strings.Join(seen, ", "); got != "train 1, train 2, eval 2" {
		t.Errorf("callbacks: %s", got)
	}
	if fmt.Sprint(factors) != "[0 1]" {
		t.Errorf("schedule was asked for steps %v", factors)
	}
	for _, name := range []string{"kl/train", "kl/eval"} {
		if v := h.Last(name); math.Abs(v-7) > 1e-4 { // a factor of 0 leaves the policy at the reference
			t.Errorf("%s is %g, want 7", name, v)
		}
	}
	tr.AddMetric("kl", func(lp dpo.LogProbs) *dpo.Tensor { return lp.PolicyChosen.Mean() })
	if err := raised(t, func() { tr.Step() }); !strings.Contains(err.Error(), "metric kl") {
		t.Error(err)
	}
}

func TestToggleKeepsLogProbs(t *testing.T) {
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
	defer tr.Close()
	tr.Steps(1)
	pairs := demo.Test.Slice(0, 4).Tokenize(dpo.LoadTokenizer(demo.Path), 128)
	full := tr.ComputeLogProbs(pairs)
	for _, c := range []struct {
		mp   dpo.MixedPrecision
		band float64
	}{{dpo.BFloat16Mixed(), 1.5}, {dpo.Float16Mixed(), 0.3}, {dpo.Uniform(dpo.BFloat16), 1.5}} {
		tr.SetMixedPrecision(c.mp)
		if d := full.MaxDifference(tr.ComputeLogProbs(pairs)); !(d > 0 && d < c.band) {
			t.Errorf("%s: log-probabilities move by %g, want more than 0 and less than %g", c.mp, d, c.band)
		}
		if m := tr.Step(); m == nil || math.IsNaN(m["loss/train"]) {
			t.Errorf("%s: step gives %v", c.mp, m)
		}
		tr.SetMixedPrecision(dpo.FullPrecision())
		full = tr.ComputeLogProbs(pairs)
	}
}

func TestInterruptAndContinue(t *testing.T) {
	straight := losses(t, dpo.DPO(0.1), nil)
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, demo.Test, config())
	defer tr.Close()
	defer dpo.SetContext(context.Background())
	// Inside the second step, where the loss is called: neither forward nor
	// backward may leave anything behind.
	ctx, cancel := context.WithCancel(context.Background())
	dpo.SetContext(ctx)
	inner, calls := dpo.DPO(0.1), 0
	tr.SetLoss(func(lp dpo.LogProbs) dpo.LossOutput {
		if calls++; calls == 2 {
			cancel()
		}
		return inner(lp)
	})
	err := raised(t, func() { tr.Run() })
	if !errors.Is(err, dpo.Interrupted) {
		t.Fatalf("raised %v", err)
	}
	if n := tr.History().Len(); n != 1 {
		t.Errorf("%d steps recorded, want 1", n)
	}
	for name, fn := range map[string]func(){"Evaluate": func() { tr.Evaluate() }, "Step": func() { tr.Step() }, "LoadModel": func() { demo.Model() },
		"Generate": func() { dpo.Generate(wrapped(t), []string{"x"}, dpo.Greedy(2)) }, "ComputeLogProbs": func() { tr.ComputeLogProbs(tr.EvalBatch()) },
		"LoadPreferences": func() { dpo.LoadPreferences("hh", "x", "train") }} {
		if err := raised(t, fn); !errors.Is(err, dpo.Interrupted) {
			t.Errorf("%s under an ended context raised %v", name, err)
		}
	}
	dpo.SetContext(context.Background())
	h := tr.Run()
	got := append(h.Values("loss/train"), h.Values("grad_norm")...)
	for i := range straight {
		if got[i] != straight[i] {
			t.Errorf("number %d: %g after an interruption, %g without", i, got[i], straight[i])
		}
	}
}

// TestInterruptedAnywhere ends the context at moments that fall anywhere in a
// step, again and again: the run must be the uninterrupted one to the bit.
func TestInterruptedAnywhere(t *testing.T) {
	straight := losses(t, dpo.IPO(0.1), nil)
	cfg := config()
	cfg.Loss, cfg.GradientAccumulationSteps = dpo.IPO(0.1), 1
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, cfg)
	defer tr.Close()
	defer dpo.SetContext(context.Background())
	interrupts := 0
	for limit := 3 * time.Millisecond; ; limit += 3 * time.Millisecond {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		dpo.SetContext(ctx)
		err := dpo.Try(func() { tr.Run() })
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, dpo.Interrupted) {
			t.Fatal(err)
		}
		interrupts++
	}
	got := append(tr.History().Values("loss/train"), tr.History().Values("grad_norm")...)
	for i := range straight {
		if got[i] != straight[i] {
			t.Errorf("number %d: %g after %d interruptions, %g without", i, got[i], interrupts, straight[i])
		}
	}
	if interrupts < 3 {
		t.Errorf("%d interruptions only", interrupts)
	}
}

// TestInterruptIsQuick ends the context at any moment of long calls.
func TestInterruptIsQuick(t *testing.T) {
	policy := wrapped(t)
	cfg := config()
	cfg.BatchSize, cfg.Examples, cfg.Epochs = 64, 0, 100
	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, cfg)
	defer tr.Close()
	defer dpo.SetContext(context.Background())
	tr.PrecomputeReference()
	prompts := demo.Test.Prompts(4)
	all := demo.Train.Tokenize(policy.Tokenizer(), 128)
	for name, fn := range map[string]func(){"Run": func() { tr.Run() },
		"Generate": func() { dpo.Generate(policy, prompts, dpo.Greedy(200)); dpo.Generate(policy, prompts, dpo.Greedy(200)) },
		"ComputeLogProbs": func() {
			for range 20 {
				tr.ComputeLogProbs(all)
			}
		}} {
		ctx, cancel := context.WithCancel(context.Background())
		dpo.SetContext(ctx)
		var at time.Time
		time.AfterFunc(150*time.Millisecond, func() { at = time.Now(); cancel() })
		if err := raised(t, fn); !errors.Is(err, dpo.Interrupted) {
			t.Errorf("%s raised %v", name, err)
		}
		t.Logf("%s stopped %v after the interrupt", name, time.Since(at))
	}
}

func TestLoopByHandIsTheTrainer(t *testing.T) {
	cfg := config()
	want := losses(t, dpo.DPO(0.1), nil)
	loss := dpo.DPO(0.1)
	for _, micro := range []int{1, 2} {
		tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, cfg)
		var got, norms []float64
		var held *dpo.Tensor
		for b := tr.NextBatch(); b != nil; b = tr.NextBatch() {
			for i := range micro {
				part := b.Slice(i*b.Len()/micro, (i+1)*b.Len()/micro)
				held = loss(tr.Forward(part)).Losses.Mean().MulScalar(1 / float64(micro))
				tr.Backward(held)
			}
			m := tr.OptimizerStep()
			got, norms = append(got, m["loss/train"]), append(norms, m["grad_norm"])
		}
		got = append(got, norms...)
		for i := range want {
			if d := math.Abs(got[i] - want[i]); d > 2e-5*(1+want[i]) {
				t.Errorf("%d microbatches, number %d: %g by hand, %g by the trainer", micro, i, got[i], want[i])
			}
		}
		if err := raised(t, func() { held.Item() }); !strings.Contains(err.Error(), "released") {
			t.Errorf("a tensor of the last step: %v", err)
		}
		tr.Close()
	}
}

func TestReferenceIsAskedOnce(t *testing.T) {
	reference := demo.Model()
	defer reference.Close()
	for i, beta := range []float64{0.05, 0.5} {
		cfg := config()
		cfg.Loss = dpo.DPO(beta)
		tr := dpo.NewTrainer(wrapped(t), reference, demo.Train, nil, cfg)
		tr.Run()
		if reference.Asked() != 64 {
			t.Errorf("run %d: asked for %d responses, want 64 of 32 pairs", i, reference.Asked())
		}
		tr.Close()
	}
}

func TestMemoryComesBack(t *testing.T) {
	dpo.Reset()
	defer func() { demo = dpo.Demo() }() // Reset took the shared one
	demo = dpo.Demo()
	if r := dpo.Memory(); len(r) != 0 {
		t.Fatalf("before: %s", r)
	}
	anchor := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()) // keeps the devices open
	idle := dpo.Memory().Live()
	if want := int64(4 * anchor.NumParameters()); idle < want || idle > want+want/8 {
		t.Errorf("a model of %d bytes takes %d", want, idle)
	}
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, config())
	tr.Steps(1)
	settled := dpo.Memory().Live()
	tr.SetLoss(func(lp dpo.LogProbs) dpo.LossOutput { panic("in the middle of a step") })
	func() { defer func() { recover() }(); tr.Step() }()
	tr.SetLoss(dpo.DPO(0.1))
	lp := tr.Forward(demo.Test.Slice(0, 2).Tokenize(policy.Tokenizer(), 128))
	_ = lp.PolicyChosen.Exp()
	tr.ZeroGrad()
	tr.Evaluate()
	if live := dpo.Memory().Live(); live > settled+4096 {
		t.Errorf("%d bytes in use after failures, %d before", live, settled)
	}
	tr.Close()
	policy.Close()
	if live := dpo.Memory().Live(); live != idle {
		t.Errorf("%d bytes in use after Close, %d before", live, idle)
	}
	anchor.Close()
	if r := dpo.Memory(); len(r) != 0 {
		t.Errorf("after closing all: %s", r)
	}
}

func TestOutOfMemoryIsAnError(t *testing.T) {
	policy := wrapped(t)
	tr := dpo.NewTrainer(policy, nil, demo.Train, nil, config())
	defer tr.Close()
	tr.Steps(1)
	before := dpo.Memory().Live()
	dpo.LimitMemory(before/2 + 1<<20) // per rank; a step needs several times as much
	err := raised(t, func() { tr.Step() })
	dpo.LimitMemory(0)
	if !errors.Is(err, dpo.OutOfMemory) {
		t.Errorf("raised %v", err)
	}
	if live := dpo.Memory().Live(); live > before {
		t.Errorf("%d bytes in use after running out, %d before", live, before)
	}
	dpo.LimitMemory(before/2 + 1<<20)
	err = raised(t, func() { dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()) })
	dpo.LimitMemory(0)
	if live := dpo.Memory().Live(); !errors.Is(err, dpo.OutOfMemory) || live > before {
		t.Errorf("wrapping a second model raised %v and left %d bytes, %d before", err, live, before)
	}
	if m := tr.Step(); m == nil || m["counters/updates"] != 2 {
		t.Errorf("the step after it: %v", m)
	}
}

func TestWrapAgainSaveAndCopy(t *testing.T) {
	m := demo.Model()
	defer m.Close()
	pairs := demo.Test.Slice(0, 3).Tokenize(m.Tokenizer(), 128)
	one := dpo.ComputeLogProbs(m, pairs) // unwrapped, on one device
	dpo.FSDP(m, dpo.FSDPConfig{Devices: "cpu:2"})
	if d := one.MaxDifference(dpo.ComputeLogProbs(m, pairs)); d > 1e-3 {
		t.Errorf("wrapping moves log-probabilities by %g", d)
	}
	cfg := config()
	cfg.Loss = dpo.SFT()
	tr := dpo.NewTrainer(m, nil, demo.Train, nil, cfg)
	tr.Steps(2)
	trained := dpo.ComputeLogProbs(m, pairs)
	if trained.MaxDifference(one) < 0.1 {
		t.Error("training changed nothing")
	}
	dpo.FSDP(m, dpo.FSDPConfig{Devices: "cpu:1", Strategy: dpo.NoShard})
	if d := trained.MaxDifference(dpo.ComputeLogProbs(m, pairs)); d > 1e-3 {
		t.Errorf("moving a trained model changes log-probabilities by %g", d)
	}
	if err := raised(t, func() { tr.Step() }); !strings.Contains(err.Error(), "new trainer") {
		t.Error(err)
	}
	tr.Close()
	dir := filepath.Join(t.TempDir(), "saved")
	dpo.Save(m, dir)
	for name, same := range map[string]*dpo.Model{"copy": m.Copy(), "saved": dpo.LoadModel(dir)} {
		if d := trained.MaxDifference(dpo.ComputeLogProbs(same, pairs)); d > 1e-3 {
			t.Errorf("%s: log-probabilities differ by %g", name, d)
		}
		same.Close()
	}
}

func TestCheckpointResumes(t *testing.T) {
	want := losses(t, dpo.DPO(0.1), nil)
	dir := filepath.Join(t.TempDir(), "ckpt")
	reference := demo.Model()
	defer reference.Close()
	tr := dpo.NewTrainer(wrapped(t), reference, demo.Train, nil, config())
	tr.Steps(2)
	tr.SaveCheckpoint(dir)
	tr.Close()
	resumed := dpo.NewTrainer(dpo.FSDP(dpo.LoadModel(dir), dpo.DefaultFSDPConfig()), reference, demo.Train, nil, config())
	defer resumed.Close()
	resumed.Resume(dir)
	for i, got := range resumed.Run().Values("loss/train") {
		if got != want[i] {
			t.Errorf("step %d: loss %g resumed, %g straight", i+1, got, want[i])
		}
	}
}

func TestGenerateAndPrinting(t *testing.T) {
	m := wrapped(t)
	a, b := dpo.Generate(m, demo.Test.Prompts(2), dpo.Greedy(5)), dpo.Generate(m, demo.Test.Prompts(2), dpo.Greedy(5))
	if len(a) != 2 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("greedy continuations %q and %q", a, b)
	}
	cfg := config()
	cfg.RunDir = ""
	tr := dpo.NewTrainer(m, nil, demo.Train, demo.Test, cfg)
	defer tr.Close()
	h := tr.Run()
	fig := dpo.Curves(h)
	path := filepath.Join(t.TempDir(), "curves.svg")
	fig.Save(path)
	svg, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(svg), "<svg") || !strings.Contains(string(svg), "rewards_train/margins") {
		t.Errorf("SVG of %d bytes: %v", len(svg), err)
	}
	for _, c := range []struct {
		thing fmt.Stringer
		want  []string
	}{
		{m, []string{"LlamaForCausalLM", "1.67 million", "FULL_SHARD over cpu:2", "param=float32"}},
		{m.Tokenizer(), []string{"512 tokens"}}, {demo.Train, []string{"hh", "pairs"}}, {demo.Train.Pair(0), []string{"chosen"}},
		{tr, []string{"32 of 32 pairs", "4 updates", "AdamW"}}, {h, []string{"4 steps", "rewards_train/margins", "→"}},
		{fig, []string{"loss/train", "┤", "32 pairs"}}, {dpo.Memory(), []string{"cpu:2 rank 1", "MB in use"}},
		{cfg, []string{"lr=0.0001", "batch_size=8"}}, {demo, []string{"demo"}}, {dpo.CheckLoss(dpo.DPO(0.1)), []string{"gradient check ok"}},
		{tr.EvalBatch(), []string{"pairs", "tokens"}},
	} {
		for _, w := range c.want {
			if !strings.Contains(c.thing.String(), w) {
				t.Errorf("%T prints %q without %q", c.thing, c.thing, w)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	defer dpo.SetArgs(nil)
	dpo.SetArgs([]string{"lr=2e-3", "steps=7", "name=a=b", "on=true", "typo=1", "loss.beta=0.5", "batch_size=32"})
	if dpo.FloatSetting("lr", 1) != 2e-3 || dpo.IntSetting("steps", 1) != 7 || dpo.StringSetting("name", "") != "a=b" || !dpo.BoolSetting("on", false) || dpo.FloatSetting("missing", 3) != 3 {
		t.Error("settings are not what was given")
	}
	if c := dpo.Overridden(dpo.DefaultTrainConfig()); c.LR != 2e-3 || c.BatchSize != 32 || c.EvalBatchSize != 16 {
		t.Errorf("overridden: %s", c)
	}
	err := raised(t, dpo.CheckSettings)
	if !strings.Contains(err.Error(), "got typo") || !strings.Contains(err.Error(), "lr") {
		t.Error(err)
	}
	dpo.SetArgs([]string{"lr=fast", "steps=1.5", "on=maybe"})
	for _, fn := range []func(){func() { dpo.FloatSetting("lr", 1) }, func() { dpo.IntSetting("steps", 1) }, func() { dpo.BoolSetting("on", true) }} {
		raised(t, fn)
	}
	dpo.SetArgs([]string{"verbose"})
	if err := raised(t, func() { dpo.IntSetting("steps", 1) }); !strings.Contains(err.Error(), "key=value") {
		t.Error(err)
	}
}

func TestProgressIsShown(t *testing.T) {
	var seen []dpo.Progress
	dpo.SetProgress(func(p dpo.Progress) { seen = append(seen, p) })
	defer dpo.SetProgress(nil)
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
	defer tr.Close()
	tr.Steps(2)
	if len(seen) != 3 || seen[1].Done != 16 || seen[1].Total != 32 || !strings.Contains(seen[1].Text, "loss") || !seen[2].End {
		t.Errorf("progress %+v", seen)
	}
}
