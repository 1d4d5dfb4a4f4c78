package tensor

// Embedding returns the rows of weight [V, D] named by ids, int32 [T]: [T, D].
// An id that is no row is an error. The gradient of a row is the sum over its
// uses.
func Embedding(weight, ids *Tensor) *Tensor { return rows("embedding", weight, ids) }

// Gather returns the rows of x [N, D] named by index, int32 [R]: [R, D].
func Gather(x, index *Tensor) *Tensor { return rows("gather", x, index) }

func rows(name string, x, index *Tensor) *Tensor {
	requireFloat(name, x)
	requireDims(name, x, 2)
	requireDims(name, index, 1)
	requireIndex(name, index)
	requireDevice(name, x, index)
	width := x.shape[1]
	// The scope frees the result if an index is out of range.
	return x.dev.Scope(func() *Tensor {
		y := Empty(x.dev, x.DType(), index.shape[0], width)
		x.dev.backend.Gather(y.Array(), x.Array(), index.Array(), width)
		return record(name, y, []*Tensor{x}, []*Tensor{index}, func(b *Backward, dy *Tensor) {
			dx := b.Zeroed(0)
			dy.dev.backend.ScatterAdd(dx.Array(), dy.To(dx.DType()).Array(), b.Saved(0).Array(), width)
		})
	})
}
