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
	args := kernels.SGDArgs{LR: o.lr, Momentum: o.cfg.Momentum, Dampening: o.cfg.Dampening,
		WeightDecay: o.cfg.WeightDecay, Nesterov: o.cfg.Nesterov}
	l := o.due()
	if len(l.names) == 0 {
		return
	}
	if o.cfg.Momentum == 0 {
		o.backend().SGD(l.params, l.grads, nil, gradScale, args)
		return
	}
	// A buffer's first step fills it. That is every buffer's first step unless a
	// gradient reaches a parameter later than the others.
	var known, fresh batch
	for _, np := range l.names {
		if _, isNew := o.slot("momentum_buffer", np); isNew {
			fresh.add(np)
		} else {
			known.add(np)
		}
	}
	for _, some := range []*batch{&known, &fresh} {
		if args.First = some == &fresh; len(some.names) > 0 {
			o.backend().SGD(some.params, some.grads, o.slots("momentum_buffer", some), gradScale, args)
		}
	}
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
