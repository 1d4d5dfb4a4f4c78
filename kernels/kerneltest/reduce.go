package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
)

func reduceCases() []Case {
	var out []Case
	for _, p := range palettes() {
		for op := range kernels.NumReduceOps {
			out = append(out, Case{Name: fmt.Sprintf("reduce/%d/%s", op, p), Run: func(x *Rig) { reduce(x, op, p) }})
		}
	}
	for _, dt := range floatTypes {
		out = append(out, Case{Name: "sum_squares/" + dt.String(), Run: func(x *Rig) {
			one := func(a kernels.Array) float64 { return x.SumSquares([]kernels.Array{a}) }
			var list []kernels.Array
			for i, n := range sizes {
				a := x.Normal(dt, n)
				x.Number(fmt.Sprint(n), one(a), sum(n, 0))
				list = append(list, a, x.Normal(floatTypes[i%len(floatTypes)], 3*i))
			}
			long := x.Normal(dt, 300000)
			x.Number("long", one(long), sum(300, 0)) // double precision, blocked or not
			x.Number("list", x.SumSquares(append(list, long, x.Empty(dt, 0))), sum(300, 0))
			x.Number("nothing", x.SumSquares(nil), exact)
			for _, at := range []int{0, 1234, 2999} {
				for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
					a := x.Normal(dt, 3000)
					x.Set(a.Slice(at, at+1), func(int) float64 { return bad })
					v := x.SumSquares([]kernels.Array{x.Normal(dt, 70), a, x.Normal(dt, 70)})
					x.Number(fmt.Sprintf("finite with %g at %d", bad, at), truth(!math.IsInf(v, 0) && !math.IsNaN(v)), exact)
				}
			}
			// The largest finite values square beyond float32 but not float64.
			large := x.Values(dt, 6e4, -6e4, 3e4)
			x.Number("large", one(large), rounded(1))
		}})
	}
	for _, p := range palettes() {
		for _, log := range []bool{false, true} {
			out = append(out, Case{Name: fmt.Sprintf("softmax/log=%v/%s", log, p), Run: func(x *Rig) { softmax(x, p, log) }})
		}
	}
	return out
}

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

func reduce(x *Rig, op kernels.ReduceOp, p palette) {
	for _, s := range [][3]int{{1, 100000, 1}, {7, 65, 1}, {1000, 64, 1}, {1, 300, 700}, {3, 5, 7}, {40, 9, 200}, {2, 1, 1}, {2, 1, 9}, {4, 0, 3}, {0, 3, 3}} {
		if s[0]*s[1]*s[2] > 50000 && !p.pure() {
			continue
		}
		y := x.Empty(p.at(1), s[0]*s[2])
		x.Reduce(op, y, x.Normal(p.at(0), s[0]*s[1]*s[2]), s[0], s[1], s[2])
		tol := Tolerance{} // picked, then rounded to the result's type
		if op == kernels.Sum {
			tol = sum(s[1], math.Sqrt(float64(s[1])))
		}
		x.Result(fmt.Sprint(s), y, tol)
	}
	inf, nan := math.Inf(1), math.NaN()
	for _, v := range [][]float64{{1, nan, 2, 3}, {nan, inf, 1, 2}, {inf, 1, 2, nan}, {-inf, nan, 1, 2}, {inf, -inf, 1, 2}, {-inf, -inf, -inf, -inf}, {inf, inf, inf, inf}} {
		rows, cols := x.Empty(p.at(1), 1), x.Empty(p.at(1), 4)
		x.Reduce(op, rows, x.Values(p.at(0), v...), 1, 4, 1)
		x.Result(fmt.Sprint("one of ", v), rows, Tolerance{})
		x.Reduce(op, cols, x.Values(p.at(0), append(append([]float64{1, 1, 1, 1}, v...), 0, 0, 0, 0)...), 1, 3, 4)
		x.Result(fmt.Sprint("columns of ", v), cols, Tolerance{})
	}
}

func softmax(x *Rig, p palette, log bool) {
	for _, s := range [][2]int{{5, 1}, {3, 7}, {1, 64}, {200, 333}, {2, 5000}, {0, 4}} {
		rows, cols := s[0], s[1]
		const spread = 8
		in, y := x.Spread(p.at(0), rows*cols, spread), x.Empty(p.at(1), rows*cols)
		x.Softmax(y, in, rows, cols, log)
		// Subtracting the largest rounds what is about to be exponentiated.
		tol := Tolerance{Roundings: 10 * spread, Terms: cols, Scale: 1e-30}
		if log {
			tol = Tolerance{Roundings: 4, Of: magnitudes(x.Read(in), constant(rows*cols, 5*spread)), Terms: cols, Scale: 1}
		}
		x.Result(fmt.Sprint("y ", s), y, tol)
		dy, dx := x.Normal(p.at(2), rows*cols), x.Empty(p.at(0), rows*cols)
		x.SoftmaxGrad(dx, dy, y, rows, cols, log)
		// dx is y·(dy - Σ dy·y), or dy - exp(y)·Σ dy: differences of these.
		of := x.Read(y)
		if log {
			for i, g := range x.Read(dy) {
				of[i] = math.Abs(g) + math.Exp(of[i])*(4+2*float64(cols))
			}
		} else {
			for i := range of {
				of[i] *= 5
			}
		}
		x.Result(fmt.Sprint("dx ", s), dx, roundedOf(16, of))
	}
	inf := math.Inf(1)
	for _, v := range [][]float64{{1e4, -1e4, 1e4, -inf}, {1e4, 1e4, 1e4, 1e4}, {-1e4, -1e4, -1e4, -1e4}, {-inf, -inf, 3, -inf}, {-inf, -inf, -inf, -inf}, {0, math.NaN(), 1, 2}} {
		y := x.Empty(p.at(1), 4)
		x.Softmax(y, x.Values(p.at(0), v...), 1, 4, log)
		x.Result(fmt.Sprint("of ", v), y, rounded(8))
	}
}
