// Program bf16-toggle trains a tiny embedded model under FSDP over two CPU
// ranks and switches bfloat16 on, off and on again between steps, in the same
// process and with the same optimizer state.
//
//	go run ./examples/bf16-toggle [devices=cpu:2] [steps=3] [lr=1e-4]
package main

import (
	"fmt"

	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()
	steps := dpo.IntSetting("steps", 3)
	demo := dpo.Demo()
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())

	cfg := dpo.DefaultTrainConfig()
	cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = 16, "AdamW", 1e-4, 0
	cfg.MaxLength, cfg.MaxPromptLength = 128, 64
	cfg = dpo.Overridden(cfg)
	dpo.CheckSettings()

	trainer := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, cfg)
	fmt.Println(policy)

	pairs := demo.Test.Tokenize(policy.Tokenizer(), 128)
	full := dpo.ComputeLogProbs(policy, pairs)
	trainer.SetMixedPrecision(dpo.BFloat16Mixed())
	low := dpo.ComputeLogProbs(policy, pairs)
	trainer.SetMixedPrecision(dpo.FullPrecision())
	back := dpo.ComputeLogProbs(policy, pairs)
	fmt.Printf("bfloat16 moves log-probabilities by at most 2: %t\n", full.MaxDifference(low) > 0 && full.MaxDifference(low) < 2)
	fmt.Printf("back in float32 they are the same to the bit: %t\n", full.MaxDifference(back) == 0)

	precisions := []dpo.MixedPrecision{dpo.FullPrecision(), dpo.BFloat16Mixed(), dpo.FullPrecision()}
	for _, mp := range precisions {
		trainer.SetMixedPrecision(mp)
		m := trainer.Steps(steps)
		fmt.Printf("%-52s loss %.4f  margin %.3f\n", mp, m["loss/train"], m["rewards_train/margins"])
	}
	fmt.Println(trainer.History().Last("loss/train") < 0.69)
}
