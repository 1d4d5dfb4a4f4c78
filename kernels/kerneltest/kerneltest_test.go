package kerneltest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
)

// A suite that finds nothing proves nothing: each of these backends is the
// reference with one fault, and the named cases must fail on it.

// sound is the reference passed off as another device, so that it is run with
// several threads.
type sound struct {
	*ref.Backend
	threads int
}

func (b *sound) Device() device.Device { return device.Device{Type: device.CPU} }

// cell is an element of a float32 array, in the memory of the reference.
func cell(a kernels.Array, i int) *float32 { return (*float32)(unsafe.Add(a.Data, 4*i)) }

type writesBeyond struct{ sound }

func (b *writesBeyond) Unary(op kernels.UnaryOp, dst, x kernels.Array) {
	b.Backend.Unary(op, dst, x)
	*cell(dst, dst.Len*dst.DType.Size()/4) = 1
}

type changesOperand struct{ sound }

func (b *changesOperand) Gemm(g *kernels.GemmArgs) {
	b.Backend.Gemm(g)
	if g.A.DType == dtype.Float32 && g.A.Len > 0 {
		*cell(g.A, 0) += 1
	}
}

type dependsOnThreads struct{ sound }

func (b *dependsOnThreads) SumSquares(xs []kernels.Array) float64 {
	return b.Backend.SumSquares(xs) * (1 + float64(b.threads-1)*0x1p-52)
}

type readsC struct{ sound }

func (b *readsC) Gemm(g *kernels.GemmArgs) {
	b.Backend.Gemm(g)
	if g.Beta == 0 && g.M*g.N > 0 && g.C.DType == dtype.Float32 {
		*cell(g.C, 0) += 0 * float32(math.NaN())
	}
}

type roundsTwice struct{ sound }

func (b *roundsTwice) Copy(dst, src kernels.Array) {
	if src.DType == dtype.Float32 && dst.DType == dtype.Float16 {
		for i := range src.Len { // rounds up what lies below a tie
			*cell(src, i) = math.Float32frombits((math.Float32bits(*cell(src, i)) + 8) &^ 15)
		}
	}
	b.Backend.Copy(dst, src)
}

type overwrites struct{ sound }

func (b *overwrites) LogProbGrad(a *kernels.LogProbGradArgs) {
	if !a.DWeight.IsNil() {
		b.Fill(a.DWeight, 0)
	}
	b.Backend.LogProbGrad(a)
}

type seesTheOther struct{ sound }

func (b *seesTheOther) Attention(a *kernels.AttentionArgs) {
	wrong := *a
	wrong.Segments = nil
	for _, s := range a.Segments {
		if s.PrefixEnd > s.PrefixStart { // everything between the prompt and the response
			s.PrefixEnd = s.KeyStart
		}
		wrong.Segments = append(wrong.Segments, s)
	}
	b.Backend.Attention(&wrong)
}

type naiveVariance struct{ sound }

func (b *naiveVariance) LayerNorm(y, mean, rstd, x, weight, bias kernels.Array, rows, cols int, eps float64) {
	b.Backend.LayerNorm(y, mean, rstd, x, weight, bias, rows, cols, eps)
	if x.DType != dtype.Float32 {
		return
	}
	for r := range rows {
		var sum, squares float32
		for c := range cols {
			v := *cell(x, r*cols+c)
			sum, squares = sum+v, squares+v*v
		}
		mu := sum / float32(cols)
		*cell(rstd, r) = float32(1 / math.Sqrt(float64(squares/float32(cols)-mu*mu)+eps))
	}
}

type overflows struct{ sound }

func (b *overflows) Softmax(dst, x kernels.Array, rows, cols int, log bool) {
	b.Backend.Softmax(dst, x, rows, cols, log)
	if dst.DType == dtype.Float32 && x.DType == dtype.Float32 && rows*cols > 0 && *cell(x, 0) > 88 {
		*cell(dst, 0) = float32(math.NaN()) // inf / inf
	}
}

type losesDigits struct{ sound }

func (b *losesDigits) AdamW(params, grads, expAvgs, expAvgSqs []kernels.Array, gradScale float64, o kernels.AdamWArgs) {
	o.Beta2 = float64(float32(o.Beta2)) // so that 1 - Beta2 is off
	b.Backend.AdamW(params, grads, expAvgs, expAvgSqs, gradScale, o)
}

type forgetsTheLast struct{ sound }

func (b *forgetsTheLast) SGD(params, grads, momenta []kernels.Array, gradScale float64, o kernels.SGDArgs) {
	if n := len(params); n > 0 {
		b.Backend.SGD(params[:n-1], grads, momenta, gradScale, o)
	}
}

type leaks struct{ sound }

func (b *leaks) ScatterAdd(dst, src, index kernels.Array, width int) {
	if _, err := b.Alloc(8); err != nil {
		panic(err)
	}
	b.Backend.ScatterAdd(dst, src, index, width)
}

type ignoresPad struct{ sound }

func (b *ignoresPad) Gemm(g *kernels.GemmArgs) {
	b.Backend.Gemm(g)
	if g.LDC > g.N && g.M > 1 && g.C.DType == dtype.Float32 {
		*cell(g.C, g.N) = 0
	}
}

type turnsTheWrongWay struct{ sound }

func (b *turnsTheWrongWay) RotaryGrad(dx, dy kernels.Heads, args *kernels.RotaryArgs) {
	wrong := *args
	wrong.Sin = b.negated(args.Sin)
	b.Backend.RotaryGrad(dx, dy, &wrong)
	b.Free(wrong.Sin.Data)
}

func (b *turnsTheWrongWay) negated(a kernels.Array) kernels.Array {
	p, err := b.Alloc(a.Bytes())
	if err != nil {
		panic(err)
	}
	out := kernels.Array{Data: p, DType: a.DType, Len: a.Len}
	b.Backend.Unary(kernels.Neg, out, a)
	return out
}

func TestFaultsAreFound(t *testing.T) {
	for _, f := range []struct {
		cases string // the prefix of those of which one must fail
		says  string // part of the complaint
		with  func(s sound) kernels.Backend
	}{
		{"unary/7/float32", "were written", func(s sound) kernels.Backend { return &writesBeyond{s} }},
		{"gemm/scalars", "is an operand and was changed", func(s sound) kernels.Backend { return &changesOperand{s} }},
		{"sum_squares/float32", "other bits", func(s sound) kernels.Backend { return &dependsOnThreads{s} }},
		{"gemm/shapes/false,false", "got NaN", func(s sound) kernels.Backend { return &readsC{s} }},
		{"copy/float32 to float16", "bit patterns", func(s sound) kernels.Backend { return &roundsTwice{s} }},
		{"log_prob/[9 5 7 20]/float32", "dweight", func(s sound) kernels.Backend { return &overwrites{s} }},
		{"attention/pairs/4,4 heads", "out against dense", func(s sound) kernels.Backend { return &seesTheOther{s} }},
		{"norm/far from zero", "rstd", func(s sound) kernels.Backend { return &naiveVariance{s} }},
		{"softmax/log=false/float32", "of [10000", func(s sound) kernels.Backend { return &overflows{s} }},
		{"update/AdamW", "exp_avg_sq", func(s sound) kernels.Backend { return &losesDigits{s} }},
		{"update/SGD", "tensor 35", func(s sound) kernels.Backend { return &forgetsTheLast{s} }},
		{"scatter_add/float32", "still live", func(s sound) kernels.Backend { return &leaks{s} }},
		{"gemm/shapes/true,false", "got 0, want NaN", func(s sound) kernels.Backend { return &ignoresPad{s} }},
		{"rotary/separate/float32", "dx", func(s sound) kernels.Backend { return &turnsTheWrongWay{s} }},
	} {
		t.Run(f.cases, func(t *testing.T) {
			complaints, ran := "", 0
			for _, c := range Cases() {
				if strings.HasPrefix(c.Name, f.cases) {
					ran++
					complaints += complaintsOf(c, func(threads int) kernels.Backend {
						return f.with(sound{ref.New(device.Device{}), threads})
					})
				}
			}
			if !strings.Contains(complaints, f.says) {
				t.Errorf("%d cases say %q, want something of %q", ran, complaints, f.says)
			}
		})
	}
}

// TestSoundPasses checks the wrapper itself: without a fault, nothing fails.
func TestSoundPasses(t *testing.T) {
	for _, c := range Cases() {
		for _, prefix := range []string{"sum_squares", "norm/", "update/SGD", "log_prob/[9", "rotary/thirds"} {
			if strings.HasPrefix(c.Name, prefix) {
				if s := complaintsOf(c, func(threads int) kernels.Backend { return &sound{ref.New(device.Device{}), threads} }); s != "" {
					t.Errorf("%s: %s", c.Name, s)
				}
			}
		}
	}
}

// complaintsOf is what a case reports, instead of failing.
func complaintsOf(c Case, open func(threads int) kernels.Backend) string {
	r := &recorder{}
	func() {
		defer func() {
			if v := recover(); v != nil && v != stopped {
				panic(v)
			}
		}()
		runCase(r, c, open)
	}()
	return strings.Join(r.lines, "\n")
}

// recorder is a test that keeps its errors to itself.
type recorder struct {
	testing.TB
	lines []string
}

var stopped = "stopped"

func (r *recorder) Errorf(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(stopped)
}

func (r *recorder) Failed() bool { return len(r.lines) > 0 }

func TestCompare(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		dt        dtype.DType
		want, got float64
		tol       Tolerance
		ok        bool
	}{
		{dtype.Float32, 1, 1, exact, true},
		{dtype.Float32, 1, 1 + 0x1p-23, exact, false},
		{dtype.Float32, 1, 1 + 0x1p-23, Tolerance{}, true},
		{dtype.Float32, 1, 1 + 0x1p-22, Tolerance{}, false},
		{dtype.Float32, 1, 1 + 0x1p-22, rounded(2), true},
		{dtype.BFloat16, 1, 1 + 0x1p-7, Tolerance{}, true},
		{dtype.BFloat16, 1, 1 + 0x1p-6, rounded(100), false},
		{dtype.Float16, 0, 0x1p-24, Tolerance{}, true},
		{dtype.Float16, 0, 0x1p-23, Tolerance{}, false},
		{dtype.Float32, 0, 0x1p-126, Tolerance{}, true},
		{dtype.Float32, 0, 0x1p-125, Tolerance{}, false},
		{dtype.Float32, nan, nan, exact, true},
		{dtype.Float32, nan, 1, rounded(1e30), false},
		{dtype.Float32, 1, nan, rounded(1e30), false},
		{dtype.Float32, inf, inf, exact, true},
		{dtype.Float32, inf, -inf, rounded(1e30), false},
		{dtype.Float32, inf, 3e38, rounded(1e30), false},
		{dtype.Float32, 3e38, inf, rounded(4), false},
		{dtype.Float32, 0, 1e-6, sum(100, 1), true},
		{dtype.Float32, 0, 2e-6, sum(100, 1), false},
		{dtype.Float32, 0, 1e-7, roundedOf(2, []float64{1}), true},
	} {
		err := compare("x", c.dt, []float64{c.want}, []float64{c.got}, c.tol)
		if (err == nil) != c.ok {
			t.Errorf("%s %g against %g with %+v: %v", c.dt, c.got, c.want, c.tol, err)
		}
	}
	if compare("x", dtype.Float32, []float64{1, 2}, []float64{1}, exact) == nil {
		t.Error("lists of different lengths agree")
	}
}
