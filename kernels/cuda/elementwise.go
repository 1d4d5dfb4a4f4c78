package cuda

import (
	"encoding/binary"
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

type fillArgs struct {
	y       array
	n       int64
	value   float32
	padding int32
}

type unaryArgs struct {
	y, x array
	n    int64
}

type unaryGradArgs struct {
	dx, dy, x array
	n         int64
}

type affineArgs struct {
	y, x     array
	n        int64
	mul, add float32
}

type swigluArgs struct {
	y, gate, up array
	n           int64
}

type swigluGradArgs struct {
	dgate, dup, dy, gate, up array
	n                        int64
}

type binaryArgs struct {
	y, a, b                 array
	n                       int64
	axes, padding           int32
	shape, aStride, bStride [8]int64
}

var unaryNames = [kernels.NumUnaryOps]string{
	kernels.Neg: "neg", kernels.Exp: "exp", kernels.Log: "log", kernels.Sqrt: "sqrt", kernels.Square: "square",
	kernels.Abs: "abs", kernels.Reciprocal: "reciprocal", kernels.ReLU: "relu", kernels.Sigmoid: "sigmoid",
	kernels.LogSigmoid: "log_sigmoid", kernels.Softplus: "softplus", kernels.Tanh: "tanh", kernels.SiLU: "silu",
	kernels.GELU: "gelu", kernels.GELUTanh: "gelu_tanh",
}

var binaryNames = [kernels.NumBinaryOps]string{
	kernels.Add: "add", kernels.Sub: "sub", kernels.Mul: "mul", kernels.Div: "div", kernels.Maximum: "maximum",
	kernels.Minimum: "minimum", kernels.Greater: "greater", kernels.Equal: "equal",
}

func (o *operations) Fill(dst kernels.Array, value float64) {
	if dst.DType == dtype.Int32 || dst.DType == dtype.Int64 {
		o.fillInts(dst, int64(value))
		return
	}
	line(o, "fill", dst.Len, vector, &fillArgs{y: operand("fill", dst), n: int64(dst.Len), value: float32(value)})
}

// fillInts copies one whole number, uploaded, to everywhere.
func (o *operations) fillInts(dst kernels.Array, value int64) {
	bits := binary.NativeEndian.AppendUint64(nil, uint64(value))
	if dst.DType == dtype.Int32 {
		bits = binary.NativeEndian.AppendUint32(nil, uint32(value))
	}
	one := kernels.Array{Data: o.scratch("fill", len(bits)), DType: dst.DType, Len: 1}
	defer o.on.Free(one.Data)
	o.on.Upload(one.Data, bits)
	o.CopyStrided(dst, one, []int{dst.Len}, []int{1}, []int{0})
}

func (o *operations) Copy(dst, src kernels.Array) {
	same("copy", dst, src)
	if dst.DType == src.DType {
		o.CopyStrided(dst, src, []int{dst.Len}, []int{1}, []int{1})
		return
	}
	args := &unaryArgs{n: int64(dst.Len)}
	if dst.DType.IsFloat() && src.DType.IsFloat() {
		args.y, args.x = operand("copy", dst), operand("copy", src)
		line(o, "convert", dst.Len, vector, args)
		return
	}
	args.y, args.x = anyOperand(dst), anyOperand(src)
	line(o, "convert_any", dst.Len, 1, args)
}

// anyOperand is operand with integers allowed.
func anyOperand(a kernels.Array) array {
	if a.DType == dtype.Int32 || a.DType == dtype.Int64 {
		return array{data: uintptr(a.Data), dtype: int32(a.DType)}
	}
	return operand("copy", a)
}

func (o *operations) Unary(op kernels.UnaryOp, dst, x kernels.Array) {
	same("unary", dst, x)
	line(o, "unary_"+unaryNames[op], dst.Len, vector, &unaryArgs{operand("unary", dst), operand("unary", x), int64(dst.Len)})
}

func (o *operations) UnaryGrad(op kernels.UnaryOp, dx, dy, x kernels.Array) {
	same("unary gradient", dx, dy, x)
	line(o, "unary_grad_"+unaryNames[op], dx.Len, vector,
		&unaryGradArgs{operand("unary gradient", dx), operand("unary gradient", dy), operand("unary gradient", x), int64(dx.Len)})
}

func (o *operations) Binary(op kernels.BinaryOp, dst, a, b kernels.Array, shape, aStride, bStride []int) {
	l := newLayout("binary", shape, aStride, bStride)
	n := l.size()
	line(o, "binary_"+binaryNames[op], n, vector, &binaryArgs{y: operand("binary", dst), a: operand("binary", a), b: operand("binary", b),
		n: int64(n), axes: int32(len(l.shape)), shape: axes(l.shape), aStride: axes(l.first), bStride: axes(l.second)})
}

func (o *operations) Affine(dst, x kernels.Array, mul, add float64) {
	same("affine", dst, x)
	line(o, "affine", dst.Len, vector, &affineArgs{operand("affine", dst), operand("affine", x), int64(dst.Len), float32(mul), float32(add)})
}

func (o *operations) AddScaled(dst kernels.Array, alpha float64, x kernels.Array) {
	same("add_scaled", dst, x)
	line(o, "add_scaled", dst.Len, vector, &affineArgs{operand("add_scaled", dst), operand("add_scaled", x), int64(dst.Len), float32(alpha), 0})
}

func (o *operations) SwiGLU(y, gate, up kernels.Array) {
	same("swiglu", y, gate, up)
	line(o, "swiglu", y.Len, vector, &swigluArgs{operand("swiglu", y), operand("swiglu", gate), operand("swiglu", up), int64(y.Len)})
}

func (o *operations) SwiGLUGrad(dgate, dup, dy, gate, up kernels.Array) {
	const op = "swiglu gradient"
	same(op, dgate, dup, dy, gate, up)
	line(o, "swiglu_grad", dy.Len, vector,
		&swigluGradArgs{operand(op, dgate), operand(op, dup), operand(op, dy), operand(op, gate), operand(op, up), int64(dy.Len)})
}

type sumPeersArgs struct {
	y            array
	n            int64
	count, dtype int32
	sources      [16]uintptr
}

// sumPeers queues dst = Σ srcs, in order, rounded once.
func (o *operations) sumPeers(dst kernels.Array, srcs []kernels.Array) {
	const op = "sum_peers"
	args := &sumPeersArgs{y: operand(op, dst), n: int64(dst.Len), count: int32(len(srcs))}
	if len(srcs) == 0 || len(srcs) > len(args.sources) {
		panic(&kernels.Error{Op: op, Err: fmt.Errorf("%d sources, want 1 to %d", len(srcs), len(args.sources))})
	}
	same(op, dst, srcs...)
	for i, s := range srcs {
		if s.DType != srcs[0].DType {
			panic(&kernels.Error{Op: op, Err: fmt.Errorf("sources of %s and %s", srcs[0].DType, s.DType)})
		}
		args.sources[i] = operand(op, s).data
	}
	args.dtype = operand(op, srcs[0]).dtype
	line(o, "sum_peers", dst.Len, vector, args)
}
