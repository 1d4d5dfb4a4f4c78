package train

import (
	"context"
	"fmt"

	"dpolab/kernels/dtype"
	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/fsdp"
	"dpolab/runtime/models"
	"dpolab/runtime/nn"
	"dpolab/runtime/optim"
	"dpolab/runtime/tensor"
)

// replica is one rank's share of the run: its shards of policy and reference,
// its optimizer, and the log-probabilities of the microbatch between forward
// and backward.
type replica struct {
	policy    models.CausalLM
	sharded   *fsdp.Model
	optimizer optim.Optimizer

	reference        models.CausalLM
	referenceSharded *fsdp.Model

	logps *tensor.Tensor // [responses of this rank], waiting for its gradient
}

// loadModel builds a checkpoint's model sharded over r's world: on meta first,
// so that a rank never holds more than its own rows.
func loadModel(r *distributed.Rank, ckpt *models.Checkpoint, cfg fsdp.Config) (models.CausalLM, *fsdp.Model, error) {
	m, err := ckpt.Build()
	if err != nil {
		return nil, nil, err
	}
	sharded, err := fsdp.FullyShard(m, r, cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := ckpt.LoadInto(m, r.Dev); err != nil {
		return nil, nil, err
	}
	return m, sharded, nil
}

// loadPolicy puts the policy and its optimizer on every rank.
func (t *Trainer) loadPolicy(ckpt *models.Checkpoint) error {
	return t.world.Run(func(r *distributed.Rank) error {
		cfg := t.settings.Sharding
		cfg.MasterDType = dtype.Float32
		m, sharded, err := loadModel(r, ckpt, cfg)
		if err != nil {
			return err
		}
		opt, err := optim.New(t.settings.Optimizer, nn.NamedParameters(m), t.settings.LR)
		if err != nil {
			return err
		}
		t.replicas[r.Rank] = &replica{policy: m, sharded: sharded, optimizer: opt}
		return nil
	})
}

// loadReference puts the reference model on every rank, frozen and without
// mixed precision. It does nothing when it is there.
func (t *Trainer) loadReference() error {
	if t.replicas[0].reference != nil {
		return nil
	}
	ckpt, err := models.Open(t.referenceDir)
	if err != nil {
		return fmt.Errorf("reference model: %w", err)
	}
	defer ckpt.Close()
	return t.world.Run(func(r *distributed.Rank) error {
		cfg := t.settings.Sharding
		cfg.MixedPrecision = fsdp.FullPrecision()
		cfg.ActivationCheckpointing = false
		cfg.MasterDType = t.settings.ReferenceDType
		m, sharded, err := loadModel(r, ckpt, cfg)
		if err != nil {
			return fmt.Errorf("reference model: %w", err)
		}
		nn.SetTrainable(m, false)
		rep := t.replicas[r.Rank]
		rep.reference, rep.referenceSharded = m, sharded
		return nil
	})
}

// responseLogProbs runs a model over one rank's batch and returns the summed
// log-probability of each response, [N] float32.
func responseLogProbs(m models.CausalLM, b *data.Batch) *tensor.Tensor {
	in := models.Input{IDs: b.IDs, Positions: b.Positions, Segments: b.Segments}
	return tensor.SegmentSum(m.LogProbs(in, b.LabelRows, b.Labels), b.Offsets)
}

// forward runs the policy over a microbatch on all ranks and returns each
// response's log-probability, in the order of the whole microbatch. With
// recording, every rank keeps its result for backward.
func (t *Trainer) forward(examples []data.Example, record bool) ([]float32, error) {
	return t.onRanks(examples, func(rep *replica, r *distributed.Rank, b *data.Batch) []float32 {
		if !record {
			var values []float32
			r.Dev.NoGrad(func() {
				r.Dev.Scope(func() *tensor.Tensor { values = responseLogProbs(rep.policy, b).Float32s(); return nil })
			})
			return values
		}
		rep.logps = r.Dev.Scope(func() *tensor.Tensor { return responseLogProbs(rep.policy, b) }).Keep()
		return rep.logps.Float32s()
	})
}

// referenceForward is forward for the reference model.
func (t *Trainer) referenceForward(examples []data.Example) ([]float32, error) {
	if err := t.loadReference(); err != nil {
		return nil, err
	}
	return t.onRanks(examples, func(rep *replica, r *distributed.Rank, b *data.Batch) []float32 {
		var values []float32
		r.Dev.NoGrad(func() {
			r.Dev.Scope(func() *tensor.Tensor { values = responseLogProbs(rep.reference, b).Float32s(); return nil })
		})
		return values
	})
}

// onRanks packs each rank's contiguous slice of the examples, runs fn on every
// rank, and puts the results together: all chosen responses in order, then all
// rejected ones.
func (t *Trainer) onRanks(examples []data.Example, fn func(*replica, *distributed.Rank, *data.Batch) []float32) ([]float32, error) {
	n, world := len(examples), t.world.Size()
	sides := t.sides()
	out := make([]float32, sides*n)
	err := t.world.Run(func(r *distributed.Rank) error {
		lo, hi := data.RankRange(n, world, r.Rank)
		own := examples[lo:hi]
		if lo == hi { // nothing for this rank, which takes part in every collective all the same
			own = examples[:1]
		}
		b := data.Pack(own, t.mode())
		values := fn(t.replicas[r.Rank], r, b)
		if lo == hi {
			return nil
		}
		for s := range sides {
			copy(out[s*n+lo:s*n+hi], values[s*(hi-lo):(s+1)*(hi-lo)])
		}
		t.tokens[r.Rank] += len(b.IDs)
		return nil
	})
	return out, err
}

// backward sends each response's gradient to the rank that computed it. The
// gradients are of the mean over the whole microbatch; as FSDP divides the sum
// over ranks by their number, each is multiplied by it first.
func (t *Trainer) backward(grads []float32, scale float64) error {
	world, sides := t.world.Size(), t.sides()
	n := len(grads) / sides
	return t.world.Run(func(r *distributed.Rank) error {
		rep := t.replicas[r.Rank]
		lo, hi := data.RankRange(n, world, r.Rank)
		local := make([]float32, 0, sides*(hi-lo))
		for s := range sides {
			for _, g := range grads[s*n+lo : s*n+hi] {
				local = append(local, float32(float64(g)*float64(world)*scale))
			}
		}
		if lo == hi {
			local = make([]float32, sides)
		}
		defer func() { rep.logps.Release(); rep.logps = nil }()
		r.Dev.Scope(func() *tensor.Tensor {
			rep.logps.Backward(tensor.FromFloat32(r.Dev, local))
			return nil
		})
		return nil
	})
}

// update takes one optimizer step on every rank and returns the gradient norm
// before clipping.
func (t *Trainer) update() (norm float64, err error) {
	norms := make([]float64, t.world.Size())
	lr := t.settings.LR * optim.Warmup(t.updates, t.settings.WarmupSteps)
	scale := t.scaler.Scale
	taken := true
	err = t.world.Run(func(r *distributed.Rank) error {
		rep := t.replicas[r.Rank]
		scaled := rep.sharded.GradNorm()
		norms[r.Rank] = scaled / scale
		if r.Rank == 0 {
			taken = t.scaler.Update(scaled)
		}
		r.Group.Barrier()
		if taken {
			rep.optimizer.SetLR(lr)
			rep.optimizer.Step(fsdp.ClipCoefficient(norms[r.Rank], t.settings.MaxGradNorm) / scale)
		}
		nn.ZeroGrad(rep.policy)
		return nil
	})
	return norms[0], err
}

// SetMixedPrecision changes the policy's precision from the next step on.
func (t *Trainer) SetMixedPrecision(mp fsdp.MixedPrecision) error {
	err := t.world.Run(func(r *distributed.Rank) error {
		return t.replicas[r.Rank].sharded.SetMixedPrecision(mp)
	})
	if err == nil {
		t.settings.Sharding.MixedPrecision = mp
		t.scaler.Enable(mp.NeedsLossScale())
	}
	return err
}

// LogProbs returns the policy's log-probability of each example's responses,
// the chosen ones first, in the precision in force and without gradients.
func (t *Trainer) LogProbs(ctx context.Context, examples []data.Example) ([]float32, error) {
	sides, n := t.sides(), len(examples)
	out := make([]float32, sides*n)
	for lo := 0; lo < n; lo += t.settings.EvalBatchSize {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		hi := min(lo+t.settings.EvalBatchSize, n)
		values, err := t.forward(examples[lo:hi], false)
		if err != nil {
			return nil, err
		}
		for s := range sides {
			copy(out[s*n+lo:s*n+hi], values[s*(hi-lo):])
		}
	}
	return out, nil
}
