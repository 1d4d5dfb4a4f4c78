// The register tile: MR rows by NR columns of sums over the depth of two
// panels, then the way from the sums to C.

// ends say where the sums of a block begin and go: at from, in rows that lie
// from_row apart, or at zero if from is NULL; then to to. Sums of sums round less
// than one long sum.
typedef struct {
	const float *from;
	float *to;
	int64_t from_row, to_row;
} ends;

// onward begins a tile of sums where the block before left them, if there was one.
static inline ends onward(float *sums, int more) { return (ends){more ? sums : NULL, sums, NR, NR}; }

// keep stores a block's sums.
static inline __attribute__((always_inline)) void keep(vf acc[MR][NRV], const ends *e) {
	const float *from = e->from;
	float *to = e->to;
	if (from)
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++, from += e->from_row)
#pragma GCC unroll 4
			for (int j = 0; j < NRV; j++) acc[i][j] += *(const vf *)(from + j * VW);
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++, to += e->to_row)
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) *(vf *)(to + j * VW) = acc[i][j];
}

// REPEAT fills a vector with one element, and MULTIPLY_ADD adds x*y to acc.
// REPEAT_ROW is REPEAT of element u of a row, one of three that lie ld apart.
// They are written out because the compiler, left to itself, repeats through
// the adder, or reads the element again for each vector of B, and keeps one of
// the sums in memory.
#if defined(__x86_64__) && VW > 4 && !EMULATED
#define REPEAT(v, p) __asm__("vbroadcastss %1, %0" : "=v"(v) : "m"(*(p)))
#define MULTIPLY_ADD(acc, x, y) __asm__("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(y))
#define ANY(p) "m"(*(const float(*)[])(p)) // tells the compiler that elements from p on are read
#define REPEAT_ROW(v, p, ld, row, u)                                                                               \
	do {                                                                                                           \
		if ((row) == 0) __asm__("vbroadcastss %c2(%1), %0" : "=v"(v) : "r"(p), "i"((u) * 4), ANY(p));              \
		else if ((row) == 1) __asm__("vbroadcastss %c3(%1,%2,4), %0" : "=v"(v) : "r"(p), "r"(ld), "i"((u) * 4), ANY(p)); \
		else __asm__("vbroadcastss %c3(%1,%2,8), %0" : "=v"(v) : "r"(p), "r"(ld), "i"((u) * 4), ANY(p));           \
	} while (0)
#else
#define REPEAT_ROW(v, p, ld, row, u) REPEAT(v, (p) + (row) * (ld) + (u))
#define REPEAT(v, p) for (int l = 0; l < VW; l++) (v)[l] = *(p)
#define MULTIPLY_ADD(acc, x, y) (acc) += (x) * (y)
#endif

// tile_step adds the products of one step: of the elements of A that lie apart
// from each other, and NR of B in a row.
static inline __attribute__((always_inline)) void tile_step(vf acc[MR][NRV], const float *a, int64_t apart, const float *b) {
	vf bv[NRV];
#pragma GCC unroll 4
	for (int j = 0; j < NRV; j++) bv[j] = *(const vf *)(b + j * VW);
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++) {
		vf s;
		REPEAT(s, a + i * apart);
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) MULTIPLY_ADD(acc[i][j], s, bv[j]);
	}
}

// tile_sums adds up k products per element. The loop holds loads and
// multiply-adds and nothing else: the panels are read in order, which the
// processor fetches ahead by itself, and instructions that ask for memory take
// the place of loads (measured on Zen 3: 72 % of the peak with them, 95 %
// without).
static __attribute__((noinline)) void tile_sums(int64_t k, const float *restrict a, const float *restrict b, const ends *e) {
	enum { STEPS = 8 };
	vf acc[MR][NRV];
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) acc[i][j] = (vf){0};
	for (; k >= STEPS; k -= STEPS, a += STEPS * MR, b += STEPS * NR)
#pragma GCC unroll 8
		for (int u = 0; u < STEPS; u++) tile_step(acc, a + u * MR, 1, b + u * NR);
	for (; k > 0; k--, a += MR, b += NR) tile_step(acc, a, 1, b);
	keep(acc, e);
}

// tile_along is tile_sums with rows of A as they lie in memory, lda apart: in one
// row the steps follow one another, so nothing is lost by not packing them.
// Three rows are reached from one pointer, more pointers than that would not
// find a register.
static __attribute__((noinline)) void tile_along(int64_t k, const float *restrict a, int64_t lda, const float *restrict b, const ends *e) {
	enum { STEPS = 8, GROUPS = (MR + 2) / 3 };
	vf acc[MR][NRV];
	const float *at[GROUPS];
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) acc[i][j] = (vf){0};
#pragma GCC unroll 8
	for (int i = 0; i < GROUPS; i++) at[i] = a + 3 * i * lda;
#define STEP(u)                                                                              \
	do {                                                                                     \
		vf bv[NRV];                                                                          \
		_Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++) bv[j] = *(const vf *)(b + (u) * NR + j * VW); \
		_Pragma("GCC unroll 16") for (int i = 0; i < MR; i++) {                              \
			vf s;                                                                            \
			REPEAT_ROW(s, at[i / 3], lda, i % 3, u);                                         \
			_Pragma("GCC unroll 4") for (int j = 0; j < NRV; j++) MULTIPLY_ADD(acc[i][j], s, bv[j]); \
		}                                                                                    \
	} while (0)
#define NEXT(n)                                                  \
	do {                                                         \
		b += (n) * NR;                                           \
		_Pragma("GCC unroll 8") for (int i = 0; i < GROUPS; i++) at[i] += n; \
	} while (0)
	for (; k >= STEPS; k -= STEPS) {
#pragma GCC unroll 8
		for (int u = 0; u < STEPS; u++) STEP(u);
		NEXT(STEPS);
	}
	for (; k > 0; k--) {
		STEP(0);
		NEXT(1);
	}
#undef STEP
#undef NEXT
	keep(acc, e);
}

#if HAVE_BF16
// tile_pairs is tile_sums on pairs of bfloat16: one vdpbf16ps adds two exact
// products to each of sixteen float32 sums. It takes subnormal operands as
// zero and flushes subnormal sums. The instruction is written out because it
// belongs to no feature the rest of the tier may use.
static __attribute__((noinline)) void tile_pairs(int64_t k, const float *restrict a, const float *restrict b, const ends *e) {
	vf acc[MR][NRV];
#pragma GCC unroll 16
	for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) acc[i][j] = (vf){0};
	for (int64_t p = 0; p < k; p++) {
		vi bv[NRV];
#pragma GCC unroll 4
		for (int j = 0; j < NRV; j++) bv[j] = *(const vi *)(b + p * NR + j * VW);
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++) {
			vi s;
			REPEAT(s, a + p * MR + i);
#pragma GCC unroll 4
			for (int j = 0; j < NRV; j++) __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc[i][j]) : "v"(bv[j]), "v"(s));
		}
	}
	keep(acc, e);
}
#endif

// tile_expect asks for the lines of a tile of C while its sums are computed: C
// is as large as the caches and comes from memory, which tile_store would wait for.
static inline __attribute__((always_inline)) void tile_expect(arr c, int64_t at, int64_t ldc, int rows) {
	const char *p = (const char *)c.p + at * size_of(c.type);
	for (int i = 0; i < rows; i++, p += ldc * size_of(c.type)) __builtin_prefetch(p, 1);
}

// tile_store stores alpha*sums + beta*C + bias for rows × cols of a tile of C,
// rounded once. bias holds NR floats.
static __attribute__((noinline)) void tile_store(const float *restrict sums, arr c, int64_t at, int64_t ldc, int rows, int cols, float alpha, float beta, const float *bias) {
	float old[NR], wide[NR];
	if (c.type == BF16 && cols == NR) { // a row at a time would go through memory twice more
		for (int i = 0; i < rows; i++, at += ldc, sums += NR)
#pragma GCC unroll 4
			for (int j = 0; j < NR; j += VW) {
				vh *d = (vh *)((uint16_t *)c.p + at + j);
				vf v = alpha * *(const vf *)(sums + j);
				if (beta != 0) v += beta * from_bf16s(*d);
				if (bias) v += *(const vf *)(bias + j);
				*d = to_bf16s(v);
			}
		return;
	}
	int whole = c.type == F32 && cols == NR;
	for (int i = 0; i < rows; i++, at += ldc, sums += NR) {
		float *d = whole ? (float *)c.p + at : wide;
		const float *o = d;
		if (beta != 0 && !whole) {
			widen(old, c, at, cols);
			o = old;
		}
#pragma GCC unroll 4
		for (int j = 0; j < NR; j += VW) {
			vf v = alpha * *(const vf *)(sums + j);
			if (beta != 0) v += beta * *(const vf *)(o + j);
			if (bias) v += *(const vf *)(bias + j);
			*(vf *)(d + j) = v;
		}
		if (!whole) narrow(c, at, wide, cols);
	}
}
