package gradcheck_test

import (
	"errors"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/tensor"
	"dpolab/runtime/tensor/gradcheck"
)

func TestCheck(t *testing.T) {
	dev := tensor.OpenOn(ref.New(device.Device{Type: device.Ref}))
	inputs := func() []*tensor.Tensor {
		return []*tensor.Tensor{tensor.FromFloat64(dev, []float64{0.5, -1, 2}), tensor.FromFloat64(dev, []float64{1.5, 3, -0.25})}
	}
	type fn = func(in []*tensor.Tensor) *tensor.Tensor
	for _, c := range []struct {
		name string
		fn   fn
		want string // part of the error; empty for none
	}{
		{"right", func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Mul(in[1]) }, ""},
		{"an input without a part in the result", func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Square() }, ""},
		{"part of the gradient missing", func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Detach().Mul(in[0]) },
			"input 0, element 0: analytic"},
		{"wrong in the second input alone", func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Add(in[1]).Add(in[1].Detach()) },
			"input 1, element 0: analytic"},
		{"no gradient at all", func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Detach() }, "requires a gradient"},
		{"misuse", func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Reshape(7) }, "reshape: want"},
	} {
		in := inputs()
		err := gradcheck.Check(c.fn, in, gradcheck.DefaultOptions())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
		if v := in[0].Float64s(); v[0] != 0.5 || v[2] != 2 {
			t.Errorf("%s: the input was left changed: %v", c.name, v)
		}
		if in[0].Grad() != nil {
			t.Errorf("%s: the input was left with a gradient", c.name)
		}
	}
	if err := gradcheck.Check(func(in []*tensor.Tensor) *tensor.Tensor { return in[0] },
		[]*tensor.Tensor{tensor.Zeros(dev, dtype.Float32, 2)}, gradcheck.DefaultOptions()); err == nil {
		t.Error("a float32 input was accepted")
	}
	if err := gradcheck.Check(nil, nil, gradcheck.DefaultOptions()); err == nil {
		t.Error("no inputs were accepted")
	}
	var misuse *tensor.Error
	err := gradcheck.Check(func(in []*tensor.Tensor) *tensor.Tensor { return in[0].Index(9) }, inputs(), gradcheck.DefaultOptions())
	if !errors.As(err, &misuse) {
		t.Errorf("misuse came back as %T", err)
	}
}
