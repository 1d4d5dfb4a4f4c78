package cuda

import (
	"math"

	"dpolab/kernels"
)

type adamwArgs struct {
	param, expAvg, expAvgSq, grad                             uintptr
	n                                                         int64
	gradScale, beta2, lerp, square, keep, stepSize, root, eps float32
}

type rmspropArgs struct {
	param, squareAvg, momentum, gradAvg, grad  uintptr
	n                                          int64
	gradScale, lr, alpha, rest, eps, decay, mu float32
	padding                                    int32
}

type sgdArgs struct {
	param, momentum, grad              uintptr
	n                                  int64
	gradScale, lr, mu, undamped, decay float32
	nesterov, first, padding           int32
}

func (o *operations) AdamW(param, grad, expAvg, expAvgSq kernels.Array, gradScale float64, a kernels.AdamWArgs) {
	const op = "adamw"
	same(op, param, grad, expAvg, expAvgSq)
	step := float64(a.Step)
	line(o, op, param.Len, 4, &adamwArgs{param: floats(op, param), expAvg: floats(op, expAvg), expAvgSq: floats(op, expAvgSq), grad: floats(op, grad),
		n: int64(param.Len), gradScale: float32(gradScale), beta2: float32(a.Beta2), lerp: float32(1 - a.Beta1), square: float32(1 - a.Beta2),
		keep: float32(1 - a.LR*a.WeightDecay), stepSize: float32(a.LR / (1 - math.Pow(a.Beta1, step))),
		root: float32(math.Sqrt(1 - math.Pow(a.Beta2, step))), eps: float32(a.Eps)})
}

func (o *operations) RMSprop(param, grad, squareAvg, momentum, gradAvg kernels.Array, gradScale float64, a kernels.RMSpropArgs) {
	const op = "rmsprop"
	same(op, param, grad, squareAvg)
	line(o, op, param.Len, 4, &rmspropArgs{param: floats(op, param), squareAvg: floats(op, squareAvg), momentum: floats(op, momentum),
		gradAvg: floats(op, gradAvg), grad: floats(op, grad), n: int64(param.Len), gradScale: float32(gradScale), lr: float32(a.LR),
		alpha: float32(a.Alpha), rest: float32(1 - a.Alpha), eps: float32(a.Eps), decay: float32(a.WeightDecay), mu: float32(a.Momentum)})
}

func (o *operations) SGD(param, grad, momentum kernels.Array, gradScale float64, a kernels.SGDArgs) {
	const op = "sgd"
	same(op, param, grad)
	line(o, op, param.Len, 4, &sgdArgs{param: floats(op, param), momentum: floats(op, momentum), grad: floats(op, grad), n: int64(param.Len),
		gradScale: float32(gradScale), lr: float32(a.LR), mu: float32(a.Momentum), undamped: float32(1 - a.Dampening), decay: float32(a.WeightDecay),
		nesterov: flag(a.Nesterov), first: flag(a.First)})
}
