package ref

import (
	"fmt"
	"math"

	"dpolab/kernels"
)

func (b *Backend) Fill(dst kernels.Array, value float64) {
	for i := range dst.Len {
		set(dst, i, value)
	}
}

func (b *Backend) Copy(dst, src kernels.Array) {
	if dst.DType == src.DType { // bit for bit: an int64 may not fit a float64
		copy(raw(dst), raw(src))
		return
	}
	store(dst, load(src))
}

// phi is the standard normal distribution function.
func phi(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// geluTanh returns the approximation's tanh and its argument's slope.
func geluTanh(x float64) (t, slope float64) {
	c := math.Sqrt(2 / math.Pi)
	return math.Tanh(c * (x + 0.044715*x*x*x)), c * (1 + 3*0.044715*x*x)
}

// unary holds each function with its derivative.
var unary = [kernels.NumUnaryOps]struct{ f, df func(x float64) float64 }{
	kernels.Neg:        {func(x float64) float64 { return -x }, func(x float64) float64 { return -1 }},
	kernels.Exp:        {math.Exp, math.Exp},
	kernels.Log:        {math.Log, func(x float64) float64 { return 1 / x }},
	kernels.Sqrt:       {math.Sqrt, func(x float64) float64 { return 0.5 / math.Sqrt(x) }},
	kernels.Square:     {func(x float64) float64 { return x * x }, func(x float64) float64 { return 2 * x }},
	kernels.Abs:        {math.Abs, sign},
	kernels.Reciprocal: {func(x float64) float64 { return 1 / x }, func(x float64) float64 { return -1 / (x * x) }},
	kernels.ReLU:       {relu, step},
	kernels.Sigmoid: {sigmoid, func(x float64) float64 {
		s := sigmoid(x)
		return s * (1 - s)
	}},
	kernels.LogSigmoid: {func(x float64) float64 { return -softplus(-x) }, func(x float64) float64 { return sigmoid(-x) }},
	kernels.Softplus:   {softplus, sigmoid},
	kernels.Tanh: {math.Tanh, func(x float64) float64 {
		t := math.Tanh(x)
		return 1 - t*t
	}},
	kernels.SiLU: {func(x float64) float64 { return x * sigmoid(x) }, func(x float64) float64 {
		s := sigmoid(x)
		return s * (1 + x*(1-s))
	}},
	kernels.GELU: {func(x float64) float64 { return x * phi(x) }, func(x float64) float64 {
		return phi(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	}},
	kernels.GELUTanh: {func(x float64) float64 {
		t, _ := geluTanh(x)
		return 0.5 * x * (1 + t)
	}, func(x float64) float64 {
		t, slope := geluTanh(x)
		return 0.5*(1+t) + 0.5*x*(1-t*t)*slope
	}},
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x // 0, or NaN
}

func relu(x float64) float64 {
	if x < 0 {
		return 0
	}
	return x
}

func step(x float64) float64 {
	if x > 0 {
		return 1
	}
	return 0
}

func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func (b *Backend) Unary(op kernels.UnaryOp, dst, x kernels.Array) {
	for i := range dst.Len {
		set(dst, i, unary[op].f(at(x, i)))
	}
}

func (b *Backend) UnaryGrad(op kernels.UnaryOp, dx, dy, x kernels.Array) {
	for i := range dx.Len {
		set(dx, i, at(dy, i)*unary[op].df(at(x, i)))
	}
}

func apply(op kernels.BinaryOp, x, y float64) float64 {
	switch op {
	case kernels.Add:
		return x + y
	case kernels.Sub:
		return x - y
	case kernels.Mul:
		return x * y
	case kernels.Div:
		return x / y
	case kernels.Maximum:
		return larger(x, y)
	case kernels.Minimum:
		return -larger(-x, -y)
	case kernels.Greater:
		return truth(x > y)
	case kernels.Equal:
		return truth(x == y)
	}
	panic(&kernels.Error{Op: "binary", Err: fmt.Errorf("no operation %d", op)})
}

// larger is the greater of two numbers, or NaN if either is: unlike math.Max,
// for which infinity wins over NaN.
func larger(x, y float64) float64 {
	if math.IsNaN(x) || math.IsNaN(y) {
		return math.NaN()
	}
	return math.Max(x, y)
}

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

func (b *Backend) Binary(op kernels.BinaryOp, dst, x, y kernels.Array, shape, xStride, yStride []int) {
	each(shape, func(i int, index []int) {
		set(dst, i, apply(op, at(x, dot(index, xStride)), at(y, dot(index, yStride))))
	})
}

func (b *Backend) Affine(dst, x kernels.Array, mul, add float64) {
	for i := range dst.Len {
		set(dst, i, at(x, i)*mul+add)
	}
}

func (b *Backend) AddScaled(dst kernels.Array, alpha float64, x kernels.Array) {
	for i := range dst.Len {
		set(dst, i, at(dst, i)+alpha*at(x, i))
	}
}

// each visits an index space in row-major order.
func each(shape []int, visit func(i int, index []int)) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	index := make([]int, len(shape))
	for i := range n {
		visit(i, index)
		for k := len(shape) - 1; k >= 0; k-- {
			if index[k]++; index[k] < shape[k] {
				break
			}
			index[k] = 0
		}
	}
}

func dot(index, stride []int) int {
	n := 0
	for k := range index {
		n += index[k] * stride[k]
	}
	return n
}
