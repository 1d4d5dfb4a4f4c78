package models

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/runtime/tensor"
)

// Cache keeps the keys (already turned by their positions) and values of
// sequences that grow token by token. Each sequence has a slot of fixed
// capacity; memory is taken layer by layer in the first pass.
type Cache struct {
	capacity int
	lengths  []int
	layers   map[int]*cachedLayer
	index    []int32 // cache row of each row of the pass now running
}

// cachedLayer holds one layer's rows, [slots·capacity, KVHeads·HeadDim].
type cachedLayer struct{ k, v *tensor.Tensor }

// NewCache returns a cache for that many sequences of at most capacity tokens.
func NewCache(slots, capacity int) *Cache {
	return &Cache{capacity: capacity, lengths: make([]int, slots), layers: map[int]*cachedLayer{}}
}

// Length returns the number of tokens that a slot holds.
func (c *Cache) Length(slot int) int { return c.lengths[slot] }

// Release frees the cache's memory and empties it.
func (c *Cache) Release() {
	for _, l := range c.layers {
		l.k.Release()
		l.v.Release()
	}
	c.layers = map[int]*cachedLayer{}
	clear(c.lengths)
}

func (c *Cache) rows() int { return len(c.lengths) * c.capacity }

// extend makes room for tokens, one list per slot, and returns the batch that
// computes them: fewer queries than keys, each slot seeing itself only.
func (c *Cache) extend(tokens [][]int32) Input {
	if len(tokens) != len(c.lengths) {
		panic(&tensor.Error{Op: "cache", Want: fmt.Sprintf("tokens for %d slots", len(c.lengths)), Got: fmt.Sprint(len(tokens))})
	}
	for slot, t := range tokens {
		if c.lengths[slot]+len(t) > c.capacity {
			panic(&tensor.Error{Op: "cache", Want: fmt.Sprintf("at most %d tokens in a slot", c.capacity),
				Got: fmt.Sprintf("%d in slot %d", c.lengths[slot]+len(t), slot)})
		}
	}
	var in Input
	c.index = c.index[:0]
	for slot, t := range tokens {
		if len(t) == 0 {
			continue
		}
		base, old, query := slot*c.capacity, c.lengths[slot], len(in.IDs)
		in.append(t, old)
		for i := range t {
			c.index = append(c.index, int32(base+old+i))
		}
		c.lengths[slot] += len(t)
		in.Segments = append(in.Segments, kernels.Segment{
			QueryStart: int32(query), QueryEnd: int32(len(in.IDs)),
			KeyStart: int32(base), KeyEnd: int32(base + c.lengths[slot])})
	}
	return in
}

// store adds the pass's keys and values to a layer and returns views of all
// its rows.
func (c *Cache) store(layer int, k, v tensor.HeadView, h Heads) (keys, values tensor.HeadView) {
	dev := k.X.Device()
	width := h.KVHeads * h.HeadDim
	l := c.layers[layer]
	if l == nil {
		l = &cachedLayer{
			k: tensor.Zeros(dev, k.X.DType(), c.rows(), width).Keep(),
			v: tensor.Zeros(dev, v.X.DType(), c.rows(), width).Keep(),
		}
		c.layers[layer] = l
	}
	dev.Scope(func() *tensor.Tensor {
		index := tensor.FromInt32(dev, c.index).Array()
		put := func(dst *tensor.Tensor, src tensor.HeadView) {
			shape := []int{len(c.index), h.KVHeads, h.HeadDim}
			flat := tensor.Empty(dev, src.X.DType(), len(c.index), width)
			from := src.X.Array()
			dev.Backend().CopyStrided(flat.Array(), from.Slice(src.Offset, from.Len), shape, []int{width, h.HeadDim, 1}, []int{src.Row, src.Head, 1})
			// Every row is written once and is 0 until then, so adding is
			// storing.
			dev.Backend().ScatterAdd(dst.Array(), flat.Array(), index, width)
		}
		put(l.k, k)
		put(l.v, v)
		return nil
	})
	return tensor.HeadsOf(l.k, h.KVHeads), tensor.HeadsOf(l.v, h.KVHeads)
}
