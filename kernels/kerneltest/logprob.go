package kerneltest

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

func logProbCases() []Case {
	var out []Case
	f := dtype.Float32
	for _, dt := range floatTypes {
		for _, s := range [][4]int{{9, 5, 7, 20}, {4, 8, 2500, 33}, {3, 4, 3, 0}, {1, 3, 2049, 1}} {
			tokens, d, v, r := s[0], s[1], s[2], s[3]
			for _, scale := range []float64{1, 300} {
				out = append(out, Case{Name: fmt.Sprintf("log_prob/%v/x%g/%s", s, scale, dt), Loose: 8, Run: func(x *Bench) {
					fused, ok := x.Backend.(kernels.LogProbs)
					if !ok {
						return
					}
					a := kernels.LogProbArgs{Hidden: x.Normal(dt, tokens*d), Weight: x.Normal(dt, v*d), Rows: x.Indices(r, tokens), Labels: x.Indices(r, v),
						Out: x.Empty(f, r), LSE: x.Empty(f, r), T: tokens, D: d, V: v, R: r}
					x.Affine(a.Hidden, a.Hidden, scale, 0)
					fused.LogProb(&a)
					x.Result("log_prob", a.Out)
					x.Result("lse", a.LSE)
					if scale != 1 {
						return // the gradient is a step function at this scale
					}
					g := kernels.LogProbGradArgs{LogProbArgs: a, DOut: x.Normal(f, r), DHidden: x.Normal(dt, tokens*d), DWeight: x.Normal(f, v*d)}
					fused.LogProbGrad(&g)
					x.Result("dhidden", g.DHidden)
					x.Result("dweight", g.DWeight)
					g.DHidden = kernels.Array{}
					fused.LogProbGrad(&g)
					x.Result("dweight alone", g.DWeight)
					g.DHidden, g.DWeight = x.Normal(f, tokens*d), kernels.Array{}
					fused.LogProbGrad(&g)
					x.Result("dhidden alone", g.DHidden)
				}})
			}
		}
	}
	return out
}
