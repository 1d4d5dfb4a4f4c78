package cpu_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/kerneltest"
)

// TestConformance runs the whole suite on every tier this processor has.
func TestConformance(t *testing.T) {
	for _, tier := range cpu.Tiers() {
		t.Run(tier, func(t *testing.T) {
			kerneltest.Run(t, func(threads int) kernels.Backend {
				b, err := cpu.NewTier(device.Device{}, threads, tier)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}

// TestBF16Modes runs the suite's products in each way that the processor can
// compute those of bfloat16.
func TestBF16Modes(t *testing.T) {
	var able []string
	for mode, wants := range map[string]string{"native": "AVX512_BF16", "amx": "AMX_BF16", "int16": "AVX2", "widen": ""} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv("DPOLAB_BF16", mode)
			b, err := cpu.New(device.Device{}, 1)
			if wants != "" && err != nil {
				if !strings.Contains(err.Error(), wants) {
					t.Errorf("error %q does not name what is missing", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.Describe(), mode) || !strings.Contains(b.Describe(), "DPOLAB_BF16") {
				t.Errorf("%q does not say that products are %s and why", b.Describe(), mode)
			}
			b.Close()
			able = append(able, mode)
			kerneltest.RunCases(t, []string{"gemm", "log_prob", "attention"}, func(threads int) kernels.Backend {
				b, err := cpu.New(device.Device{}, threads)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Setenv("DPOLAB_BF16", "fast")
		if _, err := cpu.New(device.Device{}, 1); err == nil || !strings.Contains(err.Error(), `"fast"`) {
			t.Errorf("error %v, want one that names the unknown mode", err)
		}
	})
	t.Logf("this processor's: %v", able)
}

// TestReuse: batches of ever other lengths need no memory beyond that of the
// longest, but for the little that is lost in cutting.
func TestReuse(t *testing.T) {
	b, err := cpu.New(device.Device{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	batch := func(tokens int) {
		var held []unsafe.Pointer
		for range 6 {
			for _, width := range []int{512, 1536, 512, 2048, 2048, 1, 512} {
				p, err := b.Alloc(4 * tokens * width)
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, p)
			}
		}
		for _, p := range held {
			b.Free(p)
		}
	}
	batch(2000)
	longest := b.MemoryStats()
	for tokens := 1000; tokens < 2000; tokens += 37 {
		batch(tokens)
	}
	if s := b.MemoryStats(); s.SystemAllocs != longest.SystemAllocs {
		t.Errorf("shorter batches took memory from the system %d times, %d bytes beside %d", s.SystemAllocs-longest.SystemAllocs, s.ReservedBytes-longest.ReservedBytes, longest.ReservedBytes)
	}
	if s := b.MemoryStats(); s.LiveBytes != 0 {
		t.Errorf("%d bytes live", s.LiveBytes)
	}
}

// TestKeptLogits: the gradient reads the logits that forward kept, leaves them
// for a second time, and is bit for bit what it is without them.
func TestKeptLogits(t *testing.T) {
	b, err := cpu.New(device.Device{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const tokens, d, v, r = 40, 16, 5000, 33
	floats := func(n int, at func(i int) float32) kernels.Array {
		p, err := b.Alloc(4 * n)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := 0, unsafe.Slice((*float32)(p), n); i < n; i++ {
			s[i] = at(i)
		}
		return kernels.Array{Data: p, DType: dtype.Float32, Len: n}
	}
	zero := func(int) float32 { return 0 }
	wave := func(i int) float32 { return float32(math.Sin(float64(i))) }
	index := floats(r, func(i int) float32 { return math.Float32frombits(uint32(i)) })
	index.DType = dtype.Int32
	a := kernels.LogProbArgs{Hidden: floats(tokens*d, wave), Weight: floats(v*d, wave), Rows: index, Labels: index, Out: floats(r, zero), LSE: floats(r, zero), T: tokens, D: d, V: v, R: r}
	gradient := func(logits kernels.Array) []byte {
		g := kernels.LogProbGradArgs{LogProbArgs: a, DOut: floats(r, wave), DHidden: floats(tokens*d, zero), DWeight: floats(v*d, zero)}
		g.Logits = logits
		b.LogProbGrad(&g)
		out := make([]byte, g.DHidden.Bytes()+g.DWeight.Bytes())
		b.Download(out[:g.DHidden.Bytes()], g.DHidden.Data)
		b.Download(out[g.DHidden.Bytes():], g.DWeight.Data)
		return out
	}
	if n := b.LogitsKept(r, v); n != r*v {
		t.Errorf("%d logits of %d kept", n, r*v)
	}
	if n := b.LogitsKept(1<<20, v); n > 64<<20 || n < 60<<20 {
		t.Errorf("%d logits of %d kept, want 64 M in whole chunks", n, v<<20)
	}
	b.LogProb(&a)
	want := gradient(kernels.Array{})
	a.Logits = floats(r*v, zero)
	b.LogProb(&a)
	for range 2 {
		if !bytes.Equal(gradient(a.Logits), want) {
			t.Fatal("kept logits change the gradient")
		}
	}
	b.Fill(a.Logits, 1)
	if bytes.Equal(gradient(a.Logits), want) {
		t.Error("kept logits are not read")
	}
}
