package optim

import (
	"dpolab/kernels"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// AdamWConfig has torch.optim.AdamW's options.
type AdamWConfig struct {
	LR           float64
	Beta1, Beta2 float64
	Eps          float64
	WeightDecay  float64 // decoupled from the gradient
}

// DefaultAdamWConfig has PyTorch's defaults: betas 0.9 and 0.999, eps 1e-8,
// weight decay 0.01.
func DefaultAdamWConfig(lr float64) AdamWConfig {
	return AdamWConfig{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.01}
}

// AdamW is Adam with decoupled weight decay (arXiv 1711.05101).
type AdamW struct {
	base
	cfg  AdamWConfig
	name string
}

// NewAdamW returns an AdamW for params.
func NewAdamW(params []nn.NamedParameter, cfg AdamWConfig) *AdamW {
	return &AdamW{base: newBase(params, cfg.LR), cfg: cfg, name: "AdamW"}
}

func (o *AdamW) Name() string { return o.name }

func (o *AdamW) Step(gradScale float64) {
	o.steps++
	args := kernels.AdamWArgs{LR: o.lr, Beta1: o.cfg.Beta1, Beta2: o.cfg.Beta2, Eps: o.cfg.Eps,
		WeightDecay: o.cfg.WeightDecay, Step: o.steps}
	if l := o.due(); len(l.names) > 0 {
		o.backend().AdamW(l.params, l.grads, o.slots("exp_avg", l), o.slots("exp_avg_sq", l), gradScale, args)
	}
}

func (o *AdamW) Kinds() []string { return []string{"exp_avg", "exp_avg_sq"} }

func (o *AdamW) Restore(param, kind string) (*tensor.Tensor, error) {
	return o.restore(param, kind, o.Kinds())
}
