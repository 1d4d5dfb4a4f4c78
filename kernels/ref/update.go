package ref

import (
	"math"

	"dpolab/kernels"
)

func (b *Backend) AdamW(params, grads, expAvgs, expAvgSqs []kernels.Array, gradScale float64, o kernels.AdamWArgs) {
	c1 := 1 - math.Pow(o.Beta1, float64(o.Step))
	c2 := math.Sqrt(1 - math.Pow(o.Beta2, float64(o.Step)))
	for t, param := range params {
		grad, expAvg, expAvgSq := grads[t], expAvgs[t], expAvgSqs[t]
		for i := range param.Len {
			g := at(grad, i) * gradScale
			m := at(expAvg, i) + (g-at(expAvg, i))*(1-o.Beta1)
			v := at(expAvgSq, i)*o.Beta2 + (1-o.Beta2)*g*g
			set(expAvg, i, m)
			set(expAvgSq, i, v)
			p := at(param, i) * (1 - o.LR*o.WeightDecay)
			set(param, i, p-o.LR/c1*m/(math.Sqrt(v)/c2+o.Eps))
		}
	}
}

func (b *Backend) RMSprop(params, grads, squareAvgs, momenta, gradAvgs []kernels.Array, gradScale float64, o kernels.RMSpropArgs) {
	for t, param := range params {
		grad, squareAvg := grads[t], squareAvgs[t]
		for i := range param.Len {
			p := at(param, i)
			g := at(grad, i)*gradScale + o.WeightDecay*p
			v := at(squareAvg, i)*o.Alpha + (1-o.Alpha)*g*g
			set(squareAvg, i, v)
			if gradAvgs != nil {
				mean := at(gradAvgs[t], i) + (g-at(gradAvgs[t], i))*(1-o.Alpha)
				set(gradAvgs[t], i, mean)
				v -= mean * mean
			}
			change := g / (math.Sqrt(v) + o.Eps)
			if momenta != nil {
				change += o.Momentum * at(momenta[t], i)
				set(momenta[t], i, change)
			}
			set(param, i, p-o.LR*change)
		}
	}
}

func (b *Backend) SGD(params, grads, momenta []kernels.Array, gradScale float64, o kernels.SGDArgs) {
	for t, param := range params {
		for i := range param.Len {
			p := at(param, i)
			g := at(grads[t], i)*gradScale + o.WeightDecay*p
			if momenta != nil {
				buf := g
				if !o.First {
					buf = o.Momentum*at(momenta[t], i) + (1-o.Dampening)*g
				}
				set(momenta[t], i, buf)
				if o.Nesterov {
					g += o.Momentum * buf
				} else {
					g = buf
				}
			}
			set(param, i, p-o.LR*g)
		}
	}
}
