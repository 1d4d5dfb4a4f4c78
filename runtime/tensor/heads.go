package tensor

import (
	"fmt"

	"dpolab/kernels"
)

// HeadView says where attention heads are inside X, whose first axis is rows:
// element i of head h in row t is at Offset + t·Row + h·Head + i. Queries, keys
// and values can so be read where a fused projection left them.
type HeadView struct {
	X                 *Tensor
	Offset, Row, Head int
}

// HeadsOf views x, [T, H, d] or [T, H·d], as H heads side by side.
func HeadsOf(x *Tensor, numHeads int) HeadView {
	if len(x.shape) < 2 || numHeads < 1 || numel(x.shape[1:])%numHeads != 0 {
		fail("heads", fmt.Sprintf("[T, %d heads side by side]", numHeads), "shape %v", x.shape)
	}
	row := numel(x.shape[1:])
	return HeadView{X: x, Row: row, Head: row / numHeads}
}

// on lays the view over a tensor of X's shape: X itself or its gradient.
func (v HeadView) on(x *Tensor) kernels.Heads {
	return kernels.Heads{Array: from(x.Array(), v.Offset), Row: v.Row, Head: v.Head}
}

// check makes sure that the view stays inside X.
func (v HeadView) check(op string, rows, heads, dim int) {
	requireFloat(op, v.X)
	if rows < 0 || heads < 1 || dim < 1 {
		fail(op, "0 or more rows of at least one head of one element", "%d rows of %d heads of %d", rows, heads, dim)
	}
	if v.Offset < 0 || v.Row < 0 || v.Head < 0 {
		fail(op, "an offset and strides of 0 or more", "offset %d, strides %d and %d", v.Offset, v.Row, v.Head)
	}
	if rows == 0 {
		return
	}
	last := v.Offset + (rows-1)*v.Row + (heads-1)*v.Head + dim
	if last > v.X.Len() {
		fail(op, fmt.Sprintf("%d rows of %d heads of %d inside the tensor", rows, heads, dim), "shape %v, offset %d, strides %d and %d", v.X.shape, v.Offset, v.Row, v.Head)
	}
}

// gather copies the heads to a tensor [rows, heads, dim], with gradient: the
// way in for compositions.
func (v HeadView) gather(rows, heads, dim int) *Tensor {
	x := v.X
	y := Empty(x.dev, x.DType(), rows, heads, dim)
	shape := []int{rows, heads, dim}
	steps := []int{v.Row, v.Head, 1}
	x.dev.copyStrided(y.Array(), v.on(x).Array, shape, strides(shape), steps)
	return record("heads", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		e := b.n.inputs[0]
		dx := Zeros(dy.dev, e.dtype, e.shape...)
		dy.dev.copyStrided(v.on(dx).Array, dy.To(e.dtype).Array(), shape, steps, strides(shape))
		b.Give(0, dx)
	})
}
