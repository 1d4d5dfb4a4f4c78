// Package gptneox is GPT-NeoX as transformers' GPTNeoXForCausalLM defines it,
// the architecture of the Pythia models: queries, keys and values in one
// projection, interleaved per head; rotary positions on the first part of each
// head; attention and feed-forward side by side, or one after the other.
package gptneox

import (
	"fmt"
	"math"

	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

func init() { models.Register("gpt_neox", build) }

type model struct {
	models.Shell
	embed  *nn.Embedding
	layers []*block
	norm   *nn.LayerNorm
	rotary *nn.RotaryTable
}

// sizes are what a block needs to know.
type sizes struct {
	hidden, intermediate    int
	eps                     float64
	attentionBias, parallel bool
	act                     nn.Activation
	heads                   models.Heads
}

func build(raw models.RawConfig) (models.CausalLM, error) {
	r := raw.Reader()
	c := models.Config{Architecture: "GPTNeoXForCausalLM", ModelType: "gpt_neox", BlockName: "GPTNeoXLayer", Raw: raw,
		VocabSize: r.Int("vocab_size"), HiddenSize: r.Int("hidden_size"), NumLayers: r.Int("num_hidden_layers"), NumHeads: r.Int("num_attention_heads"),
		MaxPositions: r.IntOr("max_position_embeddings", 2048), TieWordEmbeddings: r.BoolOr("tie_word_embeddings", false),
		InitializerRange: r.FloatOr("initializer_range", 0.02)}
	c.NumKVHeads = c.NumHeads
	s := sizes{hidden: c.HiddenSize, intermediate: r.Int("intermediate_size"), eps: r.FloatOr("layer_norm_eps", 1e-5),
		attentionBias: r.BoolOr("attention_bias", true), parallel: r.BoolOr("use_parallel_residual", true)}
	act, err := nn.ActivationByName(r.StringOr("hidden_act", "gelu"))
	if err != nil {
		r.Fail("hidden_act", "a supported activation", err.Error())
	}
	s.act = act
	if c.NumHeads < 1 || c.HiddenSize%c.NumHeads != 0 {
		r.Fail("num_attention_heads", fmt.Sprintf("a divisor of hidden_size %d", c.HiddenSize), fmt.Sprint(c.NumHeads))
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	c.HeadDim = c.HiddenSize / c.NumHeads
	rope := r.Rotary(thetaKey(r), r.FloatOr("rotary_pct", 0.25), c.HeadDim, c.MaxPositions)
	if err := r.Err(); err != nil {
		return nil, err
	}
	s.heads = models.Heads{NumHeads: c.NumHeads, KVHeads: c.NumHeads, HeadDim: c.HeadDim, Scale: 1 / math.Sqrt(float64(c.HeadDim))}
	m := &model{embed: nn.NewEmbedding(c.VocabSize, c.HiddenSize), norm: nn.NewLayerNorm(c.HiddenSize, s.eps),
		rotary: nn.NewRotaryTable("GPTNeoXRotaryEmbedding", rope)}
	head := m.embed.Weight
	var output *nn.Linear
	if !c.TieWordEmbeddings {
		output = nn.NewLinear(c.HiddenSize, c.VocabSize, false)
		head = output.Weight
	}
	m.Shell = models.NewShell(c, models.Layout{Prefix: "gpt_neox.", Head: "embed_out.weight", Embedding: "gpt_neox.embed_in.weight",
		Ignored: []string{".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"}}, head, m.body)
	base := nn.NewUnit("GPTNeoXModel")
	base.AddChild("embed_in", m.embed)
	for i := range c.NumLayers {
		b := newBlock(i, s)
		m.layers = append(m.layers, b)
		base.AddChild(fmt.Sprintf("layers.%d", i), b)
	}
	base.AddChild("final_layer_norm", m.norm)
	base.AddChild("rotary_emb", m.rotary)
	m.AddChild("gpt_neox", &base)
	if output != nil {
		m.AddChild("embed_out", output)
	}
	return m, nil
}

// thetaKey is the name of the rotary base, which changed.
func thetaKey(r *models.Reader) string {
	if r.Has("rope_theta") {
		return "rope_theta"
	}
	return "rotary_emb_base"
}

func (m *model) body(p *models.Pass) *tensor.Tensor {
	h := m.embed.Forward(p.IDs())
	for _, b := range m.layers {
		h = nn.Forward(b, h, func(h *tensor.Tensor) *tensor.Tensor { return b.forward(p, m.rotary, h) })
	}
	return m.norm.Forward(h)
}

// block is GPTNeoXLayer.
type block struct {
	nn.Unit
	index         int
	sizes         sizes
	before, after *nn.LayerNorm
	qkv, dense    *nn.Linear
	up, down      *nn.Linear
}

func newBlock(index int, s sizes) *block {
	b := &block{Unit: nn.NewUnit("GPTNeoXLayer"), index: index, sizes: s,
		before: nn.NewLayerNorm(s.hidden, s.eps), after: nn.NewLayerNorm(s.hidden, s.eps),
		qkv: nn.NewLinear(s.hidden, 3*s.hidden, s.attentionBias), dense: nn.NewLinear(s.hidden, s.hidden, s.attentionBias),
		up: nn.NewLinear(s.hidden, s.intermediate, true), down: nn.NewLinear(s.intermediate, s.hidden, true)}
	attention, mlp := nn.NewUnit("GPTNeoXAttention"), nn.NewUnit("GPTNeoXMLP")
	attention.AddChild("query_key_value", b.qkv)
	attention.AddChild("dense", b.dense)
	mlp.AddChild("dense_h_to_4h", b.up)
	mlp.AddChild("dense_4h_to_h", b.down)
	b.AddChild("input_layernorm", b.before)
	b.AddChild("post_attention_layernorm", b.after)
	b.AddChild("attention", &attention)
	b.AddChild("mlp", &mlp)
	return b
}

func (b *block) forward(p *models.Pass, rotary *nn.RotaryTable, h *tensor.Tensor) *tensor.Tensor {
	attended := b.attend(p, rotary, b.before.Forward(h))
	if b.sizes.parallel { // x + attn(ln1(x)) + mlp(ln2(x))
		// The sums come last, so that both norms' gradients are added to theirs.
		y := b.mlp(b.after.Forward(h))
		return h.Add(attended).Add(y)
	}
	h, x := b.after.ForwardSum(h, attended)
	return h.Add(b.mlp(x))
}

func (b *block) mlp(x *tensor.Tensor) *tensor.Tensor {
	return b.down.Forward(b.sizes.act(b.up.Forward(x)))
}

// attend reads queries, keys and values where the fused projection leaves
// them: for each head its query, its key, its value.
func (b *block) attend(p *models.Pass, rotary *nn.RotaryTable, x *tensor.Tensor) *tensor.Tensor {
	s, rows, positions := b.sizes.heads, p.Rows(), p.Positions()
	qkv := b.qkv.Forward(x)
	part := func(i int) tensor.HeadView {
		return tensor.HeadView{X: qkv, Offset: i * s.HeadDim, Row: 3 * b.sizes.hidden, Head: 3 * s.HeadDim}
	}
	q := rotary.Turn(part(0), rows, s.NumHeads, s.HeadDim, positions)
	k := rotary.Turn(part(1), rows, s.NumHeads, s.HeadDim, positions)
	return b.dense.Forward(p.Attend(b.index, tensor.HeadsOf(q, s.NumHeads), tensor.HeadsOf(k, s.NumHeads), part(2), s))
}
