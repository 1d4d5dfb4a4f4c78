package cpu

// #include "cpu.h"
import "C"

import (
	"fmt"

	"dpolab/kernels"
)

var _ kernels.Lists = (*Backend)(nil)

// piece is elements [lo, hi) of one tensor of a list.
type piece struct{ tensor, lo, hi int }

// listPiece is how many elements of a tensor are one task. It is fixed, so that
// results are the same for any number of threads.
const listPiece = 1 << 16

// pieces cuts the tensors of a list, in order.
func pieces(list []kernels.Array) []piece {
	out := make([]piece, 0, len(list))
	for t, a := range list {
		for lo := 0; lo < a.Len; lo += listPiece {
			out = append(out, piece{t, lo, min(lo+listPiece, a.Len)})
		}
	}
	return out
}

// overList runs fn over the pieces of a list, which the threads share: one
// fork for a whole model, however small its tensors are.
func (b *Backend) overList(list []piece, fn func(i int, p piece)) {
	n := 0
	for _, p := range list {
		n += p.hi - p.lo
	}
	if n <= grain {
		for i, p := range list {
			fn(i, p)
		}
		return
	}
	b.tasks(len(list), func(i int) { fn(i, list[i]) })
}

// sameLists checks that lists that belong together, where they are given, have
// the lengths of the first, tensor by tensor.
func sameLists(op string, first []kernels.Array, others ...[]kernels.Array) {
	for _, o := range others {
		if o == nil {
			continue
		}
		if len(o) != len(first) {
			panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d tensors against %d", len(first), len(o))})
		}
		for i := range first {
			same(op, first[i], o[i])
		}
	}
}

func (b *Backend) CopyAll(dsts, srcs []kernels.Array) {
	sameLists("copy", dsts, srcs)
	b.overList(pieces(dsts), func(_ int, p piece) {
		C.call_convert(b.ops, part(dsts[p.tensor], p.lo, p.hi), part(srcs[p.tensor], p.lo, p.hi), C.int64_t(p.hi-p.lo))
	})
}

func (b *Backend) AddScaledAll(dsts []kernels.Array, alpha float64, xs []kernels.Array) {
	sameLists("add_scaled", dsts, xs)
	b.overList(pieces(dsts), func(_ int, p piece) {
		C.call_add_scaled(b.ops, part(dsts[p.tensor], p.lo, p.hi), C.float(alpha), part(xs[p.tensor], p.lo, p.hi), C.int64_t(p.hi-p.lo))
	})
}
