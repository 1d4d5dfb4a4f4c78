package cuda

import (
	"fmt"

	"dpolab/kernels/dtype"
)

// Supports reports why tensors of a type cannot be computed with on this GPU,
// or nil.
func (b *Backend) Supports(dt dtype.DType) error {
	switch dt {
	case dtype.BFloat16:
		if b.info.Major < 8 {
			return fmt.Errorf("%s (%s) has compute capability %d.%d and no bfloat16, which needs 8.0: use float16 or float32", b.dev, b.info.Name, b.info.Major, b.info.Minor)
		}
	case dtype.Float64:
		return fmt.Errorf("%s computes in float32, bfloat16 and float16, not in float64", b.dev)
	}
	return nil
}
