package loss

import (
	"fmt"

	"dpolab/runtime/tensor"
)

// DPO is direct preference optimization (Rafailov et al., arXiv 2305.18290,
// eq. 7) with label smoothing ε, the probability that a preference label is
// wrong (conservative DPO, Mitchell 2023, eq. 3):
//
//	L = -(1-ε)·log σ(β·h) - ε·log σ(-β·h)
//
// with h the [Margin]. ε = 0 is DPO itself. β is the strength of the KL
// constraint, typically 0.1 to 0.5.
func DPO(beta, labelSmoothing float64) PreferenceLoss {
	requireBeta("DPO", beta)
	requireSmoothing("DPO", labelSmoothing)
	return func(lp LogProbs) Output {
		return output(lp, smoothedSigmoid(Margin(lp), beta, labelSmoothing), beta)
	}
}

// ReferenceFree is DPO with a uniform reference model, whose log-ratio is 0:
// h is the policy's own log-ratio. The rewards still subtract the reference,
// as the reference implementation's do.
func ReferenceFree(beta, labelSmoothing float64) PreferenceLoss {
	requireBeta("ReferenceFree", beta)
	requireSmoothing("ReferenceFree", labelSmoothing)
	return func(lp LogProbs) Output {
		h := lp.PolicyChosen.Sub(lp.PolicyRejected)
		return output(lp, smoothedSigmoid(h, beta, labelSmoothing), beta)
	}
}

// smoothedSigmoid is -(1-ε)·log σ(β·h) - ε·log σ(-β·h).
func smoothedSigmoid(h *tensor.Tensor, beta, eps float64) *tensor.Tensor {
	right := h.MulScalar(beta).LogSigmoid().MulScalar(-(1 - eps))
	if eps == 0 {
		return right
	}
	wrong := h.MulScalar(-beta).LogSigmoid().MulScalar(eps)
	return right.Sub(wrong)
}

func requireSmoothing(op string, eps float64) {
	if !(eps >= 0 && eps < 0.5) {
		panic(&tensor.Error{Op: op, Want: "label_smoothing in [0, 0.5)", Got: fmt.Sprint(eps)})
	}
}
