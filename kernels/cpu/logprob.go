package cpu

// #include "cpu.h"
import "C"

import (
	"math"
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// Logits are computed for this many rows and vocabulary entries at a time: 8 MB.
const (
	logProbRows  = 1024
	logProbChunk = 2048
)

// keptLogits is the most logits that are kept for the gradient: 256 MB, less
// than the gradients hold that backward goes on to make for a model whose
// batches have so many. Beyond, they are computed again, which takes a quarter
// of the op's arithmetic.
const keptLogits = 64 << 20

// LogitsKept counts whole chunks, in the order of eachLogits.
func (b *Backend) LogitsKept(rows, vocabulary int) int {
	kept := 0
	for lo := 0; lo < rows; lo += logProbRows {
		for first := 0; first < vocabulary; first += logProbChunk {
			chunk := min(logProbRows, rows-lo) * min(logProbChunk, vocabulary-first)
			if kept+chunk > keptLogits {
				return kept
			}
			kept += chunk
		}
	}
	return kept
}

// logProbScratch allocates, as one block, rows of hidden states in their own
// type and float32 arrays of the given lengths. The caller frees hidden.Data.
func (b *Backend) logProbScratch(op string, a *kernels.LogProbArgs, rows int, lengths ...int) (hidden kernels.Array, floats []kernels.Array) {
	hidden = kernels.Array{DType: a.Hidden.DType, Len: rows * a.D}
	size := (hidden.Bytes() + 63) / 64 * 64
	at := size
	for _, n := range lengths {
		size += (4*n + 63) / 64 * 64
	}
	hidden.Data = b.must(op, size)
	for _, n := range lengths {
		floats = append(floats, kernels.Array{Data: unsafe.Add(hidden.Data, at), DType: dtype.Float32, Len: n})
		at += (4*n + 63) / 64 * 64
	}
	return hidden, floats
}

func hostFloats(a kernels.Array) []float32 { return unsafe.Slice((*float32)(a.Data), a.Len) }

// eachLogits hands visit the logits of rows [lo, lo+rows), chunk by chunk: those
// that are kept where they are kept, others in scratch. fresh computes the kept
// ones too.
func (b *Backend) eachLogits(a *kernels.LogProbArgs, hidden, scratch kernels.Array, lo, rows int, fresh bool, visit func(logits kernels.Array, first, cols int)) {
	for first := 0; first < a.V; first += logProbChunk {
		cols := min(logProbChunk, a.V-first)
		logits, at := scratch, lo*a.V+rows*first
		kept := at+rows*cols <= a.Logits.Len
		if kept {
			logits = a.Logits.Slice(at, at+rows*cols)
		}
		if fresh || !kept {
			b.Gemm(&kernels.GemmArgs{TransB: true, M: rows, N: cols, K: a.D, A: hidden, B: a.Weight.Slice(first*a.D, (first+cols)*a.D), C: logits,
				LDA: a.D, LDB: a.D, LDC: cols, Alpha: 1, Batch: 1})
		}
		visit(logits, first, cols)
	}
}

func (b *Backend) LogProb(a *kernels.LogProbArgs) {
	checkIndices("log_prob", indices("log_prob", a.Rows), a.T)
	checkIndices("log_prob", indices("log_prob", a.Labels), a.V)
	n := min(a.R, logProbRows)
	hidden, scratch := b.logProbScratch("log_prob", a, n, n*min(a.V, logProbChunk), 3*n)
	defer b.Free(hidden.Data)
	stats := scratch[1]
	for lo := 0; lo < a.R; lo += logProbRows {
		rows := min(logProbRows, a.R-lo)
		b.Gather(hidden.Slice(0, rows*a.D), a.Hidden, a.Rows.Slice(lo, lo+rows), a.D)
		top, sum, picked := stats.Slice(0, rows), stats.Slice(n, n+rows), stats.Slice(2*n, 2*n+rows)
		b.Fill(top, math.Inf(-1))
		b.Fill(sum, 0)
		labels := a.Labels.Slice(lo, lo+rows)
		b.eachLogits(a, hidden, scratch[0], lo, rows, true, func(logits kernels.Array, first, cols int) {
			b.parallel(rows, 1, func(r, end int) {
				C.call_logprob_chunk(b.ops, (*C.float)(logits.Slice(r*cols, end*cols).Data), C.int64_t(end-r), C.int64_t(cols), C.int64_t(first),
					ints("log_prob", labels.Slice(r, end)), (*C.float)(top.Slice(r, end).Data), (*C.float)(sum.Slice(r, end).Data), (*C.float)(picked.Slice(r, end).Data))
			})
		})
		lse, out := hostFloats(a.LSE.Slice(lo, lo+rows)), hostFloats(a.Out.Slice(lo, lo+rows))
		tops, sums, picks := hostFloats(top), hostFloats(sum), hostFloats(picked)
		for i := range lse {
			v := float64(tops[i]) + math.Log(float64(sums[i]))
			lse[i] = float32(v)
			out[i] = float32(float64(picks[i]) - v)
		}
	}
}

func (b *Backend) LogProbGrad(a *kernels.LogProbGradArgs) {
	if a.R == 0 && a.FreshWeight && !a.DWeight.IsNil() {
		b.Fill(a.DWeight, 0)
	}
	n := min(a.R, logProbRows)
	chunk := n * min(a.V, logProbChunk)
	hidden, scratch := b.logProbScratch("log_prob gradient", &a.LogProbArgs, n, chunk, n*a.D, chunk/2+1)
	defer b.Free(hidden.Data)
	dhidden, dlogits := scratch[1], scratch[0]
	if b.bf16.pairs != 0 && a.Hidden.DType == dtype.BFloat16 && a.Weight.DType == dtype.BFloat16 {
		// The gradient of the logits joins products of bfloat16, as its type.
		dlogits = kernels.Array{Data: scratch[2].Data, DType: dtype.BFloat16, Len: chunk}
	}
	for lo := 0; lo < a.R; lo += logProbRows {
		rows := min(logProbRows, a.R-lo)
		b.Gather(hidden.Slice(0, rows*a.D), a.Hidden, a.Rows.Slice(lo, lo+rows), a.D)
		labels, lse, dout := a.Labels.Slice(lo, lo+rows), a.LSE.Slice(lo, lo+rows), a.DOut.Slice(lo, lo+rows)
		b.eachLogits(&a.LogProbArgs, hidden, scratch[0], lo, rows, false, func(logits kernels.Array, first, cols int) {
			b.parallel(rows, 1, func(r, end int) {
				C.call_logprob_grad_chunk(b.ops, (*C.float)(logits.Slice(r*cols, end*cols).Data), part(dlogits, r*cols, end*cols), C.int64_t(end-r), C.int64_t(cols), C.int64_t(first),
					ints("log_prob", labels.Slice(r, end)), floats("log_prob", lse.Slice(r, end)), floats("log_prob", dout.Slice(r, end)))
			})
			if !a.DHidden.IsNil() {
				beta := 1.0
				if first == 0 {
					beta = 0
				}
				b.Gemm(&kernels.GemmArgs{M: rows, N: a.D, K: cols, A: dlogits, B: a.Weight.Slice(first*a.D, (first+cols)*a.D), C: dhidden,
					LDA: cols, LDB: a.D, LDC: a.D, Alpha: 1, Beta: beta, Batch: 1})
			}
			if !a.DWeight.IsNil() {
				beta := 1.0
				if a.FreshWeight && lo == 0 {
					beta = 0
				}
				b.Gemm(&kernels.GemmArgs{TransA: true, M: cols, N: a.D, K: rows, A: dlogits, B: hidden, C: a.DWeight.Slice(first*a.D, (first+cols)*a.D),
					LDA: cols, LDB: a.D, LDC: a.D, Alpha: 1, Beta: beta, Batch: 1})
			}
		})
		if !a.DHidden.IsNil() {
			b.ScatterAdd(a.DHidden, dhidden.Slice(0, rows*a.D), a.Rows.Slice(lo, lo+rows), a.D)
		}
	}
}
