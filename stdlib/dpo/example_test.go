package dpo_test

import (
	"fmt"

	"dpolab/stdlib/dpo"
)

func ExampleTrainer() {
	set := dpo.Demo()
	policy := dpo.FSDP(set.Model(), dpo.DefaultFSDPConfig())
	defer policy.Close()
	cfg := dpo.DefaultTrainConfig()
	cfg.Loss, cfg.BatchSize, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = dpo.DPO(0.1), 8, "AdamW", 1e-4, 0
	tr := dpo.NewTrainer(policy, nil, set.Train, set.Test, cfg)
	fmt.Printf("%.4f\n", tr.Step()["loss/train"])
	tr.SetMixedPrecision(dpo.BFloat16Mixed())
	tr.Steps(3)
	fmt.Println(tr.Last()["loss/train"] < 0.69, tr.MixedPrecision())
	// Output:
	// 0.6931
	// true param=bfloat16 reduce=float32 buffer=float32
}

func ExampleCheckLoss() {
	hinge := func(lp dpo.LogProbs) dpo.LossOutput {
		x := dpo.Margin(lp).MulScalar(0.1)
		return dpo.LossOutput{Losses: x.Neg().AddScalar(1).ReLU()}
	}
	fmt.Println(dpo.CheckLoss(hinge).OK)
	// Output: true
}

func ExampleTry() {
	err := dpo.Try(func() { dpo.CDPO(0.1, 0.5) })
	fmt.Println(err)
	// Output: dpo.CDPO: DPO: want label_smoothing in [0, 0.5), got 0.5
}
