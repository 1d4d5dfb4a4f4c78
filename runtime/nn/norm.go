package nn

import "dpolab/runtime/tensor"

// LayerNorm is torch.nn.LayerNorm over the last axis (arXiv 1607.06450).
type LayerNorm struct {
	Unit
	Weight, Bias *Parameter
	eps          float64
}

// NewLayerNorm returns a LayerNorm on meta.
func NewLayerNorm(dim int, eps float64) *LayerNorm {
	l := &LayerNorm{Unit: NewUnit("LayerNorm"), eps: eps}
	l.Weight = l.AddParameter("weight", NewParameter(dim).InitConstant(1))
	l.Bias = l.AddParameter("bias", NewParameter(dim).InitConstant(0))
	return l
}

// Forward normalises [.., D]; statistics are float32 whatever the type.
func (l *LayerNorm) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.LayerNorm(x, l.Weight.Value, l.Bias.Value, l.eps)
}

// ForwardSum returns sum = x + r and the norm of it: a residual connection and
// the norm behind it, which is one kernel.
func (l *LayerNorm) ForwardSum(x, r *tensor.Tensor) (sum, y *tensor.Tensor) {
	return tensor.AddLayerNorm(x, r, l.Weight.Value, l.Bias.Value, l.eps)
}

// RMSNorm divides by the root mean square instead (arXiv 1910.07467).
type RMSNorm struct {
	Unit
	Weight *Parameter
	eps    float64
}

// NewRMSNorm returns an RMSNorm on meta. class is the name transformers gives
// the layer in the architecture at hand, such as "LlamaRMSNorm".
func NewRMSNorm(class string, dim int, eps float64) *RMSNorm {
	l := &RMSNorm{Unit: NewUnit(class), eps: eps}
	l.Weight = l.AddParameter("weight", NewParameter(dim).InitConstant(1))
	return l
}

// Forward normalises [.., D]; statistics are float32 whatever the type.
func (l *RMSNorm) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.RMSNorm(x, l.Weight.Value, l.eps)
}

// ForwardSum returns sum = x + r and the norm of it, as LayerNorm's does.
func (l *RMSNorm) ForwardSum(x, r *tensor.Tensor) (sum, y *tensor.Tensor) {
	return tensor.AddRMSNorm(x, r, l.Weight.Value, l.eps)
}
