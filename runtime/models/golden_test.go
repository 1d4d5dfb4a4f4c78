package models_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
	"dpolab/runtime/models"
	_ "dpolab/runtime/models/all"
	"dpolab/runtime/nn"
	"dpolab/runtime/safetensors"
	"dpolab/runtime/tensor"
)

// sequences are those of goldens.py.
var sequences = [][]int32{{3, 14, 15, 9, 26, 53, 5, 8, 9}, {2, 7, 1, 8, 28, 18}}

func cpuDevice(t testing.TB) *tensor.Device {
	b, err := cpu.New(device.Device{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return tensor.OpenOn(b)
}

func refDevice() *tensor.Device { return tensor.OpenOn(ref.New(device.Device{Type: device.Ref})) }

func goldenDirs(t *testing.T) []string {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, filepath.Join("testdata", e.Name()))
		}
	}
	if len(out) < 9 {
		t.Fatalf("only %d golden models", len(out))
	}
	return out
}

func floats(t *testing.T, f *safetensors.File, name string) []float32 {
	t.Helper()
	_, data, err := f.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&data[0])), len(data)/4)
}

// worst returns the largest difference, relative to the largest value.
func worst(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	diff, scale := 0.0, 1e-6
	for i := range got {
		diff = max(diff, math.Abs(float64(got[i])-float64(want[i])))
		scale = max(scale, math.Abs(float64(want[i])))
	}
	if math.IsNaN(diff) {
		return math.Inf(1)
	}
	return diff / scale
}

// TestGoldens compares logits and all gradients with transformers', both
// sequences packed into one batch.
func TestGoldens(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		for _, dev := range []*tensor.Device{refDevice(), cpuDevice(t)} {
			golden, err := safetensors.Open(filepath.Join(dir, "golden.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			m, err := models.Load(dir, dev, dtype.Float32)
			if err != nil {
				t.Fatal(err)
			}
			in := models.Pack(sequences)
			logits := m.Logits(in, nil)
			v, at := m.Config().VocabSize, 0
			all := logits.Float32s()
			for s, ids := range sequences {
				want := floats(t, golden, "logits."+string(rune('0'+s)))
				got := all[at*v : (at+len(ids))*v]
				for i := range want {
					if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-4) {
						t.Fatalf("%s on %s: sequence %d: logit %d is %g, want %g", dir, dev, s, i, got[i], want[i])
					}
				}
				at += len(ids)
			}
			logits.Release()
			checkGradients(t, dir, m, golden)
			golden.Close()
			nn.Release(m)
			if live := dev.MemoryStats().LiveBytes; live != 0 {
				t.Errorf("%s on %s: %d bytes still live", dir, dev, live)
			}
			dev.Close()
		}
	}
}

func checkGradients(t *testing.T, dir string, m models.CausalLM, golden *safetensors.File) {
	in := models.Pack(sequences)
	var rows, labels []int32
	var weights []float32
	at := 0
	for s, ids := range sequences {
		for i := 1; i < len(ids); i++ {
			rows, labels = append(rows, int32(at+i-1)), append(labels, ids[i])
			weights = append(weights, float32(math.Cos(float64(i-1+s))))
		}
		at += len(ids)
	}
	m.Device().Scope(func() *tensor.Tensor {
		lp := m.LogProbs(in, rows, labels)
		lp.Mul(tensor.FromFloat32(m.Device(), weights)).Sum().Backward(nil)
		return nil
	})
	checked := 0
	for _, np := range nn.NamedParameters(m) {
		if err := worst(np.Parameter.Value.Grad().Float32s(), floats(t, golden, "grad."+np.Name)); err > 1e-4 {
			t.Errorf("%s: gradient of %s is off by %g", dir, np.Name, err)
		}
		checked++
	}
	grads := 0
	for _, n := range golden.Names() {
		if strings.HasPrefix(n, "grad.") {
			grads++
		}
	}
	if checked != grads {
		t.Errorf("%s: %d gradients compared, the golden has %d", dir, checked, grads)
	}
}

// TestSaveLoad checks that what is saved loads to the same bits.
func TestSaveLoad(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		dev := cpuDevice(t)
		m, err := models.Load(dir, dev, dtype.Float32)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "saved")
		for range 2 { // the second time replaces the first
			if err := models.Save(m, out, dtype.Float32); err != nil {
				t.Fatal(err)
			}
		}
		again, err := models.Load(out, dev, dtype.Float32)
		if err != nil {
			t.Fatal(err)
		}
		for i, np := range nn.NamedParameters(again) {
			want := nn.NamedParameters(m)[i]
			if np.Name != want.Name || worst(np.Parameter.Value.Float32s(), want.Parameter.Value.Float32s()) != 0 {
				t.Errorf("%s: %s changed on the way", dir, np.Name)
			}
		}
		left, _ := os.ReadDir(filepath.Dir(out))
		if len(left) != 1 {
			t.Errorf("%s: saving left %v", dir, left)
		}
	}
}
