package train

import (
	"context"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/models"
	"dpolab/runtime/tensor"
)

// TokenLogProbs returns log π(y_t | x, y_<t) for the tokens of each example's
// responses, size examples at a time: all chosen ones in order, then, unless
// mode is SFT, all rejected ones. A response after an empty prompt has one
// number less than tokens, as nothing predicts its first. No gradients are
// kept. progress, which may be nil, is told how many examples are done.
func (p *Replicas) TokenLogProbs(ctx context.Context, examples []data.Example, mode data.Mode, size int, progress func(done int)) ([][]float32, error) {
	n, size := len(examples), max(size, 1)
	out := make([][]float32, sidesOf(mode)*n)
	err := p.during(ctx, func() error {
		for lo := 0; lo < n; lo += size {
			hi := min(lo+size, n)
			if err := p.tokenLogProbs(examples[lo:hi], mode, func(side, i int, values []float32) { out[side*n+lo+i] = values }); err != nil {
				p.recover()
				return err
			}
			if progress != nil {
				progress(hi)
			}
		}
		return nil
	})
	return out, err
}

// tokenLogProbs computes one batch and puts each response's numbers where they
// belong. Every rank puts its own examples, so no two write to one place.
func (p *Replicas) tokenLogProbs(examples []data.Example, mode data.Mode, put func(side, i int, values []float32)) error {
	sides := sidesOf(mode)
	return p.world.Run(func(r *distributed.Rank) error {
		// A rank without examples takes part in gathering parameters all the same.
		lo, hi := data.RankRange(len(examples), p.world.Size(), r.Rank)
		own := examples[lo:hi]
		if lo == hi {
			own = examples[:1]
		}
		b := data.Pack(own, mode)
		var values []float32
		r.Dev.NoGrad(func() {
			r.Dev.Scope(func() *tensor.Tensor { values = tokenLogProbs(p.models[r.Rank], b).Float32s(); return nil })
		})
		if lo == hi {
			return nil
		}
		for side := range sides {
			for i := range own {
				response := side*len(own) + i
				put(side, lo+i, values[b.Offsets[response]:b.Offsets[response+1]])
			}
		}
		return nil
	})
}

// tokenLogProbs runs a model over one rank's batch and returns the
// log-probability of each labelled token, [R] float32.
func tokenLogProbs(m models.CausalLM, b *data.Batch) *tensor.Tensor {
	in := models.Input{IDs: b.IDs, Positions: b.Positions, Segments: b.Segments}
	return m.LogProbs(in, b.LabelRows, b.Labels)
}
