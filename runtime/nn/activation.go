package nn

import (
	"fmt"
	"sort"

	"dpolab/runtime/tensor"
)

// Activation is an elementwise function of a feed-forward layer.
type Activation func(x *tensor.Tensor) *tensor.Tensor

// activations are transformers' names (hidden_act, activation_function).
var activations = map[string]Activation{
	"gelu":              (*tensor.Tensor).GELU,
	"gelu_new":          (*tensor.Tensor).GELUTanh,
	"gelu_fast":         (*tensor.Tensor).GELUTanh,
	"gelu_pytorch_tanh": (*tensor.Tensor).GELUTanh,
	"relu":              (*tensor.Tensor).ReLU,
	"silu":              (*tensor.Tensor).SiLU,
	"swish":             (*tensor.Tensor).SiLU,
	"sigmoid":           (*tensor.Tensor).Sigmoid,
	"tanh":              (*tensor.Tensor).Tanh,
}

// ActivationByName returns the function that transformers calls name.
func ActivationByName(name string) (Activation, error) {
	if f, ok := activations[name]; ok {
		return f, nil
	}
	var have []string
	for n := range activations {
		have = append(have, n)
	}
	sort.Strings(have)
	return nil, fmt.Errorf("nn: unknown activation %q, want one of %v", name, have)
}
