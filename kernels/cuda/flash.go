package cuda

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// flashRows is TILE of flash.cu: query rows or keys a block.
const flashRows = 64

// flashShared is the shared memory of the forward pass: tiles of queries, keys
// and values.
func flashShared(dim int) int { return 3 * flashRows * 2 * (dim + 8) }

// flashGradShared is that of the backward passes: four tiles, and two numbers
// a row.
func flashGradShared(dim int) int { return 4*flashRows*2*(dim+8) + 2*4*flashRows }

// flashKernel names the tensor-core kernels for these operands. ok is false
// where they need the exact ones: types are mixed or float32, the length of a
// head has no kernel, or rows do not begin at multiples of 16 bytes.
func flashKernel(dim int, operands ...kernels.Heads) (name string, ok bool) {
	if dim != 64 && dim != 80 && dim != 128 {
		return "", false
	}
	for _, x := range operands {
		if x.DType != operands[0].DType || uintptr(x.Data)%16 != 0 || x.Row%8 != 0 || x.Head%8 != 0 {
			return "", false
		}
	}
	switch operands[0].DType {
	case dtype.BFloat16:
		return fmt.Sprint("bf16_", dim), true
	case dtype.Float16:
		return fmt.Sprint("f16_", dim), true
	}
	return "", false
}
