// Package kerneltest is the conformance suite that every backend passes. A case
// runs the same operations on the same inputs on the backend under test and on
// the float64 reference, and compares every result:
//
//	func TestConformance(t *testing.T) {
//		kerneltest.Run(t, func(threads int) kernels.Backend { ... })
//	}
//
// Inputs are rounded to their type before either backend sees them, so what is
// left is the backend's own arithmetic. A result may differ from the
// reference by one rounding of its type and by the error of float32 sums.
// Every case is run with 1, 2 and 3 threads, and the bits must agree.
package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
)

// Case is one scenario. Its function makes inputs and reports results through
// the bench it is given, and is run once per backend.
type Case struct {
	Name string
	Run  func(x *Bench)
	// Loose multiplies the tolerance, for functions that amplify rounding.
	Loose float64
}

// Bench is a backend with a source of inputs and a list of results.
type Bench struct {
	kernels.Backend
	rng     *rand.Rand
	results []result
	memory  []unsafe.Pointer
}

type result struct {
	name   string
	dtype  dtype.DType
	values []float64
	bits   []byte
	scale  float64 // of the quantities the result was made from, if not its own
}

func newBench(b kernels.Backend) *Bench {
	return &Bench{Backend: b, rng: rand.New(rand.NewPCG(1, 2))}
}

// Empty allocates n elements filled with NaN, which no operation may read.
func (x *Bench) Empty(dt dtype.DType, n int) kernels.Array {
	p, err := x.Alloc(n * dt.Size())
	if err != nil {
		panic(err)
	}
	x.memory = append(x.memory, p)
	a := kernels.Array{Data: p, DType: dt, Len: n}
	if dt.IsFloat() {
		x.Set(a, func(int) float64 { return math.NaN() })
	}
	return a
}

// Set stores a function of the position.
func (x *Bench) Set(a kernels.Array, fn func(i int) float64) {
	buf := make([]byte, a.Bytes())
	for i := range a.Len {
		encode(buf[i*a.DType.Size():], a.DType, fn(i))
	}
	if len(buf) > 0 {
		x.Upload(a.Data, buf)
	}
}

// Normal allocates n normally distributed elements.
func (x *Bench) Normal(dt dtype.DType, n int) kernels.Array {
	a := x.Empty(dt, n)
	x.Set(a, func(int) float64 { return x.rng.NormFloat64() })
	return a
}

// Values allocates the given elements.
func (x *Bench) Values(dt dtype.DType, values ...float64) kernels.Array {
	a := x.Empty(dt, len(values))
	x.Set(a, func(i int) float64 { return values[i] })
	return a
}

// Indices allocates n int32 indices below limit, with repetitions.
func (x *Bench) Indices(n, limit int) kernels.Array {
	a := x.Empty(dtype.Int32, n)
	x.Set(a, func(int) float64 { return float64(x.rng.IntN(limit)) })
	return a
}

// Result reports an array for comparison.
func (x *Bench) Result(name string, a kernels.Array) {
	x.Synchronize()
	buf := make([]byte, a.Bytes())
	if len(buf) > 0 {
		x.Download(buf, a.Data)
	}
	values := make([]float64, a.Len)
	for i := range values {
		values[i] = decode(buf[i*a.DType.Size():], a.DType)
	}
	x.results = append(x.results, result{name: name, dtype: a.DType, values: values, bits: buf})
}

// ResultOf reports an array whose error is relative to the given magnitude of
// its inputs rather than to itself, because it is a difference of large values.
func (x *Bench) ResultOf(name string, a kernels.Array, scale float64) {
	x.Result(name, a)
	x.results[len(x.results)-1].scale = scale
}

// Number reports a host value.
func (x *Bench) Number(name string, v float64) {
	x.results = append(x.results, result{name: name, dtype: dtype.Float32, values: []float64{v}})
}

func (x *Bench) release() {
	for _, p := range x.memory {
		x.Free(p)
	}
}

func encode(b []byte, dt dtype.DType, v float64) {
	p := unsafe.Pointer(&b[0])
	switch dt {
	case dtype.Float32:
		*(*float32)(p) = float32(v)
	case dtype.Float64:
		*(*float64)(p) = v
	case dtype.BFloat16:
		*(*uint16)(p) = dtype.BFloat16FromFloat32(float32(v))
	case dtype.Float16:
		*(*uint16)(p) = dtype.Float16FromFloat32(float32(v))
	case dtype.Int32:
		*(*int32)(p) = int32(v)
	case dtype.Int64:
		*(*int64)(p) = int64(v)
	}
}

func decode(b []byte, dt dtype.DType) float64 {
	p := unsafe.Pointer(&b[0])
	switch dt {
	case dtype.Float32:
		return float64(*(*float32)(p))
	case dtype.Float64:
		return *(*float64)(p)
	case dtype.BFloat16:
		return float64(dtype.Float32FromBFloat16(*(*uint16)(p)))
	case dtype.Float16:
		return float64(dtype.Float32FromFloat16(*(*uint16)(p)))
	case dtype.Int32:
		return float64(*(*int32)(p))
	case dtype.Int64:
		return float64(*(*int64)(p))
	}
	panic(fmt.Sprintf("kerneltest: no type %s", dt))
}

// epsilon is the largest relative error of one rounding to a type.
func epsilon(dt dtype.DType) float64 {
	switch dt {
	case dtype.BFloat16:
		return 1.0 / 256
	case dtype.Float16:
		return 1.0 / 2048
	case dtype.Float32:
		return 1.0 / (1 << 24)
	}
	return 0
}

// sumError is what float32 sums may add, relative to the largest result.
const sumError = 4e-6

// compare reports the first element that differs too much.
func compare(want, got result, loose float64) error {
	if len(want.values) != len(got.values) {
		return fmt.Errorf("%s: %d elements, want %d", want.name, len(got.values), len(want.values))
	}
	scale := want.scale
	for _, v := range want.values {
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			scale = math.Max(scale, math.Abs(v))
		}
	}
	for i, w := range want.values {
		g := got.values[i]
		if w == g || math.IsNaN(w) && math.IsNaN(g) {
			continue
		}
		// Twice a rounding: the reference rounds too.
		if tol := 2*epsilon(want.dtype)*math.Abs(w) + loose*sumError*scale + 1e-37; !(math.Abs(w-g) <= tol) {
			return fmt.Errorf("%s[%d]: got %.9g, want %.9g (tolerance %.3g)", want.name, i, g, w, tol)
		}
	}
	return nil
}

// Run checks a backend against the reference. open makes an instance with the
// given number of threads.
func Run(t *testing.T, open func(threads int) kernels.Backend) {
	oracle := ref.New(device.Device{Type: device.Ref})
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			want := newBench(oracle)
			c.Run(want)
			want.release()
			var first *Bench
			for _, threads := range []int{1, 2, 3} {
				b := open(threads)
				got := newBench(b)
				c.Run(got)
				got.release()
				if live := b.MemoryStats().LiveBytes; live != 0 {
					t.Errorf("%d bytes still live", live)
				}
				b.Close()
				for i, w := range want.results {
					if err := compare(w, got.results[i], max(c.Loose, 1)); err != nil {
						t.Fatalf("%d threads: %v", threads, err)
					}
					if first != nil && string(first.results[i].bits) != string(got.results[i].bits) {
						t.Fatalf("%s: %d threads give other bits than 1", w.name, threads)
					}
				}
				if first == nil {
					first = got
				}
			}
		})
	}
	t.Run("memory", func(t *testing.T) { testMemory(t, open(1)) })
	t.Run("misuse", func(t *testing.T) { testMisuse(t, open(1)) })
}

// Cases lists all scenarios.
func Cases() []Case {
	var out []Case
	for _, family := range []func() []Case{elementwiseCases, movementCases, reduceCases, gemmCases, normCases, attentionCases, logProbCases, updateCases} {
		out = append(out, family()...)
	}
	return out
}

// floatTypes are the types every backend computes with.
var floatTypes = []dtype.DType{dtype.Float32, dtype.BFloat16, dtype.Float16}

// sizes straddle vector and block lengths.
var sizes = []int{0, 1, 7, 63, 64, 65, 1000, 40000}
