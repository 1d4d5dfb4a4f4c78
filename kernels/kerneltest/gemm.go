package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// gemm is one product to try. Its rows are that much further apart than long.
type gemm struct {
	m, n, k          int
	ta, tb           bool
	a, b, c, bias    dtype.DType // bias Invalid for none
	alpha, beta      float64
	padA, padB, padC int
	batch            int
	sharedA, sharedB bool
}

func (g gemm) String() string {
	s := fmt.Sprintf("%dx%dx%d trans %v,%v %s·%s→%s alpha %g beta %g bias %s pad %d,%d,%d", g.m, g.n, g.k, g.ta, g.tb, g.a, g.b, g.c, g.alpha, g.beta, g.bias, g.padA, g.padB, g.padC)
	if g.batch > 1 {
		s += fmt.Sprintf(" batch %d shared %v,%v", g.batch, g.sharedA, g.sharedB)
	}
	return s
}

// stored is the size of a stored matrix and the distance of its rows.
func stored(rows, cols int, trans bool, pad int) (r, c, ld int) {
	if trans {
		rows, cols = cols, rows
	}
	return rows, cols, cols + pad
}

func (g gemm) run(x *Rig) {
	batch := max(g.batch, 1)
	// Matrices of a batch are rows of one tall matrix, with one row between them.
	operand := func(dt dtype.DType, rows, cols int, trans bool, pad int, shared bool) (kernels.Array, int, int) {
		r, c, ld := stored(rows, cols, trans, pad)
		if batch == 1 || shared {
			return x.Matrix(dt, r, c, max(ld, 1)), ld, 0
		}
		return x.Matrix(dt, batch*(r+1)-1, c, max(ld, 1)), ld, (r + 1) * ld
	}
	args := &kernels.GemmArgs{TransA: g.ta, TransB: g.tb, M: g.m, N: g.n, K: g.k, Alpha: g.alpha, Beta: g.beta, Batch: g.batch}
	args.A, args.LDA, args.StrideA = operand(g.a, g.m, g.k, g.ta, g.padA, g.sharedA)
	args.B, args.LDB, args.StrideB = operand(g.b, g.k, g.n, g.tb, g.padB, g.sharedB)
	args.C, args.LDC, args.StrideC = operand(g.c, g.m, g.n, false, g.padC, false)
	if g.beta == 0 {
		x.Set(args.C, func(int) float64 { return math.NaN() })
	}
	if g.bias != dtype.Invalid {
		args.Bias = x.Normal(g.bias, g.n)
	}
	x.Gemm(args)
	terms := max(g.k, 1)
	x.Result(g.String(), args.C, sum(terms+4, 4*(math.Abs(g.alpha)*math.Sqrt(float64(terms))+math.Abs(g.beta)+1)))
}

func gemmCases() []Case {
	var out []Case
	f := dtype.Float32
	for _, ta := range []bool{false, true} {
		for _, tb := range []bool{false, true} {
			plain := gemm{ta: ta, tb: tb, a: f, b: f, c: f, alpha: 1}
			out = append(out, Case{Name: fmt.Sprintf("gemm/shapes/%v,%v", ta, tb), Run: func(x *Rig) {
				for _, s := range [][3]int{{1, 1, 1}, {1, 100, 70}, {3, 65, 300}, {4, 64, 64}, {5, 63, 7}, {14, 32, 64}, {15, 33, 65}, {64, 64, 64}, {63, 65, 1000}, {70, 7, 129},
					{129, 130, 31}, {33, 300, 1}, {200, 40, 600}, {400, 90, 20}, {90, 400, 20}, {1, 1000, 33}, {1000, 1, 33}, {5, 4, 0}, {0, 4, 5}, {4, 0, 5}} {
					g := plain
					g.m, g.n, g.k = s[0], s[1], s[2]
					g.run(x)
					g.alpha, g.beta, g.bias, g.padA, g.padB, g.padC = 0.5, 1, f, 3, 5, 7
					g.run(x)
				}
			}}, Case{Name: fmt.Sprintf("gemm/types/%v,%v", ta, tb), Run: func(x *Rig) {
				for _, a := range floatTypes {
					for _, b := range floatTypes {
						for i, c := range floatTypes {
							g := gemm{m: 37, n: 45, k: 300, ta: ta, tb: tb, a: a, b: b, c: c, bias: floatTypes[(i+1)%3], alpha: 1, padC: 1}
							g.run(x)
							g.m, g.k, g.beta, g.bias = 3, 70, -2, dtype.Invalid
							g.run(x)
						}
					}
				}
			}}, Case{Name: fmt.Sprintf("gemm/16-bit shapes/%v,%v", ta, tb), Run: func(x *Rig) {
				for _, s := range [][3]int{{5, 3, 1}, {5, 7, 2}, {33, 31, 31}, {32, 32, 32}, {16, 65, 33}, {48, 17, 63}, {65, 64, 511}, {7, 33, 1024}, {40, 70, 1055}, {6, 5, 0}} {
					g := gemm{m: s[0], n: s[1], k: s[2], ta: ta, tb: tb, a: dtype.BFloat16, b: dtype.BFloat16, c: f, alpha: 1}
					g.run(x)
					g.alpha, g.beta, g.bias, g.padA, g.padB, g.padC = 0.5, 1, dtype.BFloat16, 3, 5, 7
					g.run(x)
				}
			}}, Case{Name: fmt.Sprintf("gemm/batch/%v,%v", ta, tb), Run: func(x *Rig) {
				for _, s := range [][3]int{{3, 17, 9}, {40, 33, 64}, {70, 7, 65}, {200, 90, 20}} {
					g := plain
					g.m, g.n, g.k, g.batch = s[0], s[1], s[2], 7
					g.run(x)
					g.batch, g.beta, g.alpha, g.bias, g.padA, g.padB, g.padC = 2, 0.5, -1, f, 1, 2, 3
					g.run(x)
					g.sharedB = true
					g.run(x)
					g.sharedA, g.sharedB, g.batch = true, false, 3
					g.run(x)
				}
			}}, Case{Name: fmt.Sprintf("gemm/special values/%v,%v", ta, tb), Run: func(x *Rig) { gemmSpecial(x, ta, tb) }})
		}
	}
	out = append(out, Case{Name: "gemm/outliers", Run: gemmOutliers})
	return append(out, Case{Name: "gemm/scalars", Run: func(x *Rig) {
		for _, alpha := range []float64{0, 1, -0.25} {
			for _, beta := range []float64{0, 1, -0.25} {
				for _, m := range []int{2, 30} {
					g := gemm{m: m, n: 40, k: 50, tb: true, a: f, b: f, c: f, alpha: alpha, beta: beta}
					g.run(x)
					g.bias = f
					g.run(x)
				}
			}
		}
	}})
}

// gemmSpecial puts NaN and infinities in single places: they must reach their
// row and column of the product, and nothing else.
func gemmSpecial(x *Rig, ta, tb bool) {
	const k = 35
	for _, m := range []int{3, 40} {
		n := m + 30
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			for _, inA := range []bool{true, false} {
				ra, ca, lda := stored(m, k, ta, 0)
				rb, cb, ldb := stored(k, n, tb, 0)
				a, b, c := x.Matrix(dtype.Float32, ra, ca, lda), x.Matrix(dtype.Float32, rb, cb, ldb), x.Empty(dtype.Float32, m*n)
				spoilt := b
				if inA {
					spoilt = a
				}
				for _, at := range []int{0, spoilt.Len - 1} {
					x.Set(spoilt.Slice(at, at+1), func(int) float64 { return bad })
				}
				x.Gemm(&kernels.GemmArgs{TransA: ta, TransB: tb, M: m, N: n, K: k, A: a, B: b, C: c, LDA: lda, LDB: ldb, LDC: n, Alpha: 1, Batch: 1})
				x.Result(fmt.Sprint(bad, " in ", m, " rows, in A ", inA), c, sum(k, 4*math.Sqrt(k)))
			}
		}
	}
	a, b, c := x.Values(dtype.Float32, 1, math.Inf(1), 2, 3), x.Values(dtype.Float32, 1, 0, 0, 1), x.Empty(dtype.Float32, 4)
	x.Gemm(&kernels.GemmArgs{TransA: ta, TransB: tb, M: 2, N: 2, K: 2, A: a, B: b, C: c, LDA: 2, LDB: 2, LDC: 2, Alpha: 1, Batch: 1})
	x.Result("infinity times zero", c, exact)
}

// gemmOutliers multiplies 16-bit matrices as trained models hold them: a few
// channels of activations are a hundred times the rest, weights on them may be
// as much smaller, and magnitudes may spread over the type's whole range. A
// way of computing that shares one scale among many elements, or rounds
// operands again, loses the small ones. The error allowed is that of a float32
// sum of exact products.
func gemmOutliers(x *Rig) {
	const m, n, k = 40, 70, 600
	loud := func(i int) bool { return i%75 == 3 }
	for _, dt := range []dtype.DType{dtype.BFloat16, dtype.Float16} {
		for _, kind := range []string{"loud channels", "loud channels, quiet weights", "wide range"} {
			a, b := x.Normal(dt, m*k), x.Normal(dt, n*k)
			factor := func(i int, up float64) float64 {
				switch {
				case kind == "wide range": // magnitudes from 2^-7 to 2^7, opposite in a and b
					return math.Exp2(up * float64(i%15-7))
				case up > 0 && loud(i):
					return 100
				case kind == "loud channels, quiet weights" && loud(i):
					return 0.01
				}
				return 1
			}
			av, bv := x.Read(a), x.Read(b)
			x.Set(a, func(i int) float64 { return av[i] * factor(i%k, 1) })
			x.Set(b, func(i int) float64 { return bv[i] * factor(i%k, -1) })
			size := 4 * math.Sqrt(k) // of a sum
			if kind == "loud channels" {
				size *= 100
			}
			c := x.Empty(dtype.Float32, m*n)
			x.Gemm(&kernels.GemmArgs{TransB: true, M: m, N: n, K: k, A: a, B: b, C: c, LDA: k, LDB: k, LDC: n, Alpha: 1, Batch: 1})
			x.Result(fmt.Sprint(dt, " ", kind), c, sum(k, size))
		}
	}
}
