// Rotary embeddings, half-split form, over rows [lo, hi).

static void rotary(heads y, heads x, arr cosines, arr sines, const int32_t *pos, int64_t lo, int64_t hi, int64_t nheads, int64_t hd, int64_t dim, int grad) {
	float bx[BLOCK], by[BLOCK], bc[BLOCK], bs[BLOCK];
	int64_t half = dim / 2;
	for (int64_t t = lo; t < hi; t++) {
		const float *c = in(cosines, pos[t] * half, half, bc), *s = in(sines, pos[t] * half, half, bs);
		for (int64_t h = 0; h < nheads; h++) {
			int64_t from = t * x.row + h * x.head, to = t * y.row + h * y.head;
			const float *xs = in(x.x, from, hd, bx);
			if (!grad) {
				float *ys = out(y.x, to, by);
				for (int64_t i = 0; i < half; i++) {
					float a = xs[i], b = xs[half + i];
					ys[i] = a * c[i] - b * s[i];
					ys[half + i] = b * c[i] + a * s[i];
				}
				for (int64_t i = dim; i < hd; i++) ys[i] = xs[i];
				done(y.x, to, ys, hd);
				continue;
			}
			widen(by, y.x, to, hd);
			for (int64_t i = 0; i < half; i++) {
				float a = xs[i], b = xs[half + i];
				by[i] += a * c[i] + b * s[i];
				by[half + i] += b * c[i] - a * s[i];
			}
			for (int64_t i = dim; i < hd; i++) by[i] += xs[i];
			narrow(y.x, to, by, hd);
		}
	}
}
