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

// logprob_grad_chunk stores the gradient of logits, (onehot - softmax) * dout,
// in grad, which may be the same memory.
static void logprob_grad_chunk(const float *logits, arr grad, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, const float *lse, const float *dout) {
	float buf[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		const float *x = logits + r * cols;
		float g = dout[r], shift = lse[r], label = 0;
		int64_t l = labels[r] - first;
		if (l >= 0 && l < cols) label = g - g * exp_n(x[l] - shift);
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			float *y = out(grad, r * cols + at, buf);
#pragma GCC ivdep // y may be x
			for (int64_t i = 0; i < m; i++) y[i] = -g * exp_n(x[at + i] - shift);
			if (l >= at && l < at + m) y[l - at] = label;
			done(grad, r * cols + at, y, m);
		}
	}
}
