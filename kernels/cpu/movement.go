package cpu

// #include "cpu.h"
import "C"

import (
	"sort"
	"unsafe"

	"dpolab/kernels"
)

func (b *Backend) CopyStrided(dst, src kernels.Array, shape, dstStride, srcStride []int) {
	shape, to, from := merge(shape, dstStride, srcStride)
	size := dst.DType.Size()
	run := 1
	if n := len(shape) - 1; n >= 0 && to[n] == 1 && from[n] == 1 {
		run = shape[n]
		shape, to, from = shape[:n], to[:n], from[:n]
	}
	rows := 1
	for _, d := range shape {
		rows *= d
	}
	b.parallel(rows, max(1, grain/max(run, 1)), func(lo, hi int) {
		index := make([]int, len(shape))
		at := lo
		d, s := 0, 0
		for k := len(shape) - 1; k >= 0; k-- {
			index[k] = at % shape[k]
			at /= shape[k]
			d += index[k] * to[k]
			s += index[k] * from[k]
		}
		for r := lo; r < hi; r++ {
			move(unsafe.Add(dst.Data, d*size), unsafe.Add(src.Data, s*size), size, run)
			for k := len(shape) - 1; k >= 0; k-- {
				d += to[k]
				s += from[k]
				if index[k]++; index[k] < shape[k] {
					break
				}
				d -= shape[k] * to[k]
				s -= shape[k] * from[k]
				index[k] = 0
			}
		}
	})
}

// move copies a run of elements.
func move(dst, src unsafe.Pointer, size, run int) {
	if run == 1 {
		switch size {
		case 2:
			*(*uint16)(dst) = *(*uint16)(src)
		case 4:
			*(*uint32)(dst) = *(*uint32)(src)
		case 8:
			*(*uint64)(dst) = *(*uint64)(src)
		}
		return
	}
	copy(unsafe.Slice((*byte)(dst), run*size), unsafe.Slice((*byte)(src), run*size))
}

func (b *Backend) Gather(dst, src, index kernels.Array, width int) {
	rows := indices("gather", index)
	if width == 0 {
		return
	}
	checkIndices("gather", rows, src.Len/width)
	size := width * src.DType.Size()
	b.parallel(len(rows), max(1, grain/width), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			move(unsafe.Add(dst.Data, i*size), unsafe.Add(src.Data, int(rows[i])*size), 1, size)
		}
	})
}

// ScatterAdd sorts the rows by their index, so that each destination row is
// summed by one thread, in order, and rounded once.
func (b *Backend) ScatterAdd(dst, src, index kernels.Array, width int) {
	rows := indices("scatter_add", index)
	if width == 0 || len(rows) == 0 {
		return
	}
	checkIndices("scatter_add", rows, dst.Len/width)
	order := make([]int32, len(rows))
	for i := range order {
		order[i] = int32(i)
	}
	sort.SliceStable(order, func(i, j int) bool { return rows[order[i]] < rows[order[j]] })
	b.parallel(len(order), max(1, grain/width), func(lo, hi int) {
		// A range begins and ends where the index changes.
		for lo > 0 && lo < len(order) && rows[order[lo]] == rows[order[lo-1]] {
			lo++
		}
		for hi > 0 && hi < len(order) && rows[order[hi]] == rows[order[hi-1]] {
			hi++
		}
		if lo < hi {
			C.call_scatter_add(b.ops, ctype(dst), ctype(src), ints("scatter_add", index), (*C.int32_t)(unsafe.Pointer(&order[0])),
				C.int64_t(lo), C.int64_t(hi), C.int64_t(width))
		}
	})
}
