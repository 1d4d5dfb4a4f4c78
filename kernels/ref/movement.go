package ref

import (
	"fmt"
	"unsafe"

	"dpolab/kernels"
)

func (b *Backend) CopyStrided(dst, src kernels.Array, shape, dstStride, srcStride []int) {
	size := dst.DType.Size()
	each(shape, func(_ int, index []int) {
		to := unsafe.Add(dst.Data, dot(index, dstStride)*size)
		from := unsafe.Add(src.Data, dot(index, srcStride)*size)
		copy(unsafe.Slice((*byte)(to), size), unsafe.Slice((*byte)(from), size))
	})
}

// row checks one index into the rows of a table.
func row(op string, i, rows int) int {
	if i < 0 || i >= rows {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("index %d of %d rows", i, rows)})
	}
	return i
}

func (b *Backend) Gather(dst, src, index kernels.Array, width int) {
	for i, r := range indices(index) {
		r = row("gather", r, src.Len/max(width, 1))
		b.Copy(dst.Slice(i*width, (i+1)*width), src.Slice(r*width, (r+1)*width))
	}
}

func (b *Backend) ScatterAdd(dst, src, index kernels.Array, width int) {
	sums := load(dst) // one rounding, after all additions
	for i, r := range indices(index) {
		r = row("scatter_add", r, dst.Len/max(width, 1))
		for j := range width {
			sums[r*width+j] += at(src, i*width+j)
		}
	}
	store(dst, sums)
}
