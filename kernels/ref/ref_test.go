package ref_test

import (
	"math"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/kerneltest"
	"dpolab/kernels/ref"
)

func open(int) kernels.Backend { return ref.New(device.Device{Type: device.Ref}) }

// TestConformance runs the suite on the reference itself. Its results are
// their own oracle in most cases, so what is checked is gradients against
// finite differences, attention against the dense composition, memory, and
// that nothing but results is written. The values below are known without it.
func TestConformance(t *testing.T) { kerneltest.Run(t, open) }

func TestRegistered(t *testing.T) {
	b, err := kernels.Open(device.Device{Type: device.Ref, Index: 2}, 1)
	if err != nil || b.Device() != (device.Device{Type: device.Ref, Index: 2}) {
		t.Fatalf("got %v, %v", b, err)
	}
}

// floats puts float64 values on the backend; read takes them back.
func floats(t *testing.T, b kernels.Backend, values ...float64) kernels.Array {
	p, err := b.Alloc(8 * len(values))
	if err != nil {
		t.Fatal(err)
	}
	copy(unsafe.Slice((*float64)(p), len(values)), values)
	return kernels.Array{Data: p, DType: dtype.Float64, Len: len(values)}
}

func read(a kernels.Array) []float64 { return unsafe.Slice((*float64)(a.Data), a.Len) }

func near(t *testing.T, name string, got, want []float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-10*math.Max(1, math.Abs(want[i]))) {
			t.Errorf("%s: got %v, want %v", name, got, want)
			return
		}
	}
}

// TestUnaryValues holds values at 0.5 and -1.25 computed with the functions of
// the C library.
func TestUnaryValues(t *testing.T) {
	b := open(1)
	x, y := floats(t, b, 0.5, -1.25), floats(t, b, 0, 0)
	nan := math.NaN()
	for op, want := range map[kernels.UnaryOp][2]float64{
		kernels.Neg:        {-0.5, 1.25},
		kernels.Exp:        {1.6487212707001282, 0.2865047968601901},
		kernels.Log:        {-0.6931471805599453, nan},
		kernels.Sqrt:       {0.7071067811865476, nan},
		kernels.Square:     {0.25, 1.5625},
		kernels.Abs:        {0.5, 1.25},
		kernels.Reciprocal: {2, -0.8},
		kernels.ReLU:       {0.5, 0},
		kernels.Sigmoid:    {0.6224593312018546, 0.22270013882530884},
		kernels.LogSigmoid: {-0.47407698418010663, -1.501929081345373},
		kernels.Softplus:   {0.9740769841801067, 0.2519290813453729},
		kernels.Tanh:       {0.46211715726000973, -0.8482836399575129},
		kernels.SiLU:       {0.3112296656009273, -0.27837517353163605},
		kernels.GELU:       {0.34573123063700656, -0.1320622170835691},
		kernels.GELUTanh:   {0.34571400982514394, -0.13228579703028542},
	} {
		b.Unary(op, y, x)
		for i, w := range want {
			if got := read(y)[i]; math.IsNaN(w) != math.IsNaN(got) || math.Abs(got-w) > 1e-14 {
				t.Errorf("function %d of %g: got %.16g, want %.16g", op, read(x)[i], got, w)
			}
		}
	}
}

// TestGemmValues multiplies a small case by hand in all four forms.
func TestGemmValues(t *testing.T) {
	b := open(1)
	// A = [1 2 3; 4 5 6], B = [7 8; 9 10; 11 12], AB = [58 64; 139 154].
	a := map[bool]kernels.Array{false: floats(t, b, 1, 2, 3, 4, 5, 6), true: floats(t, b, 1, 4, 2, 5, 3, 6)}
	o := map[bool]kernels.Array{false: floats(t, b, 7, 8, 9, 10, 11, 12), true: floats(t, b, 7, 9, 11, 8, 10, 12)}
	for _, ta := range []bool{false, true} {
		for _, tb := range []bool{false, true} {
			c := floats(t, b, 1, 2, 3, 4)
			g := &kernels.GemmArgs{TransA: ta, TransB: tb, M: 2, N: 2, K: 3, A: a[ta], B: o[tb], C: c, Bias: floats(t, b, 100, 200),
				LDA: 3, LDB: 2, LDC: 2, Alpha: 2, Beta: 10, Batch: 1}
			if ta {
				g.LDA = 2
			}
			if tb {
				g.LDB = 3
			}
			b.Gemm(g)
			near(t, "2·AB + 10·C + bias", read(c), []float64{226, 348, 408, 548})
		}
	}
}

// list is one tensor as a list.
func list(a kernels.Array) []kernels.Array { return []kernels.Array{a} }

// TestUpdateValues follows two parameters through two steps worked out from
// the formulas of the papers.
func TestUpdateValues(t *testing.T) {
	b := open(1)
	p, g, m, v := floats(t, b, 1), floats(t, b, 0.5), floats(t, b, 0), floats(t, b, 0)
	adam := kernels.AdamWArgs{LR: 0.1, Beta1: 0.9, Beta2: 0.99, WeightDecay: 0.5, Step: 1}
	b.AdamW(list(p), list(g), list(m), list(v), 2, adam) // the gradient is 1
	near(t, "exp_avg", read(m), []float64{0.1})
	near(t, "exp_avg_sq", read(v), []float64{0.01})
	near(t, "AdamW", read(p), []float64{0.95 - 0.1}) // decay, then one step of the rate
	adam.Step = 2
	b.AdamW(list(p), list(g), list(m), list(v), -2, adam) // the gradient is -1: m = -0.01, v = 0.0199
	near(t, "AdamW again", read(p), []float64{0.85*0.95 + 0.1*0.01/0.19/math.Sqrt(0.0199/(1-0.9801))})

	p, v = floats(t, b, 1), floats(t, b, 0)
	mom, avg := floats(t, b, 0), floats(t, b, 0)
	b.RMSprop(list(p), list(g), list(v), list(mom), list(avg), 1, kernels.RMSpropArgs{LR: 0.1, Alpha: 0.75, Eps: 0.5, WeightDecay: 0.5, Momentum: 0.9})
	// g = 0.5 + 0.5·1 = 1, v = 0.25, mean = 0.25, deviation √(0.25 - 0.0625).
	change := 1 / (math.Sqrt(0.1875) + 0.5)
	near(t, "RMSprop momentum", read(mom), []float64{change})
	near(t, "RMSprop", read(p), []float64{1 - 0.1*change})

	p, mom = floats(t, b, 1), floats(t, b, math.NaN())
	sgd := kernels.SGDArgs{LR: 0.1, Momentum: 0.5, Dampening: 0.25, First: true}
	b.SGD(list(p), list(g), list(mom), 1, sgd)
	near(t, "SGD's first step", append(read(p), read(mom)...), []float64{0.95, 0.5})
	sgd.First, sgd.Nesterov = false, true
	b.SGD(list(p), list(g), list(mom), 1, sgd) // buffer 0.5·0.5 + 0.75·0.5, step 0.5 + 0.5·buffer
	near(t, "SGD's second step", append(read(p), read(mom)...), []float64{0.95 - 0.1*0.8125, 0.625})
}

// TestOneRounding stores values that rounding by way of float32 gets wrong.
func TestOneRounding(t *testing.T) {
	b := open(1)
	for _, c := range []struct {
		v    float64
		dt   dtype.DType
		want uint16
	}{
		{1 + 0x1p-8 + 0x1p-40, dtype.BFloat16, 0x3f81}, // above a tie by less than float32 can see
		{1 + 0x1p-8 - 0x1p-40, dtype.BFloat16, 0x3f80}, // below
		{1 + 0x1p-8, dtype.BFloat16, 0x3f80},           // at it
		{-1 - 0x1p-8 - 0x1p-40, dtype.BFloat16, 0xbf81},
		{1 + 0x1p-11 + 0x1p-40, dtype.Float16, 0x3c01},
		{1 + 3*0x1p-11 - 0x1p-40, dtype.Float16, 0x3c01},
		{65520 - 0x1p-30, dtype.Float16, 0x7bff},
		{65520, dtype.Float16, 0x7c00},
		{1e300, dtype.Float16, 0x7c00},
		{-1e300, dtype.BFloat16, 0xff80},
		{1e-300, dtype.Float16, 0},
	} {
		p, _ := b.Alloc(2)
		b.Fill(kernels.Array{Data: p, DType: c.dt, Len: 1}, c.v)
		if got := *(*uint16)(p); got != c.want {
			t.Errorf("%x in %s: got %#04x, want %#04x", c.v, c.dt, got, c.want)
		}
	}
}

// TestFreedMemoryIsNaN lets a use after free show up.
func TestFreedMemoryIsNaN(t *testing.T) {
	b := open(1)
	a := floats(t, b, 1, 2, 3)
	b.Free(a.Data)
	for _, v := range read(a) {
		if !math.IsNaN(v) {
			t.Errorf("freed memory holds %g", v)
		}
	}
}
