// Program beta-sweep trains the same model with several betas. The reference
// model is asked once per response: the second and third run take its
// log-probabilities from the first. Curves go to an SVG file.
//
//	go run ./examples/beta-sweep [steps=6] [curves=beta-sweep.svg]
package main

import (
	"fmt"

	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()
	steps := dpo.IntSetting("steps", 6)
	curves := dpo.StringSetting("curves", "")
	cfg := dpo.DefaultTrainConfig()
	cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = 16, "AdamW", 1e-4, 0
	cfg.MaxLength, cfg.MaxPromptLength = 128, 64
	wrap := dpo.DefaultFSDPConfig()
	dpo.CheckSettings()

	demo := dpo.Demo()
	reference := demo.Model()
	names := []string{}
	runs := []*dpo.History{}
	for _, beta := range []float64{0.05, 0.1, 0.5} {
		cfg.Loss = dpo.DPO(beta)
		policy := dpo.FSDP(demo.Model(), wrap)
		trainer := dpo.NewTrainer(policy, reference, demo.Train, nil, cfg)
		trainer.Steps(steps)
		h := trainer.History()
		fmt.Printf("beta %-4g  loss %.4f  accuracy %.2f  margin %.3f  reference asked for %d responses\n", beta, h.Last("loss/train"),
			h.Last("rewards_train/accuracies"), h.Last("rewards_train/margins"), reference.Asked())
		names = append(names, fmt.Sprintf("beta %g", beta))
		runs = append(runs, h)
		policy.Close()
	}
	if curves != "" {
		figure := dpo.CompareCurves(names, runs)
		figure.Save(curves)
		fmt.Println(figure)
	}
}
