package dpo_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"dpolab/stdlib/dpo"
)

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
