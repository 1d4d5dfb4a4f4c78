package kernels

// Norms are the normalisations over the last axis of a [rows, D] array.
//
// Composition: mean and variance by Reduce, then Binary and Affine.
type Norms interface {
	// LayerNorm stores (x-mean)·rstd·weight + bias and keeps mean and rstd
	// (float32 [rows]) for the gradient. bias may be nil.
	LayerNorm(y, mean, rstd, x, weight, bias Array, rows, cols int, eps float64)
	// AddLayerNorm stores x + r in sum and the norm of what sum then holds in y:
	// a residual connection and the norm behind it. Its bits are those of Binary
	// and LayerNorm.
	AddLayerNorm(sum, y, mean, rstd, x, r, weight, bias Array, rows, cols int, eps float64)
	// LayerNormGrad stores dx and adds to dweight and dbias, each of which may
	// be nil. If residual is given it is added to dx: the gradient that reaches
	// x, which is the sum of a residual connection, by other ways. It may be
	// dx's own memory, and the bits are those of LayerNormGrad without it
	// followed by Binary.
	LayerNormGrad(dx, dweight, dbias, residual, dy, x, weight, mean, rstd Array, rows, cols int)
	// RMSNorm stores x·rstd·weight with rstd = 1/sqrt(mean(x²)+eps).
	RMSNorm(y, rstd, x, weight Array, rows, cols int, eps float64)
	// AddRMSNorm is to RMSNorm what AddLayerNorm is to LayerNorm.
	AddRMSNorm(sum, y, rstd, x, r, weight Array, rows, cols int, eps float64)
	// RMSNormGrad stores dx, to which it adds residual as LayerNormGrad does,
	// and adds to dweight, which may be nil.
	RMSNormGrad(dx, dweight, residual, dy, x, weight, rstd Array, rows, cols int)
}

// RotaryArgs describe a rotary embedding in the half-split form of GPT-NeoX and
// Llama: of each head's first Dim elements, element i < Dim/2 is paired with
// i + Dim/2 and turned by the angle of the row's position; the rest pass
// through. Cos and Sin are [positions, Dim/2] tables, Positions int32 [Rows].
type RotaryArgs struct {
	Rows, NumHeads, HeadDim, Dim int
	Cos, Sin, Positions          Array
}

// Rotary turns heads by their position.
//
// Composition: Gather of the table rows, CopyStrided halves, Binary.
type Rotary interface {
	// Rotary stores the turned x in y.
	Rotary(y, x Heads, args *RotaryArgs)
	// RotaryGrad adds the gradient, dy turned back, to dx.
	RotaryGrad(dx, dy Heads, args *RotaryArgs)
}

// AttentionArgs describe softmax(Q·Kᵀ·Scale)·V under a list of segments.
// Q and Out have NumHeads heads, K and V have KVHeads; query head h reads
// key-value head h / (NumHeads/KVHeads). LSE is float32 [query rows, NumHeads]:
// the log-sum-exp of each row's scores, kept for the gradient. QueryRows and
// KeyRows are the numbers of rows; a query row in no segment gets zeros. Where
// all operands are of one 16-bit type, a backend may round the probabilities
// and their gradients to it.
type AttentionArgs struct {
	Out, Q, K, V               Heads
	LSE                        Array
	QueryRows, KeyRows         int
	NumHeads, KVHeads, HeadDim int
	Scale                      float64
	Segments                   []Segment
}

// AttentionGradArgs add to DQ, DK and DV the gradients for DOut, given the
// forward pass's arguments (Out and LSE filled).
type AttentionGradArgs struct {
	AttentionArgs
	DOut, DQ, DK, DV Heads
	// Fresh says that DQ, DK and DV may hold anything, as new arrays do: their
	// heads are stored, with zeros where no segment reaches. What lies between
	// heads may be overwritten.
	Fresh bool
}

// Attention never stores the score matrix.
//
// Composition: per segment and head, Gemm, a causal mask, Softmax, Gemm.
type Attention interface {
	Attention(args *AttentionArgs)
	AttentionGrad(args *AttentionGradArgs)
}

// LogProbArgs describe the log-probabilities of labels under
// softmax(Hidden·Weightᵀ): for each i < R, with h = Hidden[Rows[i]],
// Out[i] = h·Weight[Labels[i]] - LSE[i], where LSE[i] = log Σ_v exp(h·Weight[v]).
// Hidden is [T, D], Weight [V, D], Rows and Labels int32 [R], Out and LSE
// float32 [R]. Logits are float32 whatever the operands' types.
type LogProbArgs struct {
	Hidden, Weight, Rows, Labels, Out, LSE Array
	T, D, V, R                             int

	// Logits, float32, is for backends that are KeepsLogits, and may be nil.
	Logits Array
}

// LogProbGradArgs add to DHidden [T, D] and DWeight [V, D] the gradients for
// DOut, float32 [R]. DHidden or DWeight may be nil. Where Hidden and Weight are
// of one 16-bit type, a backend may round the gradient of the logits to it.
type LogProbGradArgs struct {
	LogProbArgs
	DOut, DHidden, DWeight Array
	// FreshWeight says that DWeight may hold anything, as a new array does: the
	// gradient is stored. It is as large as the vocabulary's weights, so that
	// zeros take their time to be written and read again.
	FreshWeight bool
}

// LogProbs works through rows and vocabulary in chunks, so that no more than a
// few megabytes of logits exist at any time.
//
// Composition: Gather, Gemm on blocks of rows, Softmax, Gather of the labels.
type LogProbs interface {
	LogProb(args *LogProbArgs)
	LogProbGrad(args *LogProbGradArgs)
}

// KeepsLogits are LogProbs whose gradient need not compute every logit again:
// LogProb stores as many as fit in args.Logits, in an order of its own, and
// LogProbGrad, given the array as it was left, reads them. The results are
// those of a nil array.
type KeepsLogits interface {
	LogProbs
	// LogitsKept is how many logits of rows·vocabulary are worth their memory.
	LogitsKept(rows, vocabulary int) int
}

// Gated is the SwiGLU product silu(gate)·up (arXiv 2002.05202).
//
// Composition: Unary SiLU, Binary Mul.
type Gated interface {
	SwiGLU(y, gate, up Array)
	// SwiGLUGrad stores dgate and dup.
	SwiGLUGrad(dgate, dup, dy, gate, up Array)
}
