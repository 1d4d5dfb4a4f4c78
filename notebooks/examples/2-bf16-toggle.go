//go:build ignore

// This program is the notebook 2-bf16-toggle.ipynb.
package main

// %% [markdown]
// # bfloat16 on and off under FSDP
//
// The reference DPO code has one switch that matters most in practice: `model.fsdp_policy_mp=bfloat16`. It halves the memory of gathered parameters and activations and trains about 50 % faster on GPUs, with optimizer state in float32. In Python the switch is set when the model is wrapped: to compare, you start every rank again. Here it is a method call between two steps.

// %%
import (
	"fmt"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()

	// %%
	demo := dpo.Demo()
	wrap := dpo.DefaultFSDPConfig()
	wrap.Devices, wrap.Strategy = "cpu:4", dpo.FullShard
	cfg := dpo.DefaultTrainConfig()
	cfg.Optimizer, cfg.LR, cfg.WarmupSteps = "AdamW", 1e-4, 0
	cfg.BatchSize, cfg.MaxLength, cfg.MaxPromptLength = 8, 128, 64
	reference := demo.Model()

	// %% [markdown]
	// ## What a `MixedPrecision` says
	//
	// | | |
	// |---|---|
	// | `ParamDType` | parameters are cast to it, *then* gathered; forward and backward run in it |
	// | `ReduceDType` | the type in which gradients are summed over ranks |
	// | `BufferDType` | floating buffers; rotary tables stay float32 |
	//
	// `dpo.BFloat16Mixed()` computes in bfloat16 and sums gradients in float32, the setting we recommend. `dpo.Uniform(dpo.BFloat16)` uses it for all three, which is what the reference's switch does. Masters, accumulated gradients and optimizer state are float32 whatever it says.

	// %%
	fmt.Println(dpo.FullPrecision())
	fmt.Println(dpo.BFloat16Mixed())
	fmt.Println(dpo.Uniform(dpo.BFloat16))

	// %% [markdown]
	// ## Three runs from the same start
	//
	// One in float32, one in bfloat16, and one that changes over in the middle. The same seed gives the same batches, and the reference is asked once for all three.

	// %%
	precisions := []dpo.MixedPrecision{dpo.FullPrecision(), dpo.BFloat16Mixed()}
	names := []string{"float32", "bfloat16"}
	runs := []*dpo.History{}
	for _, mp := range precisions {
		wrap.MixedPrecision = mp
		policy := dpo.FSDP(demo.Model(), wrap)
		trainer := dpo.NewTrainer(policy, reference, demo.Train, nil, cfg)
		trainer.Steps(10)
		runs = append(runs, trainer.History())
		policy.Close()
	}

	// %% [markdown]
	// The third run stays open, so that we can look at it. Five steps in float32:

	// %%
	wrap.MixedPrecision = dpo.FullPrecision()
	policy := dpo.FSDP(demo.Model(), wrap)
	trainer := dpo.NewTrainer(policy, reference, demo.Train, nil, cfg)
	trainer.Steps(5)
	display.Value(trainer)

	// %% [markdown]
	// The toggle. Look at the last column: the masters stay float32, in the same shards on the same four ranks; what is gathered and computed with is bfloat16 from the next step on.

	// %%
	trainer.SetMixedPrecision(dpo.BFloat16Mixed())
	display.Value(policy)

	// %%
	trainer.Steps(5)
	names = append(names, "float32, then bfloat16")
	runs = append(runs, trainer.History())
	display.Value(dpo.CompareRuns(names, runs))

	// %% [markdown]
	// The losses agree to about a thousandth. Of speed, ten steps of a tiny model say little, and the first run also computed the reference's log-probabilities for all three: `dpolab bench` measures it. On GPUs that column is the point of the exercise.

	// %%
	display.Value(dpo.ComparePrecisions(names, runs))

	// %% [markdown]
	// Lower left is how far the loss is from the float32 run's at the same step, on a logarithmic axis: rounding noise that does not grow into a different run.
	//
	// ## Nothing is lost by switching
	//
	// Log-probabilities of the same pairs in bfloat16, and in float32 again. The masters were never rounded, so back means back, bit for bit.

	// %%
	pairs := demo.Test.Slice(0, 8).Tokenize(policy.Tokenizer(), 128)
	low := dpo.ComputeLogProbs(policy, pairs)
	trainer.SetMixedPrecision(dpo.FullPrecision())
	full := dpo.ComputeLogProbs(policy, pairs)
	trainer.SetMixedPrecision(dpo.BFloat16Mixed())
	trainer.SetMixedPrecision(dpo.FullPrecision())
	back := dpo.ComputeLogProbs(policy, pairs)
	fmt.Printf("bfloat16 moves a response's log-probability by at most %.3f\n", full.MaxDifference(low))
	fmt.Printf("there and back moves it by %g\n", full.MaxDifference(back))

	// %%
	display.Value(dpo.Memory())
}
