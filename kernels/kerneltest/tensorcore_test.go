package kerneltest

import (
	"math"
	"strings"
	"testing"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/kernels/ref"
)

// tensorCores takes products of 16-bit operands as a GPU's tensor cores are
// known to (Fasi et al., PeerJ Computer Science 2021; Ootomo and Yokota, arXiv
// 2203.03341): a few products at once are aligned with the largest of them and
// the running sum, cut off after bits places, and added; the sum is cut off
// again. Errors have one sign and grow with the length, not with its root.
type tensorCores struct {
	*ref.Backend
	bits int
}

// atOnce is how many products are added at once: 4 on the oldest chips, 8 and
// 16 on later ones, which is better.
const atOnce = 4

func (b *tensorCores) Device() device.Device { return device.Device{Type: device.CUDA} }

// chop cuts v off at so many places below 2^exponent.
func chop(v float64, exponent, bits int) float64 {
	return math.Ldexp(math.Trunc(math.Ldexp(v, bits-exponent)), exponent-bits)
}

func (b *tensorCores) Gemm(g *kernels.GemmArgs) {
	if g.A.DType != g.B.DType || g.A.DType.Size() != 2 || g.C.DType != dtype.Float32 || g.Batch > 1 {
		b.Backend.Gemm(g)
		return
	}
	at := func(a kernels.Array, i int) float64 {
		return decode(unsafe.Slice((*byte)(unsafe.Add(a.Data, 2*i)), 2), a.DType)
	}
	for m := range g.M {
		for n := range g.N {
			sum := 0.0
			for k := 0; k < g.K; k += atOnce {
				terms := []float64{sum}
				for l := k; l < min(k+atOnce, g.K); l++ {
					i, j := m*g.LDA+l, l*g.LDB+n
					if g.TransA {
						i = l*g.LDA + m
					}
					if g.TransB {
						j = n*g.LDB + l
					}
					terms = append(terms, at(g.A, i)*at(g.B, j))
				}
				_, exponent := math.Frexp(largest(terms))
				sum = 0
				for _, v := range terms {
					sum += chop(v, exponent, b.bits)
				}
				_, exponent = math.Frexp(sum)
				sum = chop(sum, exponent, b.bits)
			}
			to := cell(g.C, m*g.LDC+n)
			v := g.Alpha * sum
			if g.Beta != 0 {
				v += g.Beta * float64(*to)
			}
			if !g.Bias.IsNil() {
				v += decode(unsafe.Slice((*byte)(unsafe.Add(g.Bias.Data, g.Bias.DType.Size()*n)), g.Bias.DType.Size()), g.Bias.DType)
			}
			*to = float32(v)
		}
	}
}

// LogProb takes the logits of each row so, and the rest in float32.
func (b *tensorCores) LogProb(a *kernels.LogProbArgs) {
	if a.Hidden.DType != a.Weight.DType || a.Hidden.DType.Size() != 2 {
		b.Backend.LogProb(a)
		return
	}
	p, err := b.Alloc(4 * a.V)
	if err != nil {
		panic(err)
	}
	defer b.Free(p)
	logits := kernels.Array{Data: p, DType: dtype.Float32, Len: a.V}
	index := func(x kernels.Array, i int) int { return int(*(*int32)(unsafe.Add(x.Data, 4*i))) }
	for r := range a.R {
		h := a.Hidden.Slice(index(a.Rows, r)*a.D, a.Hidden.Len)
		b.Gemm(&kernels.GemmArgs{TransB: true, M: 1, N: a.V, K: a.D, A: h, B: a.Weight, C: logits, LDA: a.D, LDB: a.D, LDC: a.V, Alpha: 1})
		top, sum := float32(math.Inf(-1)), float32(0)
		for i := range a.V {
			top = max(top, *cell(logits, i))
		}
		for i := range a.V {
			sum += float32(math.Exp(float64(*cell(logits, i) - top)))
		}
		shift := float32(math.Log(float64(sum)))
		*cell(a.Out, r), *cell(a.LSE, r) = (*cell(logits, index(a.Labels, r))-top)-shift, top+shift
	}
}

// TestTensorCores: sums of a float32's 24 bits pass, sums of fewer do not.
func TestTensorCores(t *testing.T) {
	for _, family := range []string{"gemm/outliers", "gemm/types/false,true", "log_prob"} {
		for _, bits := range []int{24, 18} {
			complaints := ""
			for _, c := range Cases() {
				if strings.HasPrefix(c.Name, family) && (family != "log_prob" || strings.Contains("log_prob/[9 5 7 20]/bfloat16 log_prob/[30 64 300 63]/float16", c.Name)) {
					complaints += complaintsOf(c, func(int) kernels.Backend { return &tensorCores{ref.New(device.Device{}), bits} })
				}
			}
			if passes := complaints == ""; passes != (bits == 24) {
				t.Errorf("%s with sums of %d bits: %q", family, bits, complaints)
			}
		}
	}
}
