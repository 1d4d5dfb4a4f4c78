package optim

import (
	"dpolab/kernels"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// RMSpropConfig has torch.optim.RMSprop's options.
type RMSpropConfig struct {
	LR          float64
	Alpha       float64 // smoothing constant of the squared gradient's average
	Eps         float64
	WeightDecay float64
	Momentum    float64
	Centered    bool // divide by the variance rather than the second moment
}

// DefaultRMSpropConfig has PyTorch's defaults: alpha 0.99, eps 1e-8, no
// momentum, no decay. The reference finds it about as good as Adam for DPO at
// half the state.
func DefaultRMSpropConfig(lr float64) RMSpropConfig {
	return RMSpropConfig{LR: lr, Alpha: 0.99, Eps: 1e-8}
}

// RMSprop divides each gradient by a running root mean square of itself
// (Tieleman and Hinton 2012; eps outside the root, as in PyTorch).
type RMSprop struct {
	base
	cfg RMSpropConfig
}

// NewRMSprop returns an RMSprop for params.
func NewRMSprop(params []nn.NamedParameter, cfg RMSpropConfig) *RMSprop {
	return &RMSprop{base: newBase(params, cfg.LR), cfg: cfg}
}

func (o *RMSprop) Name() string { return "RMSprop" }

func (o *RMSprop) Step(gradScale float64) {
	o.steps++
	args := kernels.RMSpropArgs{LR: o.lr, Alpha: o.cfg.Alpha, Eps: o.cfg.Eps,
		WeightDecay: o.cfg.WeightDecay, Momentum: o.cfg.Momentum}
	l := o.due()
	if len(l.names) == 0 {
		return
	}
	var momenta, means []kernels.Array
	squares := o.slots("square_avg", l)
	if o.cfg.Momentum > 0 {
		momenta = o.slots("momentum_buffer", l)
	}
	if o.cfg.Centered {
		means = o.slots("grad_avg", l)
	}
	o.backend().RMSprop(l.params, l.grads, squares, momenta, means, gradScale, args)
}

func (o *RMSprop) Kinds() []string {
	kinds := []string{"square_avg"}
	if o.cfg.Momentum > 0 {
		kinds = append(kinds, "momentum_buffer")
	}
	if o.cfg.Centered {
		kinds = append(kinds, "grad_avg")
	}
	return kinds
}

func (o *RMSprop) Restore(param, kind string) (*tensor.Tensor, error) {
	return o.restore(param, kind, o.Kinds())
}
