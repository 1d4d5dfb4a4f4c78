package loss

import (
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/tensor"
)

// Curve is fn as a function of the margin: its loss of pairs whose Margin is
// each of hs. Of what else a loss may look at, the pairs are typical: responses
// of 20 tokens with a log-probability of -40 under the reference, from which the
// policy's differ by half the margin each.
func Curve(fn PreferenceLoss, hs []float64) ([]float64, error) {
	if len(hs) == 0 {
		return nil, nil
	}
	dev, err := tensor.Open(device.Device{Type: device.Ref}, 1)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	const logProb, tokens = -40, 20
	chosen, rejected := make([]float64, len(hs)), make([]float64, len(hs))
	for i, h := range hs {
		chosen[i], rejected[i] = logProb+h/2, logProb-h/2
	}
	var losses []float64
	dev.Scope(func() *tensor.Tensor {
		same := func(value float64) *tensor.Tensor { return tensor.Full(dev, dtype.Float64, value, len(hs)) }
		lp := LogProbs{
			PolicyChosen: tensor.FromFloat64(dev, chosen), PolicyRejected: tensor.FromFloat64(dev, rejected),
			ReferenceChosen: same(logProb), ReferenceRejected: same(logProb), ChosenLengths: same(tokens), RejectedLengths: same(tokens),
		}
		losses = Complete(fn(lp), lp).Losses.Float64s()
		return nil
	})
	return losses, nil
}
