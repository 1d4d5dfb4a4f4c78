// Normalisations over rows. Rows are widened into a buffer of the caller's
// thread; cols may be any size, so they are handled in blocks.

static void layer_norm(arr y, float *mean, float *rstd, arr x, arr w, arr b, int64_t rows, int64_t cols, float eps) {
	float bx[BLOCK], bw[BLOCK], bb[BLOCK], by[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		double sum = 0, squares = 0;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			const float *xs = in(x, r * cols + at, m, bx);
			for (int64_t i = 0; i < m; i++) sum += xs[i];
		}
		float mu = (float)(sum / (double)cols);
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK, i = 0;
			const float *xs = in(x, r * cols + at, m, bx);
			vf v = {0};
			for (; i + VW <= m; i += VW) {
				vf d = *(const vf *)(xs + i) - mu;
				v += d * d;
			}
			float s = hsum(v);
			for (; i < m; i++) s += (xs[i] - mu) * (xs[i] - mu);
			squares += s;
		}
		float rs = 1.0f / sqrtf((float)(squares / (double)cols) + eps);
		mean[r] = mu;
		rstd[r] = rs;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			const float *xs = in(x, r * cols + at, m, bx), *ws = in(w, at, m, bw);
			float *ys = out(y, r * cols + at, by);
			if (b.p) {
				const float *bs = in(b, at, m, bb);
				for (int64_t i = 0; i < m; i++) ys[i] = (xs[i] - mu) * rs * ws[i] + bs[i];
			} else {
				for (int64_t i = 0; i < m; i++) ys[i] = (xs[i] - mu) * rs * ws[i];
			}
			done(y, r * cols + at, ys, m);
		}
	}
}

// norm_grad is the gradient of both normalisations: with n the normalised row,
// dx = rstd (g - mean(g) - n mean(g n)), g = dy w, the mean of g left out
// without centering. dw and db are this thread's sums.
static void norm_grad(arr dx, float *dw, float *db, arr dy, arr x, arr w, const float *mean, const float *rstd, int64_t rows, int64_t cols) {
	float bx[BLOCK], bw[BLOCK], bd[BLOCK], bo[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		float mu = mean ? mean[r] : 0, rs = rstd[r];
		double sum = 0, dotted = 0;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK, i = 0;
			const float *xs = in(x, r * cols + at, m, bx), *ws = in(w, at, m, bw), *ds = in(dy, r * cols + at, m, bd);
			vf v = {0}, u = {0};
			for (; i + VW <= m; i += VW) {
				vf g = *(const vf *)(ds + i) * *(const vf *)(ws + i);
				v += g;
				u += g * ((*(const vf *)(xs + i) - mu) * rs);
			}
			float s = hsum(v), t = hsum(u);
			for (; i < m; i++) {
				float g = ds[i] * ws[i];
				s += g;
				t += g * ((xs[i] - mu) * rs);
			}
			sum += s;
			dotted += t;
			if (dw)
				for (i = 0; i < m; i++) dw[at + i] += ds[i] * ((xs[i] - mu) * rs);
			if (db)
				for (i = 0; i < m; i++) db[at + i] += ds[i];
		}
		float mg = mean ? (float)(sum / (double)cols) : 0, md = (float)(dotted / (double)cols);
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			const float *xs = in(x, r * cols + at, m, bx), *ws = in(w, at, m, bw), *ds = in(dy, r * cols + at, m, bd);
			float *o = out(dx, r * cols + at, bo);
			for (int64_t i = 0; i < m; i++) o[i] = rs * (ds[i] * ws[i] - mg - (xs[i] - mu) * rs * md);
			done(dx, r * cols + at, o, m);
		}
	}
}

static void layer_norm_grad(arr dx, float *dw, float *db, arr dy, arr x, arr w, const float *mean, const float *rstd, int64_t rows, int64_t cols) {
	norm_grad(dx, dw, db, dy, x, w, mean, rstd, rows, cols);
}

static void rms_norm(arr y, float *rstd, arr x, arr w, int64_t rows, int64_t cols, float eps) {
	float bx[BLOCK], bw[BLOCK], by[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		double squares = 0;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK, i = 0;
			const float *xs = in(x, r * cols + at, m, bx);
			vf v = {0};
			for (; i + VW <= m; i += VW) v += *(const vf *)(xs + i) * *(const vf *)(xs + i);
			float s = hsum(v);
			for (; i < m; i++) s += xs[i] * xs[i];
			squares += s;
		}
		float rs = 1.0f / sqrtf((float)(squares / (double)cols) + eps);
		rstd[r] = rs;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			const float *xs = in(x, r * cols + at, m, bx), *ws = in(w, at, m, bw);
			float *ys = out(y, r * cols + at, by);
			for (int64_t i = 0; i < m; i++) ys[i] = xs[i] * rs * ws[i];
			done(y, r * cols + at, ys, m);
		}
	}
}

static void rms_norm_grad(arr dx, float *dw, arr dy, arr x, arr w, const float *rstd, int64_t rows, int64_t cols) {
	norm_grad(dx, dw, NULL, dy, x, w, NULL, rstd, rows, cols);
}
