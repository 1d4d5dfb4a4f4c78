package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// tensors is a list of parameters as an optimizer sees it.
type tensors struct {
	params, grads []kernels.Array
	states        [][]kernels.Array // by kind, then as params
	before        [][]float64       // what params held
}

// steps runs an optimizer a few times over a list of tensors of many lengths,
// none among them, each a result of its own. The state after each step is
// compared and taken from the reference.
func steps(x *Rig, states int, step func(i int, l *tensors)) {
	f := dtype.Float32
	sizes := []int{0, 1, 7, 65, 50001, 0}
	for i := range 30 {
		sizes = append(sizes, i*37%101)
	}
	l := &tensors{states: make([][]kernels.Array, states)}
	for _, n := range sizes {
		l.params = append(l.params, x.Normal(f, n))
		for k := range l.states {
			state := x.Empty(f, n)
			x.Set(state, func(int) float64 { return 0 })
			l.states[k] = append(l.states[k], state)
		}
	}
	for i := range 4 {
		l.grads, l.before = nil, nil
		for _, p := range l.params {
			l.grads, l.before = append(l.grads, x.Normal(f, p.Len)), append(l.before, x.Read(p))
		}
		step(i, l)
	}
}

// results calls compare for every tensor, with the prefix of its results' names
// and a magnitude that a change of at most so much gives it.
func (l *tensors) results(i int, compare func(t int, name string, of func(change float64) []float64)) {
	for t, p := range l.params {
		compare(t, fmt.Sprintf("tensor %d of %d elements, step %d: ", t, p.Len, i), func(change float64) []float64 {
			return magnitudes(l.before[t], constant(p.Len, change))
		})
	}
}

// readAll reads a list.
func readAll(x *Rig, list []kernels.Array) [][]float64 {
	out := make([][]float64, len(list))
	for i, a := range list {
		out[i] = x.Read(a)
	}
	return out
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
				steps(x, 2, func(i int, l *tensors) {
					args := o
					args.Step += i + 1
					old := readAll(x, l.states[0])
					x.AdamW(l.params, l.grads, l.states[0], l.states[1], scale, args)
					l.results(i, func(t int, name string, of func(float64) []float64) {
						x.Result(name+"exp_avg", l.states[0][t], roundedOf(8, magnitudes(old[t], x.Read(l.grads[t]))))
						x.Result(name+"exp_avg_sq", l.states[1][t], rounded(8))
						x.Result(name+"param", l.params[t], roundedOf(16, of(10*o.LR)))
					})
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
				steps(x, 3, func(i int, l *tensors) { rmsprop(x, i, l, o, centered) })
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
			steps(x, 1, func(i int, l *tensors) {
				args, buffers := o, l.states[0]
				args.First = i == 0
				if o.Momentum == 0 {
					buffers = nil
				}
				x.SGD(l.params, l.grads, buffers, 0.5, args)
				l.results(i, func(t int, name string, of func(float64) []float64) {
					if o.Momentum != 0 {
						x.Result(name+"momentum_buffer", buffers[t], roundedOf(8, of(10)))
					}
					x.Result(name+"param", l.params[t], roundedOf(8, of(10)))
				})
			})
		}})
	}
	return append(out, Case{Name: "update/no tensors", Run: func(x *Rig) {
		x.AdamW(nil, nil, nil, nil, 1, kernels.AdamWArgs{LR: 1, Beta1: 0.9, Beta2: 0.999, Step: 1})
		x.RMSprop(nil, nil, nil, nil, nil, 1, kernels.RMSpropArgs{LR: 1})
		x.SGD(nil, nil, nil, 1, kernels.SGDArgs{LR: 1})
	}})
}

func rmsprop(x *Rig, i int, l *tensors, o kernels.RMSpropArgs, centered bool) {
	momenta, means := l.states[1], l.states[2]
	if o.Momentum == 0 {
		momenta = nil
	}
	if !centered {
		means = nil
	}
	old := readAll(x, l.states[2])
	x.RMSprop(l.params, l.grads, l.states[0], momenta, means, 0.7, o)
	l.results(i, func(t int, name string, of func(float64) []float64) {
		decayed := magnitudes(x.Read(l.grads[t]), of(0)) // the decay may cancel the gradient
		squareTol := rounded(8)
		if o.WeightDecay != 0 {
			squareTol = roundedOf(16, squares(decayed, x.Read(l.states[0][t])))
		}
		x.Result(name+"square_avg", l.states[0][t], squareTol)
		change := 1 / math.Sqrt(1-o.Alpha) // the most |g|/√v can be
		if centered {
			change *= 20 // v loses digits to the squared mean
			x.Result(name+"grad_avg", means[t], roundedOf(8, magnitudes(old[t], decayed)))
		}
		if o.Momentum != 0 {
			change *= 4
			x.Result(name+"momentum", momenta[t], roundedOf(16, constant(l.params[t].Len, change)))
		}
		x.Result(name+"param", l.params[t], roundedOf(16, of(o.LR*change)))
	})
}

// squares adds to each square the magnitude of another list.
func squares(v, plus []float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = v[i]*v[i] + plus[i]
	}
	return out
}
