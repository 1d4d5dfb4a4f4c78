// Package generate samples continuations from a language model with a
// key-value cache: each token is computed once, and all prompts advance
// together in packed batches without padding.
//
//	c := generate.DefaultConfig()
//	c.MaxNewTokens, c.TopP, c.EOS = 64, 0.9, tok.EOS()
//	out, err := generate.Generate(ctx, model, prompts, c)
//
// # Randomness
//
// A continuation depends on the seed, on the prompt and, where a prompt is
// given several times, on how often it came before: not on the other prompts,
// nor on the order. (A backend may add up in another order for another batch,
// which can tip the choice between two tokens that are equally likely.)
//
// # Ranks
//
// Ranks that share a sharded model call [Generate] with the same arguments and
// get the same result, which keeps their collectives in step. Their contexts
// may end at different moments; Config.Agree makes them stop together.
package generate

import (
	"context"
	"fmt"

	"dpolab/runtime/models"
	"dpolab/runtime/tensor"
)

// Config are the sampling settings, named as in transformers.
type Config struct {
	MaxNewTokens int
	// MaxLength bounds prompt and continuation together; 0 leaves it to the
	// model's positions. A prompt that long already is not continued.
	MaxLength   int
	DoSample    bool // false takes the likeliest token
	Temperature float64
	TopK        int     // sample among that many likeliest tokens; 0: all
	TopP        float64 // sample among the fewest tokens that hold this probability; 1: all
	EOS         int32   // ends a continuation; -1: none
	Seed        uint64
	// Agree is called before each step with whether this rank's context has
	// ended, and says whether all stop: it must return the same on every rank.
	// nil lets the context decide alone.
	Agree func(stop bool) bool
}

// DefaultConfig samples from the whole distribution, as the reference does in
// evaluations.
func DefaultConfig() Config {
	return Config{MaxNewTokens: 128, DoSample: true, Temperature: 1, TopP: 1, EOS: -1}
}

// Validate reports settings that make no sense.
func (c Config) Validate() error {
	switch {
	case c.MaxNewTokens < 1:
		return fmt.Errorf("generate: max_new_tokens: want at least 1, got %d", c.MaxNewTokens)
	case c.MaxLength < 0:
		return fmt.Errorf("generate: max_length: want 0 or more, got %d", c.MaxLength)
	case c.DoSample && !(c.Temperature > 0):
		return fmt.Errorf("generate: temperature: want more than 0, got %g; do_sample=false takes the likeliest token", c.Temperature)
	case c.TopK < 0:
		return fmt.Errorf("generate: top_k: want 0 or more, got %d", c.TopK)
	case !(c.TopP > 0 && c.TopP <= 1):
		return fmt.Errorf("generate: top_p: want more than 0 and at most 1, got %g", c.TopP)
	}
	return nil
}

// Generate continues each prompt and returns the new tokens, an EOS included.
// It stops early when ctx ends: what there is by then comes with the
// context's error. Prompts that are empty, longer than the model's positions or
// hold unknown tokens are errors.
func Generate(ctx context.Context, m models.CausalLM, prompts [][]int32, c Config) ([][]int32, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := checkPrompts(prompts, m.Config()); err != nil {
		return nil, err
	}
	limit := m.Config().MaxPositions
	if c.MaxLength > 0 {
		limit = min(limit, c.MaxLength)
	}
	out := make([][]int32, len(prompts))
	next := make([][]int32, len(prompts)) // tokens not computed yet; none once done
	capacity := 0
	for i, p := range prompts {
		if len(p) < limit {
			next[i] = p
			capacity = max(capacity, min(len(p)+c.MaxNewTokens, limit))
		}
	}
	samplers := newSamplers(prompts, c)
	cache := models.NewCache(len(prompts), capacity)
	defer cache.Release()
	for range c.MaxNewTokens {
		active := unfinished(next)
		if len(active) == 0 {
			break
		}
		stop := ctx.Err() != nil
		if c.Agree != nil {
			stop = c.Agree(stop)
		}
		if stop {
			return out, stopped(ctx)
		}
		scores := stepScores(m, cache, next)
		v := len(scores) / len(active)
		for j, i := range active {
			id, err := samplers[i].pick(scores[j*v : (j+1)*v])
			if err != nil {
				return out, fmt.Errorf("generate: prompt %d, token %d: %w", i, len(out[i]), err)
			}
			out[i], next[i] = append(out[i], id), []int32{id}
			if id == c.EOS || len(prompts[i])+len(out[i]) >= limit {
				next[i] = nil
			}
		}
	}
	return out, nil
}

// stepScores computes the waiting tokens and returns the scores of what may
// follow each list of them.
func stepScores(m models.CausalLM, cache *models.Cache, next [][]int32) (scores []float32) {
	dev := m.Device()
	dev.NoGrad(func() {
		dev.Scope(func() *tensor.Tensor {
			scores = m.LogitsCached(cache, next).Float32s()
			return nil
		})
	})
	return scores
}

// unfinished lists the prompts that still go on.
func unfinished(next [][]int32) []int {
	var out []int
	for i, t := range next {
		if len(t) > 0 {
			out = append(out, i)
		}
	}
	return out
}

// stopped is why generation ended early: this context, or another rank's.
func stopped(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("generate: another rank stopped: %w", context.Canceled)
}

func checkPrompts(prompts [][]int32, c models.Config) error {
	for i, p := range prompts {
		if len(p) == 0 {
			return fmt.Errorf("generate: prompt %d is empty", i)
		}
		if len(p) > c.MaxPositions {
			return fmt.Errorf("generate: prompt %d has %d tokens, the model takes %d", i, len(p), c.MaxPositions)
		}
		for _, id := range p {
			if id < 0 || int(id) >= c.VocabSize {
				return fmt.Errorf("generate: prompt %d: want token ids below the vocabulary's %d, got %d", i, c.VocabSize, id)
			}
		}
	}
	return nil
}
