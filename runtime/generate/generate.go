// Package generate samples continuations from a language model with a
// key-value cache: each token is computed once, and all prompts advance
// together in packed batches without padding.
//
// A prompt's continuation depends on the seed and on the prompt's place in the
// list, not on the other prompts. Ranks that share a sharded model call
// [Generate] with the same arguments and get the same result, which keeps their
// collectives in step.
package generate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"dpolab/runtime/models"
	"dpolab/runtime/tensor"
)

// Config are the sampling settings, named as in transformers.
type Config struct {
	MaxNewTokens int
	// MaxLength bounds prompt and continuation together; 0 leaves it to the
	// model's positions.
	MaxLength   int
	DoSample    bool // false takes the likeliest token
	Temperature float64
	TopK        int     // 0: all
	TopP        float64 // 1: all
	EOS         int32   // ends a continuation; -1: none
	Seed        uint64
}

// DefaultConfig samples from the whole distribution, as the reference does in
// evaluations.
func DefaultConfig() Config {
	return Config{MaxNewTokens: 128, DoSample: true, Temperature: 1, TopP: 1, EOS: -1}
}

// Generate continues each prompt and returns the new tokens, an EOS included.
// It stops early when ctx ends, with the context's error.
func Generate(ctx context.Context, m models.CausalLM, prompts [][]int32, c Config) ([][]int32, error) {
	if c.DoSample && !(c.Temperature > 0) || c.TopK < 0 || !(c.TopP > 0 && c.TopP <= 1) || c.MaxNewTokens < 1 {
		return nil, fmt.Errorf("generate: want temperature > 0, top_k ≥ 0, 0 < top_p ≤ 1 and max_new_tokens ≥ 1, got %g, %d, %g and %d", c.Temperature, c.TopK, c.TopP, c.MaxNewTokens)
	}
	limit := m.Config().MaxPositions
	if c.MaxLength > 0 {
		limit = min(limit, c.MaxLength)
	}
	longest := 0
	next := make([][]int32, len(prompts))
	out := make([][]int32, len(prompts))
	random := make([]*rand.Rand, len(prompts))
	for i, p := range prompts {
		if len(p) == 0 {
			return nil, fmt.Errorf("generate: prompt %d is empty", i)
		}
		longest = max(longest, len(p))
		if len(p) < limit {
			next[i] = p
		}
		random[i] = rand.New(rand.NewPCG(c.Seed, uint64(i)))
	}
	cache := models.NewCache(len(prompts), min(longest+c.MaxNewTokens, max(limit, longest)))
	defer cache.Release()
	for range c.MaxNewTokens {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		var active []int
		for i, t := range next {
			if len(t) > 0 {
				active = append(active, i)
			}
		}
		if len(active) == 0 {
			break
		}
		var logits []float32
		m.Device().NoGrad(func() {
			m.Device().Scope(func() *tensor.Tensor { logits = m.LogitsCached(cache, next).Float32s(); return nil })
		})
		v := len(logits) / len(active)
		for j, i := range active {
			id := int32(pick(logits[j*v:(j+1)*v], c, random[i]))
			out[i] = append(out[i], id)
			next[i] = []int32{id}
			if id == c.EOS || len(prompts[i])+len(out[i]) >= limit {
				next[i] = nil
			}
		}
	}
	return out, nil
}

// pick chooses a token from one row of scores.
func pick(scores []float32, c Config, r *rand.Rand) int {
	best := 0
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	if !c.DoSample {
		return best
	}
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	if c.TopK > 0 || c.TopP < 1 {
		slices.SortStableFunc(order, func(a, b int) int {
			switch {
			case scores[a] > scores[b]:
				return -1
			case scores[a] < scores[b]:
				return 1
			}
			return 0
		})
		if c.TopK > 0 {
			order = order[:min(c.TopK, len(order))]
		}
	}
	weights, sum := make([]float64, len(order)), 0.0
	for k, i := range order {
		weights[k] = math.Exp(float64(scores[i]-scores[best]) / c.Temperature)
		sum += weights[k]
	}
	if c.TopP < 1 { // the smallest set that holds TopP of the probability
		held, keep := 0.0, 0
		for keep < len(order) && held < c.TopP*sum {
			held += weights[keep]
			keep++
		}
		order, sum = order[:keep], held
	}
	x := r.Float64() * sum
	for k, i := range order {
		if x -= weights[k]; x < 0 {
			return i
		}
	}
	return order[len(order)-1]
}
