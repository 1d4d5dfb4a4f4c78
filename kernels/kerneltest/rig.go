package kerneltest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// Rig is a backend with a source of inputs and a list of results.
type Rig struct {
	kernels.Backend
	t       testing.TB
	name    string // of this run, for messages
	rng     *rand.Rand
	want    []result // the reference's results; nil when this is the reference
	first   []result // of the run before, compared already; nil in the first
	results []result
	blocks  []*block
}

// result is what an operation stored, before it was replaced by the reference's.
type result struct {
	name  string
	dtype dtype.DType
	bits  []byte
}

// block is one array's memory: the array and guard bytes on both sides.
type block struct {
	base    unsafe.Pointer
	front   int
	array   kernels.Array
	initial []byte // contents as the case set them; nil if it did not
	result  bool   // reported, so allowed to change
}

// guard is the number of bytes kept around each array, guardByte their value.
const (
	guard     = 64
	guardByte = 0x3d
)

func newRig(t testing.TB, b kernels.Backend, name string, want []result) *Rig {
	return &Rig{Backend: b, t: t, name: name, want: want, rng: rand.New(rand.NewPCG(1, 2))}
}

// Empty allocates n elements; floats are filled with NaN, which no operation
// may read.
func (x *Rig) Empty(dt dtype.DType, n int) kernels.Array {
	front := guard + dt.Size()*x.rng.IntN(2) // aligned to an element, as slices are
	size := n * dt.Size()
	p, err := x.Alloc(front + size + guard)
	if err != nil {
		x.t.Fatalf("%s: %v", x.name, err)
	}
	a := kernels.Array{Data: unsafe.Add(p, front), DType: dt, Len: n}
	x.blocks = append(x.blocks, &block{base: p, front: front, array: a})
	around := bytes.Repeat([]byte{guardByte}, front+size+guard)
	if dt.IsFloat() {
		copy(around[front:], bytes.Repeat([]byte{0xff}, size)) // all bits set is a NaN in every type
	}
	x.Upload(p, around)
	return a
}

// own lets an array change without being reported.
func (x *Rig) own(a kernels.Array) { x.find(a).result = true }

// find is the block an array lies in.
func (x *Rig) find(a kernels.Array) *block {
	for _, b := range x.blocks {
		if from := uintptr(b.array.Data); uintptr(a.Data) >= from && uintptr(a.Data) <= from+uintptr(b.array.Bytes()) {
			return b
		}
	}
	x.t.Fatalf("%s: an array of no rig", x.name)
	return nil
}

// Set stores a function of the position.
func (x *Rig) Set(a kernels.Array, fn func(i int) float64) {
	buf, size := make([]byte, a.Bytes()), a.DType.Size()
	for i := range a.Len {
		encode(buf[i*size:], a.DType, fn(i))
	}
	x.setBytes(a, buf)
}

func (x *Rig) setBytes(a kernels.Array, buf []byte) {
	if len(buf) > 0 {
		x.Upload(a.Data, buf)
	}
	b := x.find(a)
	if a == b.array {
		b.initial = buf
		return
	}
	b.initial = x.download(b.array) // a part of it was set
}

// Normal allocates n normally distributed elements.
func (x *Rig) Normal(dt dtype.DType, n int) kernels.Array {
	a := x.Empty(dt, n)
	size, stock := dt.Size(), normalBytes(dt)
	buf := make([]byte, 0, n*size)
	for from := size * x.rng.IntN(stockLen); len(buf) < n*size; from = 0 {
		buf = append(buf, stock[from:min(len(stock), from+n*size-len(buf))]...)
	}
	x.setBytes(a, buf)
	return a
}

// Spread allocates n normally distributed elements of the given deviation.
func (x *Rig) Spread(dt dtype.DType, n int, deviation float64) kernels.Array {
	a := x.Empty(dt, n)
	x.Set(a, func(int) float64 { return deviation * x.rng.NormFloat64() })
	return a
}

// stockLen is how many different elements Normal has.
const stockLen = 1 << 17

// stock holds them, encoded; making them anew for every array would take most
// of the suite's time.
var stock struct {
	sync.Mutex
	bytes map[dtype.DType][]byte
}

func normalBytes(dt dtype.DType) []byte {
	stock.Lock()
	defer stock.Unlock()
	if stock.bytes == nil {
		stock.bytes = map[dtype.DType][]byte{}
	}
	if stock.bytes[dt] == nil {
		rng, size := rand.New(rand.NewPCG(7, 8)), dt.Size()
		buf := make([]byte, stockLen*size)
		for i := range stockLen {
			encode(buf[i*size:], dt, rng.NormFloat64())
		}
		stock.bytes[dt] = buf
	}
	return stock.bytes[dt]
}

// Integers allocates n whole numbers in [-limit, limit], whose products and
// sums are exact in float32.
func (x *Rig) Integers(dt dtype.DType, n, limit int) kernels.Array {
	a := x.Empty(dt, n)
	x.Set(a, func(int) float64 { return float64(x.rng.IntN(2*limit+1) - limit) })
	return a
}

// Values allocates the given elements.
func (x *Rig) Values(dt dtype.DType, values ...float64) kernels.Array {
	a := x.Empty(dt, len(values))
	x.Set(a, func(i int) float64 { return values[i] })
	return a
}

// Indices allocates n int32 indices below limit, with repetitions.
func (x *Rig) Indices(n, limit int) kernels.Array {
	a := x.Empty(dtype.Int32, n)
	x.Set(a, func(int) float64 { return float64(x.rng.IntN(limit)) })
	return a
}

// Matrix allocates rows of cols normal elements at a distance of ld. What lies
// between the rows is NaN; nothing lies behind the last.
func (x *Rig) Matrix(dt dtype.DType, rows, cols, ld int) kernels.Array {
	a := x.Empty(dt, max(0, (rows-1)*ld+cols))
	x.Set(a, func(i int) float64 {
		if i%ld >= cols {
			return math.NaN()
		}
		return x.rng.NormFloat64()
	})
	return a
}

func (x *Rig) download(a kernels.Array) []byte { return x.bytes(a.Data, a.Bytes()) }

func (x *Rig) bytes(p unsafe.Pointer, n int) []byte {
	x.Synchronize()
	buf := make([]byte, n)
	if n > 0 {
		x.Download(buf, p)
	}
	return buf
}

// Read returns an array's elements.
func (x *Rig) Read(a kernels.Array) []float64 { return decodeAll(x.download(a), a.DType) }

// Result compares an array with the reference's and replaces it by it.
func (x *Rig) Result(name string, a kernels.Array, tol Tolerance) {
	bits := x.download(a)
	x.own(a)
	if want := x.report(result{name: name, dtype: a.DType, bits: bits}, tol); want != nil && a.Len > 0 {
		x.Upload(a.Data, want.bits)
	}
}

// Number compares a host value with the reference's.
func (x *Rig) Number(name string, v float64, tol Tolerance) {
	bits := make([]byte, 8)
	encode(bits, dtype.Float64, v)
	x.report(result{name: name, dtype: dtype.Float64, bits: bits}, tol)
}

// Expect compares an array with values that the case computed by itself.
func (x *Rig) Expect(name string, a kernels.Array, values []float64, tol Tolerance) {
	if x.first != nil {
		return // its bits are compared with the first run's
	}
	if err := compare(name, a.DType, values, x.Read(a), tol); err != nil {
		x.t.Errorf("%s: %v", x.name, err)
	}
}

// report files a result and returns the reference's, nil on the reference.
func (x *Rig) report(r result, tol Tolerance) *result {
	x.results = append(x.results, r)
	if x.want == nil {
		return nil
	}
	i := len(x.results) - 1
	if i >= len(x.want) || x.want[i].name != r.name || len(x.want[i].bits) != len(r.bits) {
		x.t.Fatalf("%s: result %d, %s, is not one of the reference's", x.name, i, r.name)
	}
	want := &x.want[i]
	if x.first != nil {
		if !bytes.Equal(r.bits, x.first[i].bits) {
			x.t.Errorf("%s: %s has other bits than with 1 thread", x.name, r.name)
		}
	} else if err := compare(r.name, r.dtype, decodeAll(want.bits, r.dtype), decodeAll(r.bits, r.dtype), tol); err != nil {
		x.t.Errorf("%s: %v", x.name, err)
	}
	return want
}

// release checks what must not have changed and frees everything.
func (x *Rig) release() {
	for i, b := range x.blocks {
		size := b.array.Bytes()
		all := x.bytes(b.base, b.front+size+guard)
		before, after := bytes.Trim(all[:b.front], string(rune(guardByte))), bytes.Trim(all[b.front+size:], string(rune(guardByte)))
		if len(before)+len(after) > 0 {
			x.t.Errorf("%s: %d bytes before and %d after array %d (%s, %d elements) were written", x.name, len(before), len(after), i, b.array.DType, b.array.Len)
		}
		if b.initial != nil && !b.result && !bytes.Equal(all[b.front:b.front+size], b.initial) {
			x.t.Errorf("%s: array %d (%s, %d elements) is an operand and was changed", x.name, i, b.array.DType, b.array.Len)
		}
		x.Free(b.base)
	}
	x.blocks = nil
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

func decodeAll(buf []byte, dt dtype.DType) []float64 {
	size := dt.Size()
	out := make([]float64, len(buf)/size)
	switch p := unsafe.Pointer(unsafe.SliceData(buf)); dt {
	case dtype.Float32: // most of what is compared
		for i, v := range unsafe.Slice((*float32)(p), len(out)) {
			out[i] = float64(v)
		}
	default:
		for i := range out {
			out[i] = decode(buf[i*size:], dt)
		}
	}
	return out
}
