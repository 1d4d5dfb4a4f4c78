package kerneltest

import (
	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

func updateCases() []Case {
	f := dtype.Float32
	const n = 40001
	steps := func(x *Bench, step func(i int, p, g kernels.Array)) {
		p := x.Normal(f, n)
		for i := range 4 {
			step(i, p, x.Normal(f, n))
			x.Result("parameters", p)
		}
	}
	zeros := func(x *Bench) kernels.Array {
		a := x.Empty(f, n)
		x.Fill(a, 0)
		return a
	}
	return []Case{
		{Name: "update/AdamW", Loose: 4, Run: func(x *Bench) {
			m, v := zeros(x), zeros(x)
			steps(x, func(i int, p, g kernels.Array) {
				x.AdamW(p, g, m, v, 0.7, kernels.AdamWArgs{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Step: i + 1})
			})
		}},
		{Name: "update/RMSprop", Loose: 4, Run: func(x *Bench) {
			sq := zeros(x)
			steps(x, func(i int, p, g kernels.Array) {
				x.RMSprop(p, g, sq, kernels.Array{}, kernels.Array{}, 0.7, kernels.RMSpropArgs{LR: 0.01, Alpha: 0.99, Eps: 1e-8})
			})
		}},
		{Name: "update/RMSprop centered with momentum", Loose: 40, Run: func(x *Bench) {
			sq, m, avg := zeros(x), zeros(x), zeros(x)
			steps(x, func(i int, p, g kernels.Array) {
				x.RMSprop(p, g, sq, m, avg, 1, kernels.RMSpropArgs{LR: 0.01, Alpha: 0.9, Eps: 1e-8, WeightDecay: 0.1, Momentum: 0.9})
			})
		}},
		{Name: "update/SGD", Loose: 4, Run: func(x *Bench) {
			m := zeros(x)
			steps(x, func(i int, p, g kernels.Array) {
				x.SGD(p, g, kernels.Array{}, 0.5, kernels.SGDArgs{LR: 0.1, WeightDecay: 0.01})
				x.SGD(p, g, m, 1, kernels.SGDArgs{LR: 0.1, Momentum: 0.9, Dampening: 0.1, First: i == 0})
				x.SGD(p, g, m, 1, kernels.SGDArgs{LR: 0.1, Momentum: 0.9, Nesterov: true})
			})
		}},
	}
}
