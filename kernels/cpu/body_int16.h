// Products of bfloat16 matrices in block-scaled int16. K is cut into blocks; in
// each, every row of A and every column of B (a row, from here on) is multiplied
// by a power of two of its own and rounded to integers. Products of these are
// summed exactly in int32 over the block, and blocks in float32.
//
// A bfloat16 has eight binary digits, so an element is rounded only if it is
// below 128 in its row's units. The units are such that the root of a row's
// squares is 23000 to 46000. By Cauchy and Schwarz no sum of products of two rows,
// nor a part of one, then reaches 2^31. Rounding adds a few percent of the error
// that rounding to bfloat16 made, as long as the large elements of one row meet
// those of the other. What else may happen:
//
//   - Steps (channels) may be large in A and as small in B. Before anything else,
//     as many powers of two are moved from one to the other as make both alike.
//     That is exact, and both then have their large elements at the same steps.
//     Steps that tower above the rest by more than 2^HIGH stay a reason not to.
//   - Rows may hold few large elements, each row at other steps, so that two have
//     none in common. A row's flatness is (Σ|x|)² / (n·Σx²), of elements over the
//     largest ones at their steps: 0.64 for normal numbers, 1/n for a spike. The
//     product of two flatnesses is about the share of steps at which both rows are
//     large; OVERLAP such steps are asked for.
//   - A row may be small at many steps where another is large. At most one element
//     in ROUGH may be rounded, those of low steps counting less.
//   - Infinities, NaN and magnitudes beyond 2^±FAR do not take part.
//
// What does not fit is taken in float32: tiles with such a row or column, in such
// a block. All statistics are of whole operands of a product and of whole tiles'
// rows, so neither threads nor cuts change what is decided.

enum { UNIT = 127, FAR = 60, HIGH = 5, OVERLAP = 12, ROUGH = 4 };

// operand_of is an operand of a product as packing sees it.
typedef struct {
	arr x;
	int64_t ld, rows;
	int along, width;
} operand_of;

static inline operand_of operand(const gemm_args *g, int which) {
	return which ? (operand_of){g->b, g->ldb, g->n, !g->tb, NR} : (operand_of){g->a, g->lda, g->m, g->ta, MR};
}

static inline int64_t block_steps(const gemm_args *g, int64_t q) {
	int64_t left = g->k - q * g->blocks->size;
	return left < g->blocks->size ? left : g->blocks->size;
}

// int16_tops finds the largest magnitudes, as bits, of one stretch of rows at each
// step of a block.
static void int16_tops(const gemm_args *g, int which, int64_t stretch, int64_t q) {
	operand_of o = operand(g, which);
	int64_t k0 = q * g->blocks->size, k = block_steps(g, q), first = stretch * GEMM_STRETCH;
	int64_t n = o.rows - first < GEMM_STRETCH ? o.rows - first : GEMM_STRETCH;
	uint16_t *restrict top = g->blocks->tops[which] + stretch * g->k + k0;
	const uint16_t *x = o.x.p;
	if (o.along) {
		for (int64_t p = 0; p < k; p++) {
			const uint16_t *s = x + (k0 + p) * o.ld + first;
			uint16_t t = 0;
			for (int64_t i = 0; i < n; i++) {
				uint16_t v = s[i] & 0x7fff;
				t = v > t ? v : t;
			}
			top[p] = t;
		}
		return;
	}
	memset(top, 0, (size_t)k * sizeof *top);
	for (int64_t i = 0; i < n; i++) {
		const uint16_t *s = x + (first + i) * o.ld + k0;
		for (int64_t p = 0; p < k; p++) {
			uint16_t v = s[p] & 0x7fff;
			top[p] = v > top[p] ? v : top[p];
		}
	}
}

static inline float power(int e) { return bits_f((UNIT + e) << 23); }

// int16_balance finds what steps are multiplied by to make A and B alike, and what
// they weigh, and marks blocks that cannot be scaled or have steps far above the
// rest.
static void int16_balance(const gemm_args *g) {
	const gemm_blocks *b = g->blocks;
	for (int64_t q = 0; q < b->count; q++) {
		int64_t k0 = q * b->size, k = block_steps(g, q);
		int beyond = 0, live = 0, height[GEMM_BLOCK], counts[4 * FAR + 1] = {0};
		for (int64_t p = 0; p < k; p++) {
			int e[2], zero = 0;
			for (int which = 0; which < 2; which++) {
				int top = 0;
				for (int64_t s = 0; s * GEMM_STRETCH < operand(g, which).rows; s++) {
					int t = b->tops[which][s * g->k + k0 + p];
					top = t > top ? t : top;
				}
				zero |= top == 0;
				e[which] = (top >> 7) - UNIT;
				beyond |= e[which] > FAR || (top > 0 && e[which] < -FAR);
			}
			if (zero || beyond) {
				b->factors[0][k0 + p] = b->factors[1][k0 + p] = b->heights[0][k0 + p] = b->heights[1][k0 + p] = 0;
				height[p] = -2 * FAR;
				continue;
			}
			int up = (e[1] - e[0]) >> 1;
			b->factors[0][k0 + p] = power(up);
			b->factors[1][k0 + p] = power(-up);
			b->heights[0][k0 + p] = power(-e[0]);
			b->heights[1][k0 + p] = power(-e[1]);
			height[p] = e[0] + e[1]; // of the balanced operands, twice
			counts[2 * FAR + height[p]]++;
			live++;
		}
		int middle = 2 * FAR, highest = -2 * FAR;
		for (int above = counts[4 * FAR]; 2 * above < live; above += counts[2 * FAR + middle]) middle--;
		for (int64_t p = 0; p < k; p++) {
			int below = height[p] - middle;
			b->weights[k0 + p] = below >= 0 ? 1 : below < -FAR ? 0 : power(below);
			highest = height[p] > highest ? height[p] : highest;
		}
		b->live[q] = beyond || highest - middle > 2 * HIGH ? -1 : live;
	}
}

// quantise rounds VW rows of a panel to int16 and packs them in pairs. It lowers
// flat to the flatness of the first n, and raises rough to what was rounded.
static inline __attribute__((always_inline)) void quantise(int32_t *d, const float *x, const gemm_blocks *b, int which, int64_t k0, int64_t k, int width, int n, int live, float *scales, float *flat, float *rough) {
	const float *factor = b->factors[which] + k0, *height = b->heights[which] + k0, *weight = b->weights + k0;
	const vf magic = (vf){0} + 12582912; // 1.5·2^23: a sum with it has the other's integer in its lowest bits
	vi any = {0};
	vf squares = {0}, top = {0}, sizes = {0}, powers = {0}; // of balanced elements, and of those over the step's largest
	for (int64_t p = 0; p < k; p++) {
		vf a = (vf)(*(const vi *)(x + p * width) & 0x7fffffff), u = a * height[p];
		any |= (vi)a;
		a *= factor[p];
		squares += a * a;
		sizes += u;
		powers += u * u;
		top = (vf)((vi)(a > top) & (vi)a) + (vf)(~(vi)(a > top) & (vi)top);
	}
	// The least e with squares / 4^e <= 46000² and top / 2^e <= 32700.
	vf need = squares * (1 / (46000.0f * 46000.0f)), peak = top * top * (1 / (32700.0f * 32700.0f));
	vi more = (vi)(peak > need);
	need = (vf)((more & (vi)peak) | (~more & (vi)need));
	vi e = (((vi)need >> 23) - UNIT + 2) >> 1;
	vf unit = (vf)((UNIT - e) << 23), scale = (vf)((UNIT + e) << 23);
	vf rounded = {0};
	for (int64_t p = 0; p < k; p += 2) {
		vf y = *(const vf *)(x + p * width) * (unit * factor[p]), iy = y + magic, z = {0}, iz = magic;
		rounded += (vf)((vi)(iy - magic != y) & (vi)((vf){0} + weight[p]));
		if (p + 1 < k) {
			z = *(const vf *)(x + (p + 1) * width) * (unit * factor[p + 1]);
			iz = z + magic;
			rounded += (vf)((vi)(iz - magic != z) & (vi)((vf){0} + weight[p + 1]));
		}
		*(vi *)(d + p / 2 * width) = ((vi)iy & 0xffff) | ((vi)iz << 16);
	}
	for (int i = 0; i < n; i++) {
		scales[i] = scale[i];
		if (any[i] == 0) continue; // nothing to lose
		float f = squares[i] > 0x1p-100f ? sizes[i] * sizes[i] / (powers[i] * (float)live) : 0;
		*flat = f < *flat ? f : *flat;
		*rough = rounded[i] > *rough ? rounded[i] : *rough;
	}
}

// fits says whether the product of panels ia of A and ib of B may be taken in
// int16 in block q.
static inline int fits(const gemm_blocks *b, int64_t q, int64_t ia, int64_t ib) {
	ia += q * b->panels[0];
	ib += q * b->panels[1];
	float live = (float)b->live[q], rough = b->rough[0][ia] > b->rough[1][ib] ? b->rough[0][ia] : b->rough[1][ib];
	return live == 0 || (b->flat[0][ia] * b->flat[1][ib] * live >= OVERLAP && rough * ROUGH <= live);
}

// int16_decide marks the blocks that need float32, and counts the tiles that do.
static int64_t int16_decide(const gemm_args *g) {
	gemm_blocks *b = g->blocks;
	int64_t all = 0;
	b->wides = 0;
	for (int64_t q = 0; q < b->count; q++) {
		int64_t misfits = 0;
		for (int64_t ia = 0; ia * MR < g->m; ia++)
			for (int64_t ib = 0; ib * NR < g->n; ib++) misfits += !fits(b, q, ia, ib);
		b->wide[q] = misfits > 0 ? (int32_t)b->wides++ : -1;
		all += misfits;
	}
	return all;
}

static inline float *panel(float *panels, int64_t words, int width, int64_t i) { return panels + i * (words * width + GEMM_MARGIN); }

// int16_pack quantises a group of panels. scratch is the caller's, for a block of
// the group as float32.
static void int16_pack(const gemm_args *g, int which, int64_t group, float *scratch) {
	const gemm_blocks *b = g->blocks;
	operand_of o = operand(g, which);
	int64_t first = group * GEMM_GROUP * o.width, half = b->size / 2;
	int64_t n = o.rows - first < GEMM_GROUP * o.width ? o.rows - first : GEMM_GROUP * o.width;
	for (int64_t q = 0; q < b->count; q++) {
		int64_t k0 = q * b->size, k = block_steps(g, q), at = q * b->panels[which] + group * GEMM_GROUP;
		arr x = {(uint16_t *)o.x.p + (o.along ? k0 * o.ld : k0), BF16};
		if (b->live[q] < 0) {
			for (int i = 0; i < GEMM_GROUP; i++) b->flat[which][at + i] = 0;
			continue;
		}
		if (which) pack_b(scratch, x, o.ld, o.along, first, n, k, k * NR);
		else pack_a(scratch, x, o.ld, o.along, first, n, k, k * MR);
		for (int64_t i = 0; i < n; i += o.width, at++) {
			float *scales = b->scales[which] + at * o.width, *flat = b->flat[which] + at, *rough = b->rough[which] + at;
			int32_t *d = (int32_t *)(panel(b->narrow[which], half * b->count, o.width, (first + i) / o.width) + q * half * o.width);
			int rows = (int)(n - i < o.width ? n - i : o.width);
			*flat = 1;
			*rough = 0;
			if (which)
				for (int j = 0; j < NR; j += VW) quantise(d + j, scratch + i * k + j, b, 1, k0, k, NR, rows - j < VW ? rows - j : VW, b->live[q], scales + j, flat, rough);
			else quantise(d, scratch + i * k, b, 0, k0, k, MR, rows, b->live[q], scales, flat, rough);
		}
	}
}

// int16_widen packs a group of panels of the blocks that are taken in float32.
static void int16_widen(const gemm_args *g, int which, int64_t group) {
	const gemm_blocks *b = g->blocks;
	operand_of o = operand(g, which);
	int64_t first = group * GEMM_GROUP * o.width, end = first + GEMM_GROUP * o.width;
	if (end > o.rows) end = o.rows;
	for (int64_t i = first; i < end; i += o.width)
		for (int64_t q = 0; q < b->count; q++) {
			if (b->wide[q] < 0) continue;
			arr x = {(uint16_t *)o.x.p + (o.along ? q * b->size * o.ld : q * b->size), BF16};
			float *d = panel(b->broad[which], b->size * b->wides, o.width, i / o.width) + b->wide[q] * b->size * o.width;
			int64_t n = end - i < o.width ? end - i : o.width;
			if (which) pack_b(d, x, o.ld, o.along, i, n, block_steps(g, q), 0);
			else pack_a(d, x, o.ld, o.along, i, n, block_steps(g, q), 0);
		}
}

// DOT adds the products of pairs of integers to acc.
#define DOT_MADD(acc, x, y)                                                    \
	do {                                                                       \
		vi t;                                                                  \
		__asm__("vpmaddwd %2, %1, %0" : "=v"(t) : "v"(x), "v"(y));              \
		__asm__("vpaddd %1, %0, %0" : "+v"(acc) : "v"(t));                      \
	} while (0)
#if VW == 16
#define DOT_PAIRS(acc, x, y) __asm__("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(y))
#else
#define DOT_PAIRS(acc, x, y) __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(y))
#endif

// TILE_INT16 makes a tile of k pairs of steps, and the walk over rows and columns
// with it.
#define TILE_INT16(tile, walk, DOT)                                                                                                                   \
	static __attribute__((noinline)) void tile(int64_t k, const int32_t *restrict a, const int32_t *restrict b, const float *as, const float *bs, const ends *e) {                    \
		enum { STEPS = 4 };                                                                                                                           \
		vi acc[MR][NRV];                                                                                                                              \
		_Pragma("GCC unroll 16") for (int i = 0; i < MR; i++)                                                                                         \
			_Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++) acc[i][j] = (vi){0};                                                                \
		for (; k >= STEPS; k -= STEPS, a += STEPS * MR, b += STEPS * NR)                                                                              \
			_Pragma("GCC unroll 4") for (int u = 0; u < STEPS; u++) STEP_INT16(a + u * MR, b + u * NR, DOT);                                          \
		for (; k > 0; k--, a += MR, b += NR) STEP_INT16(a, b, DOT);                                                                                   \
		vf out[MR][NRV];                                                                                                                              \
		_Pragma("GCC unroll 16") for (int i = 0; i < MR; i++)                                                                                         \
			_Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++) out[i][j] = __builtin_convertvector(acc[i][j], vf) * (as[i] * *(const vf *)(bs + j * VW)); \
		keep(out, e);                                                                                                                                 \
	}                                                                                                                                                 \
	static void walk(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *work) { int16_rows(g, i0, i1, j0, j1, work, tile); }

#define STEP_INT16(a, b, DOT)                                                                                \
	do {                                                                                                     \
		vi bv[NRV];                                                                                          \
		_Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++) bv[j] = *(const vi *)((b) + j * VW);           \
		_Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) {                                              \
			vi s;                                                                                            \
			REPEAT(s, (a) + i);                                                                              \
			_Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++) DOT(acc[i][j], s, bv[j]);                  \
		}                                                                                                    \
	} while (0)

typedef void tile_int16(int64_t k, const int32_t *a, const int32_t *b, const float *as, const float *bs, const ends *e);

// int16_rows computes rows [i0, i1) and columns [j0, j1) of C, both packed. work
// is the caller's, for as many sums as C has elements in RB·MR rows.
static inline __attribute__((always_inline)) void int16_rows(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *work, tile_int16 *tile) {
	float few[RB][MR * NR] __attribute__((aligned(64)));
	float bias[NR];
	const gemm_blocks *b = g->blocks;
	int64_t half = b->size / 2, run = 2 * DEPTH / b->size; // blocks of a run of panels that stay in the second-level cache
	for (; i0 < i1; i0 += RB * MR) {
		int64_t m = i1 - i0 < RB * MR ? i1 - i0 : RB * MR;
		for (int64_t q0 = 0; q0 < b->count; q0 += run) {
			int64_t q1 = q0 + run < b->count ? q0 + run : b->count;
			for (int64_t j = j0; j < j1; j += NR) {
				float(*sums)[MR * NR] = b->count <= run ? few : (float(*)[MR * NR])(work + (j - j0) * RB * MR);
				int cols = (int)(j1 - j < NR ? j1 - j : NR);
				for (int64_t q = q0; q < q1; q++) {
					int64_t k = block_steps(g, q), w = b->wide[q], jp = j / NR;
					const int32_t *nb = (const int32_t *)(panel(b->narrow[1], half * b->count, NR, jp) + q * half * NR);
					for (int64_t i = 0; i < m; i += MR) {
						int64_t ip = (i0 + i) / MR;
						ends e = onward(sums[i / MR], q > 0);
						if (q == b->count - 1) tile_expect(g->c, (i0 + i) * g->ldc + j, g->ldc, (int)(m - i < MR ? m - i : MR));
						if (w < 0 || fits(b, q, ip, jp)) {
							const int32_t *na = (const int32_t *)(panel(b->narrow[0], half * b->count, MR, ip) + q * half * MR);
							tile((k + 1) / 2, na, nb, b->scales[0] + (q * b->panels[0] + ip) * MR, b->scales[1] + (q * b->panels[1] + jp) * NR, &e);
						} else {
							const float *wa = panel(b->broad[0], b->size * b->wides, MR, ip) + w * b->size * MR;
							tile_sums(k, wa, panel(b->broad[1], b->size * b->wides, NR, jp) + w * b->size * NR, &e);
						}
					}
				}
				if (q1 < b->count) continue;
				if (g->bias.p) widen(bias, g->bias, j, cols);
				for (int64_t i = 0; i < m; i += MR)
					tile_store(sums[i / MR], g->c, (i0 + i) * g->ldc + j, g->ldc, (int)(m - i < MR ? m - i : MR), cols, g->alpha, g->beta, g->bias.p ? bias : NULL);
			}
		}
	}
}

TILE_INT16(tile_dot, rows_dot, DOT_PAIRS)
#if VW == 8
TILE_INT16(tile_madd, rows_madd, DOT_MADD)
#endif
