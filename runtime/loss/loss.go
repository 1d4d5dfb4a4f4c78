// Package loss holds preference losses as pure functions of log-probabilities.
//
// A [PreferenceLoss] sees four numbers per pair, the summed log-probabilities
// of the chosen and the rejected response under the policy and under the
// reference model, and returns one loss per pair. It knows nothing of models,
// batches or ranks: the trainer gathers the log-probabilities of all ranks,
// calls the loss once, and sends the gradient back. So a loss is distributed
// and accumulated for free, and a new one is a function like these:
//
//	func Hinge(beta float64) loss.PreferenceLoss {
//		return func(lp loss.LogProbs) loss.Output {
//			h := loss.Margin(lp)
//			losses := h.MulScalar(-beta).AddScalar(1).ReLU()
//			return loss.Output{Losses: losses, ...}
//		}
//	}
//
// # Shapes and units
//
// B is the number of pairs. Every tensor is float32 [B]; log-probabilities are
// natural logarithms summed over a response's tokens.
//
// # Errors
//
// Wrong settings panic with *tensor.Error when the loss is made; tensors of
// unequal length panic when it is called.
package loss

import (
	"fmt"

	"dpolab/runtime/tensor"
)

// LogProbs are what a preference loss sees of a batch, each float32 [B].
type LogProbs struct {
	// log π_θ(y_w|x) and log π_θ(y_l|x): the gradient flows through these.
	PolicyChosen, PolicyRejected *tensor.Tensor
	// log π_ref(y_w|x) and log π_ref(y_l|x): constants.
	ReferenceChosen, ReferenceRejected *tensor.Tensor
	// Tokens per response, for losses that average; constants.
	ChosenLengths, RejectedLengths *tensor.Tensor
}

// Output is what a preference loss returns, each float32 [B].
type Output struct {
	Losses *tensor.Tensor
	// The implicit rewards β·(log π_θ - log π_ref), detached.
	ChosenRewards, RejectedRewards *tensor.Tensor
}

// PreferenceLoss computes one loss per pair. Losses are values: pass one to a
// trainer, wrap it in another, or write one in a cell.
type PreferenceLoss func(lp LogProbs) Output

// Margin returns h = (log π_θ(y_w) - log π_θ(y_l)) - (log π_ref(y_w) - log
// π_ref(y_l)), the difference of the two log-ratios, float32 [B].
func Margin(lp LogProbs) *tensor.Tensor {
	policy := lp.PolicyChosen.Sub(lp.PolicyRejected)
	reference := lp.ReferenceChosen.Sub(lp.ReferenceRejected)
	return policy.Sub(reference)
}

// Rewards returns the implicit rewards of a loss scaled by beta (eq. 6 of the
// DPO paper without the partition function), detached.
func Rewards(lp LogProbs, beta float64) (chosen, rejected *tensor.Tensor) {
	chosen = lp.PolicyChosen.Sub(lp.ReferenceChosen).MulScalar(beta).Detach()
	rejected = lp.PolicyRejected.Sub(lp.ReferenceRejected).MulScalar(beta).Detach()
	return chosen, rejected
}

func output(lp LogProbs, losses *tensor.Tensor, beta float64) Output {
	c, r := Rewards(lp, beta)
	return Output{Losses: losses, ChosenRewards: c, RejectedRewards: r}
}

func requireBeta(op string, beta float64) {
	if !(beta > 0) {
		panic(&tensor.Error{Op: op, Want: "beta > 0", Got: fmt.Sprint(beta)})
	}
}
