//go:build ignore

// This program is the notebook 1-quick-start.ipynb.
package main

// %% [markdown]
// # Quick start
//
// Direct Preference Optimization of a language model, in Go cells. This notebook loads a model, looks at preference pairs, spreads the model over two ranks with FSDP *inside this kernel*, trains it, and asks what it has learned. Everything is embedded: no download, a few seconds on two cores.
//
// A cell shows the value of its last expression, as in Python. **Tab** completes, **Shift-Tab** shows documentation. Variables live on between cells, and cells may be run again in any order.

// %%
import (
	"fmt"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()

	// %% [markdown]
	// ## The data
	//
	// `dpo.Demo()` holds a tiny, freshly initialised Llama and pairs of answers that differ in one thing: the chosen one is friendly, the rejected one is rude. With data of your own it is `dpo.LoadPreferences("hh", "path", "train")`, or `"pairs"` for JSON lines with `prompt`, `chosen` and `rejected`.

	// %%
	demo := dpo.Demo()
	display.Value(demo.Train)

	// %% [markdown]
	// ## The model, over two ranks
	//
	// `dpo.LoadModel("directory")` opens any GPT-2, GPT-NeoX (Pythia) or Llama checkpoint in Hugging Face format. Only its configuration is read at first; `dpo.FSDP` then reads the weights, each rank its own part. A rank is a goroutine with a device of its own: `"cpu:2"` is two ranks on the CPU, `"cuda:all"` one for every GPU. No second process, no launcher.

	// %%
	wrap := dpo.DefaultFSDPConfig()
	wrap.Devices = "cpu:2"
	policy := dpo.FSDP(demo.Model(), wrap)
	display.Value(policy)

	// %% [markdown]
	// The table says what of each parameter every rank holds. That is what FSDP saves: parameters, gradients and optimizer state are spread over the ranks, and a block's parameters are gathered only while it computes.
	//
	// ## Train
	//
	// The settings have the names and defaults of the [reference DPO code](https://github.com/eric-mitchell/direct-preference-optimization). The reference model is nil here: the policy as it is now. It is asked once per response, and its answers are kept.

	// %%
	cfg := dpo.DefaultTrainConfig()
	cfg.Loss = dpo.DPO(0.1)
	cfg.Optimizer, cfg.LR, cfg.WarmupSteps = "AdamW", 1e-4, 0
	cfg.BatchSize, cfg.EvalEvery = 8, 64
	cfg.MaxLength, cfg.MaxPromptLength = 128, 64
	trainer := dpo.NewTrainer(policy, nil, demo.Train, demo.Test.Slice(0, 8), cfg)
	display.Value(trainer)

	// %% [markdown]
	// While a run trains, its display moves; what you see below is its last picture, which stays in the notebook. Interrupt it with the stop button if you like: the step in progress is taken back, and running the cell again goes on as if nothing had happened.

	// %%
	trainer.Steps(16)
	display.Value(trainer.History())

	// %% [markdown]
	// The loss begins at log 2 = 0.6931: policy and reference are still the same. The reward margin is $\beta\,(\log\frac{\pi(y_w)}{\pi_\mathrm{ref}(y_w)} - \log\frac{\pi(y_l)}{\pi_\mathrm{ref}(y_l)})$, what DPO pushes up.
	//
	// ## What has it learned?
	//
	// On pairs it has never seen:

	// %%
	m := trainer.Evaluate()
	fmt.Printf("reward accuracy %.2f, margin %.3f on pairs not trained on\n", m["rewards_eval/accuracies"], m["rewards_eval/margins"])

	// %% [markdown]
	// And token by token. Blue tokens have become likelier than under the reference, red ones less likely; the sum over a response is its implicit reward.

	// %%
	reference := demo.Model()
	unseen := demo.Test.Slice(8, 9).Tokenize(policy.Tokenizer(), 128)
	display.Value(dpo.TokenRewards(0.1, policy, reference, unseen))

	// %% [markdown]
	// ## Toggle bfloat16, go on
	//
	// Precision can change between any two steps of a run. Master weights and optimizer state stay float32.

	// %%
	trainer.SetMixedPrecision(dpo.BFloat16Mixed())
	trainer.Steps(8)
	display.Value(trainer.Curves())

	// %% [markdown]
	// ## Keep it
	//
	// `dpo.Save(policy, "directory")` writes a checkpoint that `transformers` loads. The next notebooks: **2** compares precisions under FSDP, **3** trains with a loss typed into a cell, **4** explores pairs and rewards, **5** is the reference's whole example, SFT and then DPO.

	// %%
	display.Value(dpo.Memory())
}
