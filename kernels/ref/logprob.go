package ref

import (
	"fmt"
	"math"

	"dpolab/kernels"
)

// logits computes one labelled row's scores over the vocabulary.
func logits(a *kernels.LogProbArgs, i int) (row int, hidden, scores []float64) {
	row = int(at(a.Rows, i))
	if row < 0 || row >= a.T {
		panic(&kernels.Error{Op: "log_prob", Err: fmt.Errorf("row %d of %d", row, a.T)})
	}
	hidden = load(a.Hidden.Slice(row*a.D, (row+1)*a.D))
	scores = make([]float64, a.V)
	for v := range scores {
		scores[v] = inner(hidden, load(a.Weight.Slice(v*a.D, (v+1)*a.D)))
	}
	return row, hidden, scores
}

func label(a *kernels.LogProbArgs, i int) int {
	l := int(at(a.Labels, i))
	if l < 0 || l >= a.V {
		panic(&kernels.Error{Op: "log_prob", Err: fmt.Errorf("label %d of %d", l, a.V)})
	}
	return l
}

func (b *Backend) LogProb(a *kernels.LogProbArgs) {
	for i := range a.R {
		l := label(a, i)
		_, _, scores := logits(a, i)
		lse := logSumExp(scores)
		set(a.LSE, i, lse)
		set(a.Out, i, scores[l]-lse)
	}
}

func (b *Backend) LogProbGrad(a *kernels.LogProbGradArgs) {
	dh, dw := make([]float64, a.T*a.D), make([]float64, a.V*a.D)
	for i := range a.R {
		l := label(&a.LogProbArgs, i)
		row, hidden, scores := logits(&a.LogProbArgs, i)
		lse := logSumExp(scores)
		g := at(a.DOut, i)
		for v := range scores {
			d := -g * math.Exp(scores[v]-lse)
			if v == l {
				d += g
			}
			w := load(a.Weight.Slice(v*a.D, (v+1)*a.D))
			for j := range w {
				dh[row*a.D+j] += d * w[j]
				dw[v*a.D+j] += d * hidden[j]
			}
		}
	}
	accumulate(a.DHidden, dh)
	accumulate(a.DWeight, dw)
}
