// Matrix products in the manner of BLIS. B is packed once, by all threads
// together, and shared; each thread packs blocks of A of its own, which stay in
// the second-level cache, and walks a register tile over the two. Sums are
// float32 until the whole depth is in, so that C is read and written once,
// whatever its type.

enum {
	KC = 256,             // steps of B's panel that stay in the first-level cache
	RB = 24,              // register tiles in a block of rows, at most
	MARGIN = GEMM_MARGIN, // words that packing may write after the last panel
	APART = GEMM_APART,   // words between panels of A
	DEPTH = GEMM_DEPTH    // steps of a block of A: with RB tiles of rows, 300 KB on AVX2
};

// in_place says whether the register tile reads A where it lies, when it meets
// so many columns: steps of a row of float32 follow one another there. With more
// columns it pays to pack, for the caches' sake.
static inline int in_place(const gemm_args *g, int64_t columns) { return g->a.type == F32 && !g->ta && g->m >= MR && columns <= 512; }

static inline int64_t steps_of(const gemm_args *g) { return g->a.type == PAIRS ? (g->k + 1) / 2 : g->k; }

// gemm_pack packs columns [j0, j1) of B, of which j0 is a multiple of NR.
static void gemm_pack(const gemm_args *g, int64_t j0, int64_t j1) {
	pack_b(g->pb + j0 * steps_of(g), g->b, g->ldb, !g->tb, j0, j1 - j0, g->k, steps_of(g) * NR);
}

// A way's packing of blocks of A into panels that lie apart words from each other,
// and its register tile: the sums of k words of the depth of two panels.
typedef void (*rows_packer)(void *d, arr x, int64_t ld, int along, int64_t first, int64_t count, int64_t k, int64_t apart);
typedef void (*tile_adder)(int64_t k, const float *restrict a, const float *restrict b, const ends *e);

// pack_block packs steps [p, p+count) of rows [i0, i0+m) of A.
static inline void pack_block(rows_packer pack, float *pa, const gemm_args *g, int64_t i0, int64_t m, int64_t p, int64_t count, int64_t apart) {
	arr a = g->a;
	int64_t each = a.type == PAIRS ? 2 : 1, at = p * each, k = g->k - at < count * each ? g->k - at : count * each;
	a.p = (char *)a.p + (g->ta ? at * g->lda : at) * size_of(a.type);
	pack(pa, a, g->lda, g->ta, i0, m, k, apart);
}

// walk_rows computes rows [i0, i1) and columns [j0, j1) of C with B packed over
// steps words, by a tile of mr rows and NR columns; both starts are multiples of a
// tile. A is packed, or read where it lies, by MR rows, if along is set. few is for
// the sums of RB tiles. pa is the caller's, for a block of A, its panels APART words
// from each other's end, and, where the depth exceeds DEPTH, as many sums as C has
// elements in RB·mr rows, columns rounded up to whole tiles.
//
// Where C is float32 and what is to be added to the sums is either the bias or C,
// the sums begin with that and end in C: most whole tiles go past tile_store.
static inline __attribute__((always_inline)) void walk_rows(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa, float *few, int64_t steps, const int mr, rows_packer pack, tile_adder tile, int along) {
	float bias[NR];
	int plain = g->c.type == F32 && g->alpha == 1 && (g->beta == 0 || (g->beta == 1 && !g->bias.p));
	for (; i0 < i1; i0 += RB * mr) {
		int64_t m = i1 - i0 < RB * mr ? i1 - i0 : RB * mr, p0 = 0;
		do {
			int64_t dc = steps - p0 < DEPTH ? steps - p0 : DEPTH, apart = mr * dc + APART;
			int last = p0 + dc == steps;
			if (dc > 0 && !along) pack_block(pack, pa, g, i0, m, p0, dc, apart);
			for (int64_t j = j0; j < j1; j += NR) {
				float *sums = steps <= DEPTH ? few : pa + RB * (mr * DEPTH + APART) + MARGIN + (j - j0) * RB * mr;
				int cols = (int)(j1 - j < NR ? j1 - j : NR);
				const float *b = g->pb + j * steps + p0 * NR;
				if (g->bias.p && (plain ? p0 == 0 : last)) widen(bias, g->bias, j, cols);
				int64_t p = 0;
				do {
					int64_t kc = dc - p < KC ? dc - p : KC;
					int first = p0 + p == 0, whole = last && p + kc == dc;
					for (int64_t i = 0; i < m; i += mr) {
						float *to = sums + i * NR, *c = (float *)g->c.p + (i0 + i) * g->ldc + j;
						int rows = (int)(m - i < mr ? m - i : mr), direct = plain && rows == mr && cols == NR;
						if (whole || (direct && first && g->beta != 0)) tile_expect(g->c, (i0 + i) * g->ldc + j, g->ldc, rows);
						// The last tile of rows that lie reaches back, so that all its rows exist.
						int64_t back = along && i0 + i + mr > g->m ? i0 + i + mr - g->m : 0;
						ends e = onward(to, !first);
						if (first && plain && g->bias.p) e.from = bias, e.from_row = 0;
						if (direct && first && g->beta != 0) e.from = c, e.from_row = g->ldc;
						if (direct && whole) e.to = c, e.to_row = g->ldc;
						if (along) tile_along(kc, (const float *)g->a.p + (i0 + i - back) * g->lda + p0 + p, g->lda, b + p * NR, &e);
						else tile(kc, pa + i / mr * apart + p * mr, b + p * NR, &e);
						if (!whole || direct) continue;
						tile_store(to + back * NR, g->c, (i0 + i) * g->ldc + j, g->ldc, rows, cols, g->alpha, g->beta, g->bias.p && !plain ? bias : NULL);
					}
					p += KC;
				} while (p < dc);
			}
			p0 += DEPTH;
		} while (p0 < steps);
	}
}

static void gemm_rows(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa) {
	float few[RB * MR * NR] __attribute__((aligned(64)));
	walk_rows(g, i0, i1, j0, j1, pa, few, g->k, MR, pack_a, tile_sums, in_place(g, j1 - j0));
}

#if HAVE_BF16
// pairs_rows is gemm_rows for PAIRS.
static void pairs_rows(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa) {
	float few[RB * MR * NR] __attribute__((aligned(64)));
	walk_rows(g, i0, i1, j0, j1, pa, few, steps_of(g), MR, pack_a, tile_pairs, 0);
}
#endif

// gemm_few computes columns [j0, j1) of a product with at most FEW rows and B
// stored [n, k], as generation makes them: dot products without packing.
static void gemm_few(const gemm_args *g, int64_t j0, int64_t j1) {
	enum { FEW = 4, SPAN = 256 };
	float ba[FEW][SPAN], bb[SPAN];
	for (int64_t j = j0; j < j1; j++) {
		float sums[FEW] = {0};
		for (int64_t p = 0; p < g->k; p += SPAN) {
			int64_t kk = g->k - p < SPAN ? g->k - p : SPAN;
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
