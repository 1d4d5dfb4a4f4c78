// AMX's instructions on tiles and bfloat16, as Intel's manual describes them
// (Architecture Instruction Set Extensions: LDTILECFG, TILELOADD, TDPBF16PS and
// the others). What faults there ends the program here.
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TILES = 8, TILE_ROWS = 16, TILE_BYTES = 64 };

// The registers of one thread.
static _Thread_local struct {
	int open;
	uint16_t bytes[TILES]; // of a row
	uint8_t rows[TILES];
	uint8_t data[TILES][TILE_ROWS][TILE_BYTES] __attribute__((aligned(64)));
} tiles;

static void tile_check(int right, const char *what) {
	if (right) return;
	fprintf(stderr, "emulated tiles: %s\n", what);
	abort();
}

// tiles_open is ldtilecfg.
static void tiles_open(const void *layout) {
	const uint8_t *l = layout;
	tile_check(!tiles.open, "laid out twice, never given back");
	tile_check(l[0] == 1 && l[1] == 0, "not palette 1 from row 0");
	for (int i = 2; i < 64; i++) tile_check((i >= 16 && i < 32) || (i >= 48 && i < 56) || l[i] == 0, "a reserved byte is set");
	memset(&tiles, 0, sizeof tiles);
	memcpy(tiles.bytes, l + 16, sizeof tiles.bytes);
	memcpy(tiles.rows, l + 48, sizeof tiles.rows);
	for (int t = 0; t < TILES; t++) tile_check(tiles.bytes[t] <= TILE_BYTES && tiles.rows[t] <= TILE_ROWS && !tiles.bytes[t] == !tiles.rows[t], "a tile has no such size");
	tiles.open = 1;
}

// tiles_close is tilerelease.
static void tiles_close(void) { memset(&tiles, 0, sizeof tiles); }

static void tile_use(int t) { tile_check(tiles.open && t < TILES && tiles.rows[t] > 0 && tiles.bytes[t] % 4 == 0, "a tile is used that is not laid out"); }

static void tile_zero(int t) {
	tile_use(t);
	memset(tiles.data[t], 0, sizeof tiles.data[t]);
}

// tile_load is tileloadd, tile_unload tilestored.
static void tile_load(int t, const void *p, int64_t row) {
	tile_zero(t);
	for (int i = 0; i < tiles.rows[t]; i++) memcpy(tiles.data[t][i], (const char *)p + i * row, tiles.bytes[t]);
}

static void tile_unload(int t, void *p, int64_t row) {
	tile_use(t);
	for (int i = 0; i < tiles.rows[t]; i++) memcpy((char *)p + i * row, tiles.data[t][i], tiles.bytes[t]);
}

static inline float tile_bf16(uint16_t x) {
	uint32_t b = (uint32_t)x << 16;
	float f;
	memcpy(&f, &b, 4);
	return f;
}

// tile_products adds to sums, even and odd steps apart, each product joined to the
// sum with one rounding, and then both to c.
static __attribute__((noinline)) void tile_products(float *restrict c, const uint16_t *restrict a, const uint16_t (*restrict b)[TILE_BYTES / 2], int pairs, int columns) {
	float even[TILE_BYTES / 4] = {0}, odd[TILE_BYTES / 4] = {0};
	for (int k = 0; k < pairs; k++)
		for (int n = 0; n < columns; n++) {
			even[n] = fmaf(tile_bf16(a[2 * k]), tile_bf16(b[k][2 * n]), even[n]);
			odd[n] = fmaf(tile_bf16(a[2 * k + 1]), tile_bf16(b[k][2 * n + 1]), odd[n]);
		}
	for (int n = 0; n < columns; n++) c[n] += even[n] + odd[n];
}

// tile_add is tdpbf16ps. Subnormal numbers are zero, read or written, and
// rounding is to nearest, whatever the thread has set.
static void tile_add(int c, int a, int b) {
	tile_use(c);
	tile_use(a);
	tile_use(b);
	tile_check(c != a && a != b && b != c, "a tile is multiplied with itself");
	tile_check(tiles.rows[a] == tiles.rows[c] && tiles.bytes[b] == tiles.bytes[c] && tiles.bytes[a] / 4 == tiles.rows[b], "tiles do not fit each other");
	unsigned before = _mm_getcsr();
	_mm_setcsr(0x1f80 | 0x8040); // no traps; both flushes
	for (int m = 0; m < tiles.rows[c]; m++)
		tile_products((float *)tiles.data[c][m], (const uint16_t *)tiles.data[a][m], (const uint16_t(*)[TILE_BYTES / 2])tiles.data[b], tiles.bytes[a] / 4, tiles.bytes[c] / 4);
	_mm_setcsr(before);
}
