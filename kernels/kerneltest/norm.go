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
					fused.LayerNormGrad(dx, dw, db, kernels.Array{}, dy, in, w, mean, rstd, rows, cols)
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
				fused.RMSNormGrad(dx, dw, kernels.Array{}, dy, in, w, rstd, rows, cols)
				x.Result(fmt.Sprint("dx ", s), dx, sum(cols+16, size))
				x.Result(fmt.Sprint("dweight ", s), dw, sum(rows+16, 4*math.Sqrt(float64(rows))+4))
				fused.RMSNormGrad(dx, kernels.Array{}, kernels.Array{}, dy, in, w, rstd, rows, cols)
				x.Result(fmt.Sprint("dx alone ", s), dx, sum(cols+16, size))
			}
		}}, Case{Name: "add_norm/" + p.String(), Needs: has[kernels.Norms], Run: func(x *Rig) {
			for _, s := range normShapes {
				addNorm(x, p, s[0], s[1])
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

// addNorm compares norms behind a residual connection, and their gradients,
// with the two operations that they stand for, whose bits they have.
func addNorm(x *Rig, p palette, rows, cols int) {
	fused, f, n := x.Backend.(kernels.Norms), dtype.Float32, rows*cols
	in, r, w, b := x.Normal(p.at(0), n), x.Normal(p.at(1), n), x.Normal(p.at(1), cols), x.Normal(p.at(2), cols)
	same := func(name string, got, want kernels.Array) {
		x.Expect(fmt.Sprintf("%s [%d %d]", name, rows, cols), got, x.Read(want), exact)
	}
	add := func(dst, a, b kernels.Array) { x.Binary(kernels.Add, dst, a, b, []int{n}, []int{1}, []int{1}) }
	s, y, mean, rstd := x.Empty(p.at(2), n), x.Empty(p.at(1), n), x.Empty(f, rows), x.Empty(f, rows)
	s2, y2, mean2, rstd2 := x.Empty(p.at(2), n), x.Empty(p.at(1), n), x.Empty(f, rows), x.Empty(f, rows)
	add(s2, in, r)
	for _, bias := range []kernels.Array{b, {}} {
		fused.AddLayerNorm(s, y, mean, rstd, in, r, w, bias, rows, cols, 1e-3)
		fused.LayerNorm(y2, mean2, rstd2, s2, w, bias, rows, cols, 1e-3)
		same("layer_norm sum", s, s2)
		same("layer_norm y", y, y2)
		same("layer_norm mean", mean, mean2)
		same("layer_norm rstd", rstd, rstd2)
	}
	fused.AddRMSNorm(s, y2, rstd2, in, r, w, rows, cols, 1e-3)
	fused.RMSNorm(y, rstd, s2, w, rows, cols, 1e-3)
	same("rms_norm sum", s, s2)
	same("rms_norm y", y2, y)
	same("rms_norm rstd", rstd2, rstd)
	// A sum may be off by one rounding, which the norm magnifies.
	scale, statistic := largest(x.Read(s))*largest(x.Read(rstd)), largest(x.Read(rstd))
	x.Result(fmt.Sprintf("y [%d %d]", rows, cols), y2, within(constant(n, scale*largest(x.Read(w))), s.DType, y.DType))
	x.Result(fmt.Sprintf("mean [%d %d]", rows, cols), mean, within(constant(rows, largest(x.Read(s))), s.DType))
	x.Result(fmt.Sprintf("rstd [%d %d]", rows, cols), rstd, within(constant(rows, scale*statistic), s.DType))
	x.Result(fmt.Sprintf("sum [%d %d]", rows, cols), s, Tolerance{})

	// The gradient of the sum, in an array of its own and where the rest of it
	// lies already.
	dy, others := x.Normal(p.at(2), n), x.Normal(p.at(1), n)
	dx, alone, total, inPlace := x.Empty(p.at(0), n), x.Empty(p.at(0), n), x.Empty(p.at(0), n), x.Empty(p.at(0), n)
	dw, db := x.Normal(f, cols), x.Normal(f, cols)
	dw2, db2 := x.Empty(f, cols), x.Empty(f, cols)
	x.own(dw)
	x.own(db)
	for _, g := range []struct {
		name string
		grad func(dx, dw, db, residual kernels.Array)
	}{
		{"layer_norm", func(dx, dw, db, residual kernels.Array) {
			fused.LayerNormGrad(dx, dw, db, residual, dy, in, w, mean, rstd, rows, cols)
		}},
		{"rms_norm", func(dx, dw, db, residual kernels.Array) {
			fused.RMSNormGrad(dx, dw, residual, dy, in, w, rstd, rows, cols)
		}},
	} {
		x.Copy(dw2, dw)
		x.Copy(db2, db)
		g.grad(alone, dw2, db2, kernels.Array{})
		add(total, others, alone)
		g.grad(dx, dw, db, others)
		same(g.name+" dx", dx, total)
		same(g.name+" dweight", dw, dw2)
		same(g.name+" dbias", db, db2)
		x.Copy(inPlace, others)
		add(total, inPlace, alone)
		g.grad(inPlace, kernels.Array{}, kernels.Array{}, inPlace)
		same(g.name+" dx in place", inPlace, total)
	}
	tol := within(magnitudes(x.Read(others), x.Read(alone)), dx.DType)
	tol.Terms, tol.Scale = cols+16, largest(x.Read(rstd))*largest(x.Read(dy))*largest(x.Read(w))
	x.Result(fmt.Sprintf("dx [%d %d]", rows, cols), dx, tol)
}

// within allows four roundings of the given magnitudes to the coarsest of the
// types, for results of two operations of which the first has stored its own.
func within(magnitudes []float64, types ...dtype.DType) Tolerance {
	coarsest := 0.0
	for _, dt := range types {
		rounding, _ := epsilon(dt)
		coarsest = math.Max(coarsest, rounding)
	}
	return roundedOf(4*coarsest/eps, magnitudes)
}
