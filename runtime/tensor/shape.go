package tensor

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// copyStrided is the kernel for index spaces that may be empty.
func (d *Device) copyStrided(dst, src kernels.Array, shape, dstStride, srcStride []int) {
	if numel(shape) > 0 {
		d.backend.CopyStrided(dst, src, shape, dstStride, srcStride)
	}
}

// from returns a without its first elements; of a shorter one, nothing.
func from(a kernels.Array, start int) kernels.Array { return a.Slice(min(start, a.Len), a.Len) }

// Reshape returns a view of x with other sizes and as many elements; one size
// may be -1 and is computed.
func (x *Tensor) Reshape(shape ...int) *Tensor {
	shape = append([]int(nil), shape...)
	free, known := -1, 1
	for i, d := range shape {
		switch {
		case d == -1 && free < 0:
			free = i
		case d < 0:
			fail("reshape", "sizes of 0 or more and at most one -1", "%v", shape)
		default:
			known *= d
		}
	}
	if free >= 0 {
		if known == 0 || x.Len()%known != 0 {
			fail("reshape", fmt.Sprintf("a shape of %d elements", x.Len()), "%v", shape)
		}
		shape[free] = x.Len() / known
	}
	if numel(shape) != x.Len() {
		fail("reshape", fmt.Sprintf("a shape of %d elements", x.Len()), "%v", shape)
	}
	old := x.shape
	return record("reshape", x.view(x.offset, shape), []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		b.Give(0, dy.Reshape(old...))
	})
}

// Transpose swaps two axes, copying.
func (x *Tensor) Transpose(i, j int) *Tensor {
	i, _, _, _ = x.axis("transpose", i)
	j, _, _, _ = x.axis("transpose", j)
	perm := make([]int, len(x.shape))
	for k := range perm {
		perm[k] = k
	}
	perm[i], perm[j] = j, i
	return x.Permute(perm...)
}

// Permute reorders the axes, copying: axis k of the result is axis perm[k] of
// x.
func (x *Tensor) Permute(perm ...int) *Tensor {
	n := len(x.shape)
	inverse := make([]int, n)
	seen := make([]bool, n)
	if len(perm) != n {
		fail("permute", fmt.Sprintf("%d axes", n), "%v", perm)
	}
	own := strides(x.shape)
	shape, src := make([]int, n), make([]int, n)
	for k, p := range perm {
		if p < 0 || p >= n || seen[p] {
			fail("permute", "each axis once", "%v", perm)
		}
		seen[p] = true
		inverse[p], shape[k], src[k] = k, x.shape[p], own[p]
	}
	y := Empty(x.dev, x.DType(), shape...)
	x.dev.copyStrided(y.Array(), x.Array(), shape, strides(shape), src)
	return record("permute", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		b.Give(0, dy.Permute(inverse...))
	})
}

// Narrow returns elements [start, start+length) along axis d: a view where
// they lie together in memory, as along axis 0, else a copy.
func (x *Tensor) Narrow(d, start, length int) *Tensor {
	d, outer, mid, inner := x.axis("narrow", d)
	if start < 0 || length < 0 || start+length > mid {
		fail("narrow", fmt.Sprintf("a range within axis %d of shape %v", d, x.shape), "[%d, %d)", start, start+length)
	}
	shape := append([]int(nil), x.shape...)
	shape[d] = length
	var y *Tensor
	if outer == 1 {
		y = x.view(x.offset+start*inner, shape)
	} else {
		y = Empty(x.dev, x.DType(), shape...)
		x.dev.copyStrided(y.Array(), from(x.Array(), start*inner),
			[]int{outer, length * inner}, []int{length * inner, 1}, []int{mid * inner, 1})
	}
	return record("narrow", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) {
		be := dy.dev.backend
		if outer == 1 {
			dx := b.Zeroed(0)
			be.AddScaled(dx.Array().Slice(start*inner, (start+length)*inner), 1, dy.Array())
			return
		}
		dx, fresh := b.Into(0)
		whole := dx
		if !fresh {
			whole = Empty(dy.dev, dx.DType(), dx.shape...)
		}
		be.Fill(whole.Array(), 0)
		dy.dev.copyStrided(from(whole.Array(), start*inner), dy.To(whole.DType()).Array(),
			[]int{outer, length * inner}, []int{mid * inner, 1}, []int{length * inner, 1})
		if !fresh {
			be.AddScaled(dx.Array(), 1, whole.Array())
		}
	})
}

// Index returns entry i along axis 0, which disappears; negative i counts from
// the end.
func (x *Tensor) Index(i int) *Tensor {
	if len(x.shape) == 0 {
		fail("index", "at least one axis", "a scalar")
	}
	if i < 0 {
		i += x.shape[0]
	}
	return x.dev.Scope(func() *Tensor { return x.Narrow(0, i, 1).Reshape(x.shape[1:]...) })
}

// Cat joins tensors of one type along axis d, in which alone they may differ.
func Cat(d int, xs []*Tensor) *Tensor {
	if len(xs) == 0 {
		fail("cat", "at least one tensor", "none")
	}
	first := xs[0]
	d, outer, _, inner := first.axis("cat", d)
	shape := append([]int(nil), first.shape...)
	shape[d] = 0
	for _, x := range xs {
		requireDevice("cat", first, x)
		want := append([]int(nil), first.shape...)
		requireDims("cat", x, len(want))
		want[d] = x.shape[d]
		requireShape("cat", x, want...)
		if x.DType() != first.DType() {
			fail("cat", first.DType().String(), "%s", x.DType())
		}
		shape[d] += x.shape[d]
	}
	y := Empty(first.dev, first.DType(), shape...)
	row := shape[d] * inner
	starts := make([]int, len(xs))
	at := 0
	for i, x := range xs {
		starts[i] = at
		n := x.shape[d] * inner
		first.dev.copyStrided(from(y.Array(), at*inner), x.Array(), []int{outer, n}, []int{row, 1}, []int{n, 1})
		at += x.shape[d]
	}
	return record("cat", y, xs, nil, func(b *Backward, dy *Tensor) {
		for i := range xs {
			if b.Needs(i) {
				b.Give(i, dy.Narrow(d, starts[i], b.n.inputs[i].shape[d]))
			}
		}
	})
}

// Stack joins tensors of one shape along a new axis d.
func Stack(d int, xs []*Tensor) *Tensor {
	if len(xs) == 0 {
		fail("stack", "at least one tensor", "none")
	}
	first := xs[0]
	if d < 0 {
		d += len(first.shape) + 1
	}
	if d < 0 || d > len(first.shape) {
		fail("stack", fmt.Sprintf("an axis from 0 to %d", len(first.shape)), "%d", d)
	}
	return first.dev.Scope(func() *Tensor {
		lifted := make([]*Tensor, len(xs))
		for i, x := range xs {
			requireShape("stack", x, first.shape...)
			shape := append(append(append([]int(nil), x.shape[:d]...), 1), x.shape[d:]...)
			lifted[i] = x.Reshape(shape...)
		}
		return Cat(d, lifted)
	})
}

// To returns x converted to another type; x itself if it has it. Gradients
// pass between floating types.
func (x *Tensor) To(dt dtype.DType) *Tensor {
	if x.DType() == dt {
		return x
	}
	y := Empty(x.dev, dt, x.shape...)
	x.dev.backend.Copy(y.Array(), x.Array())
	return record("to", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) { b.Give(0, dy) })
}

// Clone returns a copy.
func (x *Tensor) Clone() *Tensor {
	y := Empty(x.dev, x.DType(), x.shape...)
	x.dev.backend.Copy(y.Array(), x.Array())
	return record("clone", y, []*Tensor{x}, nil, func(b *Backward, dy *Tensor) { b.Give(0, dy) })
}
