package loss

import "dpolab/runtime/tensor"

// SFT is supervised fine-tuning's loss: the negative log-probability of each
// response, summed over its tokens, float32 [B]. Averaging it over the batch
// weighs long responses more than a mean over tokens would; the reference
// implementation does the same.
func SFT(logps *tensor.Tensor) *tensor.Tensor { return logps.Neg() }
