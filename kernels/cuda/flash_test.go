package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
)

// pairs are two preference pairs and a sequence on a key-value cache: tiles
// that are full and ragged, prefixes longer and shorter than a tile.
var pairs = []kernels.Segment{
	kernels.Causal(0, 70), kernels.After(0, 70, 70, 205), kernels.After(0, 70, 205, 210),
	kernels.Causal(210, 211), kernels.After(210, 211, 211, 280), kernels.After(210, 211, 280, 284),
	{QueryStart: 284, QueryEnd: 290, KeyStart: 284, KeyEnd: 300},
}

const pairRows, pairKeys = 290, 300

// TestFlash compares the tensor-core kernels with the CPU backend in float32 on
// the same operands; two query heads share a key-value head.
func TestFlash(t *testing.T) {
	for _, dt := range []dtype.DType{dtype.BFloat16, dtype.Float16} {
		for _, dim := range []int{64, 80, 128} {
			t.Run(fmt.Sprint(dt, " ", dim), func(t *testing.T) { testFlash(t, newEmulated(t), dt, dim) })
		}
	}
}

// attends is a backend with attention.
type attends interface {
	kernels.Backend
	kernels.Attention
}

func testFlash(t *testing.T, gpu attends, dt dtype.DType, dim int) {
	host := newHost(t)
	defer gpu.Close()
	defer host.Close()
	const heads, kv = 2, 1
	rng := rand.New(rand.NewPCG(1, uint64(dim)))
	f := dtype.Float32
	alloc := func(b kernels.Backend, dt dtype.DType, n int) kernels.Array {
		p, err := b.Alloc(n * dt.Size())
		if err != nil {
			t.Fatal(err)
		}
		return kernels.Array{Data: p, DType: dt, Len: n}
	}
	// Each operand exists twice: for the kernels in their type and, equal in
	// value, for the host in float32.
	operands := func(rows, heads int) (kernels.Heads, kernels.Heads) {
		wide := alloc(host, f, rows*heads*dim)
		for i := range wide.Len {
			*(*float32)(unsafe.Add(wide.Data, 4*i)) = float32(rng.NormFloat64())
		}
		rounded, narrow := alloc(host, dt, wide.Len), alloc(gpu, dt, wide.Len)
		host.Copy(rounded, wide)
		host.Copy(wide, rounded)
		gpu.Upload(narrow.Data, unsafe.Slice((*byte)(rounded.Data), rounded.Bytes()))
		return kernels.Heads{Array: narrow, Row: heads * dim, Head: dim}, kernels.Heads{Array: wide, Row: heads * dim, Head: dim}
	}
	// Gradients are added to what is there: little, so that it hides no error.
	gradients := func(rows, heads int) (kernels.Heads, kernels.Heads) {
		got, want := alloc(gpu, f, rows*heads*dim), alloc(host, f, rows*heads*dim)
		gpu.Fill(got, 1e-3)
		host.Fill(want, 1e-3)
		return kernels.Heads{Array: got, Row: heads * dim, Head: dim}, kernels.Heads{Array: want, Row: heads * dim, Head: dim}
	}
	var a, w kernels.AttentionGradArgs
	a.QueryRows, a.KeyRows, a.NumHeads, a.KVHeads, a.HeadDim = pairRows, pairKeys, heads, kv, dim
	a.Scale, a.Segments = 1/math.Sqrt(float64(dim)), pairs
	w.AttentionArgs = a.AttentionArgs
	a.LSE, w.LSE = alloc(gpu, f, pairRows*heads), alloc(host, f, pairRows*heads)
	a.Q, w.Q = operands(pairRows, heads)
	a.K, w.K = operands(pairKeys, kv)
	a.V, w.V = operands(pairKeys, kv)
	a.Out, w.Out = operands(pairRows, heads)
	a.DOut, w.DOut = operands(pairRows, heads)
	a.DQ, w.DQ = gradients(pairRows, heads)
	a.DK, w.DK = gradients(pairKeys, kv)
	a.DV, w.DV = gradients(pairKeys, kv)
	if name, ok := flashKernel(dim, a.Q, a.K, a.V, a.Out, a.DOut); !ok {
		t.Fatalf("%d elements of %s have no tensor-core kernel, got %q", dim, dt, name)
	}
	gpu.Attention(&a.AttentionArgs)
	host.Attention(&w.AttentionArgs)
	gpu.AttentionGrad(&a)
	host.AttentionGrad(&w)
	errors := map[string]float64{}
	// One rounding of the operands' type in the probabilities, one in the result.
	limit := map[dtype.DType]float64{dtype.BFloat16: 4e-3, dtype.Float16: 5e-4}[dt]
	for _, c := range []struct {
		name      string
		got, want kernels.Array
		limit     float64
	}{{"lse", a.LSE, w.LSE, 1e-5}, {"out", a.Out.Array, w.Out.Array, limit}, {"dq", a.DQ.Array, w.DQ.Array, limit},
		{"dk", a.DK.Array, w.DK.Array, limit}, {"dv", a.DV.Array, w.DV.Array, limit}} {
		got, wide := alloc(host, c.got.DType, c.got.Len), alloc(host, f, c.got.Len)
		gpu.Download(unsafe.Slice((*byte)(got.Data), got.Bytes()), c.got.Data)
		host.Copy(wide, got)
		diff, norm := 0.0, 0.0
		for i := range c.want.Len {
			g, v := float64(*(*float32)(unsafe.Add(wide.Data, 4*i))), float64(*(*float32)(unsafe.Add(c.want.Data, 4*i)))
			diff, norm = diff+(g-v)*(g-v), norm+v*v
		}
		errors[c.name] = math.Sqrt(diff / norm)
		if !(errors[c.name] <= c.limit) {
			t.Errorf("%s: relative error %.2g, want at most %.2g", c.name, errors[c.name], c.limit)
		}
	}
	t.Logf("relative errors %v", errors)
}

func newHost(t *testing.T) *cpu.Backend {
	b, err := cpu.New(device.Device{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
