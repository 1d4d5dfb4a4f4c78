package tensor

import "dpolab/kernels"

// Rotary turns the first dim elements of each head by its row's position
// (arXiv 2104.09864, half-split form: element i is paired with i + dim/2) and
// copies the rest. cos and sin are tables [P, dim/2], positions int32 [rows].
// The result is [rows, numHeads, headDim].
func Rotary(x HeadView, rows, numHeads, headDim, dim int, cos, sin, positions *Tensor) *Tensor {
	x.check("rotary", rows, numHeads, headDim)
	requireDevice("rotary", x.X, cos, sin, positions)
	requireFloat("rotary cos", cos)
	requireFloat("rotary sin", sin)
	requireIndex("rotary", positions)
	requireShape("rotary positions", positions, rows)
	if dim < 0 || dim%2 != 0 || dim > headDim {
		fail("rotary", "an even number of dimensions within the head", "%d of %d", dim, headDim)
	}
	requireShape("rotary cos", cos, cos.Dim(0), dim/2)
	requireShape("rotary sin", sin, cos.shape...)
	fused, ok := x.X.dev.backend.(kernels.Rotary)
	if !ok {
		return x.X.dev.Scope(func() *Tensor {
			return composedRotary(x.gather(rows, numHeads, headDim), dim, cos, sin, positions)
		})
	}
	args := func(cos, sin, positions *Tensor) *kernels.RotaryArgs {
		return &kernels.RotaryArgs{Rows: rows, NumHeads: numHeads, HeadDim: headDim, Dim: dim,
			Cos: cos.Array(), Sin: sin.Array(), Positions: positions.Array()}
	}
	out := HeadView{Row: numHeads * headDim, Head: headDim}
	// The scope frees the result if a position is outside the tables.
	return x.X.dev.Scope(func() *Tensor {
		y := Empty(x.X.dev, x.X.DType(), rows, numHeads, headDim)
		fused.Rotary(out.on(y), x.on(x.X), args(cos, sin, positions))
		return record("rotary", y, []*Tensor{x.X}, []*Tensor{cos, sin, positions}, func(b *Backward, dy *Tensor) {
			dx := b.Zeroed(0)
			fused.RotaryGrad(x.on(dx), out.on(dy), args(b.Saved(0), b.Saved(1), b.Saved(2)))
		})
	})
}

// composedRotary is Rotary on heads [T, H, d] out of required operations.
func composedRotary(x *Tensor, dim int, cos, sin, positions *Tensor) *Tensor {
	rows, half := x.shape[0], dim/2
	c := Gather(cos, positions).Reshape(rows, 1, half)
	s := Gather(sin, positions).Reshape(rows, 1, half)
	a, b := x.Narrow(2, 0, half), x.Narrow(2, half, half)
	parts := []*Tensor{a.Mul(c).Sub(b.Mul(s)).To(x.DType()), b.Mul(c).Add(a.Mul(s)).To(x.DType())}
	if rest := x.shape[2] - dim; rest > 0 {
		parts = append(parts, x.Narrow(2, dim, rest))
	}
	return Cat(2, parts)
}
