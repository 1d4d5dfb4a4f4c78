package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
)

func reduceCases() []Case {
	var out []Case
	for _, dt := range floatTypes {
		for op := range kernels.NumReduceOps {
			out = append(out, Case{Name: fmt.Sprintf("reduce/%d/%s", op, dt), Run: func(x *Bench) {
				for _, s := range [][3]int{{1, 100000, 1}, {7, 65, 1}, {1, 300, 700}, {3, 5, 7}, {2, 1, 1}, {4, 0, 3}, {0, 3, 3}} {
					y := x.Empty(dt, s[0]*s[2])
					x.Reduce(op, y, x.Normal(dt, s[0]*s[1]*s[2]), s[0], s[1], s[2])
					x.Result(fmt.Sprint(s), y)
				}
			}})
		}
		out = append(out, Case{Name: "sum_squares/" + dt.String(), Run: func(x *Bench) {
			for _, n := range sizes {
				x.Number("sum", x.SumSquares(x.Normal(dt, n)))
			}
			x.Number("long", x.SumSquares(x.Normal(dt, 300000)))
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				a := x.Normal(dt, 3000)
				x.Set(a.Slice(1234, 1235), func(int) float64 { return bad })
				x.Number(fmt.Sprintf("with %g finite", bad), boolean(!math.IsInf(x.SumSquares(a), 0) && !math.IsNaN(x.SumSquares(a))))
			}
		}})
		for _, log := range []bool{false, true} {
			out = append(out, Case{Name: fmt.Sprintf("softmax/log=%v/%s", log, dt), Loose: 2, Run: func(x *Bench) {
				for _, s := range [][2]int{{5, 1}, {3, 7}, {40, 1000}, {2, 5000}} {
					in, y := x.Normal(dt, s[0]*s[1]), x.Empty(dt, s[0]*s[1])
					x.Affine(in, in, 8, 0)
					x.Softmax(y, in, s[0], s[1], log)
					x.Result("y", y)
					dx := x.Empty(dt, s[0]*s[1])
					x.SoftmaxGrad(dx, x.Normal(dt, s[0]*s[1]), y, s[0], s[1], log)
					x.Result("dx", dx)
				}
				y := x.Empty(dt, 4)
				x.Softmax(y, x.Values(dt, 1e4, -1e4, 1e4, math.Inf(-1)), 1, 4, log)
				x.Result("large", y)
			}})
		}
	}
	return out
}

func boolean(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
