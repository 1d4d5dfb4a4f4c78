package cuda

import (
	"errors"

	"dpolab/kernels"
)

// Gemm is a product by cuBLASLt.
func (b *Backend) Gemm(g *kernels.GemmArgs) {
	panic(&kernels.Error{Op: "gemm", Err: errNoBLAS})
}

var errNoBLAS = errors.New("cuBLASLt is not loaded")
