package cpu_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// product16 is a product of two bfloat16 matrices to try. A[i,k] and B[k,j] are
// functions of the other index and the step.
type product16 struct {
	m, n, k     int
	ta, tb      bool
	alpha, beta float64
	bias        bool
	c           dtype.DType
	a, b        func(i, p int) float64
}

// operands are what a product was given: float32 values, and those as bfloat16.
type operands struct{ a, b, a16, b16 []float64 }

// run computes the product, with C 2 and the bias 3 everywhere.
func (g product16) run(t *testing.T, b *cpu.Backend) (c []float64, in operands) {
	t.Helper()
	lda, ldb, ldc := g.k+3, g.n+5, g.n+1
	if g.ta {
		lda = g.m + 3
	}
	if g.tb {
		ldb = g.k + 5
	}
	array := func(dt dtype.DType, n int) kernels.Array {
		a := kernels.Array{DType: dt, Len: n}
		p, err := b.Alloc(a.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		a.Data = p
		return a
	}
	place := func(value func(i, p int) float64, rows, ld int, along bool) (bf kernels.Array, wide, narrow []float64) {
		steps := rows
		if !along {
			steps = g.k
		}
		bf = array(dtype.BFloat16, ld*(rows+g.k-steps+1))
		words := unsafe.Slice((*uint16)(bf.Data), bf.Len)
		for i := range rows {
			for p := range g.k {
				v := float32(value(i, p))
				u := math.Float32bits(v)
				if v-v == 0 {
					u += 0x7fff + u>>16&1
				}
				at := i*ld + p
				if along {
					at = p*ld + i
				}
				words[at] = uint16(u >> 16)
				wide, narrow = append(wide, float64(v)), append(narrow, float64(math.Float32frombits(u&^0xffff)))
			}
		}
		return bf, wide, narrow
	}
	args := &kernels.GemmArgs{M: g.m, N: g.n, K: g.k, TransA: g.ta, TransB: g.tb, LDA: lda, LDB: ldb, LDC: ldc, Alpha: g.alpha, Beta: g.beta, Batch: 1}
	args.A, in.a, in.a16 = place(g.a, g.m, lda, g.ta)
	args.B, in.b, in.b16 = place(g.b, g.n, ldb, !g.tb)
	args.C = array(g.c, g.m*ldc)
	b.Fill(args.C, 2)
	args.Bias = kernels.Array{}
	if g.bias {
		args.Bias = array(g.c, g.n)
		b.Fill(args.Bias, 3)
		defer b.Free(args.Bias.Data)
	}
	b.Gemm(args)
	raw := make([]byte, args.C.Bytes())
	b.Download(raw, args.C.Data)
	for i := range g.m {
		for j := range g.n {
			at := i*ldc + j
			if g.c == dtype.Float32 {
				c = append(c, float64(*(*float32)(unsafe.Pointer(&raw[4*at]))))
			} else {
				c = append(c, float64(math.Float32frombits(uint32(*(*uint16)(unsafe.Pointer(&raw[2*at])))<<16)))
			}
		}
	}
	for _, x := range []kernels.Array{args.A, args.B, args.C} {
		b.Free(x.Data)
	}
	return c, in
}

// sums are, of an element, the product of float32 operands, that of the same as
// bfloat16, and the size of the error that rounding them makes: the root of the
// sum of (2^-9·a·b)².
func (in operands) sums(k, i, j int) (wide, narrow, unit float64) {
	a, b, a16, b16 := in.a[i*k:(i+1)*k], in.b[j*k:(j+1)*k], in.a16[i*k:(i+1)*k], in.b16[j*k:(j+1)*k]
	for p := range a {
		wide += a[p] * b[p]
		v := a16[p] * b16[p]
		narrow += v
		unit += v * v
	}
	return wide, narrow, math.Sqrt(unit) / 512
}

// int16Backends opens one backend that computes in int16 and one that widens.
func int16Backends(t *testing.T, threads int) (narrow, wide *cpu.Backend) {
	t.Helper()
	open := func(mode string) *cpu.Backend {
		t.Setenv("DPOLAB_BF16", mode)
		b, err := cpu.New(device.Device{}, threads)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	return open("int16"), open("widen")
}

// TestInt16Accuracy: on data of any kind, the error of int16 stays below the one
// that rounding the operands to bfloat16 has made, over all elements and in the
// worst of them. Where it would not, products are those of widening, bit for bit;
// that is expected of the kinds it is said of, and never of the others.
func TestInt16Accuracy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	normal := func(i, p int) float64 { return r.NormFloat64() }
	spread := func(s float64) func(i, p int) float64 {
		return func(i, p int) float64 { return r.NormFloat64() * math.Exp(s*r.NormFloat64()) }
	}
	scaled := func(by float64, where func(i, p int) bool) func(i, p int) float64 {
		return func(i, p int) float64 {
			if where(i, p) {
				return by * r.NormFloat64()
			}
			return r.NormFloat64()
		}
	}
	constant := func(v float64) func(i, p int) float64 { return func(i, p int) float64 { return v } }
	few := func(i, p int) bool { return p%75 == 3 }
	half := func(i, p int) bool { return p%2 == 0 }
	const k = 512
	const (
		never  = iota // as wide
		partly        // some tiles may be
		always        // all are
	)
	for _, c := range []struct {
		name string
		a, b func(i, p int) float64
		wide int
	}{
		{"normal", normal, normal, never},
		{"uniform", func(i, p int) float64 { return r.Float64() }, normal, never},
		{"log-normal 2", spread(2), spread(2), always},
		{"log-normal 1", spread(1), spread(1), partly},
		{"log-normal 1 by normal", spread(1), normal, never},
		{"few channels x100", scaled(100, few), normal, never},
		{"few channels x1000", scaled(1000, few), normal, always},
		{"half of the channels x100", scaled(100, half), normal, never},
		{"few matched channels", scaled(100, few), scaled(.01, few), never},
		{"half of the channels matched", scaled(100, half), scaled(.01, half), never},
		{"channels of all sizes", func(i, p int) float64 { return normal(i, p) * math.Exp2(float64(p%40-20)) }, normal, always},
		{"rows of all sizes", func(i, p int) float64 { return normal(i, p) * math.Exp2(float64(i%40-20)) }, func(j, p int) float64 { return normal(j, p) * math.Exp2(float64(j%50-25)) }, never},
		{"rows with channels of their own x100", scaled(100, func(i, p int) bool { return i%2 == p%2 }), scaled(100, func(i, p int) bool { return i%2 == p%2 }), always},
		{"rows with channels of their own x10", scaled(10, func(i, p int) bool { return i%2 == p%2 }), scaled(10, func(i, p int) bool { return i%2 == p%2 }), partly},
		{"rows with sixteen spikes", scaled(300, func(i, p int) bool { return (p*7+i*13)%32 == 0 }), scaled(300, func(i, p int) bool { return (p*11+i*5)%32 == 0 }), always},
		{"one huge element", scaled(1e6, func(i, p int) bool { return i == 3 && p == 5 }), normal, partly},
		{"one-hot rows", func(i, p int) float64 {
			if p == i*7%k {
				return 1
			}
			return 0
		}, normal, always},
		{"gradients of logits", func(i, p int) float64 {
			if p == i*7%k {
				return -.9
			}
			return 1e-4 * math.Exp(r.NormFloat64())
		}, normal, always},
		{"ReLU", func(i, p int) float64 { return max(r.NormFloat64(), 0) }, normal, never},
		{"GELU", func(i, p int) float64 { x := r.NormFloat64(); return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }, normal, never},
		{"zeros", constant(0), normal, never},
		{"equal", constant(1.7), constant(-.3), never},
		{"equal, and as large as int32 holds", constant(179. / 128), constant(179. / 128), never},
		{"subnormal", func(i, p int) float64 { return r.NormFloat64() * 0x1p-130 }, normal, always},
		{"near the largest", func(i, p int) float64 { return r.NormFloat64() * 0x1p124 }, func(i, p int) float64 { return r.NormFloat64() * 0x1p-20 }, always},
	} {
		t.Run(c.name, func(t *testing.T) {
			narrow, wide := int16Backends(t, 1)
			g := product16{m: 405, n: 409, k: k, tb: true, alpha: 1, c: dtype.Float32, a: c.a, b: c.b}
			got, in := g.run(t, narrow)
			g.a, g.b = func(i, p int) float64 { return in.a[i*k+p] }, func(j, p int) float64 { return in.b[j*k+p] }
			same, _ := g.run(t, wide)
			equal, errors, own, size := 0, 0.0, 0.0, 0.0
			worst, worstOwn := 0.0, 0.0
			for i := range g.m {
				for j := range g.n {
					full, exact, unit := in.sums(k, i, j)
					v := got[i*g.n+j]
					if v == same[i*g.n+j] {
						equal++
					}
					errors += (v - exact) * (v - exact)
					own += (full - exact) * (full - exact)
					size += exact * exact
					if unit > 0 {
						worst, worstOwn = max(worst, math.Abs(v-exact)/unit), max(worstOwn, math.Abs(full-exact)/unit)
					}
				}
			}
			t.Logf("error %.1e of the product, rounding to bfloat16 made %.1e; worst %.2f units, rounding's %.2f", math.Sqrt(errors/size), math.Sqrt(own/size), worst, worstOwn)
			if errors > own || worst > worstOwn {
				t.Errorf("int16 adds more error than bfloat16 has")
			}
			if whole := equal == len(got); c.wide == always && !whole || c.wide == never && whole && errors > 0 {
				t.Errorf("%d of %d elements are those of widening", equal, len(got))
			}
		})
	}
}

// TestInt16Shapes: layouts, ends of blocks and tiles, and what is added.
func TestInt16Shapes(t *testing.T) {
	narrow, wide := int16Backends(t, 2)
	r := rand.New(rand.NewPCG(3, 4))
	random := func(i, p int) float64 { return r.NormFloat64() * math.Exp2(float64(p%9)) }
	differ := false
	for _, s := range [][3]int{{400, 400, 64}, {401, 410, 65}, {420, 401, 127}, {407, 411, 257}, {403, 405, 1025}, {250, 1200, 100},
		{1, 600, 100}, {600, 1, 100}, {5, 300, 64}, {300, 300, 1}} {
		for layout := range 4 {
			for _, rest := range []product16{{alpha: 1, c: dtype.Float32}, {alpha: -.5, beta: 2, bias: true, c: dtype.BFloat16}, {alpha: 2, beta: -1, c: dtype.Float32}, {alpha: 1, bias: true, c: dtype.BFloat16}} {
				g := rest
				g.m, g.n, g.k, g.ta, g.tb, g.a, g.b = s[0], s[1], s[2], layout&1 > 0, layout&2 > 0, random, random
				got, in := g.run(t, narrow)
				g.a, g.b = func(i, p int) float64 { return in.a16[i*g.k+p] }, func(j, p int) float64 { return in.b16[j*g.k+p] }
				want, _ := g.run(t, wide)
				for at := range got {
					i, j := at/g.n, at%g.n
					allowed := math.Abs(want[at]) / 128 // a rounding of bfloat16, and as much again where it falls the other way
					if g.c == dtype.Float32 {
						allowed = 1e-5
					}
					if got[at] != want[at] {
						differ = true
						_, exact, unit := in.sums(g.k, i, j)
						if d := math.Abs(got[at] - want[at]); d > allowed+math.Abs(g.alpha)*(unit+1e-5*math.Abs(exact)) {
							t.Fatalf("%dx%dx%d transposed %v %v alpha %g beta %g bias %v to %s: [%d, %d] is %g, want %g", g.m, g.n, g.k, g.ta, g.tb, g.alpha, g.beta, g.bias, g.c, i, j, got[at], want[at])
						}
					}
				}
			}
		}
	}
	if !differ {
		t.Error("nothing was computed in int16")
	}
}

// TestInt16Special: infinities and NaN reach what they reach in float32, and
// nothing else.
func TestInt16Special(t *testing.T) {
	narrow, wide := int16Backends(t, 2)
	r := rand.New(rand.NewPCG(5, 6))
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for where := range 3 {
			spoilt := func(which int) func(i, p int) float64 {
				return func(i, p int) float64 {
					switch {
					case where == which && i == 17 && p == 300, where == 2 && i == 255 && p == 2:
						return bad
					case p == 2:
						return 0
					}
					return r.NormFloat64()
				}
			}
			g := product16{m: 411, n: 404, k: 700, ta: true, alpha: 1, c: dtype.Float32, a: spoilt(0), b: spoilt(1)}
			got, in := g.run(t, narrow)
			g.a, g.b = func(i, p int) float64 { return in.a[i*g.k+p] }, func(j, p int) float64 { return in.b[j*g.k+p] }
			want, _ := g.run(t, wide)
			for at := range got {
				v, w := got[at], want[at]
				if v == w || math.IsNaN(v) && math.IsNaN(w) {
					continue
				}
				if !(math.Abs(v-w) < .1) {
					t.Fatalf("%g in operand %d: [%d, %d] is %g, want %g", bad, where, at/g.n, at%g.n, v, w)
				}
			}
		}
	}
}

// TestInt16Threads: threads do not change a bit, of products partly in float32 too.
func TestInt16Threads(t *testing.T) {
	for _, hot := range []float64{1, 1e4} {
		var first []float64
		for _, threads := range []int{1, 2, 3, 7} {
			narrow, _ := int16Backends(t, threads)
			r := rand.New(rand.NewPCG(7, 8))
			random := func(i, p int) float64 {
				if i%97 == 5 && p == i {
					return hot
				}
				return r.NormFloat64()
			}
			g := product16{m: 700, n: 530, k: 1100, alpha: 1, c: dtype.Float32, a: random, b: random}
			got, _ := g.run(t, narrow)
			if first == nil {
				first = got
			}
			for at := range got {
				if got[at] != first[at] {
					t.Fatalf("%d threads: element %d is %g, was %g with one", threads, at, got[at], first[at])
				}
			}
		}
	}
}
