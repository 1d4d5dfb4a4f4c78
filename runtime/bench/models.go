package bench

import (
	"fmt"
	"os"
	"path/filepath"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// Shape is the size of a model.
type Shape struct {
	Type                              string // gpt2 or gpt_neox
	Layers, Hidden, Heads, Vocabulary int
	Positions                         int
}

// The shapes of the cases. Vocabularies of the fixed-length steps are padded
// to a multiple of 128, as training code does.
var (
	large  = Shape{"gpt2", 12, 768, 12, 50304, 1024}
	small  = Shape{"gpt2", 4, 256, 4, 4096, 1024}
	gpt2   = Shape{"gpt2", 12, 768, 12, 50257, 1024}
	pythia = Shape{"gpt_neox", 6, 512, 8, 50304, 2048}
)

// config is the config.json of a shape.
func (s Shape) config() string {
	if s.Type == "gpt2" {
		return fmt.Sprintf(`{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": %d, "n_embd": %d, "n_layer": %d, "n_head": %d, "n_positions": %d,
 "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "initializer_range": 0.02, "tie_word_embeddings": true,
 "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32"}`,
			s.Vocabulary, s.Hidden, s.Layers, s.Heads, s.Positions)
	}
	return fmt.Sprintf(`{"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": %d, "hidden_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d,
 "intermediate_size": %d, "max_position_embeddings": %d, "hidden_act": "gelu", "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": true,
 "layer_norm_eps": 1e-05, "initializer_range": 0.02, "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32"}`,
		s.Vocabulary, s.Hidden, s.Layers, s.Heads, 4*s.Hidden, s.Positions)
}

// stepFlops counts the multiply-adds' floating operations of one training step
// over sequences of the given length: 6 per weight and token, and the causal
// half of attention's scores and sums, three times.
func (s Shape) stepFlops(sequences, length int) float64 {
	t, l, d, v := float64(sequences*length), float64(s.Layers), float64(s.Hidden), float64(s.Vocabulary)
	return t * (6*(12*l*d*d+v*d) + 6*l*d*float64(length))
}

// checkpoint writes random weights of the shape to a directory of its own and
// returns it. Different seeds give different weights.
func (d *driver) checkpoint(s Shape, seed uint64) (string, error) {
	dir := filepath.Join(d.dir, fmt.Sprintf("%s-%dx%d-h%d-v%d-%d", s.Type, s.Layers, s.Hidden, s.Heads, s.Vocabulary, seed))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	raw, err := models.ParseConfig([]byte(s.config()), "bench config.json")
	if err != nil {
		return "", err
	}
	m, err := models.New(raw)
	if err != nil {
		return "", err
	}
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 0)
	if err != nil {
		return "", err
	}
	defer dev.Close()
	nn.Materialize(m, dev, dtype.Float32)
	nn.Initialize(m, m.Config().InitializerRange, seed)
	return dir, models.Save(m, dir, dtype.Float32)
}
