package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

func logProbCases() []Case {
	var out []Case
	// Tokens, width, vocabulary, labelled rows: beyond any chunk of rows or
	// vocabulary, a multiple of none, with rows asked for more than once.
	for _, s := range [][4]int{{9, 5, 7, 20}, {4, 8, 5003, 33}, {50, 4, 37, 1100}, {3, 4, 3, 0}, {1, 3, 2049, 1}, {1, 1, 1, 2}, {30, 64, 300, 63}} {
		for _, p := range palettes() {
			if !p.pure() && s[0]*s[2] > 10000 {
				continue
			}
			out = append(out, Case{Name: fmt.Sprintf("log_prob/%v/%s", s, p), Needs: has[kernels.LogProbs], Run: func(x *Rig) { logProb(x, s, p, false, 0) }})
			if p.pure() {
				for _, share := range []float64{1, 0.4} {
					out = append(out, Case{Name: fmt.Sprintf("log_prob/%v/%s/%.1f of the logits kept", s, p, share), Needs: has[kernels.LogProbs], Run: func(x *Rig) { logProb(x, s, p, false, share) }})
				}
			}
		}
		for _, dt := range []palette{{0, 0}, {1, 0}, {2, 0}} {
			out = append(out, Case{Name: fmt.Sprintf("log_prob/%v/%s/large", s, dt), Needs: has[kernels.LogProbs], Run: func(x *Rig) { logProb(x, s, dt, true, 0) }})
		}
	}
	return out
}

// logProb checks values and gradients, with room for a share of the logits.
func logProb(x *Rig, s [4]int, p palette, large bool, share float64) {
	fused := x.Backend.(kernels.LogProbs)
	f := dtype.Float32
	tokens, d, v, r := s[0], s[1], s[2], s[3]
	a := kernels.LogProbArgs{Rows: x.Indices(r, tokens), Labels: x.Indices(r, v), Out: x.Empty(f, r), LSE: x.Empty(f, r), T: tokens, D: d, V: v, R: r}
	tol := sum(d+v, 2+math.Sqrt(float64(d)))
	if large { // logits of ±1e4, exact in float32
		limit := int(100 / math.Sqrt(float64(d)))
		a.Hidden, a.Weight = x.Integers(p.at(0), tokens*d, limit), x.Integers(p.at(1), v*d, limit)
		tol = Tolerance{Terms: v, Scale: 1}
	} else {
		a.Hidden, a.Weight = x.Normal(p.at(0), tokens*d), x.Normal(p.at(1), v*d)
	}
	if share > 0 {
		a.Logits = x.Empty(f, int(share*float64(r*v)))
		x.own(a.Logits)
	}
	fused.LogProb(&a)
	x.Result("log_prob", a.Out, tol)
	x.Result("lse", a.LSE, tol)

	// exp(logit - LSE) is as exact as the rounding of LSE is fine.
	gradTol := Tolerance{Terms: d + v + 16, Amplify: largest(x.Read(a.LSE)) / 8}
	if large {
		gradTol.Amplify *= 100 // the largest weight
	}
	if narrow := p.at(0); narrow == p.at(1) && narrow != f {
		// The gradient of the logits may have been of that type too: as much
		// as a rounding of the largest result.
		rounding, _ := epsilon(narrow)
		gradTol.Amplify = math.Max(gradTol.Amplify, rounding/(2*math.Sqrt(float64(gradTol.Terms))*eps))
	}
	stored := func(dt dtype.DType) Tolerance {
		tol := gradTol
		if rounding, _ := epsilon(dt); r > 1000 {
			// A backend may take so many rows in blocks and round a 16-bit
			// gradient, on its way as large as this, after each block.
			tol.Roundings, tol.Of = 2*rounding/eps, constant(max(tokens, v)*d, 8)
		}
		return tol
	}
	g := kernels.LogProbGradArgs{LogProbArgs: a, DOut: x.Normal(f, r), DHidden: x.Normal(p.at(2), tokens*d), DWeight: x.Normal(f, v*d)}
	fused.LogProbGrad(&g)
	x.Result("dhidden", g.DHidden, stored(p.at(2)))
	x.Result("dweight", g.DWeight, gradTol)
	g.DHidden = kernels.Array{}
	fused.LogProbGrad(&g)
	x.Result("dweight alone", g.DWeight, gradTol)
	g.DWeight = x.Normal(p.at(1), v*d)
	fused.LogProbGrad(&g)
	x.Result("dweight of the weight's type", g.DWeight, stored(p.at(1)))
	g.DWeight, g.FreshWeight = x.Empty(p.at(1), v*d), true
	fused.LogProbGrad(&g)
	x.Result("fresh dweight", g.DWeight, stored(p.at(1)))
	g.DHidden, g.DWeight = x.Normal(f, tokens*d), kernels.Array{}
	fused.LogProbGrad(&g)
	x.Result("dhidden alone", g.DHidden, gradTol)
}
