package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// special are inputs at which elementary functions go wrong first.
var special = []float64{0, 1e-30, -1e-30, 1e-4, -1e-4, 0.5, -0.5, 0.9999, 1, -1, 2.5, -2.5, 4.3, -4.3, 9, -9, 20, -20, 60, -60, 87, -87, 100, -100,
	math.Inf(1), math.Inf(-1), math.NaN()}

func elementwiseCases() []Case {
	var out []Case
	for op := range kernels.NumUnaryOps {
		for _, dt := range floatTypes {
			out = append(out, Case{Name: fmt.Sprintf("unary/%d/%s", op, dt), Run: func(x *Bench) {
				for _, n := range []int{0, 7, 1000, 40000} {
					in, y := x.Normal(dt, n), x.Empty(dt, n)
					if op == kernels.Log || op == kernels.Sqrt {
						x.Binary(kernels.Mul, in, in, in, []int{n}, []int{1}, []int{1})
					}
					x.Unary(op, y, in)
					x.Result("y", y)
					dx := x.Empty(dt, n)
					x.UnaryGrad(op, dx, x.Normal(dt, n), in)
					x.Result("dx", dx)
				}
				in, y := x.Values(dt, special...), x.Empty(dt, len(special))
				x.Unary(op, y, in)
				for i, v := range special { // each alone: huge values must not widen the tolerance
					scale := 0.0
					if (op == kernels.GELU || op == kernels.GELUTanh) && v < 0 && !math.IsInf(v, 0) {
						scale = -v / 10 // x·(1 + erf x), which cancels
					}
					x.ResultOf(fmt.Sprintf("f(%g)", v), y.Slice(i, i+1), scale)
				}
			}, Loose: 2})
		}
	}
	for op := range kernels.NumBinaryOps {
		for _, dt := range floatTypes {
			out = append(out, Case{Name: fmt.Sprintf("binary/%d/%s", op, dt), Run: func(x *Bench) {
				a, b := x.Normal(dt, 3*65*40), x.Normal(dt, 3*65*40)
				y := x.Empty(dt, 3*65*40)
				shape := []int{3, 65, 40}
				for _, s := range [][2][]int{
					{{2600, 40, 1}, {2600, 40, 1}}, {{2600, 40, 1}, {0, 0, 1}}, {{0, 40, 1}, {2600, 0, 0}},
					{{0, 0, 0}, {2600, 40, 1}}, {{40, 0, 1}, {0, 40, 1}}, {{1, 3, 195}, {2600, 40, 1}},
				} {
					x.Binary(op, y, a, b, shape, s[0], s[1])
					x.Result(fmt.Sprint(s), y)
				}
				x.Binary(op, a, a, b, []int{a.Len}, []int{1}, []int{1})
				x.Result("in place", a)
			}})
		}
	}
	for _, from := range append([]dtype.DType{dtype.Int32, dtype.Int64}, floatTypes...) {
		for _, to := range append([]dtype.DType{dtype.Int32, dtype.Int64}, floatTypes...) {
			out = append(out, Case{Name: fmt.Sprintf("copy/%s to %s", from, to), Run: func(x *Bench) {
				for _, n := range sizes {
					src, dst := x.Empty(from, n), x.Empty(to, n)
					x.Set(src, func(i int) float64 { return math.Trunc(100 * x.rng.NormFloat64()) })
					x.Copy(dst, src)
					x.Result("copy", dst)
				}
			}})
		}
	}
	for _, dt := range floatTypes {
		out = append(out, Case{Name: "affine, add_scaled, fill/" + dt.String(), Run: func(x *Bench) {
			for _, n := range sizes {
				for _, other := range floatTypes {
					a, y := x.Normal(dt, n), x.Empty(other, n)
					x.Affine(y, a, -1.5, 0.25)
					x.Result("affine", y)
					sum := x.Normal(other, n)
					x.AddScaled(sum, 0.75, a)
					x.Result("add_scaled", sum)
				}
				y := x.Empty(dt, n)
				x.Fill(y, 1.0/3)
				x.Result("fill", y)
			}
		}}, Case{Name: "swiglu/" + dt.String(), Loose: 2, Run: func(x *Bench) {
			fused, ok := x.Backend.(kernels.Gated)
			if !ok {
				return
			}
			for _, n := range sizes {
				gate, up, y := x.Normal(dt, n), x.Normal(dt, n), x.Empty(dt, n)
				fused.SwiGLU(y, gate, up)
				x.Result("y", y)
				dg, du := x.Empty(dt, n), x.Empty(dt, n)
				fused.SwiGLUGrad(dg, du, x.Normal(dt, n), gate, up)
				x.Result("dgate", dg)
				x.Result("dup", du)
			}
		}})
	}
	return out
}
