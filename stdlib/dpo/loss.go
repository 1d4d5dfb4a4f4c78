package dpo

import (
	"dpolab/runtime/loss"
	"dpolab/runtime/tensor"
	"dpolab/runtime/train"
)

// Tensor is an array on a device, with gradients.
type Tensor = tensor.Tensor

// LogProbs are what a loss sees of B pairs, each float32 [B]: PolicyChosen,
// PolicyRejected, ReferenceChosen, ReferenceRejected, and the responses'
// lengths in tokens, ChosenLengths and RejectedLengths.
type LogProbs = loss.LogProbs

// LossOutput is what a loss returns, each [B]: Losses, and the implicit
// ChosenRewards and RejectedRewards, which may be left out.
type LossOutput = loss.Output

// PreferenceLoss computes one loss per pair; see the package documentation for
// how to write one.
type PreferenceLoss = loss.PreferenceLoss

// Metric computes one number per pair beside the loss, [B].
type Metric func(lp LogProbs) *Tensor

// Schedule is a learning-rate factor for each optimizer step, from 0 on.
type Schedule = train.Schedule

// Callback is called after every optimizer step and every evaluation, between
// steps, so that it may evaluate, generate, change precision or stop.
type Callback func(r Record)

// DPO is direct preference optimization (arXiv 2305.18290, eq. 7):
// L = -log σ(β·h), h the Margin.
func DPO(beta float64) PreferenceLoss {
	return made("DPO", func() PreferenceLoss { return loss.DPO(beta, 0) })
}

// CDPO is conservative DPO (Mitchell 2023, eq. 3), for labels that are wrong
// with probability labelSmoothing: L = -(1-ε)·log σ(β·h) - ε·log σ(-β·h).
func CDPO(beta, labelSmoothing float64) PreferenceLoss {
	return made("CDPO", func() PreferenceLoss { return loss.DPO(beta, labelSmoothing) })
}

// ReferenceFree is DPO with a uniform reference model.
func ReferenceFree(beta float64) PreferenceLoss {
	return made("ReferenceFree", func() PreferenceLoss { return loss.ReferenceFree(beta, 0) })
}

// IPO is identity preference optimization (arXiv 2310.12036, eq. 17) on summed
// log-probabilities, as the reference DPO code computes it:
// L = (h - 1/(2β))².
func IPO(beta float64) PreferenceLoss {
	return made("IPO", func() PreferenceLoss { return loss.IPO(beta) })
}

// AveragedIPO is IPO on log-probabilities averaged over tokens, as TRL computes
// it.
func AveragedIPO(beta float64) PreferenceLoss {
	return made("AveragedIPO", func() PreferenceLoss { return loss.AveragedIPO(beta) })
}

// SFT is supervised fine-tuning on the chosen responses: no preference loss at
// all, and no reference model.
func SFT() PreferenceLoss { return nil }

// made makes a loss and raises wrong settings.
func made(op string, fn func() PreferenceLoss) (l PreferenceLoss) {
	try(op, func() { l = fn() })
	return l
}

// Margin is h = (log π(y_w) - log π(y_l)) - (log π_ref(y_w) - log π_ref(y_l)),
// [B].
func Margin(lp LogProbs) *Tensor { return loss.Margin(lp) }

// MarginLoss makes a loss from a function of β·h, [B] to [B], with DPO's
// rewards:
//
//	hinge := dpo.MarginLoss(0.1, func(x *dpo.Tensor) *dpo.Tensor { return x.Neg().AddScalar(1).ReLU() })
func MarginLoss(beta float64, fn func(x *Tensor) *Tensor) PreferenceLoss {
	if !(beta > 0) {
		refuse("MarginLoss", "beta > 0", "%g", beta)
	}
	return func(lp LogProbs) LossOutput {
		chosen, rejected := loss.Rewards(lp, beta)
		return LossOutput{Losses: fn(loss.Margin(lp).MulScalar(beta)), ChosenRewards: chosen, RejectedRewards: rejected}
	}
}

// LossCheck is what CheckLoss found: OK, MaxError and where it is.
type LossCheck = loss.CheckResult

// CheckLoss compares the gradient of a loss with finite differences, in
// float64, and reports the largest error. It raises if the loss does not give
// one loss per pair.
func CheckLoss(fn PreferenceLoss) LossCheck {
	if fn == nil {
		refuse("CheckLoss", "a preference loss", "nil (SFT)")
	}
	var r LossCheck
	var err error
	try("CheckLoss", func() { r, err = loss.Check(fn) })
	check("CheckLoss", err)
	return r
}

// LossCurve is fn as a function of the margin: its loss of typical pairs whose
// [Margin] is each of hs, to be drawn.
func LossCurve(fn PreferenceLoss, hs []float64) []float64 {
	if fn == nil {
		refuse("LossCurve", "a preference loss", "nil (SFT)")
	}
	var losses []float64
	var err error
	try("LossCurve", func() { losses, err = loss.Curve(fn, hs) })
	check("LossCurve", err)
	return losses
}
