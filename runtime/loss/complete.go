package loss

import (
	"fmt"

	"dpolab/runtime/tensor"
)

// Complete checks what a loss returned for lp and adds what it left out:
// without rewards the log-ratios themselves (β = 1) take their place. It panics
// with *tensor.Error if there is not one loss per pair.
func Complete(out Output, lp LogProbs) Output {
	out.Losses = perPair("Losses", out.Losses, lp)
	chosen, rejected := Rewards(lp, 1)
	if out.ChosenRewards == nil {
		out.ChosenRewards = chosen
	}
	if out.RejectedRewards == nil {
		out.RejectedRewards = rejected
	}
	perPair("ChosenRewards", out.ChosenRewards, lp)
	perPair("RejectedRewards", out.RejectedRewards, lp)
	return out
}

func perPair(name string, x *tensor.Tensor, lp LogProbs) *tensor.Tensor {
	n := lp.PolicyChosen.Len()
	switch {
	case x == nil:
		panic(&tensor.Error{Op: "loss", Want: fmt.Sprintf("%s of shape [%d]", name, n), Got: "none"})
	case x.NumDims() != 1 || x.Len() != n:
		panic(&tensor.Error{Op: "loss", Want: fmt.Sprintf("%s of shape [%d]", name, n), Got: fmt.Sprintf("shape %v", x.Shape())})
	}
	return x
}
