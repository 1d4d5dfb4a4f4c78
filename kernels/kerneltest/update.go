package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// steps runs an optimizer a few times over parameters of several lengths. The
// state after each step is compared and taken from the reference.
func steps(x *Rig, states int, step func(i int, p, g kernels.Array, state []kernels.Array, of func(rate float64) []float64)) {
	f := dtype.Float32
	for _, n := range []int{0, 1, 7, 65, 50001} {
		p := x.Normal(f, n)
		state := make([]kernels.Array, states)
		for i := range state {
			state[i] = x.Empty(f, n)
			x.Set(state[i], func(int) float64 { return 0 })
		}
		for i := range 4 {
			g := x.Normal(f, n)
			before := x.Read(p)
			step(i, p, g, state, func(change float64) []float64 { return magnitudes(before, constant(n, change)) })
		}
	}
}

func updateCases() []Case {
	var out []Case
	for _, o := range []kernels.AdamWArgs{
		{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
		{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01, Step: 1000},
		{LR: 1e-6, Beta1: 0.5, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.5},
	} {
		for _, scale := range []float64{1, 0.37} {
			out = append(out, Case{Name: fmt.Sprintf("update/AdamW %+v scale %g", o, scale), Run: func(x *Rig) {
				steps(x, 2, func(i int, p, g kernels.Array, state []kernels.Array, of func(float64) []float64) {
					args := o
					args.Step += i + 1
					old := x.Read(state[0])
					x.AdamW(p, g, state[0], state[1], scale, args)
					name := fmt.Sprintf("%d elements, step %d: ", p.Len, i)
					x.Result(name+"exp_avg", state[0], roundedOf(8, magnitudes(old, x.Read(g))))
					x.Result(name+"exp_avg_sq", state[1], rounded(8))
					x.Result(name+"param", p, roundedOf(16, of(10*o.LR)))
				})
			}})
		}
	}
	for _, o := range []kernels.RMSpropArgs{
		{LR: 0.01, Alpha: 0.99, Eps: 1e-8},
		{LR: 0.01, Alpha: 0.99, Eps: 1e-8, WeightDecay: 0.1},
		{LR: 0.01, Alpha: 0.9, Eps: 1e-3, Momentum: 0.9},
	} {
		for _, centered := range []bool{false, true} {
			out = append(out, Case{Name: fmt.Sprintf("update/RMSprop %+v centered %v", o, centered), Run: func(x *Rig) {
				steps(x, 3, func(i int, p, g kernels.Array, state []kernels.Array, of func(float64) []float64) {
					momentum, gradAvg := state[1], state[2]
					if o.Momentum == 0 {
						momentum = kernels.Array{}
					}
					if !centered {
						gradAvg = kernels.Array{}
					}
					gs, old := x.Read(g), x.Read(state[2])
					decayed := magnitudes(gs, of(0)) // the decay may cancel the gradient
					x.RMSprop(p, g, state[0], momentum, gradAvg, 0.7, o)
					name := fmt.Sprintf("%d elements, step %d: ", p.Len, i)
					squareTol := rounded(8)
					if o.WeightDecay != 0 {
						squareTol = roundedOf(16, squares(decayed, x.Read(state[0])))
					}
					x.Result(name+"square_avg", state[0], squareTol)
					change := 1 / math.Sqrt(1-o.Alpha) // the most |g|/√v can be
					if centered {
						change *= 20 // v loses digits to the squared mean
						x.Result(name+"grad_avg", gradAvg, roundedOf(8, magnitudes(old, decayed)))
					}
					if o.Momentum != 0 {
						change *= 4
						x.Result(name+"momentum", momentum, roundedOf(16, constant(p.Len, change)))
					}
					x.Result(name+"param", p, roundedOf(16, of(o.LR*change)))
				})
			}})
		}
	}
	for _, o := range []kernels.SGDArgs{
		{LR: 0.1},
		{LR: 0.1, WeightDecay: 0.01},
		{LR: 0.1, Momentum: 0.9},
		{LR: 0.1, Momentum: 0.9, Dampening: 0.2, WeightDecay: 0.01},
		{LR: 0.1, Momentum: 0.9, Nesterov: true},
		{LR: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 0.5},
	} {
		out = append(out, Case{Name: fmt.Sprintf("update/SGD %+v", o), Run: func(x *Rig) {
			steps(x, 1, func(i int, p, g kernels.Array, state []kernels.Array, of func(float64) []float64) {
				args, buffer := o, state[0]
				args.First = i == 0
				if o.Momentum == 0 {
					buffer = kernels.Array{}
				}
				x.SGD(p, g, buffer, 0.5, args)
				name := fmt.Sprintf("%d elements, step %d: ", p.Len, i)
				if o.Momentum != 0 {
					x.Result(name+"momentum_buffer", buffer, roundedOf(8, of(10)))
				}
				x.Result(name+"param", p, roundedOf(8, of(10)))
			})
		}})
	}
	return out
}

// squares adds to each square the magnitude of another list.
func squares(v, plus []float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i]*v[i] + plus[i]
	}
	return out
}
