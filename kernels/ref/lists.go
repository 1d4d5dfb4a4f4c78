package ref

import "dpolab/kernels"

func (b *Backend) CopyAll(dsts, srcs []kernels.Array) {
	for i := range dsts {
		b.Copy(dsts[i], srcs[i])
	}
}

func (b *Backend) AddScaledAll(dsts []kernels.Array, alpha float64, xs []kernels.Array) {
	for i := range dsts {
		b.AddScaled(dsts[i], alpha, xs[i])
	}
}
