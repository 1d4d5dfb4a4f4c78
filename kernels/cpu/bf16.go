package cpu

// #include "cpu.h"
import "C"

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// How products of two bfloat16 matrices are computed. Widening them to float32
// while they are packed costs as much as a float32 product. A processor with
// AVX512_BF16 can multiply pairs instead, at twice that rate on some and half of
// it on others, and one with AMX tiles of them, at a multiple of it by its maker's
// figures; and products of int16 run at up to twice float32's rate on most, to
// which bfloat16 can be brought where its range allows (body_int16.h). So the
// choice is measured: DPOLAB_BF16 is auto, or names a way.
//
// Widening, pairs and tiles take products exactly and sum them in float32; int16
// adds less error than rounding to bfloat16 has made already. The instructions on
// pairs and on tiles treat subnormal operands, below 1.2e-38, as zero, and flush
// subnormal sums.
const bf16Variable = "DPOLAB_BF16"

// bf16Wants says what the ways want of a processor, beyond a tier.
var bf16Wants = map[string]string{"widen": "", "native": "AVX512_BF16", "amx": "AMX_BF16, which Linux must grant", "int16": "AVX2, or AVX512_VNNI"}

// bf16Gain is by how much a way must be faster than widening to be chosen: less
// is noise.
const bf16Gain = 1.05

// way is one of a tier's ways of computing products.
type way C.gemm_way

func (w *way) c() *C.gemm_way { return (*C.gemm_way)(w) }

// String names the way and the instruction behind it.
func (w *way) String() string {
	name, takes := C.GoString(w.name), C.GoString(w.takes)
	if name == "widen" {
		return "widened to " + takes
	}
	return name + " (" + takes + ")"
}

// depth is the number of words along K of a packed operand.
func (w *way) depth(g *kernels.GemmArgs) int {
	words := g.K
	if w.pairs+w.blocks != 0 {
		words = (g.K + 1) / 2
	}
	return roundUp(words, max(1, int(w.fill)))
}

// ways lists the tier's ways that this processor is able to, widening first.
func ways(ops *C.cpu_ops) []*way {
	var out []*way
	for i := range ops.ways {
		if w := &ops.ways[i]; w.name != nil && C.call_gemm_able(w) != 0 {
			out = append(out, (*way)(w))
		}
	}
	return out
}

// way is how a product is computed.
func (b *Backend) way(g *kernels.GemmArgs) *way {
	if g.A.DType != dtype.BFloat16 || g.B.DType != dtype.BFloat16 || b.bf16.blocks != 0 && !int16Pays(g) {
		return (*way)(&b.ops.ways[0])
	}
	return b.bf16
}

// bf16Gains are the rates of a tier's ways over that of widening, measured once
// in a process.
var bf16Gains sync.Map // of *C.cpu_ops: func() []float64

// chooseBF16 decides on the instance's bfloat16 products, and says why.
func (b *Backend) chooseBF16() error {
	all := ways(b.ops)
	b.bf16 = all[0]
	mode := os.Getenv(bf16Variable)
	if mode != "" && mode != "auto" {
		return b.setBF16(mode, all)
	}
	if len(all) == 1 {
		b.why = fmt.Sprintf("%s: the processor has no other way", b.bf16)
		return nil
	}
	measure, _ := bf16Gains.LoadOrStore(b.ops, sync.OnceValue(func() []float64 { return measureWays(b.ops, all) }))
	gains := measure.(func() []float64)()
	best := 0
	var others []string
	for i, w := range all[1:] {
		others = append(others, fmt.Sprintf("%s would be %.1f times as fast", w, gains[i+1]))
		if gains[i+1] >= bf16Gain && gains[i+1] > gains[best] {
			best = i + 1
		}
	}
	b.bf16 = all[best]
	b.why = fmt.Sprintf("%s: %s", b.bf16, strings.Join(others, ", "))
	if best > 0 {
		b.why = fmt.Sprintf("%s, %.1f times as fast as %s", b.bf16, gains[best], all[0])
	}
	return nil
}

// setBF16 takes the way of that name.
func (b *Backend) setBF16(name string, all []*way) error {
	wants, known := bf16Wants[name]
	if !known {
		return fmt.Errorf("cpu: %s: want auto, %s, got %q", bf16Variable, strings.Join(slices.Sorted(maps.Keys(bf16Wants)), ", "), name)
	}
	at := slices.IndexFunc(all, func(w *way) bool { return C.GoString(w.name) == name })
	if at < 0 {
		return fmt.Errorf("cpu: %s=%s: want a processor and a tier with %s, got tier %s", bf16Variable, name, wants, C.GoString(b.ops.name))
	}
	b.bf16, b.why = all[at], fmt.Sprintf("%s, as %s says", all[at], bf16Variable)
	return nil
}

// measureWays times a product as training has them, each way, which takes some
// 20 ms, and returns how fast they are, widening being 1. The thread's own time
// counts, so that a busy machine comes to the same choice as an idle one: ways
// differ in a result's last bits.
func measureWays(ops *C.cpu_ops, all []*way) []float64 {
	const m, n, k = 384, 512, 512
	b := &Backend{allocator: newAllocator(), ops: ops, threads: 1}
	defer b.allocator.close()
	data := kernels.Array{DType: dtype.BFloat16, Len: m*k + k*n + m*n}
	data.Data = b.must("bfloat16 measurement", data.Bytes())
	random := rand.New(rand.NewPCG(1, 2))
	for i, bits := 0, unsafe.Slice((*uint16)(data.Data), data.Len); i < data.Len; i++ {
		bits[i] = uint16(math.Float32bits(random.Float32()-0.5) >> 16)
	}
	args := &kernels.GemmArgs{M: m, N: n, K: k, LDA: k, LDB: n, LDC: n, Alpha: 1,
		A: data.Slice(0, m*k), B: data.Slice(m*k, m*k+k*n), C: data.Slice(m*k+k*n, data.Len)}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := make([]C.int64_t, len(all))
	for round := range 5 { // the fastest of each: other work only slows
		for i, w := range all {
			b.bf16 = w
			start := C.cpu_thread_time()
			b.product(args, 0, 1)
			if d := max(C.cpu_thread_time()-start, 1); round == 0 || d < least[i] {
				least[i] = d
			}
		}
	}
	gains := make([]float64, len(all))
	for i, d := range least {
		gains[i] = float64(least[0]) / float64(d)
	}
	return gains
}
