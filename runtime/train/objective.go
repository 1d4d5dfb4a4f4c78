package train

import (
	"context"
	"fmt"

	"dpolab/runtime/data"
	"dpolab/runtime/distributed"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
)

// lossAndGradient calls the loss on one microbatch, on the controller. It
// returns the gradient of the mean loss for every response, and the
// per-example values of the metrics.
func (t *Trainer) lossAndGradient(examples []data.Example, policy, reference []float32, gradient bool) (grads []float32, values map[string][]float32, err error) {
	err = tensor.Try(func() {
		dev := t.world.Device(0)
		dev.Scope(func() *tensor.Tensor {
			lp := logProbTensors(dev, examples, policy, reference, gradient)
			if t.sft() {
				losses := loss.SFT(lp.PolicyChosen)
				values = map[string][]float32{"logps/chosen": policy, "loss": losses.Float32s()}
				if gradient {
					losses.Mean().Backward(nil)
					grads = lp.PolicyChosen.Grad().Float32s()
				}
			} else {
				grads, values = preference(t.settings.Loss, lp, gradient)
			}
			dev.NoGrad(func() { t.addMetrics(lp, len(examples), values) })
			return nil
		})
	})
	return grads, values, err
}

// logProbTensors are a microbatch's log-probabilities as a loss sees them.
// reference is empty for SFT, and policy then holds chosen responses only.
func logProbTensors(dev *tensor.Device, examples []data.Example, policy, reference []float32, gradient bool) loss.LogProbs {
	n := len(examples)
	lengths := [2][]float32{}
	for _, e := range examples {
		lengths[0] = append(lengths[0], float32(len(e.Chosen)))
		lengths[1] = append(lengths[1], float32(len(e.Rejected)))
	}
	lp := loss.LogProbs{
		PolicyChosen:  tensor.FromFloat32(dev, policy[:n]).SetRequiresGrad(gradient),
		ChosenLengths: tensor.FromFloat32(dev, lengths[0]),
	}
	if len(reference) > 0 {
		lp.PolicyRejected = tensor.FromFloat32(dev, policy[n:]).SetRequiresGrad(gradient)
		lp.ReferenceChosen = tensor.FromFloat32(dev, reference[:n])
		lp.ReferenceRejected = tensor.FromFloat32(dev, reference[n:])
		lp.RejectedLengths = tensor.FromFloat32(dev, lengths[1])
	}
	return lp
}

// preference evaluates a preference loss and, with gradient, differentiates it.
func preference(fn loss.PreferenceLoss, lp loss.LogProbs, gradient bool) ([]float32, map[string][]float32) {
	n := lp.PolicyChosen.Len()
	out := loss.Complete(fn(lp), lp)
	chosen, rejected := out.ChosenRewards.Float32s(), out.RejectedRewards.Float32s()
	accuracies, margins := make([]float32, n), make([]float32, n)
	for i := range n {
		margins[i] = chosen[i] - rejected[i]
		if chosen[i] > rejected[i] {
			accuracies[i] = 1
		}
	}
	values := map[string][]float32{
		"rewards/chosen": chosen, "rewards/rejected": rejected,
		"rewards/accuracies": accuracies, "rewards/margins": margins,
		"logps/chosen": lp.PolicyChosen.Float32s(), "logps/rejected": lp.PolicyRejected.Float32s(),
		"loss": out.Losses.Float32s(),
	}
	if !gradient {
		return nil, values
	}
	out.Losses.Mean().Backward(nil)
	return append(gradientOf(lp.PolicyChosen), gradientOf(lp.PolicyRejected)...), values
}

// gradientOf is a leaf's gradient, zeros if nothing depends on the leaf.
func gradientOf(t *tensor.Tensor) []float32 {
	if g := t.Grad(); g != nil {
		return g.Float32s()
	}
	return make([]float32, t.Len())
}

// addMetrics computes the settings' own metrics.
func (t *Trainer) addMetrics(lp loss.LogProbs, n int, values map[string][]float32) {
	for _, m := range t.settings.Metrics {
		v := m.Values(lp)
		if v == nil || v.Len() != n {
			got := "none"
			if v != nil {
				got = fmt.Sprintf("shape %v", v.Shape())
			}
			panic(&tensor.Error{Op: "metric " + m.Name, Want: fmt.Sprintf("a value per pair, shape [%d]", n), Got: got})
		}
		values["own/"+m.Name] = v.Float32s()
	}
}

// named puts the split into metric names as the reference does:
// rewards_train/chosen, loss/train.
func (t *Trainer) named(values map[string][]float32, split string) map[string][]float32 {
	out := make(map[string][]float32, len(values))
	for k, v := range values {
		switch {
		case k == "loss":
			out["loss/"+split] = v
		case k[:4] == "own/":
			out[k[4:]+"/"+split] = v
		case k[:5] == "logps":
			out["logps_"+split+k[5:]] = v
		default:
			out["rewards_"+split+k[7:]] = v
		}
	}
	return out
}

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
		pending = pending || rep.logps != nil
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
	if t.replicas[0].logps == nil {
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
