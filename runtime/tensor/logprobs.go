package tensor

import (
	"fmt"

	"dpolab/kernels"
	"dpolab/kernels/dtype"
)

// LogProbs returns the log-probabilities of labels under
// softmax(hidden·weightᵀ): hidden is [T, D], weight [V, D], rows and labels
// int32 [R], and entry i of the result, float32 [R], belongs to labels[i]
// given row rows[i]. Logits are float32 and exist a chunk at a time, but for as
// many as the backend holds worth keeping for backward; others it computes
// again.
func LogProbs(hidden, weight, rows, labels *Tensor) *Tensor {
	const op = "log_probs"
	requireFloat(op, hidden)
	requireFloat(op+" weight", weight)
	requireDims(op, hidden, 2)
	requireDims(op, weight, 2)
	requireShape(op+" weight", weight, weight.shape[0], hidden.shape[1])
	requireDims(op, rows, 1)
	requireShape(op+" labels", labels, rows.shape...)
	requireIndex(op, rows)
	requireIndex(op, labels)
	requireDevice(op, hidden, weight, rows, labels)
	fused, ok := hidden.dev.backend.(kernels.LogProbs)
	return hidden.dev.Scope(func() *Tensor {
		if !ok {
			return composedLogProbs(hidden, weight, rows, labels)
		}
		return fusedLogProbs(fused, hidden, weight, rows, labels)
	})
}

func fusedLogProbs(fused kernels.LogProbs, hidden, weight, rows, labels *Tensor) *Tensor {
	r := rows.shape[0]
	wide := promote(hidden.DType(), dtype.Float32)
	y, lse := Empty(hidden.dev, wide, r), Empty(hidden.dev, wide, r)
	var logits *Tensor
	if keeper, ok := fused.(kernels.KeepsLogits); ok && hidden.dev.noGrad == 0 && (needed(hidden) || needed(weight)) {
		logits = Empty(hidden.dev, wide, keeper.LogitsKept(r, weight.shape[0]))
	}
	lower := func(hidden, weight, rows, labels, y, lse, logits *Tensor) kernels.LogProbArgs {
		a := kernels.LogProbArgs{Hidden: hidden.Array(), Weight: weight.Array(), Rows: rows.Array(), Labels: labels.Array(),
			LSE: lse.Array(), T: hidden.shape[0], D: hidden.shape[1], V: weight.shape[0], R: r}
		if y != nil {
			a.Out = y.Array()
		}
		if logits != nil {
			a.Logits = logits.Array()
		}
		return a
	}
	args := lower(hidden, weight, rows, labels, y, lse, logits)
	fused.LogProb(&args)
	return record("log_probs", y, []*Tensor{hidden, weight}, []*Tensor{hidden, weight, rows, labels, lse, logits}, func(b *Backward, dy *Tensor) {
		g := kernels.LogProbGradArgs{LogProbArgs: lower(b.Saved(0), b.Saved(1), b.Saved(2), b.Saved(3), nil, b.Saved(4), b.Saved(5)), DOut: dy.Array()}
		if b.Needs(0) {
			g.DHidden = b.Zeroed(0).Array()
		}
		if b.Needs(1) {
			dw, fresh := b.Into(1)
			g.DWeight, g.FreshWeight = dw.Array(), fresh
		}
		fused.LogProbGrad(&g)
	})
}

// logProbRows is how many rows of logits the composition makes at a time.
const logProbRows = 256

// composedLogProbs is LogProbs out of required operations.
func composedLogProbs(hidden, weight, rows, labels *Tensor) *Tensor {
	r, v := rows.shape[0], weight.shape[0]
	wide := promote(hidden.DType(), dtype.Float32)
	ids := labels.Int32s()
	var parts []*Tensor
	for lo := 0; lo == 0 || lo < r; lo += logProbRows { // once for no rows, for the graph's sake
		n := min(logProbRows, r-lo)
		picked := make([]int32, n)
		for i := range picked {
			if id := ids[lo+i]; id < 0 || int(id) >= v {
				fail("log_probs", fmt.Sprintf("labels below %d", v), "%d", id)
			}
			picked[i] = int32(i*v) + ids[lo+i]
		}
		h := Gather(hidden, rows.Narrow(0, lo, n)).To(wide)
		logs := Linear(h, weight, nil).LogSoftmax(-1)
		parts = append(parts, Gather(logs.Reshape(n*v, 1), FromInt32(hidden.dev, picked)).Reshape(n))
	}
	return Cat(0, parts)
}
