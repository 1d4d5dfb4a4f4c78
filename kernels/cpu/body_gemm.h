// Matrix products in the manner of BLIS: blocks of A and B are copied into
// panels, widened to float32 on the way, and a register tile of MR rows by NR
// columns walks over them.

enum {
	NR = NRV * VW,
	KC = 256,              // depth of a block: an A and a B panel fit the first-level cache
	MC = (240 / MR) * MR,  // rows of a block of A: it fits the second-level cache
	NC = 1024,             // columns of a block of B
};

// tile computes MR × NR sums of products over k from two panels.
static inline __attribute__((always_inline)) void tile_sums(int64_t k, const float *restrict a, const float *restrict b, vf c[MR][NRV]) {
	vf acc[MR][NRV];
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) acc[i][j] = (vf){0};
	for (int64_t p = 0; p < k; p++) {
		vf bv[NRV];
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) bv[j] = *(const vf *)(b + p * NR + j * VW);
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++) {
			float s = a[p * MR + i];
#pragma GCC unroll 4
			for (int j = 0; j < NRV; j++) acc[i][j] += s * bv[j];
		}
	}
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) c[i][j] = acc[i][j];
}

// tile_store adds alpha times the sums to beta times a tile of C, which is
// float32, over rows × cols elements of it.
static void tile(int64_t k, const float *a, const float *b, float *c, int64_t ldc, int rows, int cols, float alpha, float beta, const float *bias) {
	vf sums[MR][NRV] __attribute__((aligned(64)));
	tile_sums(k, a, b, sums);
	if (rows == MR && cols == NR) {
		for (int i = 0; i < MR; i++)
			for (int j = 0; j < NRV; j++) {
				vf *d = (vf *)(c + i * ldc + j * VW);
				vf v = alpha * sums[i][j];
				if (beta != 0) v += beta * *d;
				if (bias) v += *(const vf *)(bias + j * VW);
				*d = v;
			}
		return;
	}
	const float *s = (const float *)sums;
	for (int i = 0; i < rows; i++)
		for (int j = 0; j < cols; j++) {
			float v = alpha * s[i * NR + j];
			if (beta != 0) v += beta * c[i * ldc + j];
			if (bias) v += bias[j];
			c[i * ldc + j] = v;
		}
}

// pack copies op(X)[first.., 0..k) into panels of width elements: panel w holds
// for each p the elements first+w*width.. of the long axis, zeros past the end.
// along says that the long axis is contiguous in memory.
static void pack(float *restrict d, arr x, int64_t ld, int along, int64_t first, int64_t count, int64_t p0, int64_t k, int width) {
	float buf[KC];
	for (int64_t w = 0; w < count; w += width, d += width * k) {
		int n = (int)(count - w < width ? count - w : width);
		if (along) {
			for (int64_t p = 0; p < k; p++) {
				widen(d + p * width, x, (p0 + p) * ld + first + w, n);
				for (int i = n; i < width; i++) d[p * width + i] = 0;
			}
			continue;
		}
		for (int i = 0; i < n; i++) {
			const float *s = in(x, (first + w + i) * ld + p0, k, buf);
			for (int64_t p = 0; p < k; p++) d[p * width + i] = s[p];
		}
		for (int i = n; i < width; i++)
			for (int64_t p = 0; p < k; p++) d[p * width + i] = 0;
	}
}

// few handles products with at most 8 rows and B stored [n, k], as generation
// makes them: dot products without packing.
static void few(const gemm_args *g) {
	float ba[8][KC], bb[KC];
	for (int64_t j = 0; j < g->n; j++) {
		float sums[8] = {0};
		for (int64_t p = 0; p < g->k; p += KC) {
			int64_t kk = g->k - p < KC ? g->k - p : KC;
			const float *b = in(g->b, j * g->ldb + p, kk, bb);
			for (int64_t i = 0; i < g->m; i++) {
				const float *a = in(g->a, i * g->lda + p, kk, ba[i]);
				vf v = {0}, u = {0};
				int64_t q = 0;
				for (; q + 2 * VW <= kk; q += 2 * VW) {
					v += *(const vf *)(a + q) * *(const vf *)(b + q);
					u += *(const vf *)(a + q + VW) * *(const vf *)(b + q + VW);
				}
				float s = hsum(v + u);
				for (; q < kk; q++) s += a[q] * b[q];
				sums[i] += s;
			}
		}
		for (int64_t i = 0; i < g->m; i++) {
			float v = g->alpha * sums[i], old, bias;
			if (g->beta != 0) {
				widen(&old, g->c, i * g->ldc + j, 1);
				v += g->beta * old;
			}
			if (g->bias.p) {
				widen(&bias, g->bias, j, 1);
				v += bias;
			}
			narrow(g->c, i * g->ldc + j, &v, 1);
		}
	}
}

static void gemm(const gemm_args *g) {
	if (g->m == 0 || g->n == 0) return;
	if (g->few) {
		few(g);
		return;
	}
	int direct = g->c.type == F32;
	float *pb = g->scratch, *pa = pb + (NC + NR) * KC, *bias = pa + MC * KC, *wide = bias + NC;
	// A narrow C is summed in a float32 block of rows, so that it is rounded once.
	int64_t block = direct ? g->m : 512;
	for (int64_t m0 = 0; m0 < g->m; m0 += block) {
		int64_t mb = g->m - m0 < block ? g->m - m0 : block;
		for (int64_t j0 = 0; j0 < g->n; j0 += NC) {
			int64_t nb = g->n - j0 < NC ? g->n - j0 : NC;
			if (g->bias.p) widen(bias, g->bias, j0, nb);
			float *c = direct ? (float *)g->c.p + m0 * g->ldc + j0 : wide;
			int64_t ldc = direct ? g->ldc : nb;
			int64_t p0 = 0;
			do {
				int64_t kb = g->k - p0 < KC ? g->k - p0 : KC;
				float beta = p0 > 0 ? 1.0f : direct ? g->beta : 0.0f;
				const float *add = p0 == 0 && g->bias.p ? bias : NULL;
				pack(pb, g->b, g->ldb, !g->tb, j0, nb, p0, kb, NR);
				for (int64_t i0 = 0; i0 < mb; i0 += MC) {
					int64_t mm = mb - i0 < MC ? mb - i0 : MC;
					pack(pa, g->a, g->lda, g->ta, m0 + i0, mm, p0, kb, MR);
					for (int64_t j = 0; j < nb; j += NR)
						for (int64_t i = 0; i < mm; i += MR)
							tile(kb, pa + i * kb, pb + j * kb, c + (i0 + i) * ldc + j, ldc,
							     (int)(mm - i < MR ? mm - i : MR), (int)(nb - j < NR ? nb - j : NR), g->alpha, beta, add ? add + j : NULL);
				}
				p0 += KC;
			} while (p0 < g->k);
			if (direct) continue;
			for (int64_t i = 0; i < mb; i++) {
				float *w = wide + i * nb;
				int64_t at = (m0 + i) * g->ldc + j0;
				if (g->beta != 0) {
					float buf[NC];
					widen(buf, g->c, at, nb);
					for (int64_t j = 0; j < nb; j++) w[j] += g->beta * buf[j];
				}
				narrow(g->c, at, w, nb);
			}
		}
	}
}

// product is gemm on float32 blocks, for the kernels that are made of it.
static inline void product(float *scratch, int ta, int tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
	gemm_args g = {.a = {(void *)a, F32}, .b = {(void *)b, F32}, .c = {c, F32}, .m = m, .n = n, .k = k, .lda = lda, .ldb = ldb, .ldc = ldc,
	               .ta = ta, .tb = tb, .alpha = alpha, .beta = beta, .scratch = scratch};
	gemm(&g);
}
