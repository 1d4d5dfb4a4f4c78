package models

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// TestFirstNonFinite compares with the plain question on every value of the
// 16-bit types, and on the edges of the wide ones, at every place of a word.
func TestFirstNonFinite(t *testing.T) {
	check := func(dt dtype.DType, bits uint64, bad bool) {
		t.Helper()
		for at := range 5 {
			data := make([]byte, 5*dt.Size())
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], bits)
			copy(data[at*dt.Size():], b[:dt.Size()])
			want := -1
			if bad {
				want = at
			}
			if got := firstNonFinite(data, dt); got != want {
				t.Fatalf("%s %#x at %d: got %d, want %d", dt, bits, at, got, want)
			}
		}
	}
	odd := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	for b := range 1 << 16 {
		check(dtype.BFloat16, uint64(b), odd(float64(dtype.Float32FromBFloat16(uint16(b)))))
		check(dtype.Float16, uint64(b), odd(float64(dtype.Float32FromFloat16(uint16(b)))))
	}
	for _, v := range []float64{0, -1, math.MaxFloat32, -math.MaxFloat32, math.Inf(1), math.Inf(-1), math.NaN()} {
		check(dtype.Float32, uint64(math.Float32bits(float32(v))), odd(v))
		check(dtype.Float64, math.Float64bits(v), odd(v))
	}
	check(dtype.Float64, math.Float64bits(math.MaxFloat64), false)
	// Two in one word: the first counts.
	if got := firstNonFinite([]byte{0, 0, 0x80, 0x7f, 0, 0, 0xc0, 0xff}, dtype.BFloat16); got != 1 {
		t.Errorf("first of two is %d, want 1", got)
	}
}

// TestLoadInChunks converts a parameter larger than what is staged at once.
func TestLoadInChunks(t *testing.T) {
	dev := tensor.OpenOn(ref.New(device.Device{Type: device.Ref}))
	const rows, width = 5, loadChunk/4 + 3
	data := make([]byte, 0, rows*width*2)
	for i := range rows * width {
		data = binary.LittleEndian.AppendUint16(data, dtype.BFloat16FromFloat32(float32(i%199)))
	}
	p := nn.NewParameter(rows, width)
	p.Materialize(dev, dtype.Float32)
	load := func(c *Checkpoint) error {
		list := []stored{rowsOf(p, safetensors.Info{DType: dtype.BFloat16, Shape: p.Shape()}, data)}
		checked, stop := c.checkAhead(list)
		defer stop()
		return list[0].load(dev, checked)
	}
	if err := load(&Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	for i, v := range p.Value.Float32s() {
		if v != float32(i%199) {
			t.Fatalf("element %d is %g, want %d", i, v, i%199)
		}
	}
	const bad = loadChunk + 5
	binary.LittleEndian.PutUint16(data[2*bad:], 0x7fc0)
	if err := load(&Checkpoint{}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("element %d is NaN", bad)) {
		t.Errorf("error %v, want one about element %d", err, bad)
	}
	if err := load(&Checkpoint{AllowNonFinite: true}); err != nil {
		t.Error(err)
	}
}

func TestSaveInShards(t *testing.T) {
	Register("one_matrix", func(cfg RawConfig) (CausalLM, error) {
		m := &oneMatrix{head: nn.NewEmbedding(10, 4), other: nn.NewEmbedding(10, 4)}
		m.Shell = NewShell(Config{Architecture: "OneMatrix", VocabSize: 10, MaxPositions: 8, Raw: cfg}, Layout{}, m.head.Weight,
			func(p *Pass) *tensor.Tensor { return m.other.Forward(p.IDs()) })
		m.AddChild("head", m.head)
		m.AddChild("other", m.other)
		return m, nil
	})
	defer delete(builders, "one_matrix")
	raw, err := ParseConfig([]byte(`{"model_type": "one_matrix"}`), "test")
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(raw)
	if err != nil {
		t.Fatal(err)
	}
	dev := tensor.OpenOn(ref.New(device.Device{Type: device.Ref}))
	nn.Materialize(m, dev, dtype.Float32)
	nn.Initialize(m, 1, 3)
	dir := t.TempDir()
	if err := saveInto(m, dir, dtype.Float32, Whole, true, 200); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "model-00002-of-00002.safetensors")); err != nil {
		t.Errorf("no second file: %v", err)
	}
	again, err := Load(dir, dev, dtype.Float32)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range nn.Parameters(again) {
		if !slices.Equal(p.Value.Float32s(), nn.Parameters(m)[i].Value.Float32s()) {
			t.Errorf("parameter %d changed on the way", i)
		}
	}
}

// oneMatrix is the least that makes a model; it shows what an architecture
// has to bring.
type oneMatrix struct {
	Shell
	head, other *nn.Embedding
}
