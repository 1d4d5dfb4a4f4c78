package cpu

// #include "cpu.h"
import "C"

import (
	"fmt"

	"dpolab/kernels"
)

// maxHeadDim is the largest head the kernels' row buffers take.
const maxHeadDim = 512

func cheads(h kernels.Heads) C.heads {
	return C.heads{x: ctype(h.Array), row: C.int64_t(h.Row), head: C.int64_t(h.Head)}
}

func checkHead(op string, dim int) {
	if dim > maxHeadDim {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("heads of %d elements, want at most %d", dim, maxHeadDim)})
	}
}

func (b *Backend) Rotary(y, x kernels.Heads, args *kernels.RotaryArgs) { b.rotary(y, x, args, 0) }

func (b *Backend) RotaryGrad(dx, dy kernels.Heads, args *kernels.RotaryArgs) {
	b.rotary(dx, dy, args, 1)
}

func (b *Backend) rotary(y, x kernels.Heads, args *kernels.RotaryArgs, grad C.int) {
	checkHead("rotary", args.HeadDim)
	if args.Dim > 0 {
		checkIndices("rotary", indices("rotary", args.Positions), args.Cos.Len/(args.Dim/2))
	}
	b.parallel(args.Rows, max(1, grain/max(args.NumHeads*args.HeadDim, 1)), func(lo, hi int) {
		C.call_rotary(b.ops, cheads(y), cheads(x), ctype(args.Cos), ctype(args.Sin), ints("rotary", args.Positions),
			C.int64_t(lo), C.int64_t(hi), C.int64_t(args.NumHeads), C.int64_t(args.HeadDim), C.int64_t(args.Dim), grad)
	})
}
