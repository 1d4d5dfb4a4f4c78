package models_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels"
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

// golden says how far results in one type may be from transformers' in
// float32.
type golden struct {
	dtype  dtype.DType
	tf32   bool
	logits float64 // of the largest logit
	grads  float64 // of a parameter's largest gradient
}

// The tolerances. In float32 both sides add in orders of their own, which the
// float64 reference shows to be 2e-6. In 16 bits weights, and what every
// operation stores, are rounded with a relative error of up to u, 2^-8 and
// 2^-11: two blocks make 8 u of that in logits and 16 u in gradients on the
// CPU, and a device that rounds elsewhere may make twice as much. TF32 rounds
// the operands of products only, but tensor cores may cut them off: u is 2^-10.
var (
	fullGolden    = golden{dtype: dtype.Float32, logits: 1e-5, grads: 2e-5}
	tf32Golden    = golden{dtype: dtype.Float32, tf32: true, logits: 16 * 0x1p-10, grads: 32 * 0x1p-10}
	narrowGoldens = []golden{
		{dtype: dtype.BFloat16, logits: 16 * 0x1p-8, grads: 32 * 0x1p-8},
		{dtype: dtype.Float16, logits: 16 * 0x1p-11, grads: 32 * 0x1p-11},
	}
)

// TestGoldens compares logits and all gradients with transformers', both
// sequences packed into one batch.
func TestGoldens(t *testing.T) {
	for _, dir := range goldenDirs(t) {
		for _, dev := range []*tensor.Device{refDevice(), cpuDevice(t)} {
			fullGolden.check(t, dir, dev)
		}
		for _, g := range narrowGoldens {
			g.check(t, dir, cpuDevice(t))
		}
	}
}

func (g golden) check(t *testing.T, dir string, dev *tensor.Device) {
	t.Helper()
	name := fmt.Sprintf("%s in %s on %s", filepath.Base(dir), g.dtype, dev)
	if g.tf32 {
		name = fmt.Sprintf("%s in TF32 on %s", filepath.Base(dir), dev)
	}
	kernels.AllowTF32(g.tf32)
	defer kernels.AllowTF32(false)
	file, err := safetensors.Open(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := models.Load(dir, dev, g.dtype)
	if err != nil {
		t.Fatal(err)
	}
	logits := m.Logits(models.Pack(sequences), nil)
	all, v, most := logits.Float32s(), m.Config().VocabSize, 0.0
	for s, ids := range sequences {
		off := worst(all[:len(ids)*v], floats(t, file, fmt.Sprint("logits.", s)))
		if most = max(most, off); !(off <= g.logits) {
			t.Errorf("%s: logits of sequence %d are off by %.2g, want at most %.2g", name, s, off, g.logits)
		}
		all = all[len(ids)*v:]
	}
	logits.Release()
	grads := checkGradients(t, name, m, file, g.grads)
	t.Logf("%s: logits off by %.2g, gradients by %.2g", name, most, grads)
	nn.Release(m)
	if live := dev.MemoryStats().LiveBytes; live != 0 {
		t.Errorf("%s: %d bytes still live", name, live)
	}
	dev.Close()
}

func checkGradients(t *testing.T, name string, m models.CausalLM, golden *safetensors.File, tolerance float64) (most float64) {
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
		off := worst(np.Parameter.Value.Grad().Float32s(), floats(t, golden, "grad."+np.Name))
		if most = max(most, off); !(off <= tolerance) {
			t.Errorf("%s: gradient of %s is off by %.2g, want at most %.2g", name, np.Name, off, tolerance)
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
		t.Errorf("%s: %d gradients compared, the golden has %d", name, checked, grads)
	}
	return most
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
