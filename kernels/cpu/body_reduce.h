// Reductions. Sums run over vectors in a fixed order, so results do not depend
// on how many threads share the work.

static double sum_squares(arr x, int64_t n) {
	float buf[BLOCK];
	double sum = 0;
	EACH_BLOCK {
		const float *xs = in(x, at, m, buf);
		double part[8] = {0};
		int64_t i = 0;
		for (; i + 8 <= m; i += 8)
			for (int j = 0; j < 8; j++) part[j] += (double)xs[i + j] * xs[i + j];
		for (; i < m; i++) part[0] += (double)xs[i] * xs[i];
		for (int j = 0; j < 8; j++) sum += part[j];
	}
	return sum;
}

static inline float reduce2(int op, float a, float b) {
	if (op == 0) return a + b;
	if (a != a || b != b) return a + b;
	return op == 1 ? (a > b ? a : b) : (a < b ? a : b);
}

// reduce_rows reduces each of rows contiguous runs of mid elements.
static void reduce_rows(int op, arr dst, arr src, int64_t rows, int64_t mid) {
	float buf[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		double total = 0;
		float best = op == 1 ? -INFINITY : INFINITY;
		for (int64_t at = 0; at < mid; at += BLOCK) {
			int64_t m = mid - at < BLOCK ? mid - at : BLOCK, i = 0;
			const float *xs = in(src, r * mid + at, m, buf);
			if (op == 0) {
				vf v = {0};
				for (; i + VW <= m; i += VW) v += *(const vf *)(xs + i);
				float s = hsum(v);
				for (; i < m; i++) s += xs[i];
				total += s;
			} else {
				for (; i < m; i++) best = reduce2(op, best, xs[i]);
			}
		}
		float v = op == 0 ? (float)total : best;
		narrow(dst, r, &v, 1);
	}
}

// sum_rows adds rows of float32 to acc, one after the other. Four at a time: the
// columns are few, so that most of the work is to wait for memory.
static void sum_rows(float *restrict acc, const float *x, int64_t rows, int64_t apart, int64_t n) {
	for (; rows >= 4; rows -= 4, x += 4 * apart) {
		const float *y = x + apart, *z = y + apart, *w = z + apart;
		for (int64_t i = 0; i < n; i++) acc[i] = (((acc[i] + x[i]) + y[i]) + z[i]) + w[i];
	}
	for (; rows > 0; rows--, x += apart)
		for (int64_t i = 0; i < n; i++) acc[i] += x[i];
}

// reduce_cols reduces mid rows of inner elements over columns [lo, hi).
static void reduce_cols(int op, arr dst, arr src, int64_t mid, int64_t inner, int64_t lo, int64_t hi) {
	enum { COLUMNS = 4 * BLOCK };
	float buf[COLUMNS], acc[COLUMNS];
	for (int64_t at = lo; at < hi; at += COLUMNS) {
		int64_t m = hi - at < COLUMNS ? hi - at : COLUMNS;
		for (int64_t i = 0; i < m; i++) acc[i] = op == 0 ? 0.0f : op == 1 ? -INFINITY : INFINITY;
		if (op == 0 && src.type == F32) {
			sum_rows(acc, (const float *)src.p + at, mid, inner, m);
			narrow(dst, at, acc, m);
			continue;
		}
		for (int64_t r = 0; r < mid; r++) {
			const float *xs = in(src, r * inner + at, m, buf);
			if (op == 0)
				for (int64_t i = 0; i < m; i++) acc[i] += xs[i];
			else
				for (int64_t i = 0; i < m; i++) acc[i] = reduce2(op, acc[i], xs[i]);
		}
		narrow(dst, at, acc, m);
	}
}

// row_max returns the largest of n elements, NaN if there is one.
static float row_max(const float *x, int64_t n) {
	vf top = (vf){0} - INFINITY;
	vi bad = {0};
	int64_t i = 0;
	for (; i + VW <= n; i += VW) {
		vf v = *(const vf *)(x + i);
		vi above = v > top;
		bad |= v != v;
		top = (vf)((above & (vi)v) | (~above & (vi)top));
	}
	float best = -INFINITY;
	int any = 0;
	for (int j = 0; j < VW; j++) {
		any |= bad[j];
		best = top[j] > best ? top[j] : best;
	}
	for (; i < n; i++) {
		any |= x[i] != x[i];
		best = x[i] > best ? x[i] : best;
	}
	return any ? NAN : best;
}

// exp_sum stores exp(x - top) in y, which may be x, and returns the sum.
static float exp_sum(float *y, const float *x, int64_t n, float top) {
#pragma GCC ivdep
	for (int64_t i = 0; i < n; i++) y[i] = exp_n(x[i] - top);
	vf v[4] = {{0}};
	int64_t i = 0;
	for (; i + 4 * VW <= n; i += 4 * VW)
		for (int j = 0; j < 4; j++) v[j] += *(const vf *)(y + i + j * VW);
	for (; i + VW <= n; i += VW) v[0] += *(const vf *)(y + i);
	float s = hsum((v[0] + v[1]) + (v[2] + v[3]));
	for (; i < n; i++) s += y[i];
	return s;
}

// exp_total is exp_sum without the storing.
static float exp_total(const float *x, int64_t n, float top) {
	float y[BLOCK], s = 0;
	for (int64_t at = 0; at < n; at += BLOCK) s += exp_sum(y, x + at, n - at < BLOCK ? n - at : BLOCK, top);
	return s;
}

static float dot(const float *x, const float *y, int64_t n) {
	vf v = {0};
	int64_t i = 0;
	for (; i + VW <= n; i += VW) v += *(const vf *)(x + i) * *(const vf *)(y + i);
	float s = hsum(v);
	for (; i < n; i++) s += x[i] * y[i];
	return s;
}

static void softmax(arr dst, arr src, int64_t rows, int64_t cols, int logs) {
	float bx[BLOCK], by[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		int64_t start = r * cols;
		float top = -INFINITY, sum = 0;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			float t = row_max(in(src, start + at, m, bx), m);
			top = t > top || t != t ? t : top;
		}
		float shift = top == -INFINITY ? 0 : top;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			sum += exp_total(in(src, start + at, m, bx), m, shift);
		}
		float log_sum = logf(sum), inv = 1.0f / sum;
		for (int64_t at = 0; at < cols; at += BLOCK) {
			int64_t m = cols - at < BLOCK ? cols - at : BLOCK;
			const float *xs = in(src, start + at, m, bx);
			float *ys = out(dst, start + at, by);
			if (logs)
				for (int64_t i = 0; i < m; i++) ys[i] = (xs[i] - shift) - log_sum; // in this order: shift may be large
			else
				for (int64_t i = 0; i < m; i++) ys[i] = exp_n(xs[i] - shift) * inv;
			done(dst, start + at, ys, m);
		}
	}
}

static void softmax_grad(arr dx, arr dy, arr y, int64_t rows, int64_t cols, int logs) {
	float bg[BLOCK], by[BLOCK], bo[BLOCK];
	for (int64_t r = 0; r < rows; r++) {
		double sum = 0;
		for (int64_t at = r * cols; at < (r + 1) * cols; at += BLOCK) {
			int64_t m = (r + 1) * cols - at < BLOCK ? (r + 1) * cols - at : BLOCK;
			const float *g = in(dy, at, m, bg), *p = in(y, at, m, by);
			for (int64_t i = 0; i < m; i++) sum += logs ? g[i] : g[i] * p[i];
		}
		float s = (float)sum;
		for (int64_t at = r * cols; at < (r + 1) * cols; at += BLOCK) {
			int64_t m = (r + 1) * cols - at < BLOCK ? (r + 1) * cols - at : BLOCK;
			const float *g = in(dy, at, m, bg), *p = in(y, at, m, by);
			float *o = out(dx, at, bo);
			if (logs)
				for (int64_t i = 0; i < m; i++) o[i] = g[i] - exp_f(p[i]) * s;
			else
				for (int64_t i = 0; i < m; i++) o[i] = p[i] * (g[i] - s);
			done(dx, at, o, m);
		}
	}
}
