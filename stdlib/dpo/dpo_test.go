package dpo_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
)

var demo *dpo.DemoSet

func TestMain(m *testing.M) {
	// Processes that each measure how to multiply bfloat16 could differ in the
	// last bits.
	os.Setenv("DPOLAB_BF16", "widen")
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
	dpo.SetArgs([]string{"devices=cpu:3", "threads=5", "model.fsdp_policy_mp=bfloat16"})
	if c := dpo.DefaultFSDPConfig(); c.Devices != "cpu:3" || c.Threads != 5 || c.MixedPrecision != dpo.Uniform(dpo.BFloat16) {
		t.Errorf("wrapped as %+v", c)
	}
	dpo.SetArgs([]string{"model.fsdp_policy_mp=int8"})
	if err := raised(t, func() { dpo.DefaultFSDPConfig() }); !strings.Contains(err.Error(), "int8") {
		t.Error(err)
	}
	dpo.SetArgs([]string{"threads=-1"})
	if err := raised(t, func() { dpo.DefaultFSDPConfig() }); !strings.Contains(err.Error(), "threads=0 or more") {
		t.Error(err)
	}
	dpo.SetArgs([]string{"verbose"})
	if err := raised(t, func() { dpo.IntSetting("steps", 1) }); !strings.Contains(err.Error(), "key=value") {
		t.Error(err)
	}
}

// TestRunIsShown: one display for all that a cell trains, another in the next
// cell, none when they are off.
func TestRunIsShown(t *testing.T) {
	display.EndCell() // of the tests before
	updates := map[string][]string{}
	settled := 0
	display.SetBackend(display.Backend{
		Update: func(id string, b map[string]string) { updates[id] = append(updates[id], b["image/svg+xml"]) },
		Settle: func(string) { settled++ },
	})
	defer display.SetBackend(display.Backend{})
	tr := dpo.NewTrainer(wrapped(t), nil, demo.Train, nil, config())
	defer tr.Close()
	tr.Step()
	tr.Next()
	tr.Step()
	display.EndCell()
	if len(updates) != 1 || settled != 1 {
		t.Fatalf("%d displays, %d settled", len(updates), settled)
	}
	for _, pictures := range updates {
		last := pictures[len(pictures)-1]
		for _, part := range []string{"24 of 32 pairs", "reward margin", "accuracy "} {
			if !strings.Contains(last, part) {
				t.Errorf("the last picture lacks %q", part)
			}
		}
	}
	dpo.ShowProgress(false)
	defer dpo.ShowProgress(true)
	tr.Step()
	display.EndCell()
	if len(updates) != 1 {
		t.Errorf("%d displays", len(updates))
	}
}
