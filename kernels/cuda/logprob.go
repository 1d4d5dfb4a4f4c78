package cuda

import (
	"unsafe"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// Logits exist for this many rows and vocabulary entries at a time: 32 MB,
// which the L2 cache of a data-centre GPU holds.
const (
	logProbRows  = 2048
	logProbChunk = 4096
)

type logprobArgs struct {
	logits, labels, top, sum, picked, fault uintptr
	cols, first, vocab, row0                int64
	op, padding                             int32
}

type logprobFinishArgs struct {
	top, sum, picked, out, lse uintptr
	rows                       int64
}

type logprobGradArgs struct {
	dlogits                   array
	logits, labels, lse, dout uintptr
	cols, first               int64
}

var logProbFault = faultOp("log_prob")

// logProbScratch is the temporary memory of both passes.
type logProbScratch struct {
	hidden, logits, stats, dhidden, narrow kernels.Array
	held                                   []unsafe.Pointer
}

func (o *operations) logProbArray(s *logProbScratch, op string, dt dtype.DType, n int) kernels.Array {
	p := o.scratch(op, n*dt.Size())
	s.held = append(s.held, p)
	return kernels.Array{Data: p, DType: dt, Len: n}
}

func (o *operations) release(s *logProbScratch) {
	for _, p := range s.held {
		o.on.Free(p)
	}
}

// eachLogits takes labelled rows a block at a time and hands visit the logits
// of each chunk of the vocabulary; done comes after a block's last chunk.
func (o *operations) eachLogits(a *kernels.LogProbArgs, s *logProbScratch, visit func(lo, rows, first, cols int), done func(lo, hi int)) {
	for lo := 0; lo < a.R; lo += logProbRows {
		rows := min(logProbRows, a.R-lo)
		o.gatherRows(s.hidden.Slice(0, rows*a.D), a, lo, rows)
		for first := 0; first < a.V; first += logProbChunk {
			cols := min(logProbChunk, a.V-first)
			o.on.Gemm(&kernels.GemmArgs{TransB: true, M: rows, N: cols, K: a.D, A: s.hidden.Slice(0, rows*a.D), B: a.Weight.Slice(first*a.D, (first+cols)*a.D),
				C: s.logits.Slice(0, rows*cols), LDA: a.D, LDB: a.D, LDC: cols, Alpha: 1, Batch: 1})
			visit(lo, rows, first, cols)
		}
		done(lo, lo+rows)
	}
}

// gatherRows is Gather that reports as log_prob.
func (o *operations) gatherRows(dst kernels.Array, a *kernels.LogProbArgs, lo, rows int) {
	sameType("log_prob", dst, a.Hidden)
	to, from, size := uintptr(dst.Data), uintptr(a.Hidden.Data), dst.DType.Size()
	unit := widest(size, []int{a.D}, to, from)
	units := a.D * size / unit
	line(o, "gather", rows*units, 1, &gatherArgs{dst: to, src: from, index: ints("log_prob", a.Rows.Slice(lo, lo+rows)), fault: o.fault,
		n: int64(rows), width: int64(units), rows: int64(a.T), unit: int32(unit), op: logProbFault})
}

func (o *operations) LogProb(a *kernels.LogProbArgs) {
	const op = "log_prob"
	var s logProbScratch
	defer o.release(&s)
	n := min(a.R, logProbRows)
	if n == 0 {
		return
	}
	s.hidden = o.logProbArray(&s, op, a.Hidden.DType, n*a.D)
	s.logits = o.logProbArray(&s, op, dtype.Float32, n*min(a.V, logProbChunk))
	s.stats = o.logProbArray(&s, op, dtype.Float32, 3*n)
	top, sum, picked := uintptr(s.stats.Data), uintptr(s.stats.Slice(n, 2*n).Data), uintptr(s.stats.Slice(2*n, 3*n).Data)
	o.eachLogits(a, &s, func(lo, rows, first, cols int) {
		run(o, "logprob_chunk", [3]int{rows, 1, 1}, 256, 0, &logprobArgs{logits: uintptr(s.logits.Data), labels: ints(op, a.Labels.Slice(lo, lo+rows)),
			top: top, sum: sum, picked: picked, fault: o.fault, cols: int64(cols), first: int64(first), vocab: int64(a.V), row0: int64(lo), op: logProbFault})
	}, func(lo, hi int) {
		line(o, "logprob_finish", hi-lo, 1, &logprobFinishArgs{top: top, sum: sum, picked: picked,
			out: floats(op, a.Out.Slice(lo, hi)), lse: floats(op, a.LSE.Slice(lo, hi)), rows: int64(hi - lo)})
	})
}

func (o *operations) LogProbGrad(a *kernels.LogProbGradArgs) {
	const op = "log_prob gradient"
	var s logProbScratch
	defer o.release(&s)
	n := min(a.R, logProbRows)
	if n == 0 {
		if a.FreshWeight && !a.DWeight.IsNil() {
			o.Fill(a.DWeight, 0)
		}
		return
	}
	chunk := n * min(a.V, logProbChunk)
	s.hidden = o.logProbArray(&s, op, a.Hidden.DType, n*a.D)
	s.logits = o.logProbArray(&s, op, dtype.Float32, chunk)
	if !a.DHidden.IsNil() {
		s.dhidden = o.logProbArray(&s, op, dtype.Float32, n*a.D)
	}
	dlogits := s.logits
	if a.Hidden.DType == a.Weight.DType && a.Hidden.DType != dtype.Float32 {
		// The gradient of the logits joins products of 16-bit operands, as
		// their type.
		s.narrow = o.logProbArray(&s, op, a.Hidden.DType, chunk)
		dlogits = s.narrow
	}
	o.eachLogits(&a.LogProbArgs, &s, func(lo, rows, first, cols int) {
		d := dlogits.Slice(0, rows*cols)
		run(o, "logprob_grad", [3]int{ceil(cols, 256*vector), rows, 1}, threadsFor(cols, 256), 0, &logprobGradArgs{dlogits: operand(op, d), logits: uintptr(s.logits.Data),
			labels: ints(op, a.Labels.Slice(lo, lo+rows)), lse: floats(op, a.LSE.Slice(lo, lo+rows)), dout: floats(op, a.DOut.Slice(lo, lo+rows)),
			cols: int64(cols), first: int64(first)})
		if !a.DHidden.IsNil() {
			beta := 1.0
			if first == 0 {
				beta = 0
			}
			o.on.Gemm(&kernels.GemmArgs{M: rows, N: a.D, K: cols, A: d, B: a.Weight.Slice(first*a.D, (first+cols)*a.D), C: s.dhidden.Slice(0, rows*a.D),
				LDA: cols, LDB: a.D, LDC: a.D, Alpha: 1, Beta: beta, Batch: 1})
		}
		if !a.DWeight.IsNil() {
			beta := 1.0
			if a.FreshWeight && lo == 0 {
				beta = 0
			}
			o.on.Gemm(&kernels.GemmArgs{TransA: true, M: cols, N: a.D, K: rows, A: d, B: s.hidden.Slice(0, rows*a.D),
				C: a.DWeight.Slice(first*a.D, (first+cols)*a.D), LDA: cols, LDB: a.D, LDC: a.D, Alpha: 1, Beta: beta, Batch: 1})
		}
	}, func(lo, hi int) {
		if !a.DHidden.IsNil() {
			o.ScatterAdd(a.DHidden, s.dhidden.Slice(0, (hi-lo)*a.D), a.Rows.Slice(lo, hi), a.D)
		}
	})
}
