package dpo

import (
	"math"
	"strings"
	"testing"
)

// TestTokenLogProbs holds the numbers of single tokens against those of whole
// responses, which the goldens of other tests pin, on one rank and on three, of
// which the last has no pair.
func TestTokenLogProbs(t *testing.T) {
	demo := Demo()
	defer demo.Close()
	for _, devices := range []string{"cpu:1", "cpu:3"} {
		m := FSDP(demo.Model(), FSDPConfig{Devices: devices, Strategy: FullShard})
		b := demo.Test.Tokenize(m.Tokenizer(), 128).Slice(0, 2)
		whole := ComputeLogProbs(m, b)
		report := ComputeTokenLogProbs(m, b)
		for i, p := range report.Pairs {
			for _, side := range []struct {
				name   string
				got    TokenScores
				want   float64
				text   string
				tokens int
			}{
				{"chosen", p.Chosen, whole.Chosen[i], b.Pair(i).Chosen, len(b.examples[i].Chosen)},
				{"rejected", p.Rejected, whole.Rejected[i], b.Pair(i).Rejected, len(b.examples[i].Rejected)},
			} {
				if math.Abs(side.got.Sum()-side.want) > 1e-4 {
					t.Errorf("%s, pair %d, %s: tokens sum to %g, want %g", devices, i, side.name, side.got.Sum(), side.want)
				}
				if len(side.got.Values) != side.tokens || len(side.got.Tokens) != side.tokens {
					t.Errorf("%s, pair %d, %s: %d numbers, want %d", devices, i, side.name, len(side.got.Values), side.tokens)
				}
				if text := strings.Join(side.got.Tokens, ""); !strings.HasPrefix(text, side.text) {
					t.Errorf("%s, pair %d, %s: tokens are %q, want %q", devices, i, side.name, text, side.text)
				}
			}
		}
		m.Close()
	}
}

// TestTokenRewards trains a step, after which rewards differ from zero and sum
// to the trainer's own.
func TestTokenRewards(t *testing.T) {
	demo := Demo()
	defer demo.Close()
	reference, policy := demo.Model(), FSDP(demo.Model(), DefaultFSDPConfig())
	defer reference.Close()
	defer policy.Close()
	cfg := DefaultTrainConfig()
	cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.MaxLength, cfg.MaxPromptLength = 8, "AdamW", 1e-4, 0, 128, 64
	eval := demo.Test.Slice(0, 4)
	tr := NewTrainer(policy, reference, demo.Train, eval, cfg)
	b := tr.EvalBatch()
	if largest := TokenRewards(0.1, policy, reference, b).Largest(); largest != 0 {
		t.Errorf("before training: rewards up to %g, want 0", largest)
	}
	tr.Steps(2)
	report := TokenRewards(0.1, policy, reference, b)
	margin := 0.0
	for _, p := range report.Pairs {
		margin += (p.Chosen.Sum() - p.Rejected.Sum()) / float64(len(report.Pairs))
	}
	if want := tr.Evaluate()["rewards_eval/margins"]; math.Abs(margin-want) > 1e-4 || want == 0 {
		t.Errorf("rewards of tokens give a margin of %g, evaluation %g", margin, want)
	}
	if text := report.String(); !strings.HasPrefix(text, "implicit reward, β = 0.1 of each token of 8 pairs\n\nprompt    Human: ") {
		t.Errorf("shown as %q", text)
	}
}
