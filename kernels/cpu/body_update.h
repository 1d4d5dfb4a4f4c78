// Optimizer steps in one pass, with PyTorch's formulas and order of operations.

static void adamw(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, int64_t n, const update_args *u) {
	float step = u->lr / u->c1, root = u->c2;
	for (int64_t i = 0; i < n; i++) {
		float gr = g[i] * u->scale;
		m[i] = m[i] + (gr - m[i]) * u->rest1;
		v[i] = v[i] * u->b2 + u->rest2 * gr * gr;
		p[i] = p[i] * u->decay - step * m[i] / (sqrtf(v[i]) / root + u->eps);
	}
}

static void rmsprop(float *restrict p, const float *restrict g, float *restrict sq, float *restrict mom, float *restrict avg, int64_t n, const update_args *u) {
	for (int64_t i = 0; i < n; i++) {
		float gr = g[i] * u->scale + u->wd * p[i];
		sq[i] = sq[i] * u->b1 + u->rest1 * gr * gr;
		float var = sq[i];
		if (avg) {
			avg[i] = avg[i] + (gr - avg[i]) * u->rest1;
			var -= avg[i] * avg[i];
		}
		float change = gr / (sqrtf(var) + u->eps);
		if (mom) {
			mom[i] = mom[i] * u->momentum + change;
			change = mom[i];
		}
		p[i] -= u->lr * change;
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
