package models

import (
	"fmt"
	"strings"

	"dpolab/kernels/dtype"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// Shell is the part of a CausalLM that no architecture needs to write: it owns
// the root's forward pass, the head and the cached forms. An architecture
// embeds it, adds its modules as children and hands it the body.
type Shell struct {
	nn.Unit
	config Config
	names  Layout
	body   func(p *Pass) *tensor.Tensor
	head   *nn.Parameter
}

// Layout is what differs between architectures in the names of tensors.
type Layout struct {
	// Prefix leads the names of all tensors but the head's: "transformer.".
	// Checkpoints of the bare base model lack it.
	Prefix string
	// Head and Embedding are the names of the output and the input matrix,
	// which are one where the configuration ties them.
	Head, Embedding string
	// Ignored are endings of tensor names that old checkpoints hold and no
	// model needs, such as attention masks.
	Ignored []string
}

// NewShell returns the shell of a model. body computes the states after the
// final norm, [T, D]; head is the output matrix [V, D].
func NewShell(cfg Config, names Layout, head *nn.Parameter, body func(p *Pass) *tensor.Tensor) Shell {
	return Shell{Unit: nn.NewUnit(cfg.Architecture), config: cfg, names: names, head: head, body: body}
}

// Config describes the model.
func (s *Shell) Config() Config { return s.config }

// Layout says how checkpoints name the tensors.
func (s *Shell) Layout() Layout { return s.names }

// Device is where the parameters are.
func (s *Shell) Device() *tensor.Device { return s.head.Device() }

// Hidden returns the states after the final norm, [T, D].
func (s *Shell) Hidden(in Input) *tensor.Tensor {
	return s.forward(in, nil, func(h *tensor.Tensor) *tensor.Tensor { return h })
}

// LogProbs returns, float32 [R], the log-probability of labels[i] given row
// rows[i].
func (s *Shell) LogProbs(in Input, rows, labels []int32) *tensor.Tensor {
	s.checkRows("log_probs", rows, len(in.IDs))
	if len(labels) != len(rows) {
		panic(&tensor.Error{Op: "log_probs", Want: fmt.Sprintf("a label for each of %d rows", len(rows)), Got: fmt.Sprint(len(labels))})
	}
	for i, l := range labels {
		if l < 0 || int(l) >= s.config.VocabSize {
			panic(&tensor.Error{Op: "log_probs", Want: fmt.Sprintf("labels below the vocabulary's %d", s.config.VocabSize), Got: fmt.Sprintf("%d at %d", l, i)})
		}
	}
	return s.forward(in, nil, func(h *tensor.Tensor) *tensor.Tensor {
		dev := h.Device()
		return tensor.LogProbs(h, s.head.Value, tensor.FromInt32(dev, rows), tensor.FromInt32(dev, labels))
	})
}

// Logits returns the scores of the given rows, float32 [R, V]; nil means all.
func (s *Shell) Logits(in Input, rows []int32) *tensor.Tensor {
	s.checkRows("logits", rows, len(in.IDs))
	return s.forward(in, nil, func(h *tensor.Tensor) *tensor.Tensor { return s.scores(h, rows) })
}

// HiddenCached continues the cache's sequences; see CausalLM.
func (s *Shell) HiddenCached(cache *Cache, tokens [][]int32) *tensor.Tensor {
	return s.continued(cache, tokens, func(h *tensor.Tensor) *tensor.Tensor { return h })
}

// LogitsCached continues the cache's sequences; see CausalLM.
func (s *Shell) LogitsCached(cache *Cache, tokens [][]int32) *tensor.Tensor {
	var last []int32
	at := int32(0)
	for _, t := range tokens {
		if at += int32(len(t)); len(t) > 0 {
			last = append(last, at-1)
		}
	}
	return s.continued(cache, tokens, func(h *tensor.Tensor) *tensor.Tensor { return s.scores(h, last) })
}

// continued runs one cached pass without recording gradients.
func (s *Shell) continued(cache *Cache, tokens [][]int32, finish func(h *tensor.Tensor) *tensor.Tensor) *tensor.Tensor {
	in := cache.extend(tokens)
	var y *tensor.Tensor
	s.Device().NoGrad(func() { y = s.forward(in, cache, finish) })
	return y
}

// scores applies the head to some rows of the states.
func (s *Shell) scores(h *tensor.Tensor, rows []int32) *tensor.Tensor {
	if rows != nil {
		h = tensor.Gather(h, tensor.FromInt32(h.Device(), rows))
	}
	if h.DType() != dtype.Float64 {
		h = h.To(dtype.Float32)
	}
	return tensor.Linear(h, s.head.Value, nil)
}

// forward runs the body and what follows it inside the root's hooks.
func (s *Shell) forward(in Input, cache *Cache, finish func(h *tensor.Tensor) *tensor.Tensor) *tensor.Tensor {
	in.check(s.config)
	dev := s.Device()
	return dev.Scope(func() *tensor.Tensor {
		ids := tensor.FromInt32(dev, in.IDs)
		return nn.Forward(s, ids, func(ids *tensor.Tensor) *tensor.Tensor {
			return finish(s.body(&Pass{ids: ids, in: in, cache: cache}))
		})
	})
}

func (s *Shell) checkRows(op string, rows []int32, n int) {
	for i, r := range rows {
		if r < 0 || int(r) >= n {
			panic(&tensor.Error{Op: op, Want: fmt.Sprintf("rows below the batch's %d", n), Got: fmt.Sprintf("%d at %d", r, i)})
		}
	}
}

// Pass is one run through a model's body: the batch, and the cache if there is
// one.
type Pass struct {
	ids   *tensor.Tensor
	in    Input
	cache *Cache
}

// IDs returns the token ids, int32 [T].
func (p *Pass) IDs() *tensor.Tensor { return p.ids }

// Rows returns T.
func (p *Pass) Rows() int { return len(p.in.IDs) }

// Positions returns the positions, int32 [T], as a new tensor: a block that is
// computed again in backward must not depend on tensors of the first time.
func (p *Pass) Positions() *tensor.Tensor {
	return tensor.FromInt32(p.ids.Device(), p.in.Positions)
}

// Heads are the sizes of an attention layer.
type Heads struct {
	NumHeads, KVHeads, HeadDim int
	Scale                      float64
}

// Attend computes attention of the given layer, [T, NumHeads·HeadDim], over
// the pass's own rows or, with a cache, over all that the cache holds, to
// which the pass's keys and values are added first.
func (p *Pass) Attend(layer int, q, k, v tensor.HeadView, h Heads) *tensor.Tensor {
	args := tensor.AttentionArgs{Q: q, K: k, V: v, QueryRows: p.Rows(), KeyRows: p.Rows(),
		NumHeads: h.NumHeads, KVHeads: h.KVHeads, HeadDim: h.HeadDim, Scale: h.Scale, Segments: p.in.Segments}
	if p.cache != nil {
		args.K, args.V = p.cache.store(layer, k, v, h)
		args.KeyRows = p.cache.rows()
	}
	return tensor.Attention(args)
}

// ignores reports whether a checkpoint's tensor is known to be needless.
func (l Layout) ignores(name string) bool {
	for _, end := range l.Ignored {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
