package ref

import (
	"math"

	"dpolab/kernels"
)

func (b *Backend) Reduce(op kernels.ReduceOp, dst, src kernels.Array, outer, mid, inner int) {
	for o := range outer {
		for i := range inner {
			v := [kernels.NumReduceOps]float64{kernels.Sum: 0, kernels.Max: math.Inf(-1), kernels.Min: math.Inf(1)}[op]
			for m := range mid {
				x := at(src, (o*mid+m)*inner+i)
				switch op {
				case kernels.Sum:
					v += x
				case kernels.Max:
					v = larger(v, x)
				case kernels.Min:
					v = -larger(-v, -x)
				}
			}
			set(dst, o*inner+i, v)
		}
	}
}

func (b *Backend) SumSquares(xs []kernels.Array) float64 {
	sum := 0.0
	for _, x := range xs {
		for _, v := range load(x) {
			sum += v * v
		}
	}
	return sum
}

// logSumExp is log Σ exp(v) without overflow.
func logSumExp(v []float64) float64 {
	top := math.Inf(-1)
	for _, x := range v {
		top = larger(top, x)
	}
	if math.IsInf(top, -1) {
		return top
	}
	sum := 0.0
	for _, x := range v {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}

func (b *Backend) Softmax(dst, x kernels.Array, rows, cols int, log bool) {
	for r := range rows {
		v := load(x.Slice(r*cols, (r+1)*cols))
		lse := logSumExp(v)
		for c := range v {
			if v[c] -= lse; !log {
				v[c] = math.Exp(v[c])
			}
		}
		store(dst.Slice(r*cols, (r+1)*cols), v)
	}
}

func (b *Backend) SoftmaxGrad(dx, dy, y kernels.Array, rows, cols int, log bool) {
	for r := range rows {
		g, p := load(dy.Slice(r*cols, (r+1)*cols)), load(y.Slice(r*cols, (r+1)*cols))
		sum := 0.0
		for c := range g {
			if log {
				sum += g[c]
			} else {
				sum += g[c] * p[c]
			}
		}
		for c := range g {
			if log {
				g[c] -= math.Exp(p[c]) * sum
			} else {
				g[c] = p[c] * (g[c] - sum)
			}
		}
		store(dx.Slice(r*cols, (r+1)*cols), g)
	}
}
