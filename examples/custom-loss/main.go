// Program custom-loss types in a preference loss, checks its gradient against
// finite differences, and trains with it on all ranks; beside it run a metric, a
// callback and a learning-rate schedule of the same kind.
//
//	go run ./examples/custom-loss [loss.beta=0.1] [loss.delta=1] [steps=8]
package main

import (
	"fmt"
	"math"

	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()
	beta := dpo.FloatSetting("loss.beta", 0.1)
	delta := dpo.FloatSetting("loss.delta", 1)
	steps := dpo.IntSetting("steps", 8)
	dpo.CheckSettings()

	// The hinge of SLiC (arXiv 2305.10425) on DPO's margin.
	hinge := func(lp dpo.LogProbs) dpo.LossOutput {
		x := dpo.Margin(lp).MulScalar(beta)
		return dpo.LossOutput{Losses: x.Neg().AddScalar(delta).ReLU()}
	}
	fmt.Println("hinge checked:", dpo.CheckLoss(hinge).OK)

	// A wrong one: Detach hides half of it from the gradient.
	wrong := func(lp dpo.LogProbs) dpo.LossOutput {
		x := lp.PolicyChosen.Sub(lp.PolicyRejected.Detach()).MulScalar(beta)
		return dpo.LossOutput{Losses: x.LogSigmoid().Neg()}
	}
	fmt.Println("wrong checked:", dpo.CheckLoss(wrong).OK)

	demo := dpo.Demo()
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	cfg := dpo.DefaultTrainConfig()
	cfg.Loss, cfg.BatchSize, cfg.Optimizer, cfg.LR = hinge, 16, "AdamW", 2e-4
	cfg.MaxLength, cfg.MaxPromptLength = 128, 64
	cfg.Schedule = func(step int) float64 { return 0.5 + 0.5*math.Cos(math.Pi*float64(step)/float64(2*steps)) }

	trainer := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, cfg)
	trainer.AddMetric("kl_chosen", func(lp dpo.LogProbs) *dpo.Tensor {
		return lp.PolicyChosen.Sub(lp.ReferenceChosen)
	})
	trainer.OnRecord(func(r dpo.Record) {
		if r.Updates == steps {
			trainer.Stop()
		}
	})
	history := trainer.Run()
	first, last := history.Values("loss/train")[0], history.Last("loss/train")
	fmt.Printf("steps: %d\n", history.Len())
	fmt.Printf("first loss is delta: %t\n", math.Abs(first-delta) < 1e-4)
	fmt.Printf("loss falls: %t\n", last < first)
	fmt.Printf("metric recorded: %d values\n", len(history.Values("kl_chosen/train")))
}
