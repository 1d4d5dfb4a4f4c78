// The two inner loops of the fused log-probability: one chunk of the
// vocabulary's logits at a time, for rows of labelled positions.

// logprob_chunk folds columns [first, first+cols) into each row's running
// maximum and sum of exponentials, and picks the label's logit.
static void logprob_chunk(const float *logits, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, float *max, float *sum, float *picked) {
	for (int64_t r = 0; r < rows; r++) {
		const float *x = logits + r * cols;
		float top = row_max(x, cols);
		if (top > max[r] || top != top) {
			sum[r] *= exp_f(max[r] - top);
			max[r] = top;
		}
		sum[r] += exp_total(x, cols, max[r]);
		int64_t l = labels[r] - first;
		if (l >= 0 && l < cols) picked[r] = x[l];
	}
}

// logprob_grad_chunk turns logits into their gradient
// (onehot - softmax) * dout, in the type of grad, which may be the same memory.
static void logprob_grad_chunk(float *logits, arr grad, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, const float *lse, const float *dout) {
	for (int64_t r = 0; r < rows; r++) {
		float *x = logits + r * cols, g = dout[r], shift = lse[r];
		int64_t l = labels[r] - first;
		float label = 0;
		if (l >= 0 && l < cols) label = g - g * exp_f(x[l] - shift);
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			for (int64_t i = 0; i < m; i++) x[at + i] = -g * exp_f(x[at + i] - shift);
			if (l >= at && l < at + m) x[l] = label;
			done(grad, r * cols + at, x + at, m);
		}
	}
}
