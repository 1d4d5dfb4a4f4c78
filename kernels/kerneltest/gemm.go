package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

func gemmCases() []Case {
	var out []Case
	product := func(x *Bench, ta, tb bool, m, n, k int, a, b, c dtype.DType, alpha, beta float64, bias bool, pad int) {
		lda, ldb := k+pad, n+pad
		rowsA, rowsB := m, k
		if ta {
			lda, rowsA = m+pad, k
		}
		if tb {
			ldb, rowsB = k+pad, n
		}
		g := &kernels.GemmArgs{TransA: ta, TransB: tb, M: m, N: n, K: k, LDA: lda, LDB: ldb, LDC: n + pad, Alpha: alpha, Beta: beta, Batch: 1,
			A: x.Normal(a, rowsA*lda), B: x.Normal(b, rowsB*ldb)}
		if beta == 0 {
			g.C = x.Empty(c, m*(n+pad))
		} else {
			g.C = x.Normal(c, m*(n+pad))
		}
		if bias {
			g.Bias = x.Normal(b, n)
		}
		x.Gemm(g)
		x.Result(fmt.Sprintf("%v %v %dx%dx%d %s*%s=%s beta %g", ta, tb, m, n, k, a, b, c, beta), g.C)
	}
	for _, ta := range []bool{false, true} {
		for _, tb := range []bool{false, true} {
			out = append(out, Case{Name: fmt.Sprintf("gemm/shapes/%v,%v", ta, tb), Loose: 4, Run: func(x *Bench) {
				f := dtype.Float32
				for _, s := range [][3]int{{1, 1, 1}, {1, 100, 70}, {3, 65, 300}, {14, 32, 64}, {15, 33, 65}, {70, 7, 129}, {129, 130, 31}, {33, 300, 1}, {200, 40, 600}, {5, 4, 0}, {0, 4, 5}, {4, 0, 5}} {
					product(x, ta, tb, s[0], s[1], s[2], f, f, f, 1, 0, false, 0)
					product(x, ta, tb, s[0], s[1], s[2], f, f, f, 0.5, 1, true, 3)
				}
			}}, Case{Name: fmt.Sprintf("gemm/types/%v,%v", ta, tb), Loose: 4, Run: func(x *Bench) {
				for _, a := range floatTypes {
					for _, b := range floatTypes {
						for _, c := range floatTypes {
							product(x, ta, tb, 37, 45, 300, a, b, c, 1, 0, true, 1)
							product(x, ta, tb, 3, 45, 70, a, b, c, 1, 2, false, 0)
						}
					}
				}
			}})
		}
	}
	return append(out,
		Case{Name: "gemm/batch", Loose: 4, Run: func(x *Bench) {
			f := dtype.Float32
			for _, m := range []int{3, 40} {
				g := &kernels.GemmArgs{M: m, N: 17, K: 9, A: x.Normal(f, 7*m*9), B: x.Normal(f, 9*17), C: x.Empty(f, 7*m*17),
					LDA: 9, LDB: 17, LDC: 17, Alpha: 1, Batch: 7, StrideA: m * 9, StrideB: 0, StrideC: m * 17}
				x.Gemm(g)
				x.Result("shared B", g.C)
			}
		}},
		Case{Name: "gemm/special values", Run: func(x *Bench) {
			f := dtype.Float32
			a, b, c := x.Values(f, 1, math.Inf(1), 2, math.NaN()), x.Values(f, 1, 0, 0, 1), x.Empty(f, 4)
			x.Gemm(&kernels.GemmArgs{M: 2, N: 2, K: 2, A: a, B: b, C: c, LDA: 2, LDB: 2, LDC: 2, Alpha: 1, Batch: 1})
			x.Result("c", c)
		}})
}
