// Package gpt2 is GPT-2 as transformers' GPT2LMHeadModel defines it: learned
// positions, weights stored [in, out], queries, keys and values in thirds of
// one projection, and a head tied to the embedding.
package gpt2

import (
	"fmt"
	"math"

	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

func init() { models.Register("gpt2", build) }

type model struct {
	models.Shell
	tokens, positions *nn.Embedding
	layers            []*block
	norm              *nn.LayerNorm
}

// sizes are what a block needs to know.
type sizes struct {
	hidden, inner int
	eps           float64
	act           nn.Activation
	heads         models.Heads
}

func build(raw models.RawConfig) (models.CausalLM, error) {
	r := raw.Reader()
	c := models.Config{Architecture: "GPT2LMHeadModel", ModelType: "gpt2", BlockName: "GPT2Block", Raw: raw,
		VocabSize: r.Int("vocab_size"), HiddenSize: r.Int("n_embd"), NumLayers: r.Int("n_layer"), NumHeads: r.Int("n_head"),
		MaxPositions: r.IntOr("n_positions", 1024), TieWordEmbeddings: r.BoolOr("tie_word_embeddings", true),
		InitializerRange: r.FloatOr("initializer_range", 0.02)}
	c.NumKVHeads = c.NumHeads
	s := sizes{hidden: c.HiddenSize, inner: r.IntOr("n_inner", 4*c.HiddenSize), eps: r.FloatOr("layer_norm_epsilon", 1e-5)}
	act, err := nn.ActivationByName(r.StringOr("activation_function", "gelu_new"))
	if err != nil {
		r.Fail("activation_function", "a supported activation", err.Error())
	}
	s.act = act
	if c.NumHeads < 1 || c.HiddenSize%c.NumHeads != 0 {
		r.Fail("n_head", fmt.Sprintf("a divisor of n_embd %d", c.HiddenSize), fmt.Sprint(c.NumHeads))
	}
	scaled, byLayer := r.BoolOr("scale_attn_weights", true), r.BoolOr("scale_attn_by_inverse_layer_idx", false)
	r.Reject("add_cross_attention")
	if err := r.Err(); err != nil {
		return nil, err
	}
	c.HeadDim = c.HiddenSize / c.NumHeads
	m := &model{tokens: nn.NewEmbedding(c.VocabSize, c.HiddenSize), positions: nn.NewEmbedding(c.MaxPositions, c.HiddenSize),
		norm: nn.NewLayerNorm(c.HiddenSize, s.eps)}
	head := m.tokens.Weight
	var output *nn.Linear
	if !c.TieWordEmbeddings {
		output = nn.NewLinear(c.HiddenSize, c.VocabSize, false)
		head = output.Weight
	}
	m.Shell = models.NewShell(c, models.Layout{Prefix: "transformer.", Head: "lm_head.weight", Embedding: "transformer.wte.weight",
		Ignored: []string{".attn.bias", ".attn.masked_bias"}}, head, m.body)
	base := nn.NewUnit("GPT2Model")
	base.AddChild("wte", m.tokens)
	base.AddChild("wpe", m.positions)
	for i := range c.NumLayers {
		s.heads = models.Heads{NumHeads: c.NumHeads, KVHeads: c.NumHeads, HeadDim: c.HeadDim, Scale: 1}
		if scaled {
			s.heads.Scale /= math.Sqrt(float64(c.HeadDim))
		}
		if byLayer {
			s.heads.Scale /= float64(i + 1)
		}
		b := newBlock(i, s)
		for _, p := range []*nn.Conv1D{b.proj, b.down} { // 2·layers of them add up in the residual stream
			p.Weight.InitScale(1 / math.Sqrt(float64(2*c.NumLayers)))
		}
		m.layers = append(m.layers, b)
		base.AddChild(fmt.Sprintf("h.%d", i), b)
	}
	base.AddChild("ln_f", m.norm)
	m.AddChild("transformer", &base)
	if output != nil {
		m.AddChild("lm_head", output)
	}
	return m, nil
}

func (m *model) body(p *models.Pass) *tensor.Tensor {
	h := m.tokens.Forward(p.IDs()).Add(m.positions.Forward(p.Positions()))
	for _, b := range m.layers {
		h = nn.Forward(b, h, func(h *tensor.Tensor) *tensor.Tensor { return b.forward(p, h) })
	}
	return m.norm.Forward(h)
}

// block is GPT2Block.
type block struct {
	nn.Unit
	index         int
	sizes         sizes
	before, after *nn.LayerNorm
	qkv, proj     *nn.Conv1D
	up, down      *nn.Conv1D
}

func newBlock(index int, s sizes) *block {
	b := &block{Unit: nn.NewUnit("GPT2Block"), index: index, sizes: s,
		before: nn.NewLayerNorm(s.hidden, s.eps), after: nn.NewLayerNorm(s.hidden, s.eps),
		qkv: nn.NewConv1D(s.hidden, 3*s.hidden), proj: nn.NewConv1D(s.hidden, s.hidden),
		up: nn.NewConv1D(s.hidden, s.inner), down: nn.NewConv1D(s.inner, s.hidden)}
	attention, mlp := nn.NewUnit("GPT2Attention"), nn.NewUnit("GPT2MLP")
	attention.AddChild("c_attn", b.qkv)
	attention.AddChild("c_proj", b.proj)
	mlp.AddChild("c_fc", b.up)
	mlp.AddChild("c_proj", b.down)
	b.AddChild("ln_1", b.before)
	b.AddChild("attn", &attention)
	b.AddChild("ln_2", b.after)
	b.AddChild("mlp", &mlp)
	return b
}

func (b *block) forward(p *models.Pass, h *tensor.Tensor) *tensor.Tensor {
	s := b.sizes.heads
	qkv := b.qkv.Forward(b.before.Forward(h))
	third := func(i int) tensor.HeadView {
		return tensor.HeadView{X: qkv, Offset: i * b.sizes.hidden, Row: 3 * b.sizes.hidden, Head: s.HeadDim}
	}
	h, x := b.after.ForwardSum(h, b.proj.Forward(p.Attend(b.index, third(0), third(1), third(2), s)))
	return h.Add(b.down.Forward(b.sizes.act(b.up.Forward(x))))
}
