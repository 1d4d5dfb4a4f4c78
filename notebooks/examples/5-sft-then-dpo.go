//go:build ignore

// This program is the notebook 5-sft-then-dpo.ipynb.
package main

// %% [markdown]
// # The reference's complete example: SFT, then DPO
//
// The [reference DPO code](https://github.com/eric-mitchell/direct-preference-optimization) shows one whole run: Pythia 2.8B, supervised fine-tuning on Anthropic-HH, then DPO from that checkpoint, with `FSDPTrainer` and `bfloat16`. Here is the same run, step by step, scaled down to the embedded model. What each cell says in the reference's words stands above it.

// %%
import (
	"fmt"
	"os"
	"path/filepath"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
)

func main() {
	defer dpo.Finish()

	// %% [markdown]
	// ## Step 1: set up
	//
	// `model=pythia28 datasets=[hh]` there is `dpo.LoadModel("pythia-2.8b")` and `dpo.LoadPreferences("hh", "hh.jsonl.gz", "train")` here.

	// %%
	demo := dpo.Demo()
	wrap := dpo.DefaultFSDPConfig()
	policy := dpo.FSDP(demo.Model(), wrap)
	prompts := demo.Test.Prompts(3)
	fmt.Println(demo.Train)
	fmt.Println(policy)

	// %% [markdown]
	// ## Step 2: supervised fine-tuning
	//
	// `loss=sft batch_size=64 trainer=FSDPTrainer sample_during_eval=false`
	//
	// The policy learns the chosen responses by heart, so that the pairs of DPO are in distribution.

	// %%
	cfg := dpo.DefaultTrainConfig()
	cfg.Loss = dpo.SFT()
	cfg.BatchSize, cfg.Epochs = 16, 6
	cfg.Optimizer, cfg.LR, cfg.WarmupSteps = "AdamW", 2e-3, 5
	cfg.MaxLength, cfg.MaxPromptLength = 128, 64
	sft := dpo.NewTrainer(policy, nil, demo.Train, demo.Test.Slice(0, 8), cfg)
	sft.Run()
	display.Value(sft.Evaluate())

	// %% [markdown]
	// What it says now:

	// %%
	answers := display.NewTable("prompt", "after SFT")
	for i, answer := range dpo.Generate(policy, prompts, dpo.Greedy(24)) {
		answers.Row(prompts[i], answer)
	}
	display.Value(answers)

	// %% [markdown]
	// ## Step 3: DPO
	//
	// `loss=dpo loss.beta=0.1 model.archive=.../LATEST/policy.pt model.fsdp_policy_mp=bfloat16`
	//
	// `policy.Copy()` freezes the fine-tuned policy as the reference. The precision is set on the model that is already on its ranks: nothing is loaded or wrapped again.

	// %%
	sft.Close()
	reference := policy.Copy()
	policy.SetMixedPrecision(dpo.BFloat16Mixed())
	cfg.Loss = dpo.DPO(0.1)
	cfg.Epochs, cfg.EvalEvery = 1, 96
	cfg.LR, cfg.WarmupSteps = 1e-4, 0
	trainer := dpo.NewTrainer(policy, reference, demo.Train, demo.Test.Slice(0, 8), cfg)
	trainer.Run()
	display.Value(trainer.Evaluate())

	// %% [markdown]
	// The metrics have the reference's names: `rewards_eval/accuracies` is the share of pairs whose chosen response has the higher implicit reward, `rewards_eval/margins` how much higher it is. Over the run:

	// %%
	metrics := []string{"loss/train", "rewards_train/margins", "logps_train/chosen", "logps_train/rejected"}
	display.Value(dpo.CurvesOf(metrics, []string{"DPO"}, []*dpo.History{trainer.History()}))

	// %% [markdown]
	// Both log-probabilities tend to fall: DPO raises their *difference*. That the chosen one falls, too, is known behaviour and a reason to watch it.
	//
	// ## Step 4: compare
	//
	// Greedy answers before and after DPO. The reference is the model after SFT.

	// %%
	compared := display.NewTable("prompt", "after SFT", "after DPO")
	sftAnswers := dpo.Generate(reference, prompts, dpo.Greedy(24))
	for i, answer := range dpo.Generate(policy, prompts, dpo.Greedy(24)) {
		compared.Row(prompts[i], sftAnswers[i], answer)
	}
	display.Value(compared)

	// %% [markdown]
	// ## Step 5: save, and load again
	//
	// Weights in safetensors with `config.json` and `tokenizer.json`: a directory that `transformers.AutoModelForCausalLM.from_pretrained` loads, and `dpo.LoadModel`.

	// %%
	dir, err := os.MkdirTemp("", "dpolab-notebook-")
	if err != nil {
		panic(err)
	}
	out := filepath.Join(dir, "policy")
	dpo.Save(policy, out)
	files, err := os.ReadDir(out)
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		fmt.Println(f.Name())
	}

	// %%
	again := dpo.LoadModel(out)
	pairs := demo.Test.Slice(0, 4).Tokenize(again.Tokenizer(), 128)
	policy.SetMixedPrecision(dpo.FullPrecision())
	difference := dpo.ComputeLogProbs(again, pairs).MaxDifference(dpo.ComputeLogProbs(policy, pairs))
	fmt.Printf("loaded again, log-probabilities differ by at most %.1e\n", difference)
	os.RemoveAll(dir)

	// %% [markdown]
	// ## The real thing
	//
	// The same program with a checkpoint and data of your own, on GPUs: `dpo.LoadModel("pythia-2.8b")`, `dpo.LoadPreferences("hh", "hh/", "train")`, `wrap.Devices = "cuda:all"`, batch sizes 64, RMSprop at 5e-7, which is what `dpo.DefaultTrainConfig()` says. Or without a notebook, in the reference's own words:
	//
	// ```sh
	// dpolab train model=pythia28 model.name_or_path=pythia-2.8b datasets=[hh] hh.path=hh loss=sft trainer=FSDPTrainer
	// dpolab train model=pythia28 model.name_or_path=pythia-2.8b datasets=[hh] hh.path=hh loss=dpo loss.beta=0.1 \
	//     model.archive=RUN trainer=FSDPTrainer model.fsdp_policy_mp=bfloat16
	// ```
}
