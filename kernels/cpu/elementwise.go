package cpu

// #include "cpu.h"
import "C"

import (
	"fmt"

	"dpolab/kernels"
)

// grain is the least number of elements worth a thread of its own.
const grain = 1 << 14

func (b *Backend) Fill(dst kernels.Array, value float64) {
	b.parallel(dst.Len, 4*grain, func(lo, hi int) {
		C.call_fill(b.ops, part(dst, lo, hi), C.double(value), C.int64_t(hi-lo))
	})
}

func (b *Backend) Copy(dst, src kernels.Array) {
	same("copy", dst, src)
	b.parallel(dst.Len, grain, func(lo, hi int) {
		C.call_convert(b.ops, part(dst, lo, hi), part(src, lo, hi), C.int64_t(hi-lo))
	})
}

// same checks that operands of an elementwise operation have one length.
func same(op string, a kernels.Array, others ...kernels.Array) {
	for _, o := range others {
		if o.Len != a.Len {
			panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d elements against %d", a.Len, o.Len)})
		}
	}
}

func (b *Backend) Unary(op kernels.UnaryOp, dst, x kernels.Array) {
	same("unary", dst, x)
	b.parallel(dst.Len, grain, func(lo, hi int) {
		C.call_unary(b.ops, C.int(op), part(dst, lo, hi), part(x, lo, hi), C.int64_t(hi-lo))
	})
}

func (b *Backend) UnaryGrad(op kernels.UnaryOp, dx, dy, x kernels.Array) {
	same("unary gradient", dx, dy, x)
	b.parallel(dx.Len, grain, func(lo, hi int) {
		C.call_unary_grad(b.ops, C.int(op), part(dx, lo, hi), part(dy, lo, hi), part(x, lo, hi), C.int64_t(hi-lo))
	})
}

func (b *Backend) Affine(dst, x kernels.Array, mul, add float64) {
	same("affine", dst, x)
	b.parallel(dst.Len, grain, func(lo, hi int) {
		C.call_affine(b.ops, part(dst, lo, hi), part(x, lo, hi), C.float(mul), C.float(add), C.int64_t(hi-lo))
	})
}

func (b *Backend) AddScaled(dst kernels.Array, alpha float64, x kernels.Array) {
	same("add_scaled", dst, x)
	b.parallel(dst.Len, grain, func(lo, hi int) {
		C.call_add_scaled(b.ops, part(dst, lo, hi), C.float(alpha), part(x, lo, hi), C.int64_t(hi-lo))
	})
}

// Binary walks the outer axes in Go and hands C runs in which each operand is
// either contiguous or one repeated element.
func (b *Backend) Binary(op kernels.BinaryOp, dst, x, y kernels.Array, shape, xStride, yStride []int) {
	shape, xStride, yStride = merge(shape, xStride, yStride)
	last := len(shape) - 1
	if last < 0 {
		shape, xStride, yStride, last = []int{1}, []int{0}, []int{0}, 0
	}
	run, sx, sy := shape[last], xStride[last], yStride[last]
	if sx > 1 || sy > 1 { // a strided innermost axis: one element at a time
		shape, xStride, yStride = append(shape, 1), append(xStride, 0), append(yStride, 0)
		last, run, sx, sy = last+1, 1, 0, 0
	}
	rows := 1
	for _, d := range shape[:last] {
		rows *= d
	}
	if rows*run == 0 {
		return
	}
	if rows == 1 {
		b.parallel(run, grain, func(lo, hi int) {
			C.call_binary(b.ops, C.int(op), part(dst, lo, hi), ctype(x.Slice(lo*sx, x.Len)), ctype(y.Slice(lo*sy, y.Len)),
				C.int64_t(hi-lo), C.int(sx), C.int(sy))
		})
		return
	}
	b.parallel(rows, max(1, grain/run), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at, ox, oy := r, 0, 0
			for k := last - 1; k >= 0; k-- {
				i := at % shape[k]
				at /= shape[k]
				ox += i * xStride[k]
				oy += i * yStride[k]
			}
			C.call_binary(b.ops, C.int(op), part(dst, r*run, (r+1)*run), ctype(x.Slice(ox, x.Len)), ctype(y.Slice(oy, y.Len)),
				C.int64_t(run), C.int(sx), C.int(sy))
		}
	})
}

// merge drops axes of size 1 and joins neighbouring axes that both operands
// step through evenly, so that runs are as long as they can be.
func merge(shape, x, y []int) (s, sx, sy []int) {
	for k, d := range shape {
		if d == 1 {
			continue
		}
		if n := len(s) - 1; n >= 0 && sx[n] == x[k]*d && sy[n] == y[k]*d {
			s[n], sx[n], sy[n] = s[n]*d, x[k], y[k]
			continue
		}
		s, sx, sy = append(s, d), append(sx, x[k]), append(sy, y[k])
	}
	return s, sx, sy
}

func (b *Backend) SwiGLU(y, gate, up kernels.Array) {
	same("swiglu", y, gate, up)
	b.parallel(y.Len, grain, func(lo, hi int) {
		C.call_swiglu(b.ops, part(y, lo, hi), part(gate, lo, hi), part(up, lo, hi), C.int64_t(hi-lo))
	})
}

func (b *Backend) SwiGLUGrad(dgate, dup, dy, gate, up kernels.Array) {
	same("swiglu gradient", dgate, dup, dy, gate, up)
	b.parallel(dy.Len, grain, func(lo, hi int) {
		C.call_swiglu_grad(b.ops, part(dgate, lo, hi), part(dup, lo, hi), part(dy, lo, hi), part(gate, lo, hi), part(up, lo, hi), C.int64_t(hi-lo))
	})
}
