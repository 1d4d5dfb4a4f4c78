// Optimizer steps in one pass, with PyTorch's formulas and order of operations.

// root is the square root of each element.
static inline __attribute__((always_inline)) vf root(vf x) {
#if defined(__x86_64__) && VW == 16 && !EMULATED
	return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__x86_64__) && VW == 8
	return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__aarch64__)
	return (vf)vsqrtq_f32((float32x4_t)x);
#else
	for (int i = 0; i < VW; i++) x[i] = sqrtf(x[i]);
	return x;
#endif
}

// load and store move the first n elements of a vector: an element's step must
// not depend on where in an array it lies, as ranks divide arrays differently.
static inline __attribute__((always_inline)) vf load(const float *x, int64_t n) {
	vf v = {0};
	if (n >= VW) return *(const vf *)x;
	for (int64_t i = 0; i < n; i++) v[i] = x[i];
	return v;
}
static inline __attribute__((always_inline)) void store(float *x, vf v, int64_t n) {
	if (n >= VW) *(vf *)x = v;
	else
		for (int64_t i = 0; i < n; i++) x[i] = v[i];
}

static void adamw(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, int64_t n, const update_args *u) {
	const update_args c = *u;
	float step = c.lr / c.c1;
	for (int64_t i = 0; i < n; i += VW) {
		int64_t some = n - i;
		vf gr = load(g + i, some) * c.scale, mean = load(m + i, some), square = load(v + i, some);
		mean = mean + (gr - mean) * c.rest1;
		square = square * c.b2 + c.rest2 * gr * gr;
		store(m + i, mean, some);
		store(v + i, square, some);
		store(p + i, load(p + i, some) * c.decay - step * mean / (root(square) / c.c2 + c.eps), some);
	}
}

static void rmsprop(float *restrict p, const float *restrict g, float *restrict sq, float *restrict mom, float *restrict avg, int64_t n, const update_args *u) {
	const update_args c = *u;
	for (int64_t i = 0; i < n; i += VW) {
		int64_t some = n - i;
		vf old = load(p + i, some), gr = load(g + i, some) * c.scale + c.wd * old;
		vf var = load(sq + i, some) * c.b1 + c.rest1 * gr * gr;
		store(sq + i, var, some);
		if (avg) {
			vf mean = load(avg + i, some);
			mean = mean + (gr - mean) * c.rest1;
			store(avg + i, mean, some);
			var -= mean * mean;
		}
		vf change = gr / (root(var) + c.eps);
		if (mom) {
			change = load(mom + i, some) * c.momentum + change;
			store(mom + i, change, some);
		}
		store(p + i, old - c.lr * change, some);
	}
}

static void sgd(float *restrict p, const float *restrict g, float *restrict mom, int64_t n, const update_args *u) {
	for (int64_t i = 0; i < n; i++) {
		float gr = g[i] * u->scale + u->wd * p[i];
		if (mom) {
			mom[i] = u->first ? gr : u->momentum * mom[i] + u->rest1 * gr;
			gr = u->nesterov ? gr + u->momentum * mom[i] : mom[i];
		}
		p[i] -= u->lr * gr;
	}
}
