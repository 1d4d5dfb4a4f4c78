// The parts of the fused log-probability operation between its matrix
// products. The logits of a block of rows and a chunk of the vocabulary lie in
// float32 scratch memory that stays in the L2 cache:
//
//   forward:  logits by Gemm; logprob_chunk folds the chunk into each row's
//             running maximum and sum and picks the label's logit;
//             logprob_finish makes the results.
//   backward: logits by Gemm again; logprob_grad turns them into their own
//             gradient, in the type the next products want; Gemm takes that to
//             the gradients of the hidden states and the weight.
//
// One block takes one row; the order in which it adds is fixed.
#include "prelude.cuh"

enum { THREADS = 256 };

struct LogprobArgs {
	const float *logits; // [rows, cols]
	const int *labels;
	float *top, *sum, *picked;
	int *fault;
	i64 cols, first, vocab, row0; // first: vocabulary entry of column 0; row0: position of row 0
	int op, unused;
};

KERNEL(THREADS) logprob_chunk(const LogprobArgs a) {
	i64 r = blockIdx.x;
	const float *row = a.logits + r * a.cols;
	Array x = {(void *)row, FLOAT32, 0};
	float top = -INFINITE, sum = 0.0f, v[VEC];
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += THREADS * VEC) {
		load(x, i, a.cols, v);
		float high = top;
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < a.cols) high = larger(high, v[j]);
		if (high == -INFINITE) continue;
		sum *= expf(top - high);
		top = high;
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < a.cols) sum += expf(v[j] - top);
	}
	float high = block_reduce<MaxFloat>(top);
	sum = block_reduce<AddFloat>(top == -INFINITE ? 0.0f : sum * expf(top - high));
	if (threadIdx.x > 0) return;
	if (a.first > 0) {
		float before = a.top[r], both = larger(before, high);
		if (before != -INFINITE || high != -INFINITE)
			sum = (before == -INFINITE ? 0.0f : a.sum[r] * expf(before - both)) + (high == -INFINITE ? 0.0f : sum * expf(high - both));
		high = both;
	}
	a.top[r] = high;
	a.sum[r] = sum;
	i64 label = a.labels[r];
	if (a.first == 0 && outside(a.fault, a.op, label, a.row0 + r, a.vocab)) a.picked[r] = 0.0f;
	label -= a.first;
	if (label >= 0 && label < a.cols) a.picked[r] = row[label];
}

struct LogprobFinishArgs {
	const float *top, *sum, *picked;
	float *out, *lse;
	i64 rows;
};

KERNEL(THREADS) logprob_finish(const LogprobFinishArgs a) {
	i64 r = thread_index();
	if (r >= a.rows) return;
	float shift = logf(a.sum[r]);
	a.lse[r] = a.top[r] + shift;
	a.out[r] = (a.picked[r] - a.top[r]) - shift; // exact to the last digit where the logits are large
}

struct LogprobGradArgs {
	Array dlogits; // may be logits
	const float *logits;
	const int *labels;
	const float *lse, *dout;
	i64 cols, first;
};

KERNEL(THREADS) logprob_grad(const LogprobGradArgs a) {
	i64 r = blockIdx.y;
	i64 i = thread_index() * VEC;
	if (i >= a.cols) return;
	Array x = {(void *)a.logits, FLOAT32, 0};
	float v[VEC], lse = a.lse[r], g = a.dout[r];
	i64 label = a.labels[r] - a.first - i, row = r * a.cols;
	load(x, row + i, row + a.cols, v);
#pragma unroll
	for (int j = 0; j < VEC; j++) {
		v[j] = -g * expf(v[j] - lse);
		if (j == label) v[j] += g;
	}
	store(a.dlogits, row + i, row + a.cols, v);
}
