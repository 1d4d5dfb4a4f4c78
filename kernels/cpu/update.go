package cpu

// #include "cpu.h"
import "C"

import (
	"math"

	"dpolab/kernels"
)

// addr is the address of a piece of a list's float32 tensor, nil for an absent
// list.
func addr(op string, list []kernels.Array, p piece) *C.float {
	if list == nil {
		return nil
	}
	return floats(op, list[p.tensor].Slice(p.lo, p.hi))
}

func (b *Backend) AdamW(params, grads, expAvgs, expAvgSqs []kernels.Array, gradScale float64, o kernels.AdamWArgs) {
	const op = "adamw"
	sameLists(op, params, grads, expAvgs, expAvgSqs)
	u := C.update_args{lr: C.float(o.LR), b1: C.float(o.Beta1), b2: C.float(o.Beta2), eps: C.float(o.Eps), decay: C.float(1 - o.LR*o.WeightDecay), scale: C.float(gradScale),
		rest1: C.float(1 - o.Beta1), rest2: C.float(1 - o.Beta2), c1: C.float(1 - math.Pow(o.Beta1, float64(o.Step))), c2: C.float(math.Sqrt(1 - math.Pow(o.Beta2, float64(o.Step))))}
	b.overList(pieces(params), func(_ int, p piece) {
		C.call_adamw(b.ops, addr(op, params, p), addr(op, grads, p), addr(op, expAvgs, p), addr(op, expAvgSqs, p), C.int64_t(p.hi-p.lo), &u)
	})
}

func (b *Backend) RMSprop(params, grads, squareAvgs, momenta, gradAvgs []kernels.Array, gradScale float64, o kernels.RMSpropArgs) {
	const op = "rmsprop"
	sameLists(op, params, grads, squareAvgs, momenta, gradAvgs)
	u := C.update_args{lr: C.float(o.LR), b1: C.float(o.Alpha), rest1: C.float(1 - o.Alpha), eps: C.float(o.Eps), wd: C.float(o.WeightDecay), momentum: C.float(o.Momentum), scale: C.float(gradScale)}
	b.overList(pieces(params), func(_ int, p piece) {
		C.call_rmsprop(b.ops, addr(op, params, p), addr(op, grads, p), addr(op, squareAvgs, p), addr(op, momenta, p), addr(op, gradAvgs, p), C.int64_t(p.hi-p.lo), &u)
	})
}

func (b *Backend) SGD(params, grads, momenta []kernels.Array, gradScale float64, o kernels.SGDArgs) {
	const op = "sgd"
	sameLists(op, params, grads, momenta)
	u := C.update_args{lr: C.float(o.LR), momentum: C.float(o.Momentum), rest1: C.float(1 - o.Dampening), wd: C.float(o.WeightDecay), scale: C.float(gradScale),
		nesterov: C.int32_t(flag(o.Nesterov)), first: C.int32_t(flag(o.First))}
	b.overList(pieces(params), func(_ int, p piece) {
		C.call_sgd(b.ops, addr(op, params, p), addr(op, grads, p), addr(op, momenta, p), C.int64_t(p.hi-p.lo), &u)
	})
}
