package bench

import (
	"math/rand/v2"
	"strings"

	"fmt"

	"dpolab/kernels"
	"dpolab/runtime/data"
)

// gpuRow is what one side did with one batch size.
type gpuRow struct {
	Name    string  `json:"name"`
	Batch   int     `json:"batch"`   // pairs a step
	Seconds float64 `json:"seconds"` // the median step's
	Total   float64 `json:"total"`   // of all timed steps
	Pairs   int     `json:"pairs"`
	Tokens  int     `json:"tokens"`
	Peak    int64   `json:"peak"` // bytes allocated at most
	Error   string  `json:"error"`
	flops   float64
}

func (r gpuRow) rate() float64 { return float64(r.Pairs) / r.Total }

// gpuCase is one job and all that was measured of it.
type gpuCase struct {
	Kind, Lengths, DType string
	Cached               bool
	Rows                 []gpuRow
	Profile              *kernels.Profile // of one of our steps
	profiled             gpuRow           // the same step without it
}

// oursName and theirs are what rows are called; bench_cuda.py has the others'.
const (
	oursName      = "dpolab"
	referenceName = "the reference's step"
)

func (c *gpuCase) title(o GPUOptions) string {
	lengths := fmt.Sprintf("sequences of %d", o.Length)
	if c.Lengths == "HH" {
		lengths = "lengths of Anthropic HH"
	}
	reference := ""
	if c.Kind == "dpo" {
		reference = map[bool]string{true: ", reference cached", false: ", reference asked at every step"}[c.Cached]
	}
	return fmt.Sprintf("%s, %s, %s%s", strings.ToUpper(c.Kind), lengths, map[string]string{"tf32": "TF32"}[c.DType]+strings.TrimPrefix(c.DType, "tf32"), reference)
}

// best is the fastest row of those whose name fits, and whether there is one.
func (c *gpuCase) best(fits func(name string) bool) (best gpuRow, ok bool) {
	for _, r := range c.Rows {
		if fits(r.Name) && r.Error == "" && r.Total > 0 && (!ok || r.rate() > best.rate()) {
			best, ok = r, true
		}
	}
	return best, ok
}

func named(name string) func(string) bool { return func(n string) bool { return n == name } }

// bestPyTorch fits PyTorch's best steps, eager or compiled.
func bestPyTorch(name string) bool { return strings.HasPrefix(name, "best PyTorch step") }

// gpuPairs are enough pairs for every step of the largest batch.
func gpuPairs(o GPUOptions, lengths string) []data.Example {
	need := o.Batches[len(o.Batches)-1] * (o.Rounds + 1)
	var base []data.Example
	if lengths == "HH" {
		base = randomPairs(o.Shape.Vocabulary)
	} else {
		rng := rand.New(rand.NewPCG(3, 5))
		for range 64 { // a prompt of one token: nothing to share
			base = append(base, data.Example{Prompt: randomTokens(rng, 1, o.Shape.Vocabulary), Chosen: randomTokens(rng, o.Length-1, o.Shape.Vocabulary), Rejected: randomTokens(rng, o.Length-1, o.Shape.Vocabulary)})
		}
	}
	var out []data.Example
	for len(out) < need {
		out = append(out, base[:min(len(base), need-len(out))]...)
	}
	return out
}

// count adds what pairs need to a row, see the report's text.
func (c *gpuCase) count(s Shape, row *gpuRow, pairs []data.Example) {
	for _, e := range pairs {
		row.Pairs++
		for i, answer := range [][]int32{e.Chosen, e.Rejected} {
			if i == 1 && c.Kind == "sft" {
				break
			}
			n := len(e.Prompt) + len(answer)
			flops := s.stepFlops(1, n)
			if c.Kind == "dpo" && !c.Cached {
				flops += flops / 3
			}
			row.flops += flops
			row.Tokens += n
		}
	}
}
