package models_test

import (
	"math"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
)

// TestFromScratch makes each architecture from a configuration alone: it
// starts as transformers starts it, and predicts nearly uniformly.
func TestFromScratch(t *testing.T) {
	configs := map[string]string{
		"gpt2":     `{"model_type": "gpt2", "vocab_size": 50, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 32}`,
		"gpt_neox": `{"model_type": "gpt_neox", "vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}`,
		"llama":    `{"model_type": "llama", "vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128}`,
	}
	for name, text := range configs {
		raw, err := models.ParseConfig([]byte(text), name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := models.New(raw)
		if err != nil {
			t.Fatal(err)
		}
		nn.Materialize(m, refDevice(), dtype.Float32)
		nn.Initialize(m, m.Config().InitializerRange, 1)
		for _, np := range nn.NamedParameters(m) {
			mean, std := moments(np.Parameter.Value.Float64s())
			wantMean, wantStd := 0.0, 0.02
			switch {
			case len(np.Parameter.Shape()) == 1:
				wantStd = 0
				if strings.HasSuffix(np.Name, ".weight") { // of a norm
					wantMean = 1
				}
			case name == "gpt2" && strings.HasSuffix(np.Name, "c_proj.weight"):
				wantStd = 0.02 / 2 // sqrt(2·layers)
			}
			if math.Abs(mean-wantMean) > 0.002 || math.Abs(std-wantStd) > 0.1*wantStd {
				t.Errorf("%s: %s starts with mean %.4f and deviation %.4f, want %g and %g", name, np.Name, mean, std, wantMean, wantStd)
			}
		}
		for _, lp := range m.LogProbs(models.Pack(sequences[1:]), []int32{0, 1, 2, 3, 4}, sequences[1][1:]).Float64s() {
			if math.Abs(lp+math.Log(50)) > 1.5 {
				t.Errorf("%s: log-probability %g before any training, want about %g", name, lp, -math.Log(50))
			}
		}
	}
}

func moments(values []float64) (mean, std float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		std += (v - mean) * (v - mean) / float64(len(values))
	}
	return mean, math.Sqrt(std)
}
