// Elementwise kernels: blocks are widened, computed in float32 and rounded once.

#define EACH_BLOCK                                                                                                   \
	for (int64_t at = 0, m; at < n && (m = n - at < BLOCK ? n - at : BLOCK); at += BLOCK)

#define MAP(expr)                                                                                                    \
	for (int64_t i = 0; i < m; i++) {                                                                                \
		float x = xs[i];                                                                                             \
		ys[i] = (expr);                                                                                              \
	}                                                                                                                \
	break

static void unary(int op, arr dst, arr src, int64_t n) {
	float bx[BLOCK], by[BLOCK];
	EACH_BLOCK {
		const float *xs = in(src, at, m, bx);
		float *ys = out(dst, at, by);
		switch (op) {
		case 0: MAP(-x);
		case 1: MAP(exp_f(x));
		case 2: MAP(logf(x));
		case 3: MAP(sqrtf(x));
		case 4: MAP(x * x);
		case 5: MAP(fabsf(x));
		case 6: MAP(1.0f / x);
		case 7: MAP(x < 0 ? 0.0f : x);
		case 8: MAP(sigmoid_f(x));
		case 9: MAP(-softplus_f(-x));
		case 10: MAP(softplus_f(x));
		case 11: MAP(tanh_f(x));
		case 12: MAP(x * sigmoid_f(x));
		case 13: MAP(x * phi_f(x, bell_f(x)));
		case 14: MAP(x * gelu_tanh_gate(x));
		}
		done(dst, at, ys, m);
	}
}

#define MAPG(expr)                                                                                                   \
	for (int64_t i = 0; i < m; i++) {                                                                                \
		float x = xs[i], g = gs[i]; (void)x;                                                                                  \
		ys[i] = (expr);                                                                                              \
	}                                                                                                                \
	break

static inline __attribute__((always_inline)) float silu_slope(float x) {
	float s = sigmoid_f(x);
	return s * (1.0f + x * (1.0f - s));
}
static inline __attribute__((always_inline)) float gelu_slope(float x) {
	float bell = bell_f(x);
	return phi_f(x, bell) + x * 0.39894228f * bell;
}
static inline __attribute__((always_inline)) float gelu_tanh_grad(float x) {
	float s = gelu_tanh_gate(x);
	return s + x * s * (1.0f - s) * gelu_tanh_slope(x);
}
static inline __attribute__((always_inline)) float sigmoid_slope(float x) {
	float s = sigmoid_f(x);
	return s * (1.0f - s);
}
static inline __attribute__((always_inline)) float tanh_slope(float x) {
	float t = tanh_f(x);
	return 1.0f - t * t;
}

static void unary_grad(int op, arr dx, arr dy, arr src, int64_t n) {
	float bx[BLOCK], bg[BLOCK], by[BLOCK];
	EACH_BLOCK {
		const float *xs = in(src, at, m, bx), *gs = in(dy, at, m, bg);
		float *ys = out(dx, at, by);
		switch (op) {
		case 0: MAPG(-g);
		case 1: MAPG(g * exp_f(x));
		case 2: MAPG(g / x);
		case 3: MAPG(g * 0.5f / sqrtf(x));
		case 4: MAPG(g * 2.0f * x);
		case 5: MAPG(x > 0 ? g : x < 0 ? -g : g * x);
		case 6: MAPG(-g / (x * x));
		case 7: MAPG(x > 0 ? g : g * 0.0f);
		case 8: MAPG(g * sigmoid_slope(x));
		case 9: MAPG(g * sigmoid_f(-x));
		case 10: MAPG(g * sigmoid_f(x));
		case 11: MAPG(g * tanh_slope(x));
		case 12: MAPG(g * silu_slope(x));
		case 13: MAPG(g * gelu_slope(x));
		case 14: MAPG(g * gelu_tanh_grad(x));
		}
		done(dx, at, ys, m);
	}
}

#define MAP2(expr)                                                                                                   \
	if (sa && sb)                                                                                                    \
		for (int64_t i = 0; i < m; i++) {                                                                            \
			float x = xs[i], y = ys[i];                                                                              \
			zs[i] = (expr);                                                                                          \
		}                                                                                                            \
	else if (sa)                                                                                                     \
		for (int64_t i = 0; i < m; i++) {                                                                            \
			float x = xs[i], y = ys0;                                                                                \
			zs[i] = (expr);                                                                                          \
		}                                                                                                            \
	else                                                                                                             \
		for (int64_t i = 0; i < m; i++) {                                                                            \
			float x = xs0, y = sb ? ys[i] : ys0;                                                                     \
			zs[i] = (expr);                                                                                          \
		}                                                                                                            \
	break

static void binary(int op, arr dst, arr a, arr b, int64_t n, int sa, int sb) {
	float bx[BLOCK], by[BLOCK], bz[BLOCK], xs0 = 0, ys0 = 0;
	if (n == 0) return;
	widen(&xs0, a, 0, 1);
	widen(&ys0, b, 0, 1);
	EACH_BLOCK {
		const float *xs = sa ? in(a, at, m, bx) : bx, *ys = sb ? in(b, at, m, by) : by;
		float *zs = out(dst, at, bz);
		switch (op) {
		case 0: MAP2(x + y);
		case 1: MAP2(x - y);
		case 2: MAP2(x * y);
		case 3: MAP2(x / y);
		case 4: MAP2(x != x ? x : x > y ? x : y);
		case 5: MAP2(x != x ? x : x < y ? x : y);
		case 6: MAP2(x > y ? 1.0f : 0.0f);
		case 7: MAP2(x == y ? 1.0f : 0.0f);
		}
		done(dst, at, zs, m);
	}
}

static void affine(arr dst, arr src, float mul, float add, int64_t n) {
	float bx[BLOCK], by[BLOCK];
	EACH_BLOCK {
		const float *xs = in(src, at, m, bx);
		float *ys = out(dst, at, by);
		for (int64_t i = 0; i < m; i++) ys[i] = xs[i] * mul + add;
		done(dst, at, ys, m);
	}
}

static void add_scaled(arr dst, float alpha, arr src, int64_t n) {
	float bx[BLOCK], by[BLOCK];
	EACH_BLOCK {
		const float *xs = in(src, at, m, bx), *old = in(dst, at, m, by);
		float *ys = out(dst, at, by);
		for (int64_t i = 0; i < m; i++) ys[i] = old[i] + alpha * xs[i];
		done(dst, at, ys, m);
	}
}

// scatter_add adds source rows order[lo..hi) to the rows their index names.
// order lists them by index, so that each destination row is read once, summed
// in float32 and rounded once, by one thread.
static void scatter_add(arr dst, arr src, const int32_t *index, const int32_t *order, int64_t lo, int64_t hi, int64_t width) {
	float bs[BLOCK], bd[BLOCK];
	for (int64_t first = lo, next; first < hi; first = next) {
		int64_t row = index[order[first]];
		for (next = first + 1; next < hi && index[order[next]] == row; next++) {}
		for (int64_t at = 0; at < width; at += BLOCK) {
			int64_t m = width - at < BLOCK ? width - at : BLOCK;
			widen(bd, dst, row * width + at, m);
			for (int64_t i = first; i < next; i++) {
				const float *s = in(src, order[i] * width + at, m, bs);
				for (int64_t j = 0; j < m; j++) bd[j] += s[j];
			}
			narrow(dst, row * width + at, bd, m);
		}
	}
}

static void swiglu(arr y, arr gate, arr up, int64_t n) {
	float bg[BLOCK], bu[BLOCK], by[BLOCK];
	EACH_BLOCK {
		const float *gs = in(gate, at, m, bg), *us = in(up, at, m, bu);
		float *ys = out(y, at, by);
		for (int64_t i = 0; i < m; i++) ys[i] = gs[i] * sigmoid_f(gs[i]) * us[i];
		done(y, at, ys, m);
	}
}

static void swiglu_grad(arr dgate, arr dup, arr dy, arr gate, arr up, int64_t n) {
	float bg[BLOCK], bu[BLOCK], bd[BLOCK], b1[BLOCK], b2[BLOCK];
	EACH_BLOCK {
		const float *gs = in(gate, at, m, bg), *us = in(up, at, m, bu), *ds = in(dy, at, m, bd);
		float *o1 = out(dgate, at, b1), *o2 = out(dup, at, b2);
		for (int64_t i = 0; i < m; i++) {
			float g = gs[i], d = ds[i], s = sigmoid_f(g);
			o1[i] = d * us[i] * s * (1.0f + g * (1.0f - s));
			o2[i] = d * g * s;
		}
		done(dgate, at, o1, m);
		done(dup, at, o2, m);
	}
}
