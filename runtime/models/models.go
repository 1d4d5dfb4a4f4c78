// Package models holds causal language models that are read from and written
// to Hugging Face directories.
//
//	m, err := models.Load("pythia-70m", dev, dtype.Float32)
//	in := models.Pack([][]int32{{510, 5347, 273}})
//	logits := m.Logits(in, nil) // [3, V]
//
// Import package models/all for its side effect: it links in every
// architecture. One architecture is one folder that calls [Register] from its
// init function, and one line in models/all.
//
// # Shapes
//
// A batch is packed: T tokens of all sequences in one list, with their
// positions, and segments that say which rows see which (see [Input]). Nothing
// is padded. T is tokens, D hidden size, V vocabulary, R labelled rows.
//
//	Hidden    [T, D]   after the final norm
//	Logits    [R, V]   float32
//	LogProbs  [R]      float32, without the logits ever existing as a whole
//
// # Building
//
// [New] builds a model from a configuration on meta, without memory.
// nn.Materialize allocates it whole on one device, package fsdp allocates one
// rank's rows; [Checkpoint.LoadInto] then fills whatever rows are there, and
// nn.Initialize starts from scratch instead.
//
// # Forward
//
// The whole computation, from the embedding to the head, runs inside
// nn.Forward on the root module, and each block inside nn.Forward on the
// block, so FSDP's hooks see every parameter before it is read. The tensor
// that passes the root's hooks on the way in is the list of token ids, which
// carries no gradient. Activations have the type of the weights; norms,
// attention and log-softmax compute in float32 inside.
//
// # Errors
//
// Reading and writing return errors that name the file, the tensor or the
// configuration key. Misuse, such as a token id beyond the vocabulary or a
// position beyond the model's limit, panics with *tensor.Error.
package models

import (
	"fmt"
	"sort"
	"strings"

	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
)

// CausalLM is a language model that predicts each token from those before it.
type CausalLM interface {
	nn.Module
	// Config describes the model.
	Config() Config
	// Device is where the parameters are; the model must not be on meta.
	Device() *tensor.Device
	// Hidden returns the states after the final norm, [T, D].
	Hidden(in Input) *tensor.Tensor
	// LogProbs returns, float32 [R], the log-probability of labels[i] given
	// row rows[i] and all that row sees.
	LogProbs(in Input, rows, labels []int32) *tensor.Tensor
	// Logits returns the scores of the given rows, float32 [R, V]; nil means
	// all rows.
	Logits(in Input, rows []int32) *tensor.Tensor
	// HiddenCached continues the cache's sequences by tokens, one list per
	// slot, and returns the new tokens' states, slot by slot.
	HiddenCached(cache *Cache, tokens [][]int32) *tensor.Tensor
	// LogitsCached does the same and returns the scores that follow the last
	// token of each slot that got any, float32 [slots, V].
	LogitsCached(cache *Cache, tokens [][]int32) *tensor.Tensor
	// Layout says how checkpoints of the architecture name their tensors.
	Layout() Layout
}

var builders = map[string]func(cfg RawConfig) (CausalLM, error){}

// Register makes an architecture available under the model_type of its
// configurations. Architectures call it in init.
func Register(modelType string, build func(cfg RawConfig) (CausalLM, error)) {
	builders[modelType] = build
}

// ModelTypes lists the registered architectures.
func ModelTypes() []string {
	var out []string
	for t := range builders {
		out = append(out, t)
	}
	sort.Strings(out)
	return out
}

// New builds the model that cfg describes, on meta.
func New(cfg RawConfig) (CausalLM, error) {
	r := cfg.Reader()
	modelType := r.String("model_type")
	r.Reject("quantization_config")
	if err := r.Err(); err != nil {
		return nil, err
	}
	build := builders[modelType]
	if build == nil {
		return nil, fmt.Errorf("models: %s: model_type %q is not supported, want one of %s", cfg.source, modelType, strings.Join(ModelTypes(), ", "))
	}
	return build(cfg)
}
