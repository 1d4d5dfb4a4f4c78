// Products of two bfloat16 matrices by the tiles of AMX: eight registers of 16
// rows of 64 bytes. One tdpbf16ps adds the products of 16 rows of A and 16
// columns of B over 32 steps to 16 x 16 float32 sums. Four tiles hold the sums of
// 32 rows and 32 columns, two hold A and two B.
//
// Products are exact; odd and even steps of 32 are summed apart, each in order,
// rounded to nearest, then added to the sum before. Subnormal operands count as
// zero and subnormal sums are flushed, as vdpbf16ps does it.
//
// B is packed as pairs in panels of NR columns, as for vdpbf16ps: 16 pairs of
// steps are a tile as they lie. A is packed tile by tile. Both are filled with
// zeros up to whole tiles.

enum {
	AMX_ROWS = 32,            // of two tiles of A
	AMX_PAIRS = 16,           // pairs of steps of a tile
	AMX_TILE = 16 * AMX_PAIRS // words of a tile
};
_Static_assert(VW == 16 && NR == 32, "two tiles of B are a panel, and a row of a tile is a vector");
_Static_assert(KC % AMX_PAIRS == 0 && DEPTH % AMX_PAIRS == 0, "blocks of the depth are whole tiles");

// What ldtilecfg reads.
typedef struct {
	uint8_t palette, start, zero[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
} amx_layout;

#ifndef TILE_ADD
#define TILES_OPEN(layout) __asm__ volatile("ldtilecfg %0" : : "m"(*(layout)))
#define TILES_CLOSE() __asm__ volatile("tilerelease")
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define TILE_LOAD(t, p, row) __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"(p), "r"((int64_t)(row)) : "memory")
#define TILE_STORE(t, p, row) __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"(p), "r"((int64_t)(row)) : "memory")
#define TILE_ADD(sums, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sums : :)
#endif

// tile_amx adds up k pairs of steps, a multiple of AMX_PAIRS, per element.
static __attribute__((noinline)) void tile_amx(int64_t k, const float *restrict a, const float *restrict b, const ends *e) {
	enum { ROW = NR * 4 };
	float block[AMX_ROWS * NR] __attribute__((aligned(64)));
	float *to = e->from ? block : e->to;
	int64_t row = e->from ? ROW : e->to_row * 4;
	TILE_ZERO(0);
	TILE_ZERO(1);
	TILE_ZERO(2);
	TILE_ZERO(3);
	for (; k > 0; k -= AMX_PAIRS, a += 2 * AMX_TILE, b += AMX_PAIRS * NR) {
		TILE_LOAD(6, b, ROW);
		TILE_LOAD(4, a, 64);
		TILE_ADD(0, 4, 6);
		TILE_LOAD(7, b + 16, ROW);
		TILE_ADD(1, 4, 7);
		TILE_LOAD(5, a + AMX_TILE, 64);
		TILE_ADD(2, 5, 6);
		TILE_ADD(3, 5, 7);
	}
	TILE_STORE(0, to, row);
	TILE_STORE(1, to + 16, row);
	TILE_STORE(2, to + 4 * row, row);
	TILE_STORE(3, to + 4 * row + 16, row);
	if (!e->from) return;
	for (int i = 0; i < AMX_ROWS; i++)
		for (int j = 0; j < NR; j += VW) *(vf *)(e->to + i * e->to_row + j) = *(const vf *)(e->from + i * e->from_row + j) + *(const vf *)(block + i * NR + j);
}

// amx_steps is the depth in pairs of steps, filled up to whole tiles.
static inline int64_t amx_steps(int64_t k) { return (k + 2 * AMX_PAIRS - 1) / (2 * AMX_PAIRS) * AMX_PAIRS; }

// step_pairs returns pair p of steps of up to 16 rows that lie together in memory.
static inline vi step_pairs(const uint16_t *x, int64_t ld, int64_t rows, int64_t p, int64_t k) {
	vh even = {0}, odd = {0};
	if (rows > 16) rows = 16;
	if (2 * p < k) memcpy(&even, x + 2 * p * ld, (size_t)rows * 2);
	if (2 * p + 1 < k) memcpy(&odd, x + (2 * p + 1) * ld, (size_t)rows * 2);
	return __builtin_convertvector(even, vi) | __builtin_convertvector(odd, vi) << 16;
}

// amx_pack_a is pack_a for tiles: over the depth, the tile of the first sixteen
// rows and that of the next.
static __attribute__((noinline)) void amx_pack_a(void *to, arr x, int64_t ld, int along, int64_t first, int64_t count, int64_t k, int64_t apart) {
	int64_t steps = amx_steps(k);
	for (int64_t w = 0; w < count; w += AMX_ROWS) {
		int32_t *d = (int32_t *)to + w / AMX_ROWS * apart;
		for (int64_t p = 0; p < steps; p += AMX_PAIRS)
			for (int64_t from = w; from < w + AMX_ROWS; from += 16, d += AMX_TILE) {
				int64_t rows = from < count ? count - from : 0;
				vi r[16];
				for (int i = 0; i < 16; i++) {
					r[i] = (vi){0};
					if (along && rows > 0) r[i] = step_pairs((const uint16_t *)x.p + first + from, ld, rows, p + i, k);
					if (!along && i < rows) r[i] = words_pairs(x, (first + from + i) * ld, p, k);
				}
				if (along) transpose(r);
				for (int i = 0; i < 16; i++) *(vi *)(d + i * AMX_PAIRS) = r[i];
			}
	}
}

// amx_pack is gemm_pack for tiles.
static void amx_pack(const gemm_args *g, int64_t j0, int64_t j1) {
	int64_t steps = amx_steps(g->k), filled = (g->k + 1) / 2;
	for (int64_t j = j0; j < j1; j += NR) {
		float *d = g->pb + j * steps;
		pack_b(d, g->b, g->ldb, !g->tb, j, j1 - j < NR ? j1 - j : NR, g->k, steps * NR);
		memset(d + filled * NR, 0, (size_t)((steps - filled) * NR) * 4);
	}
}

// amx_rows is gemm_rows for tiles. They are laid out and given back here, as the
// goroutine that calls may be on another thread the next time, and a thread that
// has tiles laid out takes longer to be switched to.
static void amx_rows(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa) {
	float few[RB * AMX_ROWS * NR] __attribute__((aligned(64)));
	amx_layout layout = {.palette = 1};
	for (int t = 0; t < 8; t++) {
		layout.row_bytes[t] = 64;
		layout.rows[t] = 16;
	}
	TILES_OPEN(&layout);
	walk_rows(g, i0, i1, j0, j1, pa, few, amx_steps(g->k), AMX_ROWS, amx_pack_a, tile_amx, 0);
	TILES_CLOSE();
}
