package loss

import "dpolab/runtime/tensor"

// IPO is identity preference optimization (Azar et al., arXiv 2310.12036,
// eq. 17) on log-probabilities summed over each response, as the reference
// implementation computes it:
//
//	L = (h - 1/(2β))²
//
// with h the [Margin] and β the paper's τ.
func IPO(beta float64) PreferenceLoss {
	requireBeta("IPO", beta)
	return func(lp LogProbs) Output {
		return output(lp, Margin(lp).AddScalar(-1/(2*beta)).Square(), beta)
	}
}

// AveragedIPO is [IPO] on log-ratios averaged over each response's tokens,
// which is what the method's authors use and TRL computes: long responses no
// longer reach the target margin by length alone. The rewards are β times the
// averaged log-ratios.
func AveragedIPO(beta float64) PreferenceLoss {
	requireBeta("AveragedIPO", beta)
	return func(lp LogProbs) Output {
		if lp.ChosenLengths == nil || lp.RejectedLengths == nil {
			panic(&tensor.Error{Op: "AveragedIPO", Want: "the lengths of the responses", Got: "none"})
		}
		mean := lp
		mean.PolicyChosen = lp.PolicyChosen.Div(lp.ChosenLengths)
		mean.ReferenceChosen = lp.ReferenceChosen.Div(lp.ChosenLengths)
		mean.PolicyRejected = lp.PolicyRejected.Div(lp.RejectedLengths)
		mean.ReferenceRejected = lp.ReferenceRejected.Div(lp.RejectedLengths)
		return output(mean, Margin(mean).AddScalar(-1/(2*beta)).Square(), beta)
	}
}
