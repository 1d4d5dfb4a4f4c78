package kernels

import (
	"sync/atomic"

	"dpolab/kernels/dtype"
)

var tf32 atomic.Bool

// AllowTF32 lets backends with tensor cores round the operands of float32
// products to TF32 (8 bits of exponent, 10 of fraction; sums stay float32), for
// the whole process and from the next product on. It is off at first, as
// torch.backends.cuda.matmul.allow_tf32 is. Other backends take no notice.
func AllowTF32(on bool) { tf32.Store(on) }

// TF32Allowed reports whether that is so.
func TF32Allowed() bool { return tf32.Load() }

// Selective is a backend that cannot compute in every type on every device.
//
// Composition: a backend without it takes float32, bfloat16 and float16.
type Selective interface {
	// Supports says in a sentence why not, or returns nil.
	Supports(dt dtype.DType) error
}
