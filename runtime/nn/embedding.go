package nn

import "dpolab/runtime/tensor"

// Embedding is torch.nn.Embedding: a table of one row per id.
type Embedding struct {
	Unit
	Weight *Parameter // [V, D]
}

// NewEmbedding returns an Embedding on meta.
func NewEmbedding(count, dim int) *Embedding {
	e := &Embedding{Unit: NewUnit("Embedding")}
	e.Weight = e.AddParameter("weight", NewParameter(count, dim))
	return e
}

// Forward looks up ids, int32 [T], and returns [T, D] in the table's type.
func (e *Embedding) Forward(ids *tensor.Tensor) *tensor.Tensor {
	return tensor.Embedding(e.Weight.Value, ids)
}
