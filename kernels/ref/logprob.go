package ref

import (
	"math"

	"dpolab/kernels"
)

// logits computes one labelled row's scores over the vocabulary.
func logits(a *kernels.LogProbArgs, weight []float64, i int) (t int, hidden, scores []float64) {
	t = row("log_prob", int(at(a.Rows, i)), a.T)
	hidden = load(a.Hidden.Slice(t*a.D, (t+1)*a.D))
	scores = make([]float64, a.V)
	for v := range scores {
		scores[v] = inner(hidden, weight[v*a.D:(v+1)*a.D])
	}
	return t, hidden, scores
}

func (b *Backend) LogProb(a *kernels.LogProbArgs) {
	weight := load(a.Weight)
	for i := range a.R {
		l := row("log_prob", int(at(a.Labels, i)), a.V)
		_, _, scores := logits(a, weight, i)
		lse := logSumExp(scores)
		set(a.LSE, i, lse)
		set(a.Out, i, scores[l]-lse)
	}
}

func (b *Backend) LogProbGrad(a *kernels.LogProbGradArgs) {
	weight := load(a.Weight)
	dh, dw := make([]float64, a.T*a.D), make([]float64, a.V*a.D)
	for i := range a.R {
		l := row("log_prob", int(at(a.Labels, i)), a.V)
		t, hidden, scores := logits(&a.LogProbArgs, weight, i)
		lse := logSumExp(scores)
		g := at(a.DOut, i)
		for v := range scores {
			d := -g * math.Exp(scores[v]-lse)
			if v == l {
				d += g
			}
			for j := range a.D {
				dh[t*a.D+j] += d * weight[v*a.D+j]
				dw[v*a.D+j] += d * hidden[j]
			}
		}
	}
	accumulate(a.DHidden, dh)
	if a.FreshWeight && !a.DWeight.IsNil() {
		store(a.DWeight, dw)
	} else {
		accumulate(a.DWeight, dw)
	}
}
