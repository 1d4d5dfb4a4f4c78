package dpo

import (
	"fmt"
	"math"
	"strings"

	"dpolab/runtime/data"
)

// TokenScores has one number for each token of a response. The first token of a
// response after an empty prompt is left out: nothing predicts it.
type TokenScores struct {
	Tokens []string
	Values []float64
}

// Sum is the response's number: the sum over its tokens.
func (s TokenScores) Sum() float64 {
	sum := 0.0
	for _, v := range s.Values {
		sum += v
	}
	return sum
}

// String shows each token with its number.
func (s TokenScores) String() string {
	var b strings.Builder
	for i, token := range s.Tokens {
		fmt.Fprintf(&b, "%q %+.3f  ", token, s.Values[i])
	}
	return strings.TrimSpace(b.String())
}

// PairTokens are the numbers of a pair's two responses.
type PairTokens struct {
	Prompt           string
	Chosen, Rejected TokenScores
}

// TokenReport are the numbers of every token of some pairs. Notebooks show it
// as text with a background: blue where a number is above zero, red below.
type TokenReport struct {
	Title string // what the numbers are
	Pairs []PairTokens
}

// ComputeTokenLogProbs returns log π(y_t | x, y_<t) for each token of every
// response of b under m, in the precision in force and without gradients. Their
// sums are what ComputeLogProbs returns.
func ComputeTokenLogProbs(m *Model, b *Batch) TokenReport {
	const op = "ComputeTokenLogProbs"
	return tokenReport(m, b, "log π(token)", tokenLogProbs(op, m, b))
}

// TokenRewards returns β·(log π(y_t | x, y_<t) - log π_ref(y_t | x, y_<t)) for
// each token of every response of b: how much training has raised each token.
// The sum over a response is the implicit reward of DPO (arXiv 2305.18290,
// section 4); read per token it is credit assignment (arXiv 2404.12358).
func TokenRewards(beta float64, policy, reference *Model, b *Batch) TokenReport {
	const op = "TokenRewards"
	values, base := tokenLogProbs(op, policy, b), tokenLogProbs(op, reference, b)
	for i := range values {
		for t := range values[i] {
			values[i][t] = beta * (values[i][t] - base[i][t])
		}
	}
	return tokenReport(policy, b, fmt.Sprintf("implicit reward, β = %g", beta), values)
}

// tokenLogProbs asks a model, and returns all chosen responses, then all
// rejected ones.
func tokenLogProbs(op string, m *Model, b *Batch) [][]float64 {
	replicas := m.use(op)
	if b == nil || b.Len() == 0 {
		refuse(op, "at least one pair", "none")
	}
	step, end := task("log-probabilities of tokens", "pairs", b.Len())
	defer end()
	values, err := replicas.TokenLogProbs(Context(), b.examples, data.Preference, logProbsBatch, step)
	check(op, err)
	out := make([][]float64, len(values))
	for i, response := range values {
		out[i] = make([]float64, len(response))
		for t, v := range response {
			out[i][t] = float64(v)
		}
	}
	return out
}

func tokenReport(m *Model, b *Batch, title string, values [][]float64) TokenReport {
	tok := m.Tokenizer()
	scores := func(ids []int32, values []float64) TokenScores {
		s := TokenScores{Values: values}
		for _, id := range ids[len(ids)-len(values):] {
			s.Tokens = append(s.Tokens, tok.tok.Decode([]int32{id}, false))
		}
		return s
	}
	report := TokenReport{Title: title}
	for i, e := range b.examples {
		report.Pairs = append(report.Pairs, PairTokens{e.PromptText, scores(e.Chosen, values[i]), scores(e.Rejected, values[b.Len()+i])})
	}
	return report
}

// Largest is the largest magnitude of any token's number.
func (r TokenReport) Largest() float64 {
	largest := 0.0
	for _, p := range r.Pairs {
		for _, s := range []TokenScores{p.Chosen, p.Rejected} {
			for _, v := range s.Values {
				largest = max(largest, math.Abs(v))
			}
		}
	}
	return largest
}

// String shows every pair's tokens with their numbers.
func (r TokenReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of each token of %d pairs", r.Title, len(r.Pairs))
	for _, p := range r.Pairs {
		fmt.Fprintf(&b, "\n\nprompt    %s", oneLine(p.Prompt))
		fmt.Fprintf(&b, "\nchosen    %8.3f  %s", p.Chosen.Sum(), p.Chosen)
		fmt.Fprintf(&b, "\nrejected  %8.3f  %s", p.Rejected.Sum(), p.Rejected)
	}
	return b.String()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
