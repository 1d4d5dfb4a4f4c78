package kernels

// UnaryOp is an elementwise function of one operand.
type UnaryOp uint8

const (
	Neg UnaryOp = iota
	Exp
	Log
	Sqrt
	Square
	Abs
	Reciprocal
	ReLU
	Sigmoid
	LogSigmoid // min(x,0) - log1p(exp(-|x|))
	Softplus   // max(x,0) + log1p(exp(-|x|))
	Tanh
	SiLU     // x * sigmoid(x)
	GELU     // x * Phi(x), by erf: GPT-NeoX
	GELUTanh // the tanh approximation "gelu_new": GPT-2
	NumUnaryOps
)

// BinaryOp is an elementwise function of two operands.
type BinaryOp uint8

const (
	Add BinaryOp = iota
	Sub
	Mul
	Div
	Maximum
	Minimum
	Greater // 1 where a > b, else 0
	Equal   // 1 where a == b, else 0
	NumBinaryOps
)

// ReduceOp is a reduction along one axis.
type ReduceOp uint8

const (
	Sum ReduceOp = iota
	Max
	Min
	NumReduceOps
)

// Elementwise operations. dst may be the same memory as an operand of the same
// type.
type Elementwise interface {
	Fill(dst Array, value float64)
	// Copy stores src into dst, converting the type where they differ
	// (integers too).
	Copy(dst, src Array)
	Unary(op UnaryOp, dst, x Array)
	// UnaryGrad stores dy * op'(x). ReLU and Abs have slope 0 at 0.
	UnaryGrad(op UnaryOp, dx, dy, x Array)
	// Binary stores op(a, b) over the index space shape, row-major in dst;
	// aStride and bStride give each operand's element stride per axis, 0 where
	// it is broadcast.
	Binary(op BinaryOp, dst, a, b Array, shape, aStride, bStride []int)
	// Affine stores x*mul + add.
	Affine(dst, x Array, mul, add float64)
	// AddScaled adds alpha*x to dst.
	AddScaled(dst Array, alpha float64, x Array)
}

// Movement operations copy elements without changing them; dst and src share a
// type.
type Movement interface {
	// CopyStrided copies element by element over the index space shape between
	// two strided layouts (strides in elements): permute, slice, concatenate
	// and broadcast are all cases of it.
	CopyStrided(dst, src Array, shape, dstStride, srcStride []int)
	// Gather copies row index[i] of src, width elements long, to row i of dst.
	// An index out of range panics.
	Gather(dst, src, index Array, width int)
	// ScatterAdd adds row i of src to row index[i] of dst. The order in which
	// equal indices are added is fixed, so the result is deterministic.
	ScatterAdd(dst, src, index Array, width int)
}

// Reductions along axes of a row-major array.
type Reductions interface {
	// Reduce sees src as [outer, mid, inner] and reduces mid: dst is
	// [outer, inner].
	Reduce(op ReduceOp, dst, src Array, outer, mid, inner int)
	// SumSquares returns the sum of the squares of a list of tensors in float64,
	// waiting for the device once. It is NaN or infinite exactly when an element
	// is, so it doubles as the check for overflow.
	SumSquares(xs []Array) float64
	// Softmax normalises each of rows rows of cols elements; with log it
	// stores log-softmax.
	Softmax(dst, x Array, rows, cols int, log bool)
	// SoftmaxGrad turns the gradient dy of y = softmax(x) into dx.
	SoftmaxGrad(dx, dy, y Array, rows, cols int, log bool)
}

// GemmArgs describes C = alpha·op(A)·op(B) + beta·C + bias for row-major
// matrices: op(A) is [M, K], op(B) is [K, N], C is [M, N], and op transposes
// when the flag is set. LDA, LDB, LDC are the element distances between stored
// rows. Bias, if present, has N elements and is added to every row. With
// Batch > 1 the product is repeated at the given element strides.
//
// beta = 0 means that C is not read, so it may hold anything, NaN included.
type GemmArgs struct {
	TransA, TransB            bool
	M, N, K                   int
	A, B, C, Bias             Array
	LDA, LDB, LDC             int
	Alpha, Beta               float64
	Batch                     int
	StrideA, StrideB, StrideC int
}

// Products are the matrix products. A, B and C may differ in type; elements
// are widened on the way in, products are summed in float32.
type Products interface {
	Gemm(args *GemmArgs)
}

// AdamWArgs are the scalars of one AdamW step (arXiv 1711.05101), named as in
// torch.optim.AdamW. Step counts from 1.
type AdamWArgs struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Step                               int
}

// RMSpropArgs are the scalars of one RMSprop step, named as in
// torch.optim.RMSprop.
type RMSpropArgs struct {
	LR, Alpha, Eps, WeightDecay, Momentum float64
}

// SGDArgs are the scalars of one SGD step, named as in torch.optim.SGD. First
// marks the step that fills the momentum buffers.
type SGDArgs struct {
	LR, Momentum, Dampening, WeightDecay float64
	Nesterov, First                      bool
}

// Updates are the optimizers' inner loops: one pass over parameters, gradients
// and state, all float32 (float64 on ref). Each call takes a whole model, as
// lists in which element i belongs to parameter i: a model has hundreds of
// small tensors, and one launch, or one division among threads, serves them
// all. Gradients are multiplied by gradScale first, which is how clipping and
// loss scaling cost no pass of their own. Formulas and order of operations are
// PyTorch's.
type Updates interface {
	AdamW(params, grads, expAvgs, expAvgSqs []Array, gradScale float64, args AdamWArgs)
	// RMSprop: momenta and gradAvgs may be nil; gradAvgs present means centered.
	RMSprop(params, grads, squareAvgs, momenta, gradAvgs []Array, gradScale float64, args RMSpropArgs)
	// SGD: momenta may be nil.
	SGD(params, grads, momenta []Array, gradScale float64, args SGDArgs)
}
