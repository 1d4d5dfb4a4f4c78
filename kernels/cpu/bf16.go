package cpu

// #include "cpu.h"
import "C"

import (
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// How products of two bfloat16 matrices are computed. Widening them to float32
// while they are packed costs as much as a float32 product. A processor with
// AVX512_BF16 can multiply pairs instead, at twice that rate on some and half of
// it on others, so the choice is measured: DPOLAB_BF16 is auto, native or widen.
//
// Both take products exactly and sum them in float32. The native instruction
// treats subnormal operands, below 1.2e-38, as zero, and flushes subnormal sums.
const bf16Variable = "DPOLAB_BF16"

// nativeGain is by how much pairs must be faster to be chosen: less is noise.
const nativeGain = 1.2

// bf16Choice is what the processor was found to do best, once in a process.
var bf16Choice struct {
	once sync.Once
	gain float64 // rate of pairs over widening
}

// chooseBF16 decides on the instance's bfloat16 products, and says why.
func (b *Backend) chooseBF16() error {
	mode := os.Getenv(bf16Variable)
	able := b.ops.pairs != 0 && C.cpu_has_bf16() != 0
	switch mode {
	case "widen":
		b.bf16 = "widened to float32, as " + bf16Variable + " says"
	case "native":
		if !able {
			return fmt.Errorf("cpu: %s=native: want a processor and a tier with AVX512_BF16, got tier %s", bf16Variable, C.GoString(b.ops.name))
		}
		b.pairs, b.bf16 = true, "native (vdpbf16ps), as "+bf16Variable+" says"
	case "", "auto":
		if !able {
			b.bf16 = "widened to float32: no AVX512_BF16"
			return nil
		}
		bf16Choice.once.Do(func() { bf16Choice.gain = measurePairs(b.ops) })
		b.pairs = bf16Choice.gain >= nativeGain
		b.bf16 = fmt.Sprintf("widened to float32: vdpbf16ps would be %.1f times as fast", bf16Choice.gain)
		if b.pairs {
			b.bf16 = fmt.Sprintf("native (vdpbf16ps), %.1f times as fast as widened", bf16Choice.gain)
		}
	default:
		return fmt.Errorf("cpu: %s: want auto, native or widen, got %q", bf16Variable, mode)
	}
	return nil
}

// measurePairs times a small product both ways, which takes a millisecond, and
// returns how much faster pairs are.
func measurePairs(ops *C.cpu_ops) float64 {
	const n = 192
	b := &Backend{allocator: newAllocator(), ops: ops, threads: 1}
	defer b.Close()
	memory := b.must("bfloat16 measurement", 3*2*n*n)
	all := kernels.Array{Data: memory, DType: dtype.BFloat16, Len: 3 * n * n}
	C.call_fill(b.ops, ctype(all), 1, C.int64_t(all.Len))
	args := &kernels.GemmArgs{M: n, N: n, K: n, LDA: n, LDB: n, LDC: n, Alpha: 1,
		A: all.Slice(0, n*n), B: all.Slice(n*n, 2*n*n), C: all.Slice(2*n*n, 3*n*n)}
	var least [2]time.Duration
	for round := range 8 { // the fastest of each: other work only slows
		for way, pairs := range []bool{false, true} {
			b.pairs = pairs
			start := time.Now()
			b.product(args, 0, 1)
			if d := time.Since(start); round == 0 || d < least[way] {
				least[way] = d
			}
		}
	}
	return float64(least[0]) / math.Max(float64(least[1]), 1)
}
