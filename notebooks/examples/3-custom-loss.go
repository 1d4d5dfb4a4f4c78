//go:build ignore

// This program is the notebook 3-custom-loss.ipynb.
package main

// %% [markdown]
// # A loss of your own
//
// A preference loss is a function from log-probabilities to one loss per pair. Typed into a cell it is checked against finite differences, trained with on all ranks, and changed between two steps. The log-probabilities of all ranks meet before it is called and its gradient goes back to them, so it knows nothing of ranks, shards or precision.

// %%
import (
	"fmt"
	"math"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
	"dpolab/stdlib/plot"
)

func main() {
	defer dpo.Finish()

	// %% [markdown]
	// ## What a loss sees
	//
	// For $B$ pairs, `LogProbs` has `PolicyChosen`, `PolicyRejected`, `ReferenceChosen` and `ReferenceRejected`, each `[B]`, summed over a response's tokens, and the lengths in tokens. `dpo.Margin(lp)` is
	// $$h = \log\frac{\pi(y_w)}{\pi(y_l)} - \log\frac{\pi_\mathrm{ref}(y_w)}{\pi_\mathrm{ref}(y_l)}$$
	// and DPO is $-\log\sigma(\beta h)$. Here is the hinge of [SLiC](https://arxiv.org/abs/2305.10425) on the same margin, $\max(0, \delta - \beta h)$:

	// %%
	beta, delta := 0.1, 1.0
	hinge := func(lp dpo.LogProbs) dpo.LossOutput {
		x := dpo.Margin(lp).MulScalar(beta)
		return dpo.LossOutput{Losses: x.Neg().AddScalar(delta).ReLU()}
	}
	display.Value(dpo.CheckLoss(hinge))

	// %% [markdown]
	// `CheckLoss` compares the gradient that training will use with finite differences in float64. It finds mistakes that a falling loss hides. This one forgets that the rejected response has a gradient, too:

	// %%
	wrong := func(lp dpo.LogProbs) dpo.LossOutput {
		x := lp.PolicyChosen.Sub(lp.PolicyRejected.Detach()).MulScalar(beta)
		return dpo.LossOutput{Losses: x.LogSigmoid().Neg()}
	}
	display.Value(dpo.CheckLoss(wrong))

	// %% [markdown]
	// ## What shape does it have?
	//
	// A loss can be drawn without any model: as a function of the margin. `dpo.LossCurve` gives it log-probabilities whose margin is each of `hs`.

	// %%
	hs := []float64{}
	for h := -30.0; h <= 30; h++ {
		hs = append(hs, h)
	}
	monotone := plot.New("more margin is better").XLabel("h").YLabel("loss")
	monotone.Line("DPO, β = 0.1", hs, dpo.LossCurve(dpo.DPO(0.1), hs))
	monotone.Line("hinge, δ = 1", hs, dpo.LossCurve(hinge, hs))
	target := plot.New("the margin should be 1/2β").XLabel("h")
	target.Line("IPO, β = 0.1", hs, dpo.LossCurve(dpo.IPO(0.1), hs))
	display.Value(plot.Grid(2, monotone, target))

	// %% [markdown]
	// ## Train with it
	//
	// A metric is the same kind of function: one number per pair. A schedule is a function of the step, a callback one of the record.

	// %%
	demo := dpo.Demo()
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	reference := demo.Model()
	cfg := dpo.DefaultTrainConfig()
	cfg.Loss, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = hinge, "AdamW", 2e-4, 0
	cfg.BatchSize, cfg.MaxLength, cfg.MaxPromptLength = 8, 128, 64
	cfg.Schedule = func(step int) float64 { return 0.5 + 0.5*math.Cos(math.Pi*float64(step)/20) }
	trainer := dpo.NewTrainer(policy, reference, demo.Train, nil, cfg)
	trainer.AddMetric("log_ratio_chosen", func(lp dpo.LogProbs) *dpo.Tensor {
		return lp.PolicyChosen.Sub(lp.ReferenceChosen)
	})
	trainer.OnRecord(func(r dpo.Record) {
		if r.Metrics["loss/train"] < 0.01 {
			trainer.Stop() // the margin is wide enough everywhere
		}
	})
	trainer.Steps(12)
	display.Value(trainer.History())

	// %% [markdown]
	// ## Beside DPO
	//
	// The same batches, the same reference, another loss. The reference is not asked again.

	// %%
	cfg.Loss = dpo.DPO(beta)
	other := dpo.NewTrainer(dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()), reference, demo.Train, nil, cfg)
	other.Steps(trainer.History().Len())
	runs := []*dpo.History{trainer.History(), other.History()}
	fmt.Println("the reference has computed", reference.Asked(), "log-probabilities for both runs")
	display.Value(dpo.CompareRuns([]string{"hinge", "DPO"}, runs))

	// %%
	display.Value(dpo.CurvesOf([]string{"rewards_train/margins", "rewards_train/accuracies"}, []string{"hinge", "DPO"}, runs))

	// %% [markdown]
	// The hinge stops pushing a pair once its margin reaches $\delta/\beta$; DPO never quite does.
	//
	// ## Change it between two steps
	//
	// `SetLoss` takes effect at the next step; weights and optimizer state stay. The loop can be written by hand, too: `NextBatch`, `Forward`, `Backward` and `OptimizerStep` are the parts of a step, on all ranks.

	// %%
	b := other.NextBatch()
	lp := other.Forward(b)
	losses := hinge(lp).Losses
	display.Value(losses)

	// %%
	other.Backward(losses.Mean())
	step := other.OptimizerStep()
	fmt.Printf("loss %.4f, gradient norm %.3f\n", step["loss/train"], step["grad_norm"])
}
