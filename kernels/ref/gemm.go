package ref

import "dpolab/kernels"

func (b *Backend) Gemm(g *kernels.GemmArgs) {
	for n := range max(g.Batch, 1) {
		product(g, n*g.StrideA, n*g.StrideB, n*g.StrideC)
	}
}

// product computes one matrix product from three starting positions.
func product(g *kernels.GemmArgs, a0, b0, c0 int) {
	a := matrix(g.A, a0, g.LDA, g.M, g.K, g.TransA)
	b := matrix(g.B, b0, g.LDB, g.K, g.N, g.TransB)
	for i := range g.M {
		for j := range g.N {
			sum := 0.0
			for k := range g.K {
				sum += a[i*g.K+k] * b[k*g.N+j]
			}
			sum *= g.Alpha
			at0 := c0 + i*g.LDC + j
			if g.Beta != 0 {
				sum += g.Beta * at(g.C, at0)
			}
			if !g.Bias.IsNil() {
				sum += at(g.Bias, j)
			}
			set(g.C, at0, sum)
		}
	}
}

// matrix reads a stored matrix as [rows, cols] of op(X).
func matrix(x kernels.Array, start, ld, rows, cols int, trans bool) []float64 {
	out := make([]float64, rows*cols)
	for i := range rows {
		for j := range cols {
			if trans {
				out[i*cols+j] = at(x, start+j*ld+i)
			} else {
				out[i*cols+j] = at(x, start+i*ld+j)
			}
		}
	}
	return out
}
