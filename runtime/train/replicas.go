package train

import (
	"context"
	"fmt"

	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/generate"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/tensor"
	"dpolab/runtime/tokenizer"
)

// Replicas is one model on every rank of a world, sharded as its configuration
// says. Several trainers may use it one after another.
//
// Its methods that take a context stop between two blocks of the model when the
// context ends, with an error that wraps the context's.
type Replicas struct {
	world   *distributed.World
	models  []models.CausalLM
	sharded []*fsdp.Model
	session *Session // where the weights live, if not in the ranks' memory
	// ctx is looked at before each block. It is written between runs of the
	// world only, which is what makes reading it on the ranks safe.
	ctx context.Context
}

// Place reads the model in dir onto all ranks of w.
func Place(w *distributed.World, dir string, cfg fsdp.Config) (*Replicas, error) {
	ckpt, err := models.Open(dir)
	if err != nil {
		return nil, err
	}
	defer ckpt.Close()
	p := newReplicas(w)
	err = w.Run(func(r *distributed.Rank) error {
		m, err := ckpt.Build()
		if err != nil {
			return err
		}
		if err := p.shard(r, m, cfg); err != nil {
			return err
		}
		return ckpt.LoadInto(m, r.Dev)
	})
	if err != nil {
		return nil, errorsWithRelease(err, p)
	}
	return p, nil
}

func newReplicas(w *distributed.World) *Replicas {
	return &Replicas{world: w, models: make([]models.CausalLM, w.Size()), sharded: make([]*fsdp.Model, w.Size()), ctx: context.Background()}
}

// shard gives a rank its part of a model that is on meta, contents undefined.
func (p *Replicas) shard(r *distributed.Rank, m models.CausalLM, cfg fsdp.Config) (err error) {
	p.models[r.Rank] = m // before it has memory, for Release to find it after a failure
	if p.sharded[r.Rank], err = fsdp.FullyShard(m, r, cfg); err != nil {
		return err
	}
	p.watch(m)
	return nil
}

// errorsWithRelease frees what a failed Place had taken.
func errorsWithRelease(err error, p *Replicas) error {
	if failed := p.Release(); failed != nil {
		return fmt.Errorf("%w (and its memory could not be freed: %v)", err, failed)
	}
	return err
}

// watch makes every block look at the context before it computes, forward and
// backward.
func (p *Replicas) watch(m models.CausalLM) {
	blocks, err := nn.FindByClass(m, m.Config().BlockName)
	if err != nil { // an architecture without blocks is one block
		blocks = []nn.Module{m}
	}
	check := func() {
		if err := p.ctx.Err(); err != nil {
			panic(&tensor.Error{Op: "stopped", Err: err})
		}
	}
	for _, b := range blocks {
		h := b.Base().Hooks()
		before := h.Before
		h.Before = func(x *tensor.Tensor) *tensor.Tensor {
			check()
			x = tensor.Hook(x, check)
			if before != nil {
				x = before(x)
			}
			return x
		}
	}
}

// during runs fn with ctx in force. In a job of several processes it is not
// looked at between blocks: the processes would stop at different ones.
func (p *Replicas) during(ctx context.Context, fn func() error) error {
	if p.world.IsJob() {
		return fn()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	outer := p.ctx
	p.ctx = ctx
	defer func() { p.ctx = outer }()
	return fn()
}

// World returns the ranks.
func (p *Replicas) World() *distributed.World { return p.world }

// Model and Sharded return a rank's model, for code run on that rank.
func (p *Replicas) Model(rank int) models.CausalLM { return p.models[rank] }
func (p *Replicas) Sharded(rank int) *fsdp.Model   { return p.sharded[rank] }
func (p *Replicas) MixedPrecision() fsdp.MixedPrecision {
	return p.sharded[p.world.First()].MixedPrecision()
}

// SetMixedPrecision changes the precision from the next forward on.
func (p *Replicas) SetMixedPrecision(mp fsdp.MixedPrecision) error {
	if err := mp.Validate(); err != nil {
		return err
	}
	return p.world.Run(func(r *distributed.Rank) error { return p.sharded[r.Rank].SetMixedPrecision(mp) })
}

// LogProbs returns the log-probability of each example's responses, size
// examples at a time: all chosen ones in order, then, unless mode is SFT, all
// rejected ones. No gradients are kept. progress, which may be nil, is told how
// many examples are done.
func (p *Replicas) LogProbs(ctx context.Context, examples []data.Example, mode data.Mode, size int, progress func(done int)) ([]float32, error) {
	sides, n := sidesOf(mode), len(examples)
	out := make([]float32, sides*n)
	err := p.during(ctx, func() error {
		for lo := 0; lo < n; lo += max(size, 1) {
			hi := min(lo+max(size, 1), n)
			values, err := p.logProbs(examples[lo:hi], mode)
			if err != nil {
				p.recover()
				return err
			}
			for s := range sides {
				copy(out[s*n+lo:s*n+hi], values[s*(hi-lo):])
			}
			if progress != nil {
				progress(hi)
			}
		}
		return nil
	})
	return out, err
}

// logProbs computes one batch without gradients.
func (p *Replicas) logProbs(examples []data.Example, mode data.Mode) ([]float32, error) {
	return onRanks(p.world, examples, mode, func(r *distributed.Rank, b *data.Batch) []float32 {
		var values []float32
		r.Dev.NoGrad(func() {
			r.Dev.Scope(func() *tensor.Tensor { values = responseLogProbs(p.models[r.Rank], b).Float32s(); return nil })
		})
		return values
	})
}

// recover cleans every rank's model after a failure.
func (p *Replicas) recover() {
	_ = p.world.Run(func(r *distributed.Rank) error {
		p.sharded[r.Rank].Recover()
		nn.ZeroGrad(p.models[r.Rank])
		return nil
	})
}

// Generate continues prompts on all ranks alike. When ctx ends, the ranks stop
// together, between two tokens or between two blocks of the model.
func (p *Replicas) Generate(ctx context.Context, prompts [][]int32, c generate.Config) (out [][]int32, err error) {
	err = p.during(ctx, func() error {
		return p.world.Run(func(r *distributed.Rank) error {
			c := c
			c.Agree = func(stop bool) bool {
				vote := []float64{0}
				if stop {
					vote[0] = 1
				}
				r.Group.SumHost(vote)
				return vote[0] > 0
			}
			return whole(p.sharded[r.Rank], func() error {
				ids, err := generate.Generate(ctx, p.models[r.Rank], prompts, c)
				if r.Rank == p.world.First() {
					out = ids
				}
				return err
			})
		})
	})
	if err != nil {
		p.recover()
		return nil, err
	}
	return out, nil
}

// Save writes the model to dir in transformers' layout, in type dt
// (dtype.Invalid: the one its configuration names), with tok's files if it is
// not nil. dir appears when it is complete.
func (p *Replicas) Save(dir string, dt dtype.DType, tok *tokenizer.Tokenizer) error {
	return atomically(p.world, dir, func(tmp string) error {
		err := p.world.Run(func(r *distributed.Rank) error {
			sharded := p.sharded[r.Rank]
			gather := func(q *nn.Parameter) *tensor.Tensor { return sharded.FullTensor(q, q.Master()) }
			return models.SaveInto(p.models[r.Rank], tmp, dt, gather, r.Rank == 0)
		})
		if err != nil || tok == nil || !p.world.Leads() {
			return err
		}
		return tok.Save(tmp)
	})
}

// Release frees the model on all ranks. It must not be used again.
func (p *Replicas) Release() error {
	return p.world.Run(func(r *distributed.Rank) error {
		if f := p.sharded[r.Rank]; f != nil {
			f.Release()
		}
		if m := p.models[r.Rank]; m != nil {
			nn.ZeroGrad(m)
			nn.Release(m)
		}
		return nil
	})
}
