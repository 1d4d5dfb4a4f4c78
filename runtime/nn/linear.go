package nn

import "dpolab/runtime/tensor"

// Linear is torch.nn.Linear: y = x·Wᵀ + b with W stored [out, in].
type Linear struct {
	Unit
	Weight *Parameter
	Bias   *Parameter // nil without one
}

// NewLinear returns a Linear on meta.
func NewLinear(in, out int, bias bool) *Linear {
	l := &Linear{Unit: NewUnit("Linear")}
	l.Weight = l.AddParameter("weight", NewParameter(out, in))
	if bias {
		l.Bias = l.AddParameter("bias", NewParameter(out).InitConstant(0))
	}
	return l
}

// Forward maps [.., in] to [.., out].
func (l *Linear) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.Linear(x, l.Weight.Value, valueOf(l.Bias))
}

// Conv1D is the layer of that name in GPT-2: a Linear whose weight is stored
// [in, out].
type Conv1D struct {
	Unit
	Weight, Bias *Parameter
}

// NewConv1D returns a Conv1D on meta.
func NewConv1D(in, out int) *Conv1D {
	l := &Conv1D{Unit: NewUnit("Conv1D")}
	l.Weight = l.AddParameter("weight", NewParameter(in, out))
	l.Bias = l.AddParameter("bias", NewParameter(out).InitConstant(0))
	return l
}

// Forward maps [.., in] to [.., out].
func (l *Conv1D) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.Conv1D(x, l.Weight.Value, l.Bias.Value)
}

// valueOf is p.Value, nil for an absent parameter.
func valueOf(p *Parameter) *tensor.Tensor {
	if p == nil {
		return nil
	}
	return p.Value
}
