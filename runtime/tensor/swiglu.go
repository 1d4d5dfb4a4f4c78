package tensor

import "dpolab/kernels"

// SwiGLU returns silu(gate)·up, elementwise (arXiv 2002.05202).
func SwiGLU(gate, up *Tensor) *Tensor {
	requireFloat("swiglu", gate)
	requireFloat("swiglu up", up)
	requireDevice("swiglu", gate, up)
	requireShape("swiglu up", up, gate.shape...)
	fused, ok := gate.dev.backend.(kernels.Gated)
	if !ok {
		return gate.dev.Scope(func() *Tensor { return gate.SiLU().Mul(up) })
	}
	y := Empty(gate.dev, gate.DType(), gate.shape...)
	fused.SwiGLU(y.Array(), gate.Array(), up.Array())
	return record("swiglu", y, []*Tensor{gate, up}, []*Tensor{gate, up}, func(b *Backward, dy *Tensor) {
		gate, up := b.Saved(0), b.Saved(1)
		dgate, dup := Empty(gate.dev, gate.DType(), gate.shape...), Empty(up.dev, up.DType(), up.shape...)
		fused.SwiGLUGrad(dgate.Array(), dup.Array(), dy.Array(), gate.Array(), up.Array())
		b.Give(0, dgate)
		b.Give(1, dup)
	})
}
