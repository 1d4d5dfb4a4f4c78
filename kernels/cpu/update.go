package cpu

// #include "cpu.h"
import "C"

import (
	"math"

	"dpolab/kernels"
)

// addr is the address of element lo of a float32 array, nil for an absent one.
func addr(op string, a kernels.Array, lo int) *C.float {
	if a.IsNil() {
		return nil
	}
	return floats(op, a.Slice(lo, a.Len))
}

func (b *Backend) AdamW(param, grad, expAvg, expAvgSq kernels.Array, gradScale float64, o kernels.AdamWArgs) {
	u := C.update_args{lr: C.float(o.LR), b1: C.float(o.Beta1), b2: C.float(o.Beta2), eps: C.float(o.Eps), decay: C.float(1 - o.LR*o.WeightDecay), scale: C.float(gradScale),
		rest1: C.float(1 - o.Beta1), rest2: C.float(1 - o.Beta2), c1: C.float(1 - math.Pow(o.Beta1, float64(o.Step))), c2: C.float(math.Sqrt(1 - math.Pow(o.Beta2, float64(o.Step))))}
	b.parallel(param.Len, grain, func(lo, hi int) {
		C.call_adamw(b.ops, addr("AdamW", param, lo), addr("AdamW", grad, lo), addr("AdamW", expAvg, lo), addr("AdamW", expAvgSq, lo), C.int64_t(hi-lo), &u)
	})
}

func (b *Backend) RMSprop(param, grad, squareAvg, momentum, gradAvg kernels.Array, gradScale float64, o kernels.RMSpropArgs) {
	u := C.update_args{lr: C.float(o.LR), b1: C.float(o.Alpha), rest1: C.float(1 - o.Alpha), eps: C.float(o.Eps), wd: C.float(o.WeightDecay), momentum: C.float(o.Momentum), scale: C.float(gradScale)}
	b.parallel(param.Len, grain, func(lo, hi int) {
		C.call_rmsprop(b.ops, addr("RMSprop", param, lo), addr("RMSprop", grad, lo), addr("RMSprop", squareAvg, lo), addr("RMSprop", momentum, lo), addr("RMSprop", gradAvg, lo), C.int64_t(hi-lo), &u)
	})
}

func (b *Backend) SGD(param, grad, momentum kernels.Array, gradScale float64, o kernels.SGDArgs) {
	u := C.update_args{lr: C.float(o.LR), momentum: C.float(o.Momentum), rest1: C.float(1 - o.Dampening), wd: C.float(o.WeightDecay), scale: C.float(gradScale),
		nesterov: C.int32_t(flag(o.Nesterov)), first: C.int32_t(flag(o.First))}
	b.parallel(param.Len, grain, func(lo, hi int) {
		C.call_sgd(b.ops, addr("SGD", param, lo), addr("SGD", grad, lo), addr("SGD", momentum, lo), C.int64_t(hi-lo), &u)
	})
}
