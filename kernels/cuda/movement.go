package cuda

import (
	"fmt"

	"dpolab/kernels"
)

type copyStridedArgs struct {
	dst, src                    uintptr
	n                           int64
	axes, unit                  int32
	shape, dstStride, srcStride [8]int64
}

type transposeArgs struct {
	dst, src       uintptr
	rows, cols     int32
	dstRow, srcRow int64
	unit, padding  int32
}

type gatherArgs struct {
	dst, src, index, fault uintptr
	n, width, rows         int64
	unit, op               int32
}

type scatterArgs struct {
	dst, src           array
	index, next, fault uintptr
	n, width, rows     int64
	op, padding        int32
}

var (
	gatherFault  = faultOp("gather")
	scatterFault = faultOp("scatter_add")
)

// widest is the largest unit of 2 to 16 bytes, starting from an element's
// size, in which all of these are whole: lengths and strides in elements, and
// addresses.
func widest(size int, elements []int, addresses ...uintptr) int {
	unit := size
	for unit < 16 {
		for _, n := range elements {
			if n*size%(2*unit) != 0 {
				return unit
			}
		}
		for _, a := range addresses {
			if a%uintptr(2*unit) != 0 {
				return unit
			}
		}
		unit *= 2
	}
	return unit
}

func sameType(op string, a, b kernels.Array) {
	if a.DType != b.DType || a.DType.Size() == 0 {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%s and %s, want one type", a.DType, b.DType)})
	}
}

func (o *operations) CopyStrided(dst, src kernels.Array, shape, dstStride, srcStride []int) {
	sameType("copy_strided", dst, src)
	l := newLayout("copy_strided", shape, dstStride, srcStride)
	size, last := dst.DType.Size(), len(l.shape)-1
	to, from := uintptr(dst.Data), uintptr(src.Data)
	if last == 1 && l.first[1] == 1 && l.second[0] == 1 && min(l.shape[0], l.shape[1]) >= 16 {
		run(o, "transpose", [3]int{ceil(l.shape[0], 32), ceil(l.shape[1], 32), 1}, 256, 0, &transposeArgs{dst: to, src: from,
			rows: int32(l.shape[1]), cols: int32(l.shape[0]), dstRow: int64(l.first[0]), srcRow: int64(l.second[1]), unit: int32(size)})
		return
	}
	unit := size
	if l.first[last] == 1 && l.second[last] == 1 {
		elements := append([]int{l.shape[last]}, append(l.first[:last:last], l.second[:last]...)...)
		unit = widest(size, elements, to, from)
		many := unit / size
		l.shape[last] /= many
		for k := range last {
			l.first[k] /= many
			l.second[k] /= many
		}
	}
	n := l.size()
	line(o, "copy_strided", n, 1, &copyStridedArgs{dst: to, src: from, n: int64(n), axes: int32(len(l.shape)), unit: int32(unit),
		shape: axes(l.shape), dstStride: axes(l.first), srcStride: axes(l.second)})
}

func (o *operations) Gather(dst, src, index kernels.Array, width int) {
	sameType("gather", dst, src)
	if width == 0 {
		return
	}
	to, from := uintptr(dst.Data), uintptr(src.Data)
	unit := widest(dst.DType.Size(), []int{width}, to, from)
	units := width * dst.DType.Size() / unit
	line(o, "gather", index.Len*units, 1, &gatherArgs{dst: to, src: from, index: ints("gather", index), fault: o.fault,
		n: int64(index.Len), width: int64(units), rows: int64(src.Len / width), unit: int32(unit), op: gatherFault})
}

func (o *operations) ScatterAdd(dst, src, index kernels.Array, width int) {
	const op = "scatter_add"
	if width == 0 || index.Len == 0 {
		return
	}
	if index.Len >= 0x3fffffff {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d rows, want fewer than %d", index.Len, 0x3fffffff)})
	}
	next := o.scratch(op, 4*index.Len)
	defer o.on.Free(next)
	args := &scatterArgs{dst: operand(op, dst), src: operand(op, src), index: ints(op, index), next: uintptr(next), fault: o.fault,
		n: int64(index.Len), width: int64(width), rows: int64(dst.Len / width), op: scatterFault}
	line(o, "scatter_plan", index.Len, 1, args)
	run(o, "scatter_add", [3]int{index.Len, ceil(width, 256*vector), 1}, threadsFor(width, 256), 0, args)
}
