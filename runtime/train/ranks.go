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

// replica is one rank's share of the run: its shards of the policy, its
// optimizer, and the log-probabilities of the microbatch between forward and
// backward.
type replica struct {
	policy    models.CausalLM
	sharded   *fsdp.Model
	optimizer optim.Optimizer
	logps     *tensor.Tensor // [responses of this rank], waiting for its gradient
}

// own is the first replica in this process.
func (t *Trainer) own() *replica { return t.replicas[t.world.First()] }

// prepare puts the policy, unless it is there already, and its optimizer on
// every rank.
func (t *Trainer) prepare(dir string) (err error) {
	if t.policy == nil {
		cfg := t.settings.Sharding
		cfg.MasterDType = dtype.Float32
		if t.policy, err = Place(t.world, dir, cfg); err != nil {
			return err
		}
		t.ownsPolicy = true
	}
	err = t.world.Run(func(r *distributed.Rank) error {
		m := t.policy.Model(r.Rank)
		opt, err := optim.New(t.settings.Optimizer, nn.NamedParameters(m), t.settings.LR)
		if err != nil {
			return err
		}
		t.replicas[r.Rank] = &replica{policy: m, sharded: t.policy.Sharded(r.Rank), optimizer: opt}
		return nil
	})
	if err != nil && t.ownsPolicy {
		return errorsWithRelease(err, t.policy)
	}
	return err
}

// loadReference puts the reference model on every rank, frozen and without
// mixed precision. It does nothing when it is there.
func (t *Trainer) loadReference() error {
	if t.reference != nil {
		return nil
	}
	cfg := t.settings.Sharding
	cfg.MixedPrecision = fsdp.FullPrecision()
	cfg.ActivationCheckpointing = false
	cfg.MasterDType = t.settings.ReferenceDType
	ref, err := Place(t.world, t.referenceDir, cfg)
	if err != nil {
		return fmt.Errorf("reference model: %w", err)
	}
	for _, m := range ref.models {
		if m != nil { // of this process
			nn.SetTrainable(m, false)
		}
	}
	t.reference = ref
	return nil
}

// responseLogProbs runs a model over one rank's batch and returns the summed
// log-probability of each response, [N] float32.
func responseLogProbs(m models.CausalLM, b *data.Batch) *tensor.Tensor {
	return tensor.SegmentSum(tokenLogProbs(m, b), b.Offsets)
}

// sidesOf is the number of responses per example: 1 for SFT, else 2.
func sidesOf(mode data.Mode) int {
	if mode == data.SFT {
		return 1
	}
	return 2
}

// forward runs the policy over a microbatch on all ranks and returns each
// response's log-probability, in the order of the whole microbatch. With
// recording, every rank keeps its result for backward.
func (t *Trainer) forward(examples []data.Example, record bool) ([]float32, error) {
	if !record {
		values, err := t.policy.logProbs(examples, t.mode())
		t.count(examples)
		return values, err
	}
	t.count(examples)
	return onRanks(t.world, examples, t.mode(), func(r *distributed.Rank, b *data.Batch) []float32 {
		rep := t.replicas[r.Rank]
		rep.logps = r.Dev.Scope(func() *tensor.Tensor { return responseLogProbs(rep.policy, b) }).Keep()
		return rep.logps.Float32s()
	})
}

// referenceForward asks the reference model.
func (t *Trainer) referenceForward(examples []data.Example) ([]float32, error) {
	if t.askReference != nil {
		values, err := t.askReference(t.ctx, examples)
		if err == nil && len(values) != 2*len(examples) {
			err = fmt.Errorf("reference: want %d log-probabilities for %d pairs, got %d", 2*len(examples), len(examples), len(values))
		}
		return values, err
	}
	if err := t.loadReference(); err != nil {
		return nil, err
	}
	t.count(examples)
	var values []float32
	err := t.reference.during(t.ctx, func() (err error) {
		values, err = t.reference.logProbs(examples, t.mode())
		return err
	})
	return values, err
}

// learningRate is the next step's.
func (t *Trainer) learningRate() float64 {
	if t.settings.Schedule != nil {
		return t.settings.LR * t.settings.Schedule(t.updates)
	}
	return t.settings.LR * optim.Warmup(t.updates, t.settings.WarmupSteps)
}

// count adds the packed tokens of the examples to the trainer's.
func (t *Trainer) count(examples []data.Example) {
	for _, e := range examples {
		t.tokens += len(e.Prompt) + len(e.Chosen)
		if !t.sft() {
			t.tokens += len(e.Rejected)
		}
	}
}

// onRanks packs each rank's contiguous slice of the examples, runs fn on every
// rank, and puts the results together: all chosen responses in order, then all
// rejected ones. A rank without an example of its own takes part in every
// collective all the same, with the first one.
func onRanks(w *distributed.World, examples []data.Example, mode data.Mode, fn func(r *distributed.Rank, b *data.Batch) []float32) ([]float32, error) {
	n, world, sides := len(examples), w.Size(), sidesOf(mode)
	out := make([]float32, sides*n)
	err := w.Run(func(r *distributed.Rank) error {
		lo, hi := data.RankRange(n, world, r.Rank)
		own := examples[lo:hi]
		if lo == hi {
			own = examples[:1]
		}
		values := fn(r, data.Pack(own, mode))
		if lo == hi {
			return nil
		}
		for s := range sides {
			copy(out[s*n+lo:s*n+hi], values[s*(hi-lo):(s+1)*(hi-lo)])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, shareValues(w, out, n)
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
	if t.session != nil {
		if err := t.session.begin(); err != nil {
			return 0, err
		}
		defer func() {
			if err != nil {
				t.session.fail(err)
			}
		}()
	}
	norms := make([]float64, t.world.Size())
	lr := t.learningRate()
	scale := t.scaler.Scale
	taken := true
	err = t.world.Run(func(r *distributed.Rank) error {
		rep := t.replicas[r.Rank]
		scaled := rep.sharded.GradNorm()
		norms[r.Rank] = scaled / scale
		if r.Rank == t.world.First() { // the processes of a job decide alike
			taken = t.scaler.Update(scaled)
		}
		r.Group.Barrier()
		if taken {
			rep.optimizer.SetLR(lr)
			rep.optimizer.Step(fsdp.ClipCoefficient(norms[r.Rank], t.settings.MaxGradNorm) / scale)
		}
		nn.ZeroGrad(rep.policy)
		if t.session != nil {
			t.session.collect(r)
		}
		return nil
	})
	return norms[t.world.First()], err
}

// SetMixedPrecision changes the policy's precision from the next step on.
func (t *Trainer) SetMixedPrecision(mp fsdp.MixedPrecision) error {
	err := t.policy.SetMixedPrecision(mp)
	if err == nil {
		t.settings.Sharding.MixedPrecision = mp
		t.scaler.Enable(mp.NeedsLossScale())
		if t.session != nil {
			err = t.session.note()
		}
	}
	return err
}

// LogProbs returns the policy's log-probability of each example's responses,
// the chosen ones first, in the precision in force and without gradients.
func (t *Trainer) LogProbs(ctx context.Context, examples []data.Example) ([]float32, error) {
	t.count(examples)
	return t.policy.LogProbs(ctx, examples, t.mode(), t.settings.EvalBatchSize, nil)
}
