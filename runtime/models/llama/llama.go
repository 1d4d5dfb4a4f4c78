// Package llama is the Llama family as transformers' LlamaForCausalLM defines
// it: RMSNorm before each half of a block, rotary positions, grouped-query
// attention and a SwiGLU feed-forward layer; heads tied to the embedding or
// not, and Llama 3's scaling of the rotary frequencies.
package llama

import (
	"fmt"
	"math"

	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

func init() { models.Register("llama", build) }

// model is the whole network; its children carry transformers' names.
type model struct {
	models.Shell
	embed  *nn.Embedding
	layers []*block
	norm   *nn.RMSNorm
	rotary *nn.RotaryTable
}

// sizes are what a block needs to know.
type sizes struct {
	hidden, intermediate   int
	eps                    float64
	attentionBias, mlpBias bool
	heads                  models.Heads
}

func build(raw models.RawConfig) (models.CausalLM, error) {
	r := raw.Reader()
	c := models.Config{Architecture: "LlamaForCausalLM", ModelType: "llama", BlockName: "LlamaDecoderLayer", Raw: raw,
		VocabSize: r.Int("vocab_size"), HiddenSize: r.Int("hidden_size"), NumLayers: r.Int("num_hidden_layers"), NumHeads: r.Int("num_attention_heads"),
		MaxPositions: r.IntOr("max_position_embeddings", 2048), TieWordEmbeddings: r.BoolOr("tie_word_embeddings", false),
		InitializerRange: r.FloatOr("initializer_range", 0.02)}
	c.NumKVHeads = r.IntOr("num_key_value_heads", c.NumHeads)
	s := sizes{hidden: c.HiddenSize, intermediate: r.Int("intermediate_size"), eps: r.FloatOr("rms_norm_eps", 1e-6),
		attentionBias: r.BoolOr("attention_bias", false), mlpBias: r.BoolOr("mlp_bias", false)}
	if act := r.StringOr("hidden_act", "silu"); act != "silu" {
		r.Fail("hidden_act", "silu", act)
	}
	r.Reject("sliding_window")
	if c.NumHeads < 1 || c.NumKVHeads < 1 || c.NumHeads%c.NumKVHeads != 0 {
		r.Fail("num_key_value_heads", fmt.Sprintf("a divisor of the %d attention heads", c.NumHeads), fmt.Sprint(c.NumKVHeads))
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if c.HiddenSize%c.NumHeads != 0 && !r.Has("head_dim") {
		r.Fail("num_attention_heads", fmt.Sprintf("a divisor of hidden_size %d, or head_dim", c.HiddenSize), fmt.Sprint(c.NumHeads))
	}
	c.HeadDim = r.IntOr("head_dim", c.HiddenSize/c.NumHeads)
	rope := r.Rotary("rope_theta", 1, c.HeadDim, c.MaxPositions)
	if rope.Dim != c.HeadDim {
		r.Fail("partial_rotary_factor", "1", fmt.Sprintf("one that turns %d of %d elements", rope.Dim, c.HeadDim))
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	s.heads = models.Heads{NumHeads: c.NumHeads, KVHeads: c.NumKVHeads, HeadDim: c.HeadDim, Scale: 1 / math.Sqrt(float64(c.HeadDim))}
	m := &model{embed: nn.NewEmbedding(c.VocabSize, c.HiddenSize), norm: nn.NewRMSNorm("LlamaRMSNorm", c.HiddenSize, s.eps),
		rotary: nn.NewRotaryTable("LlamaRotaryEmbedding", rope)}
	head := m.embed.Weight
	var output *nn.Linear
	if !c.TieWordEmbeddings {
		output = nn.NewLinear(c.HiddenSize, c.VocabSize, false)
		head = output.Weight
	}
	m.Shell = models.NewShell(c, models.Layout{Prefix: "model.", Head: "lm_head.weight", Embedding: "model.embed_tokens.weight",
		Ignored: []string{"rotary_emb.inv_freq"}}, head, m.body)
	base := nn.NewUnit("LlamaModel")
	base.AddChild("embed_tokens", m.embed)
	for i := range c.NumLayers {
		b := newBlock(i, s)
		m.layers = append(m.layers, b)
		base.AddChild(fmt.Sprintf("layers.%d", i), b)
	}
	base.AddChild("norm", m.norm)
	base.AddChild("rotary_emb", m.rotary)
	m.AddChild("model", &base)
	if output != nil {
		m.AddChild("lm_head", output)
	}
	return m, nil
}

func (m *model) body(p *models.Pass) *tensor.Tensor {
	h := m.embed.Forward(p.IDs())
	for _, b := range m.layers {
		h = nn.Forward(b, h, func(h *tensor.Tensor) *tensor.Tensor { return b.forward(p, m.rotary, h) })
	}
	return m.norm.Forward(h)
}

// block is LlamaDecoderLayer.
type block struct {
	nn.Unit
	index          int
	heads          models.Heads
	before, after  *nn.RMSNorm
	q, k, v, o     *nn.Linear
	gate, up, down *nn.Linear
}

func newBlock(index int, s sizes) *block {
	h := s.heads
	b := &block{Unit: nn.NewUnit("LlamaDecoderLayer"), index: index, heads: h,
		before: nn.NewRMSNorm("LlamaRMSNorm", s.hidden, s.eps), after: nn.NewRMSNorm("LlamaRMSNorm", s.hidden, s.eps),
		q: nn.NewLinear(s.hidden, h.NumHeads*h.HeadDim, s.attentionBias), k: nn.NewLinear(s.hidden, h.KVHeads*h.HeadDim, s.attentionBias),
		v: nn.NewLinear(s.hidden, h.KVHeads*h.HeadDim, s.attentionBias), o: nn.NewLinear(h.NumHeads*h.HeadDim, s.hidden, s.attentionBias),
		gate: nn.NewLinear(s.hidden, s.intermediate, s.mlpBias), up: nn.NewLinear(s.hidden, s.intermediate, s.mlpBias), down: nn.NewLinear(s.intermediate, s.hidden, s.mlpBias)}
	attention, mlp := nn.NewUnit("LlamaAttention"), nn.NewUnit("LlamaMLP")
	attention.AddChild("q_proj", b.q)
	attention.AddChild("k_proj", b.k)
	attention.AddChild("v_proj", b.v)
	attention.AddChild("o_proj", b.o)
	mlp.AddChild("gate_proj", b.gate)
	mlp.AddChild("up_proj", b.up)
	mlp.AddChild("down_proj", b.down)
	b.AddChild("self_attn", &attention)
	b.AddChild("mlp", &mlp)
	b.AddChild("input_layernorm", b.before)
	b.AddChild("post_attention_layernorm", b.after)
	return b
}

func (b *block) forward(p *models.Pass, rotary *nn.RotaryTable, h *tensor.Tensor) *tensor.Tensor {
	x := b.before.Forward(h)
	positions, rows, s := p.Positions(), p.Rows(), b.heads
	q := rotary.Turn(tensor.HeadsOf(b.q.Forward(x), s.NumHeads), rows, s.NumHeads, s.HeadDim, positions)
	k := rotary.Turn(tensor.HeadsOf(b.k.Forward(x), s.KVHeads), rows, s.KVHeads, s.HeadDim, positions)
	v := b.v.Forward(x)
	attended := p.Attend(b.index, tensor.HeadsOf(q, s.NumHeads), tensor.HeadsOf(k, s.KVHeads), tensor.HeadsOf(v, s.KVHeads), s)
	h, x = b.after.ForwardSum(h, b.o.Forward(attended))
	return h.Add(b.down.Forward(tensor.SwiGLU(b.gate.Forward(x), b.up.Forward(x))))
}
