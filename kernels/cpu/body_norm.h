// Normalisations over rows. Rows are widened into a buffer of the caller's
// thread; cols may be any size, so they are handled in blocks.

// add_row stores a row of x + r in s. What is normalised is then the row of s,
// still in the cache, and as rounded as memory has it.
static void add_row(arr s, arr x, arr r, int64_t row, int64_t cols) {
	float bx[BLOCK], br[BLOCK], bs[BLOCK];
	for (int64_t at = 0; at < cols; at += BLOCK) {
		int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
		const float *xs = in(x, row + at, m, bx), *rs = in(r, row + at, m, br);
		float *ss = out(s, row + at, bs);
		for (int64_t i = 0; i < m; i++) ss[i] = xs[i] + rs[i];
		done(s, row + at, ss, m);
	}
}

// block_sum adds up n elements in double precision: rows may be far from zero.
static double block_sum(const float *x, int64_t n) {
	double part[16] = {0}, sum = 0;
	int64_t i = 0;
	for (; i + 16 <= n; i += 16)
		for (int j = 0; j < 16; j++) part[j] += x[i + j];
	for (; i < n; i++) sum += x[i];
	for (int j = 0; j < 16; j++) sum += part[j];
	return sum;
}

// If res is given, x0 + res is stored in x first.
static void layer_norm(arr y, float *mean, float *rstd, arr x, arr x0, arr res, arr w, arr b, int64_t rows, int64_t cols, float eps) {
	float bx[BLOCK], bw[BLOCK], bb[BLOCK], by[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		double sum = 0, squares = 0;
		if (res.p) add_row(x, x0, res, r * cols, cols);
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			const float *xs = in(x, r * cols + at, m, bx);
			sum += block_sum(xs, m);
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
// without centering. dw and db are this thread's sums. If res is given, it is
// added to dx as a second operation would: after dx is rounded.
static void norm_grad(arr dx, float *dw, float *db, arr res, arr dy, arr x, arr w, const float *mean, const float *rstd, int64_t rows, int64_t cols) {
	float bx[BLOCK], bw[BLOCK], bd[BLOCK], bo[BLOCK], br[BLOCK];
	uint16_t half[BLOCK];
	const arr rounded = {half, dx.type};
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
			float *o = res.p ? bo : out(dx, r * cols + at, bo);
			for (int64_t i = 0; i < m; i++) o[i] = rs * (ds[i] * ws[i] - mg - (xs[i] - mu) * rs * md);
			if (res.p) {
				if (dx.type != F32) {
					narrow(rounded, 0, bo, m);
					widen(bo, rounded, 0, m);
				}
				const float *old = in(res, r * cols + at, m, br);
				o = out(dx, r * cols + at, bo);
#pragma GCC ivdep // old may be o
				for (int64_t i = 0; i < m; i++) o[i] = old[i] + bo[i];
			}
			done(dx, r * cols + at, o, m);
		}
	}
}

static void rms_norm(arr y, float *rstd, arr x, arr x0, arr res, arr w, int64_t rows, int64_t cols, float eps) {
	float bx[BLOCK], bw[BLOCK], by[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		double squares = 0;
		if (res.p) add_row(x, x0, res, r * cols, cols);
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
