package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// normShapes are [rows, cols]; the tall ones have partial sums to combine.
var normShapes = [][2]int{{1, 1}, {3, 7}, {1, 64}, {63, 65}, {700, 70}, {5, 1111}, {0, 8}}

func normCases() []Case {
	var out []Case
	f := dtype.Float32
	for _, p := range palettes() {
		out = append(out, Case{Name: "layer_norm/" + p.String(), Needs: has[kernels.Norms], Run: func(x *Rig) {
			fused := x.Backend.(kernels.Norms)
			for _, s := range normShapes {
				rows, cols := s[0], s[1]
				in, w, b := x.Normal(p.at(0), rows*cols), x.Normal(p.at(1), cols), x.Normal(p.at(2), cols)
				y, mean, rstd := x.Empty(p.at(1), rows*cols), x.Empty(f, rows), x.Empty(f, rows)
				fused.LayerNorm(y, mean, rstd, in, w, b, rows, cols, 1e-3)
				x.Result(fmt.Sprint("y ", s), y, sum(cols+16, 0))
				x.Result(fmt.Sprint("mean ", s), mean, sum(cols+4, 1))
				x.Result(fmt.Sprint("rstd ", s), rstd, rounded(8+math.Sqrt(float64(cols))))
				bare := x.Empty(p.at(1), rows*cols)
				fused.LayerNorm(bare, mean, rstd, in, w, kernels.Array{}, rows, cols, 1e-3)
				x.Result(fmt.Sprint("y without bias ", s), bare, sum(cols+16, 0))

				dy, dx := x.Normal(p.at(2), rows*cols), x.Empty(p.at(0), rows*cols)
				dw, db := x.Normal(p.at(1), cols), x.Normal(p.at(2), cols)
				gradient := func(dw, db kernels.Array) {
					// dx is a difference of terms of this size.
					size := largest(x.Read(rstd)) * largest(x.Read(dy)) * largest(x.Read(w))
					fused.LayerNormGrad(dx, dw, db, dy, in, w, mean, rstd, rows, cols)
					name := fmt.Sprintf(" %v, dweight %v, dbias %v", s, !dw.IsNil(), !db.IsNil())
					x.Result("dx"+name, dx, sum(cols+16, size))
					if !dw.IsNil() {
						x.Result("dweight"+name, dw, sum(rows+16, 4*math.Sqrt(float64(rows))+4))
					}
					if !db.IsNil() {
						x.Result("dbias"+name, db, sum(rows+16, 4*math.Sqrt(float64(rows))+4))
					}
				}
				gradient(dw, db)
				gradient(kernels.Array{}, db)
				gradient(dw, kernels.Array{})
				gradient(kernels.Array{}, kernels.Array{})
			}
		}}, Case{Name: "rms_norm/" + p.String(), Needs: has[kernels.Norms], Run: func(x *Rig) {
			fused := x.Backend.(kernels.Norms)
			for _, s := range normShapes {
				rows, cols := s[0], s[1]
				in, w := x.Normal(p.at(0), rows*cols), x.Normal(p.at(1), cols)
				y, rstd := x.Empty(p.at(2), rows*cols), x.Empty(f, rows)
				fused.RMSNorm(y, rstd, in, w, rows, cols, 1e-3)
				x.Result(fmt.Sprint("y ", s), y, rounded(8+math.Sqrt(float64(cols))))
				x.Result(fmt.Sprint("rstd ", s), rstd, rounded(8+math.Sqrt(float64(cols))))
				dy, dx, dw := x.Normal(p.at(1), rows*cols), x.Empty(p.at(0), rows*cols), x.Normal(p.at(2), cols)
				size := largest(x.Read(rstd)) * largest(x.Read(dy)) * largest(x.Read(w))
				fused.RMSNormGrad(dx, dw, dy, in, w, rstd, rows, cols)
				x.Result(fmt.Sprint("dx ", s), dx, sum(cols+16, size))
				x.Result(fmt.Sprint("dweight ", s), dw, sum(rows+16, 4*math.Sqrt(float64(rows))+4))
				fused.RMSNormGrad(dx, kernels.Array{}, dy, in, w, rstd, rows, cols)
				x.Result(fmt.Sprint("dx alone ", s), dx, sum(cols+16, size))
			}
		}})
	}
	return append(out, Case{Name: "norm/far from zero", Needs: has[kernels.Norms], Run: func(x *Rig) {
		// The variance of 1000 ± 1 is lost when it is the difference of the mean
		// square and the squared mean.
		fused := x.Backend.(kernels.Norms)
		const rows, cols, far = 9, 700, 1000
		in := x.Empty(f, rows*cols)
		x.Set(in, func(int) float64 { return far + x.rng.NormFloat64() })
		w, y, mean, rstd := x.Normal(f, cols), x.Empty(f, rows*cols), x.Empty(f, rows), x.Empty(f, rows)
		fused.LayerNorm(y, mean, rstd, in, w, kernels.Array{}, rows, cols, 1e-5)
		x.Result("y", y, sum(4, 4*far))
		x.Result("mean", mean, sum(cols, far))
		x.Result("rstd", rstd, rounded(100))
		same := x.Values(f, 7, 7, 7, 7)
		fused.LayerNorm(y.Slice(0, 4), mean.Slice(0, 1), rstd.Slice(0, 1), same, w.Slice(0, 4), kernels.Array{}, 1, 4, 1e-5)
		x.Result("constant row", y, sum(4, 4))
		x.Result("constant row's rstd", rstd, rounded(8))
		bad := x.Values(f, 1, math.NaN(), 2, 3, 4, 5, 6, 7)
		fused.RMSNorm(y.Slice(0, 8), rstd.Slice(0, 2), bad, w.Slice(0, 4), 2, 4, 1e-5)
		x.Result("NaN in the first row", y, sum(4, 4))
	}})
}
