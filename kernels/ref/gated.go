package ref

import "dpolab/kernels"

func (b *Backend) SwiGLU(y, gate, up kernels.Array) {
	for i := range y.Len {
		set(y, i, unary[kernels.SiLU].f(at(gate, i))*at(up, i))
	}
}

func (b *Backend) SwiGLUGrad(dgate, dup, dy, gate, up kernels.Array) {
	for i := range dy.Len {
		g, u, d := at(gate, i), at(up, i), at(dy, i)
		set(dgate, i, d*u*unary[kernels.SiLU].df(g))
		set(dup, i, d*unary[kernels.SiLU].f(g))
	}
}
