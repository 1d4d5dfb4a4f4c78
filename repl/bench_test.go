package repl

import (
	"fmt"
	"io"
	"testing"
	"time"

	"dpolab/stdlib/dpo"
)

// BenchmarkStart is what stands between a process's start and its first prompt.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		if _, err := NewSession(Options{Stdout: io.Discard, Stderr: io.Discard}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCell is a cell of some lines in a session that has seen 200: check,
// lowering, interpretation.
func BenchmarkCell(b *testing.B) {
	s := benchSession(b)
	for i := range 200 {
		run(b, s, fmt.Sprintf("v%d := %d\nfunc g%d(i int) int { return i + v%d }", i, i, i, i))
	}
	b.ResetTimer()
	for b.Loop() {
		run(b, s, "total := 0\nfor i := range 10 {\n\ttotal += g100(i)\n}\nwords := strings.Fields(\"a b c\")\nslices.Sort(words)\nm := map[string]int{}\nfor _, w := range words {\n\tm[w]++\n}\ntotal += len(m)")
	}
}

// BenchmarkLoss compares a loss typed into a cell with a step of the demo model,
// in the same run: the share is what a microbatch spends in interpreted code.
func BenchmarkLoss(b *testing.B) {
	s := benchSession(b)
	run(b, s, `
import "dpolab/stdlib/dpo"
dpo.ShowProgress(false)
spent := time.Duration(0)
demo := dpo.Demo()
cfg := dpo.DefaultTrainConfig()
cfg.Loss, cfg.Optimizer, cfg.LR, cfg.WarmupSteps, cfg.Epochs = func(lp dpo.LogProbs) dpo.LossOutput {
	began := time.Now()
	x := dpo.Margin(lp).MulScalar(0.1)
	out := dpo.LossOutput{Losses: x.LogSigmoid().Neg()}
	spent += time.Since(began)
	return out
}, "AdamW", 1e-4, 0, 1000
tr := dpo.NewTrainer(dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()), nil, demo.Train, demo.Test, cfg)
tr.Steps(1)
spent = 0`)
	defer dpo.Reset()
	began := time.Now()
	steps := 0
	for b.Loop() {
		run(b, s, "tr.Steps(1);")
		steps++
	}
	took := time.Since(began)
	v, _ := s.Value("spent")
	b.ReportMetric(100*float64(v.Int())/float64(took), "%-in-loss")
	b.ReportMetric(float64(took.Microseconds())/float64(steps), "us/step")
}

func benchSession(b *testing.B) *Session {
	b.Helper()
	s, err := NewSession(Options{Stdout: io.Discard, Stderr: io.Discard, Context: dpo.SetContext})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func run(b *testing.B, s *Session, text string) {
	b.Helper()
	if err := s.Run("cell", text); err != nil {
		b.Fatal(err)
	}
}
