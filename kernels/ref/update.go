package ref

import (
	"math"

	"dpolab/kernels"
)

func (b *Backend) AdamW(param, grad, expAvg, expAvgSq kernels.Array, gradScale float64, o kernels.AdamWArgs) {
	c1 := 1 - math.Pow(o.Beta1, float64(o.Step))
	c2 := math.Sqrt(1 - math.Pow(o.Beta2, float64(o.Step)))
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

func (b *Backend) RMSprop(param, grad, squareAvg, momentum, gradAvg kernels.Array, gradScale float64, o kernels.RMSpropArgs) {
	for i := range param.Len {
		p := at(param, i)
		g := at(grad, i)*gradScale + o.WeightDecay*p
		v := at(squareAvg, i)*o.Alpha + (1-o.Alpha)*g*g
		set(squareAvg, i, v)
		if !gradAvg.IsNil() {
			mean := at(gradAvg, i) + (g-at(gradAvg, i))*(1-o.Alpha)
			set(gradAvg, i, mean)
			v -= mean * mean
		}
		change := g / (math.Sqrt(v) + o.Eps)
		if !momentum.IsNil() {
			change += o.Momentum * at(momentum, i)
			set(momentum, i, change)
		}
		set(param, i, p-o.LR*change)
	}
}

func (b *Backend) SGD(param, grad, momentum kernels.Array, gradScale float64, o kernels.SGDArgs) {
	for i := range param.Len {
		p := at(param, i)
		g := at(grad, i)*gradScale + o.WeightDecay*p
		if !momentum.IsNil() {
			buf := g
			if !o.First {
				buf = o.Momentum*at(momentum, i) + (1-o.Dampening)*g
			}
			set(momentum, i, buf)
			if o.Nesterov {
				g += o.Momentum * buf
			} else {
				g = buf
			}
		}
		set(param, i, p-o.LR*g)
	}
}
