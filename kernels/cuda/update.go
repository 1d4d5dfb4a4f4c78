package cuda

import (
	"math"

	"dpolab/kernels"
)

type adamwArgs struct {
	tensors                                                   uintptr
	count, padding                                            int32
	gradScale, beta2, lerp, square, keep, stepSize, root, eps float32
}

type rmspropArgs struct {
	tensors                                    uintptr
	count                                      int32
	gradScale, lr, alpha, rest, eps, decay, mu float32
}

type sgdArgs struct {
	tensors                            uintptr
	count, nesterov, first             int32
	gradScale, lr, mu, undamped, decay float32
}

func (o *operations) AdamW(params, grads, expAvgs, expAvgSqs []kernels.Array, gradScale float64, a kernels.AdamWArgs) {
	const op = "adamw"
	rows, blocks := updates(op, params, grads, expAvgs, expAvgSqs)
	if blocks == 0 {
		return
	}
	tensors := table(o, op, rows)
	defer o.on.Free(tensors)
	step := float64(a.Step)
	run(o, op, [3]int{blocks, 1, 1}, 256, 0, &adamwArgs{tensors: uintptr(tensors), count: int32(len(rows)),
		gradScale: float32(gradScale), beta2: float32(a.Beta2), lerp: float32(1 - a.Beta1), square: float32(1 - a.Beta2),
		keep: float32(1 - a.LR*a.WeightDecay), stepSize: float32(a.LR / (1 - math.Pow(a.Beta1, step))),
		root: float32(math.Sqrt(1 - math.Pow(a.Beta2, step))), eps: float32(a.Eps)})
}

func (o *operations) RMSprop(params, grads, squareAvgs, momenta, gradAvgs []kernels.Array, gradScale float64, a kernels.RMSpropArgs) {
	const op = "rmsprop"
	rows, blocks := updates(op, params, grads, squareAvgs, momenta, gradAvgs)
	if blocks == 0 {
		return
	}
	tensors := table(o, op, rows)
	defer o.on.Free(tensors)
	run(o, op, [3]int{blocks, 1, 1}, 256, 0, &rmspropArgs{tensors: uintptr(tensors), count: int32(len(rows)),
		gradScale: float32(gradScale), lr: float32(a.LR), alpha: float32(a.Alpha), rest: float32(1 - a.Alpha), eps: float32(a.Eps),
		decay: float32(a.WeightDecay), mu: float32(a.Momentum)})
}

func (o *operations) SGD(params, grads, momenta []kernels.Array, gradScale float64, a kernels.SGDArgs) {
	const op = "sgd"
	rows, blocks := updates(op, params, grads, momenta)
	if blocks == 0 {
		return
	}
	tensors := table(o, op, rows)
	defer o.on.Free(tensors)
	run(o, op, [3]int{blocks, 1, 1}, 256, 0, &sgdArgs{tensors: uintptr(tensors), count: int32(len(rows)), nesterov: flag(a.Nesterov), first: flag(a.First),
		gradScale: float32(gradScale), lr: float32(a.LR), mu: float32(a.Momentum), undamped: float32(1 - a.Dampening), decay: float32(a.WeightDecay)})
}
