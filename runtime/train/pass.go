package train

import (
	"context"
	"fmt"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
)

// Pass is one microbatch between forward and backward, for training loops
// written by hand: the log-probabilities of its pairs, whose gradients
// Trainer.Backward sends to the ranks.
type Pass struct {
	LogProbs loss.LogProbs
	pairs    int
}

// Forward runs the policy over a microbatch on all ranks, recording what
// backward needs, and asks the reference. The log-probabilities are tensors on
// dev. A pass that is not wanted any more is dropped by the next Forward, Step
// or Discard.
func (t *Trainer) Forward(ctx context.Context, dev *tensor.Device, examples []data.Example) (p *Pass, err error) {
	if len(examples) == 0 {
		return nil, fmt.Errorf("forward: want one pair at least, got none")
	}
	finished := false
	defer func() {
		if !finished {
			t.dropPass()
		}
	}()
	err = t.during(ctx, func() error {
		t.dropPass()
		reference, err := t.referenceLogProbs(examples)
		if err != nil {
			return err
		}
		policy, err := t.forward(examples, true)
		if err != nil {
			return err
		}
		return tensor.Try(func() { p = &Pass{logProbTensors(dev, examples, policy, reference, true), len(examples)} })
	})
	finished = err == nil
	return p, err
}

// dropPass releases what the ranks keep of a forward pass without backward.
// Gradients accumulated before it stay.
func (t *Trainer) dropPass() {
	pending := false
	for _, rep := range t.replicas {
		pending = pending || rep != nil && rep.logps != nil
	}
	if !pending {
		return
	}
	_ = t.world.Run(func(r *distributed.Rank) error {
		rep := t.replicas[r.Rank]
		if rep.logps != nil {
			rep.logps.Release()
			rep.logps = nil
		}
		rep.sharded.Recover()
		return nil
	})
}

// Backward differentiates l, a scalar computed from the pass's
// log-probabilities, through the policy on all ranks. Gradients add up until
// Update or Discard. If it fails they are discarded.
func (t *Trainer) Backward(ctx context.Context, p *Pass, l *tensor.Tensor) (err error) {
	if t.own().logps == nil {
		return fmt.Errorf("backward: want a forward pass, got none since the last backward")
	}
	var grads []float32
	if err := tensor.Try(func() {
		l.Backward(nil)
		grads = gradientOf(p.LogProbs.PolicyChosen)
		if r := p.LogProbs.PolicyRejected; r != nil {
			grads = append(grads, gradientOf(r)...)
		}
	}); err != nil {
		return err
	}
	finished := false
	defer func() {
		if !finished {
			t.Discard()
		}
	}()
	// Gradients are means over a microbatch of any size; backward sends them as
	// they are.
	err = t.during(ctx, func() error { return t.backward(grads, t.scaler.Scale) })
	finished = err == nil
	return err
}

// Update takes an optimizer step with the gradients of the passes since the
// last one, counts pairs examples as seen, and records values, per pair and
// named as Metrics, with the gradient norm and the learning rate.
func (t *Trainer) Update(pairs int, values Metrics) (Metrics, error) {
	lr := t.learningRate()
	norm, err := t.update()
	if err != nil {
		t.Discard()
		return nil, fmt.Errorf("step %d: %w", t.updates+1, err)
	}
	m := Metrics{"grad_norm": norm, "lr": lr}
	for k, v := range values {
		m[k] = v
	}
	t.examples += pairs
	return m, t.finishStep(m)
}

// Discard drops gradients and passes without an update.
func (t *Trainer) Discard() { t.discard() }
