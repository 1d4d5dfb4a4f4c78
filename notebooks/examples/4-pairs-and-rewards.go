//go:build ignore

// This program is the notebook 4-pairs-and-rewards.ipynb.
package main

// %% [markdown]
// # Exploring preference pairs and implicit rewards
//
// Most surprises in preference training are in the data. This notebook looks at pairs as text, as tokens, as log-probabilities under the reference, and, after a short training, as the *implicit rewards* that DPO assigns, down to single tokens.

// %%
import (
	"fmt"
	"sort"

	"dpolab/stdlib/display"
	"dpolab/stdlib/dpo"
	"dpolab/stdlib/plot"
)

func main() {
	defer dpo.Finish()

	// %%
	demo := dpo.Demo()
	display.Value(demo.Train)

	// %% [markdown]
	// ## As tokens
	//
	// What a model computes with: the prompt once, then both responses, nothing padded. Two shades tell one token from the next; the response ends with the end-of-text token unless it was cut.

	// %%
	reference := demo.Model()
	tokenizer := reference.Tokenizer()
	display.Value(demo.Train.Slice(0, 1).Tokenize(tokenizer, 128))

	// %% [markdown]
	// Lengths matter: DPO sums log-probabilities over a response's tokens, and a model can learn to like long answers if the chosen ones are longer. Here they hardly differ.

	// %%
	chosen, rejected := []float64{}, []float64{}
	for i := 0; i < demo.Train.Len(); i++ {
		pair := demo.Train.Pair(i)
		chosen = append(chosen, float64(len(tokenizer.Encode(pair.Chosen))))
		rejected = append(rejected, float64(len(tokenizer.Encode(pair.Rejected))))
	}
	lengths := plot.New("length of responses").XLabel("tokens").YLabel("responses")
	display.Value(lengths.Histogram("chosen", chosen, 12).Histogram("rejected", rejected, 12))

	// %% [markdown]
	// ## Under the reference
	//
	// Before any training: how likely are the responses? `Accuracy` is the share of pairs whose chosen response is the likelier one, which measures length more than taste.

	// %%
	pairs := demo.Test.Slice(0, 12).Tokenize(tokenizer, 128)
	before := dpo.ComputeLogProbs(reference, pairs)
	display.Value(before)

	// %% [markdown]
	// ## Train a little

	// %%
	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
	cfg := dpo.DefaultTrainConfig()
	cfg.Optimizer, cfg.LR, cfg.WarmupSteps = "AdamW", 1e-4, 0
	cfg.BatchSize, cfg.MaxLength, cfg.MaxPromptLength = 8, 128, 64
	trainer := dpo.NewTrainer(policy, reference, demo.Train, nil, cfg)
	trainer.Steps(14)
	after := dpo.ComputeLogProbs(policy, pairs)

	// %% [markdown]
	// ## Implicit rewards
	//
	// $r(x,y) = \beta \log\frac{\pi(y|x)}{\pi_\mathrm{ref}(y|x)}$, on pairs that were not trained on. Above the diagonal would be a pair that the policy gets wrong.

	// %%
	beta := 0.1
	good, bad, margins := []float64{}, []float64{}, []float64{}
	for i := range after.Chosen {
		good = append(good, beta*(after.Chosen[i]-before.Chosen[i]))
		bad = append(bad, beta*(after.Rejected[i]-before.Rejected[i]))
		margins = append(margins, good[i]-bad[i])
	}
	scatter := plot.New("implicit rewards").Points("pairs", good, bad).XLabel("chosen").YLabel("rejected")
	scatter.Line("equal", []float64{-1, 1}, []float64{-1, 1})
	spread := plot.New("margins").Histogram("", margins, 10).XLabel("chosen − rejected").YLabel("pairs")
	display.Value(plot.Grid(2, scatter, spread))

	// %% [markdown]
	// The pairs with the smallest margins are worth reading: they are where data and model disagree most.

	// %%
	order := make([]int, len(margins))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return margins[order[a]] < margins[order[b]] })
	hardest := display.NewTable("margin", "chosen", "rejected")
	for _, i := range order[:5] {
		pair := pairs.Pair(i)
		hardest.Row(fmt.Sprintf("%.3f", margins[i]), pair.Chosen, pair.Rejected)
	}
	display.Value(hardest)

	// %% [markdown]
	// ## Token by token
	//
	// The reward is a sum over tokens, so it can be read as [credit assignment](https://arxiv.org/abs/2404.12358): which words does the policy like or dislike? The shared beginning of both answers gets the same numbers; what tells them apart is the ending.

	// %%
	worst := pairs.Slice(order[0], order[0]+1)
	display.Value(dpo.TokenRewards(beta, policy, reference, worst))

	// %% [markdown]
	// As numbers: which tokens got the most reward over all pairs, on average?

	// %%
	report := dpo.TokenRewards(beta, policy, reference, pairs)
	sum, count := map[string]float64{}, map[string]int{}
	for _, p := range report.Pairs {
		for _, side := range []dpo.TokenScores{p.Chosen, p.Rejected} {
			for i, token := range side.Tokens {
				sum[token] += side.Values[i]
				count[token]++
			}
		}
	}
	tokens := []string{}
	for token := range sum {
		tokens = append(tokens, token)
	}
	mean := func(token string) float64 { return sum[token] / float64(count[token]) }
	sort.Slice(tokens, func(a, b int) bool { return mean(tokens[a]) > mean(tokens[b]) })
	names, values := []string{}, []float64{}
	for _, token := range append(tokens[:6], tokens[len(tokens)-6:]...) {
		names = append(names, fmt.Sprintf("%q", token))
		values = append(values, mean(token))
	}
	display.Value(plot.New("mean reward of a token").Bars("", values).Categories(names).Size(16, 8))
}
