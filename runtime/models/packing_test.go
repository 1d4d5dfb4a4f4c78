package models_test

import (
	"math"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// A pair for the prefix-sharing tests, and the padding of its oracle.
var (
	prompt   = []int32{3, 14, 15, 9, 26}
	chosen   = []int32{53, 5, 8}
	rejected = []int32{2, 7, 1, 8, 28}
	padID    = int32(60)
)

// outcome is what two ways of computing one thing are compared by.
type outcome struct {
	logps []float64
	grads map[string][]float64
}

// differentiate computes log-probs and the gradients of their sum weighted by
// cosines, so that no two rows weigh the same.
func differentiate(m models.CausalLM, in models.Input, rows, labels []int32) outcome {
	nn.ZeroGrad(m)
	o := outcome{grads: map[string][]float64{}}
	m.Device().Scope(func() *tensor.Tensor {
		lp := m.LogProbs(in, rows, labels)
		o.logps = lp.Float64s()
		w := make([]float32, len(rows))
		for i := range w {
			w[i] = float32(math.Cos(float64(i)))
		}
		lp.Mul(tensor.FromFloat32(m.Device(), w).To(lp.DType())).Sum().Backward(nil)
		return nil
	})
	for _, np := range nn.NamedParameters(m) {
		if g := np.Parameter.Value.Grad(); g != nil {
			o.grads[np.Name] = g.Float64s()
		}
	}
	return o
}

// distance is the largest difference relative to the largest value.
func distance(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	diff, scale := 0.0, 1e-30
	for i := range got {
		if d := math.Abs(got[i] - want[i]); !(d <= diff) {
			diff = d
		}
		scale = max(scale, math.Abs(want[i]))
	}
	return diff / scale
}

func (o outcome) compare(t *testing.T, what string, want outcome, tolerance float64) {
	t.Helper()
	if d := distance(o.logps, want.logps); !(d <= tolerance) {
		t.Errorf("%s: log-probs differ by %g", what, d)
	}
	if len(o.grads) != len(want.grads) || len(o.grads) == 0 {
		t.Errorf("%s: %d gradients, want %d", what, len(o.grads), len(want.grads))
	}
	for name, g := range want.grads {
		if d := distance(o.grads[name], g); !(d <= tolerance) {
			t.Errorf("%s: gradient of %s differs by %g", what, name, d)
		}
	}
}

// responseRows returns the rows and labels of a response of n tokens whose
// first token follows row before and whose own rows start at start.
func responseRows(response []int32, before, start int) (rows, labels []int32) {
	for i, id := range response {
		row := start + i - 1
		if i == 0 {
			row = before
		}
		rows, labels = append(rows, int32(row)), append(labels, id)
	}
	return rows, labels
}

// sharedPair is the packed layout prompt | chosen | rejected.
func sharedPair() (in models.Input, rows, labels []int32) {
	p, c := len(prompt), len(chosen)
	rows, labels = responseRows(chosen, p-1, p)
	r2, l2 := responseRows(rejected, p-1, p+c)
	return models.PackPair(prompt, chosen, rejected), append(rows, r2...), append(labels, l2...)
}

// paddedPair is what is usually computed: both sequences in full, side by
// side, padded to one length.
func paddedPair() (in models.Input, rows, labels []int32) {
	width := len(prompt) + max(len(chosen), len(rejected)) + 2
	for s, response := range [][]int32{chosen, rejected} {
		ids := append(append([]int32(nil), prompt...), response...)
		for len(ids) < width {
			ids = append(ids, padID)
		}
		start := s * width
		in.IDs = append(in.IDs, ids...)
		for i := range ids {
			in.Positions = append(in.Positions, int32(i))
		}
		in.Segments = append(in.Segments, kernels.Causal(start, start+width))
		r, l := responseRows(response, start+len(prompt)-1, start+len(prompt))
		rows, labels = append(rows, r...), append(labels, l...)
	}
	return in, rows, labels
}

// architectures are the golden models that differ in what a packed batch could
// get wrong: positions, fused projections, grouped heads.
var architectures = []string{"gpt2", "gptneox", "gptneox-serial", "llama", "llama-tied", "llama3"}

func loadGolden(t *testing.T, name string, dev *tensor.Device, dt dtype.DType) models.CausalLM {
	t.Helper()
	m, err := models.Load("testdata/"+name, dev, dt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSharedPrefixEqualsPaddedPair(t *testing.T) {
	for _, name := range architectures {
		shared, rows, labels := sharedPair()
		padded, paddedRows, paddedLabels := paddedPair()
		if len(shared.IDs) >= len(padded.IDs) {
			t.Fatal("sharing the prompt saves no token")
		}
		exact := loadGolden(t, name, refDevice(), dtype.Float64)
		differentiate(exact, shared, rows, labels).compare(t, name+" in float64",
			differentiate(exact, padded, paddedRows, paddedLabels), 1e-10)
		fast := loadGolden(t, name, cpuDevice(t), dtype.Float32)
		differentiate(fast, shared, rows, labels).compare(t, name+" in float32",
			differentiate(fast, padded, paddedRows, paddedLabels), 1e-5)
	}
}

func TestPackedEqualsSeparate(t *testing.T) {
	for _, name := range architectures {
		m := loadGolden(t, name, refDevice(), dtype.Float64)
		packed := m.Logits(models.Pack(sequences), nil).Float64s()
		var separate []float64
		for _, s := range sequences {
			separate = append(separate, m.Logits(models.Pack([][]int32{s}), nil).Float64s()...)
		}
		if d := distance(packed, separate); !(d <= 1e-12) {
			t.Errorf("%s: logits of a packed batch differ by %g from its sequences' own", name, d)
		}
		// Rows on request are those rows, in the order asked for.
		v := m.Config().VocabSize
		some := m.Logits(models.Pack(sequences), []int32{7, 2}).Float64s()
		want := append(append([]float64(nil), packed[7*v:8*v]...), packed[2*v:3*v]...)
		if d := distance(some, want); !(d <= 1e-12) {
			t.Errorf("%s: logits of two rows differ by %g from the same rows of all", name, d)
		}
	}
}

func TestLogProbsEqualLogSoftmaxOfLogits(t *testing.T) {
	m := loadGolden(t, "llama", refDevice(), dtype.Float64)
	in, rows, labels := sharedPair()
	logs := m.Logits(in, rows).LogSoftmax(-1).Float64s()
	want := make([]float64, len(rows))
	for i, l := range labels {
		want[i] = logs[i*m.Config().VocabSize+int(l)]
	}
	if d := distance(m.LogProbs(in, rows, labels).Float64s(), want); !(d <= 1e-12) {
		t.Errorf("log-probs differ by %g", d)
	}
}

// TestCheckpointingChangesNothing recomputes every block in backward.
func TestCheckpointingChangesNothing(t *testing.T) {
	for _, name := range architectures {
		m := loadGolden(t, name, refDevice(), dtype.Float64)
		in, rows, labels := sharedPair()
		want := differentiate(m, in, rows, labels)
		blocks, err := nn.FindByClass(m, m.Config().BlockName)
		if err != nil {
			t.Fatal(err)
		}
		if len(blocks) != m.Config().NumLayers {
			t.Errorf("%s: %d blocks of class %s, want %d", name, len(blocks), m.Config().BlockName, m.Config().NumLayers)
		}
		for _, b := range blocks {
			b.Base().Hooks().Around = tensor.Checkpoint
		}
		differentiate(m, in, rows, labels).compare(t, name, want, 1e-13)
	}
}

// TestLowPrecision runs in the types of mixed precision: everything stays in
// them, log-probs are float32 and near the exact ones.
func TestLowPrecision(t *testing.T) {
	in, rows, labels := sharedPair()
	for _, name := range []string{"gpt2-f16", "gptneox", "llama"} {
		exact := loadGolden(t, name, refDevice(), dtype.Float32)
		want := exact.LogProbs(in, rows, labels).Float64s()
		for dt, band := range map[dtype.DType]float64{dtype.BFloat16: 0.1, dtype.Float16: 0.02} {
			for _, dev := range []*tensor.Device{refDevice(), cpuDevice(t)} {
				m := loadGolden(t, name, dev, dt)
				if got := m.Hidden(in).DType(); got != dt {
					t.Errorf("%s: hidden states are %s in %s", name, got, dt)
				}
				lp := m.LogProbs(in, rows, labels)
				if lp.DType() != dtype.Float32 {
					t.Errorf("%s: log-probs are %s in %s", name, lp.DType(), dt)
				}
				if logits := m.Logits(in, rows); logits.DType() != dtype.Float32 {
					t.Errorf("%s: logits are %s in %s", name, logits.DType(), dt)
				}
				if d := distance(lp.Float64s(), want); !(d <= band) {
					t.Errorf("%s in %s on %s: log-probs are off by %g of the largest", name, dt, dev, d)
				}
			}
		}
	}
}

func TestMisuseOfInput(t *testing.T) {
	m := loadGolden(t, "gpt2", refDevice(), dtype.Float32)
	long := make([]int32, m.Config().MaxPositions+1)
	ok := models.Pack(sequences)
	cases := map[string]func(){
		"no tokens":         func() { m.Hidden(models.Input{}) },
		"unknown token":     func() { m.Hidden(models.Pack([][]int32{{1, 61}})) },
		"negative token":    func() { m.Hidden(models.Pack([][]int32{{-1}})) },
		"too long":          func() { m.Hidden(models.Pack([][]int32{long})) },
		"missing positions": func() { m.Hidden(models.Input{IDs: []int32{1, 2}, Positions: []int32{0}}) },
		"row out of range":  func() { m.Logits(ok, []int32{int32(len(ok.IDs))}) },
		"label unknown":     func() { m.LogProbs(ok, []int32{0}, []int32{61}) },
		"label missing":     func() { m.LogProbs(ok, []int32{0, 1}, []int32{3}) },
		"segment outside": func() {
			m.Hidden(models.Input{IDs: []int32{1}, Positions: []int32{0}, Segments: []kernels.Segment{kernels.Causal(0, 2)}})
		},
		"cache too small": func() { m.HiddenCached(models.NewCache(1, 2), [][]int32{{1, 2, 3}}) },
		"cache slots":     func() { m.HiddenCached(models.NewCache(1, 2), [][]int32{{1}, {2}}) },
	}
	for name, fn := range cases {
		if err := tensor.Try(fn); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
