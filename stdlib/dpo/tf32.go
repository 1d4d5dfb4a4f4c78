package dpo

import "dpolab/kernels"

// AllowTF32 lets GPUs round the operands of float32 products to TF32, in every
// model and from the next step on: several times as fast, with three decimal
// digits instead of seven in each operand. It is off at first, as in PyTorch.
func AllowTF32(on bool) { kernels.AllowTF32(on) }
