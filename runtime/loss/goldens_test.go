package loss_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	_ "dpolab/kernels/ref"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
)

// golden is what testdata/goldens.py recorded of the reference's functions, in
// float32 for the CPU backend and in float64 for the oracle.
type golden struct {
	Inputs     map[string][4][]float32
	Preference []struct {
		Settings struct {
			Beta           float64
			LabelSmoothing float64 `json:"label_smoothing"`
			IPO            bool
			ReferenceFree  bool `json:"reference_free"`
		}
		Input            string
		Float32, Float64 map[string][]float64
	}
	BatchLogProbs struct {
		Logits [][][]float32
		Labels [][]int32
		Sum    map[string]map[string][]float64
		Mean   map[string]map[string][]float64
	} `json:"batch_log_probs"`
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/goldens.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// compare allows 1e-6 relative, and next to zero 1e-6 of a unit: what the
// terms that cancel there are themselves known to. Subnormal float32 numbers
// have fewer digits than that, or are 0 where the processor flushes them.
func compare(t *testing.T, what string, got, want []float64, unit float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= 1e-6*math.Max(math.Abs(w), unit)+0x1p-126) {
			t.Errorf("%s[%d] is %.9g, want %.9g", what, i, got[i], w)
		}
	}
}

// backends are the devices the goldens are held against, with the name of
// their golden type.
var backends = []struct {
	dev  device.Device
	name string
}{{device.Device{Type: device.CPU}, "float32"}, {device.Device{Type: device.Ref}, "float64"}}

// leaf puts values on dev: in float64 on the oracle, else in float32.
func leaf(dev *tensor.Device, name string, values []float32, shape ...int) *tensor.Tensor {
	if name == "float32" {
		return tensor.FromFloat32(dev, values, shape...)
	}
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	return tensor.FromFloat64(dev, wide, shape...)
}

func open(t *testing.T, d device.Device) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open(d, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// TestPreferenceLossesAreTheReferences compares losses, rewards and gradients
// with the reference's preference_loss.
func TestPreferenceLossesAreTheReferences(t *testing.T) {
	g := readGolden(t)
	if len(g.Preference) < 80 {
		t.Fatalf("%d golden cases", len(g.Preference))
	}
	for _, b := range backends {
		dev := open(t, b.dev)
		for _, c := range g.Preference {
			s := c.Settings
			want, unit := c.Float64, 0.0
			if b.name == "float32" {
				want = c.Float32
			}
			fn := loss.DPO(s.Beta, s.LabelSmoothing)
			switch {
			case s.IPO:
				fn = loss.IPO(s.Beta)
			case s.ReferenceFree:
				fn = loss.ReferenceFree(s.Beta, s.LabelSmoothing)
			}
			if s.LabelSmoothing > 0 {
				unit = s.Beta // the gradient is the difference of two terms of up to β
			}
			t.Run(fmt.Sprintf("%s/%+v/%s", b.name, s, c.Input), func(t *testing.T) {
				in := g.Inputs[c.Input]
				if len(in[0]) == 0 {
					t.Fatal("no such input")
				}
				var x [4]*tensor.Tensor
				for i, v := range in {
					x[i] = leaf(dev, b.name, v).SetRequiresGrad(i < 2)
				}
				out := fn(loss.LogProbs{PolicyChosen: x[0], PolicyRejected: x[1], ReferenceChosen: x[2], ReferenceRejected: x[3]})
				compare(t, "losses", out.Losses.Float64s(), want["losses"], 0)
				compare(t, "chosen rewards", out.ChosenRewards.Float64s(), want["chosen_rewards"], 0)
				compare(t, "rejected rewards", out.RejectedRewards.Float64s(), want["rejected_rewards"], 0)
				out.Losses.Sum().Backward(nil)
				compare(t, "chosen gradient", x[0].Grad().Float64s(), want["chosen_grad"], unit)
				compare(t, "rejected gradient", x[1].Grad().Float64s(), want["rejected_grad"], unit)
			})
		}
	}
}

// TestLogProbabilitiesAreTheReferences compares what losses are fed, one
// log-probability per response, with the reference's _get_batch_logps, summed
// and averaged. The logits are hidden states under a weight of one.
func TestLogProbabilitiesAreTheReferences(t *testing.T) {
	g := readGolden(t).BatchLogProbs
	length, vocabulary := len(g.Logits[0]), len(g.Logits[0][0])
	var hidden []float32
	var rows, labels []int32
	offsets, counts := []int32{0}, []float32(nil)
	for i, sequence := range g.Logits {
		for j, row := range sequence {
			hidden = append(hidden, row...)
			if j+1 < length && g.Labels[i][j+1] != -100 { // a row predicts the next label
				rows, labels = append(rows, int32(i*length+j)), append(labels, g.Labels[i][j+1])
			}
		}
		counts = append(counts, float32(int32(len(labels))-offsets[i]))
		offsets = append(offsets, int32(len(labels)))
	}
	one := make([]float32, vocabulary*vocabulary)
	for i := range vocabulary {
		one[i*vocabulary+i] = 1
	}
	for _, b := range backends {
		dev := open(t, b.dev)
		for _, average := range []bool{false, true} {
			x := leaf(dev, b.name, hidden, len(hidden)/vocabulary, vocabulary).SetRequiresGrad(true)
			weight := leaf(dev, b.name, one, vocabulary, vocabulary)
			logps := tensor.SegmentSum(tensor.LogProbs(x, weight, tensor.FromInt32(dev, rows), tensor.FromInt32(dev, labels)), offsets)
			want := g.Sum[b.name]
			if average {
				logps, want = logps.Div(leaf(dev, b.name, counts)), g.Mean[b.name]
			}
			logps.Sum().Backward(nil)
			what := fmt.Sprintf("%s, averaged %v: ", b.name, average)
			compare(t, what+"log-probability", logps.Float64s(), want["logps"], 0)
			// Each is the difference of a probability and 0 or 1.
			compare(t, what+"gradient", x.Grad().Float64s(), want["grad"], 1)
		}
	}
}
