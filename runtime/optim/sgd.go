package optim

import (
	"dpolab/kernels"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// SGDConfig has torch.optim.SGD's options.
type SGDConfig struct {
	LR          float64
	Momentum    float64
	Dampening   float64
	WeightDecay float64
	Nesterov    bool
}

// DefaultSGDConfig is plain gradient descent.
func DefaultSGDConfig(lr float64) SGDConfig { return SGDConfig{LR: lr} }

// SGD is stochastic gradient descent with optional momentum.
type SGD struct {
	base
	cfg SGDConfig
}

// NewSGD returns an SGD for params.
func NewSGD(params []nn.NamedParameter, cfg SGDConfig) *SGD {
	return &SGD{base: newBase(params, cfg.LR), cfg: cfg}
}

func (o *SGD) Name() string { return "SGD" }

func (o *SGD) Step(gradScale float64) {
	o.steps++
	o.each(func(np nn.NamedParameter, param, grad kernels.Array) {
		args := kernels.SGDArgs{LR: o.lr, Momentum: o.cfg.Momentum, Dampening: o.cfg.Dampening,
			WeightDecay: o.cfg.WeightDecay, Nesterov: o.cfg.Nesterov}
		var momentum kernels.Array
		if o.cfg.Momentum != 0 {
			t, fresh := o.slot("momentum_buffer", np)
			momentum, args.First = t.Array(), fresh
		}
		o.backend().SGD(param, grad, momentum, gradScale, args)
	})
}

func (o *SGD) Kinds() []string {
	if o.cfg.Momentum == 0 {
		return nil
	}
	return []string{"momentum_buffer"}
}

func (o *SGD) Restore(param, kind string) (*tensor.Tensor, error) {
	return o.restore(param, kind, o.Kinds())
}
