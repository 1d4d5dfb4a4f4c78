package kerneltest

import (
	"fmt"
	"math"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// special are inputs at which elementary functions go wrong first.
var special = []float64{0, 1e-30, -1e-30, 1e-4, -1e-4, 0.5, -0.5, 0.9999, 1, -1, 1.001, 2.5, -2.5, 4.3, -4.3, 9, -9, 20, -20, 60, -60, 80, -80, 100, -100,
	math.Inf(1), math.Inf(-1), math.NaN()}

// finite leaves the infinities and NaN out: what the slope of x·sigmoid(x) is
// at infinity is anybody's choice.
var finite = special[:len(special)-3]

// unaryTolerance is a function's accuracy in float32 roundings; x are the
// operands.
func unaryTolerance(op kernels.UnaryOp, x []float64) Tolerance {
	switch op {
	case kernels.Neg, kernels.Abs, kernels.ReLU:
		return exact
	case kernels.Sqrt, kernels.Square, kernels.Reciprocal:
		return rounded(1)
	case kernels.GELU, kernels.GELUTanh:
		return roundedOf(8, x) // x·(1 + erf x), which cancels for x < 0
	}
	return rounded(8)
}

// slopeTolerance allows for slopes that are differences of numbers near 1, or
// near x for the functions with a factor of x.
func slopeTolerance(op kernels.UnaryOp, x, dy []float64) Tolerance {
	switch op {
	case kernels.Neg, kernels.Abs, kernels.ReLU:
		return exact
	case kernels.Exp, kernels.Log, kernels.Sqrt, kernels.Square, kernels.Reciprocal, kernels.LogSigmoid, kernels.Softplus:
		return rounded(8)
	}
	of := make([]float64, len(x))
	for i := range of {
		of[i] = dy[i] * (1 + math.Min(math.Abs(x[i]), 10)) // beyond 10 all are flat
	}
	return roundedOf(16, of)
}

func elementwiseCases() []Case {
	var out []Case
	for op := range kernels.NumUnaryOps {
		for _, p := range palettes() {
			out = append(out, Case{Name: fmt.Sprintf("unary/%d/%s", op, p), Run: func(x *Rig) { unary(x, op, p) }})
		}
	}
	for op := range kernels.NumBinaryOps {
		for _, p := range palettes() {
			out = append(out, Case{Name: fmt.Sprintf("binary/%d/%s", op, p), Run: func(x *Rig) { binary(x, op, p) }})
		}
	}
	for _, p := range palettes() {
		out = append(out, Case{Name: "affine, add_scaled/" + p.String(), Run: func(x *Rig) {
			for _, n := range sizesOf(p) {
				in, y := x.Normal(p.at(0), n), x.Empty(p.at(1), n)
				v := x.Read(in)
				x.Affine(y, in, -1.5, 0.25)
				x.Result("affine", y, roundedOf(4, magnitudes(v, constant(n, 0.25))))
				dst := x.Normal(p.at(2), n)
				of := magnitudes(v, x.Read(dst))
				x.AddScaled(dst, 0.75, in)
				x.Result("add_scaled", dst, roundedOf(4, of))
				if p.pure() {
					x.Affine(in, in, 1.0/3, -7)
					x.Result("affine in place", in, roundedOf(4, magnitudes(v, constant(n, 7))))
				}
			}
		}})
	}
	for _, dt := range allTypes {
		values := []float64{1.0 / 3, 0, -1e-7, math.Inf(-1), math.NaN()}
		if !dt.IsFloat() {
			values = []float64{0, -3, 1<<24 + 1}
		}
		out = append(out, Case{Name: "fill/" + dt.String(), Run: func(x *Rig) {
			for _, n := range sizes {
				for _, v := range values {
					y := x.Empty(dt, n)
					x.Fill(y, v)
					x.Result(fmt.Sprint(v), y, exact)
				}
			}
		}})
	}
	return out
}

func constant(n int, v float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func unary(x *Rig, op kernels.UnaryOp, p palette) {
	input := func(n int) kernels.Array {
		in := x.Empty(p.at(0), n)
		positive := op == kernels.Log || op == kernels.Sqrt
		x.Set(in, func(int) float64 {
			if v := x.rng.NormFloat64(); !positive || v > 0 {
				return 2 * v
			} else {
				return -2 * v
			}
		})
		return in
	}
	for _, n := range sizesOf(p) {
		in, y := input(n), x.Empty(p.at(1), n)
		v := x.Read(in)
		x.Unary(op, y, in)
		x.Result("y", y, unaryTolerance(op, v))
		dy, dx := x.Normal(p.at(1), n), x.Empty(p.at(2), n)
		g := x.Read(dy)
		x.UnaryGrad(op, dx, dy, in)
		x.Result("dx", dx, slopeTolerance(op, v, g))
		if p.pure() && n > 0 {
			x.UnaryGrad(op, dy, dy, in)
			x.Result("dx over dy", dy, slopeTolerance(op, v, g))
			dy2 := x.Normal(p.at(1), n)
			g = x.Read(dy2)
			same := x.Values(p.at(0), v...)
			x.UnaryGrad(op, same, dy2, same)
			x.Result("dx over x", same, slopeTolerance(op, v, g))
			x.Unary(op, in, in)
			x.Result("y over x", in, unaryTolerance(op, v))
		}
	}
	in, y := x.Values(p.at(0), special...), x.Empty(p.at(1), len(special))
	x.Unary(op, y, in)
	x.Result("at special values", y, unaryTolerance(op, x.Read(in)))
	in, y = x.Values(p.at(0), finite...), x.Empty(p.at(1), len(finite))
	dy := x.Normal(p.at(2), len(finite))
	x.UnaryGrad(op, y, dy, in)
	x.Result("slope at special values", y, slopeTolerance(op, x.Read(in), x.Read(dy)))
}

// broadcast gives the strides of two operands.
type broadcast struct {
	name string
	a, b []int
}

// broadcasts are ways to lay operands over [3, 65, cols].
func broadcasts(cols int) []broadcast {
	full, row := []int{65 * cols, cols, 1}, []int{0, 0, 1}
	return []broadcast{
		{"same", full, full},
		{"row", full, row},
		{"column", []int{0, cols, 1}, []int{65 * cols, 0, 0}},
		{"scalar", []int{0, 0, 0}, full},
		{"both", []int{cols, 0, 1}, []int{0, cols, 1}},
		{"two scalars", []int{0, 0, 0}, []int{0, 0, 0}},
		{"transposed", []int{1, 3, 195}, full},
	}
}

func binary(x *Rig, op kernels.BinaryOp, p palette) {
	cols := 30
	if p.pure() {
		cols = 300 // worth three threads
	}
	shape, layouts := []int{3, 65, cols}, broadcasts(cols)
	n := 3 * 65 * cols
	a, b := x.Normal(p.at(1), n), x.Normal(p.at(2), n)
	va, vb := x.Read(a), x.Read(b)
	tolerance := func(sa, sb []int) Tolerance {
		switch op {
		case kernels.Add, kernels.Sub:
			of := make([]float64, n)
			eachIndex(shape, func(i int, at []int) { of[i] = math.Abs(va[dot(at, sa)]) + math.Abs(vb[dot(at, sb)]) })
			return roundedOf(1, of)
		case kernels.Mul, kernels.Div:
			return rounded(2)
		}
		return Tolerance{} // picked, then rounded to another type
	}
	for _, s := range layouts {
		y := x.Empty(p.at(0), n)
		x.Binary(op, y, a, b, shape, s.a, s.b)
		x.Result(s.name, y, tolerance(s.a, s.b))
	}
	flat := []int{n}
	y := x.Empty(p.at(0), 1)
	x.Binary(op, y, a.Slice(5, 6), b.Slice(7, 8), nil, nil, nil)
	x.Result("no axes", y, rounded(16))
	x.Binary(op, x.Empty(p.at(0), 0), a, b, []int{4, 0}, []int{1, 1}, []int{1, 1})
	for _, n := range sizes[1 : len(sizes)-1] {
		y := x.Empty(p.at(0), n)
		x.Binary(op, y, a, b, []int{n}, []int{1}, []int{1})
		x.Result(fmt.Sprint(n), y, Tolerance{Roundings: 1, Of: magnitudes(va[:n], vb[:n], quotients(va[:n], vb[:n]))})
	}
	bad := []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN()}
	y = x.Empty(p.at(0), len(bad)*len(bad))
	x.Binary(op, y, x.Values(p.at(1), bad...), x.Values(p.at(2), bad...), []int{len(bad), len(bad)}, []int{1, 0}, []int{0, 1})
	x.Result("special values", y, exact)
	if p.pure() {
		row := layouts[1]
		x.Binary(op, a, a, b, shape, row.a, row.b)
		x.Result("over a", a, tolerance(row.a, row.b))
		va = x.Read(a)
		x.Binary(op, b, a, b, flat, []int{1}, []int{1})
		x.Result("over b", b, Tolerance{Roundings: 2, Of: magnitudes(va, vb, quotients(va, vb))})
	}
}

func quotients(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		if q := a[i] / b[i]; !math.IsNaN(q) && !math.IsInf(q, 0) {
			out[i] = q
		}
	}
	return out
}

// eachIndex visits an index space in row-major order.
func eachIndex(shape []int, visit func(i int, at []int)) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	at := make([]int, len(shape))
	for i := range n {
		rest := i
		for k := len(shape) - 1; k >= 0; k-- {
			at[k] = rest % shape[k]
			rest /= shape[k]
		}
		visit(i, at)
	}
}

func dot(a, b []int) int {
	n := 0
	for k := range a {
		n += a[k] * b[k]
	}
	return n
}

// copyCases convert between all types.
func copyCases() []Case {
	var out []Case
	for _, from := range allTypes {
		for _, to := range allTypes {
			out = append(out, Case{Name: fmt.Sprintf("copy/%s to %s", from, to), Run: func(x *Rig) {
				for _, n := range sizes {
					src, dst := x.Empty(from, n), x.Empty(to, n)
					x.Set(src, func(i int) float64 { return math.Trunc(100 * x.rng.NormFloat64()) })
					x.Copy(dst, src)
					x.Result(fmt.Sprint(n), dst, exact)
				}
				if from.IsFloat() && to.IsFloat() {
					src := patterns(x, from)
					dst := x.Empty(to, src.Len)
					x.Copy(dst, src)
					x.Result("bit patterns", dst, exact)
				}
				if from == dtype.Int64 && to == dtype.Int64 {
					src, dst := x.Empty(from, 2), x.Empty(to, 2)
					x.setBytes(src, []byte{1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8})
					x.Copy(dst, src)
					if a, b := x.download(src), x.download(dst); string(a) != string(b) {
						x.t.Errorf("%s: copied % x, got % x", x.name, a, b)
					}
				}
			}})
		}
	}
	return out
}

// patterns allocates every bit pattern of a 16-bit type; of float32, all that
// lie around the points where 16-bit types round, and many at random.
func patterns(x *Rig, dt dtype.DType) kernels.Array {
	var buf []byte
	if dt != dtype.Float32 {
		for i := range 1 << 16 {
			buf = append(buf, byte(i), byte(i>>8))
		}
	} else {
		add := func(v uint32) { buf = append(buf, byte(v), byte(v>>8), byte(v>>16), byte(v>>24)) }
		for h := range uint32(1 << 16) {
			add(h<<16 | 0x7fff + x.rng.Uint32N(3)) // about bfloat16's ties
			f := math.Float32bits(dtype.Float32FromFloat16(uint16(h)))
			add(f + 0xfff + x.rng.Uint32N(3)) // about float16's
			add(x.rng.Uint32())
		}
		for e := range uint32(256) { // subnormal float16s tie elsewhere
			for _, m := range []uint32{0, 1, 0x400000, 0x3fffff, 0x400001, 0x200000, 0x600000, 0x7fffff} {
				add(e<<23 | m)
				add(1<<31 | e<<23 | m)
			}
		}
	}
	a := x.Empty(dt, len(buf)/dt.Size())
	x.setBytes(a, buf)
	return a
}
