package tensor

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// Linear returns x·weightᵀ + bias, torch.nn.Linear: x is [.., in], weight
// [out, in], bias [out] or nil, the result [.., out] in x's type. Products are
// summed in float32 and rounded once.
func Linear(x, weight, bias *Tensor) *Tensor {
	return linear("linear", x, weight, bias, x.DType(), true)
}

// Conv1D returns x·weight + bias, GPT-2's layer of that name: as Linear, with
// weight stored [in, out].
func Conv1D(x, weight, bias *Tensor) *Tensor {
	return linear("conv1d", x, weight, bias, x.DType(), false)
}

func linear(name string, x, weight, bias *Tensor, result dtype.DType, transposed bool) *Tensor {
	requireFloat(name, x)
	requireFloat(name+" weight", weight)
	requireDims(name, weight, 2)
	requireDevice(name, x, weight, bias)
	in, out := weight.shape[0], weight.shape[1]
	if transposed {
		in, out = out, in
	}
	if len(x.shape) == 0 || x.shape[len(x.shape)-1] != in {
		fail(name, fmt.Sprintf("x of shape [.., %d] for a weight of shape %v", in, weight.shape), "%v", x.shape)
	}
	args := kernels.GemmArgs{TransB: transposed, M: numel(x.shape[:len(x.shape)-1]), N: out, K: in,
		LDA: in, LDB: weight.shape[1], LDC: out, Alpha: 1, Batch: 1}
	if bias != nil {
		requireFloat(name+" bias", bias)
		requireShape(name+" bias", bias, out)
		args.Bias = bias.Array()
	}
	y := Empty(x.dev, result, append(append([]int(nil), x.shape[:len(x.shape)-1]...), out)...)
	args.A, args.B, args.C = x.Array(), weight.Array(), y.Array()
	x.dev.backend.Gemm(&args)
	rows, ldb := args.M, args.LDB
	return record(name, y, []*Tensor{x, weight, bias}, []*Tensor{keepFor(x, weight), keepFor(weight, x)}, func(b *Backward, dy *Tensor) {
		be := dy.dev.backend
		x, w := b.Saved(0), b.Saved(1)
		if b.Needs(0) { // dx = dy·op(weight)ᵀ
			dx, fresh := b.Into(0)
			be.Gemm(&kernels.GemmArgs{TransB: !transposed, M: rows, N: in, K: out,
				A: dy.Array(), B: w.Array(), C: dx.Array(), LDA: out, LDB: ldb, LDC: in,
				Alpha: 1, Beta: betaFor(fresh), Batch: 1})
		}
		if b.Needs(1) { // dw = dyᵀ·x, or xᵀ·dy when stored [in, out]
			dw, fresh := b.Into(1)
			g := kernels.GemmArgs{TransA: true, M: in, N: out, K: rows,
				A: x.Array(), B: dy.Array(), LDA: in, LDB: out, LDC: out}
			if transposed {
				g = kernels.GemmArgs{TransA: true, M: out, N: in, K: rows,
					A: dy.Array(), B: x.Array(), LDA: out, LDB: in, LDC: in}
			}
			g.C, g.Alpha, g.Beta, g.Batch = dw.Array(), 1, betaFor(fresh), 1
			be.Gemm(&g)
		}
		if b.Needs(2) {
			_, dt := b.slot(2)
			db := Empty(dy.dev, promote(dy.DType(), dt), out)
			be.Reduce(kernels.Sum, db.Array(), dy.Array(), 1, rows, out)
			b.Give(2, db)
		}
	})
}

// betaFor is the factor of a gradient's old contents.
func betaFor(fresh bool) float64 {
	if fresh {
		return 0
	}
	return 1
}

// MatMul returns the matrix product of [.., m, k] and [.., k, n]. The leading
// axes must be equal, or absent on the right.
func (x *Tensor) MatMul(y *Tensor) *Tensor {
	requireFloat("matmul", x)
	requireFloat("matmul", y)
	requireDevice("matmul", x, y)
	if len(x.shape) < 2 || len(y.shape) < 2 {
		fail("matmul", "at least two axes each", "%v and %v", x.shape, y.shape)
	}
	xl, yl := len(x.shape)-2, len(y.shape)-2
	m, k, n := x.shape[xl], x.shape[xl+1], y.shape[yl+1]
	if yl == 0 {
		if y.shape[0] != k {
			fail("matmul", fmt.Sprintf("[%d, n] on the right of %v", k, x.shape), "%v", y.shape)
		}
		return linear("matmul", x, y, nil, promote(x.DType(), y.DType()), false)
	}
	if y.shape[yl] != k || !sameShape(x.shape[:xl], y.shape[:yl]) {
		fail("matmul", "shapes [.., m, k] and [.., k, n]", "%v and %v", x.shape, y.shape)
	}
	batch := numel(x.shape[:xl])
	z := Empty(x.dev, promote(x.DType(), y.DType()), append(append([]int(nil), x.shape[:xl+1]...), n)...)
	x.dev.backend.Gemm(&kernels.GemmArgs{M: m, N: n, K: k, A: x.Array(), B: y.Array(), C: z.Array(),
		LDA: k, LDB: n, LDC: n, Alpha: 1, Batch: batch, StrideA: m * k, StrideB: k * n, StrideC: m * n})
	return record("matmul", z, []*Tensor{x, y}, []*Tensor{keepFor(x, y), keepFor(y, x)}, func(b *Backward, dz *Tensor) {
		x, y := b.Saved(0), b.Saved(1)
		if b.Needs(0) {
			dx, fresh := b.Into(0)
			dz.dev.backend.Gemm(&kernels.GemmArgs{TransB: true, M: m, N: k, K: n, A: dz.Array(), B: y.Array(), C: dx.Array(),
				LDA: n, LDB: n, LDC: k, Alpha: 1, Beta: betaFor(fresh), Batch: batch, StrideA: m * n, StrideB: k * n, StrideC: m * k})
		}
		if b.Needs(1) {
			dy, fresh := b.Into(1)
			dz.dev.backend.Gemm(&kernels.GemmArgs{TransA: true, M: k, N: n, K: m, A: x.Array(), B: dz.Array(), C: dy.Array(),
				LDA: k, LDB: n, LDC: n, Alpha: 1, Beta: betaFor(fresh), Batch: batch, StrideA: m * k, StrideB: m * n, StrideC: k * n})
		}
	})
}
