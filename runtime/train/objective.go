package train

import (
	"fmt"

	"dpolab/runtime/data"
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
)

// lossAndGradient calls the loss on one microbatch, on the controller. It
// returns the gradient of the mean loss for every response, and the
// per-example values of the metrics.
func (t *Trainer) lossAndGradient(examples []data.Example, policy, reference []float32, gradient bool) (grads []float32, values map[string][]float32, err error) {
	err = tensor.Try(func() {
		dev := t.world.Device(t.world.First())
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
