// Packing: blocks of an operand are copied into panels, the order in which the
// register tile reads them. A panel holds, for each step along the depth, one
// float32 (or one pair of bfloat16) of each of its width rows or columns. Panels
// begin apart words from each other; several are written at a time, so it is well
// if that is no multiple of 4 KB: they would meet in one set of the cache.

typedef int32_t vi2 __attribute__((vector_size(VW * 4), aligned(2), may_alias));

// transpose turns VW rows of VW lanes: each round interleaves the two halves,
// which turns the joint index of row and lane by one bit.
static inline __attribute__((always_inline)) void transpose(vi r[VW]) {
	vi lower, upper;
	for (int i = 0; i < VW; i++) {
		lower[i] = i / 2 + (i % 2) * VW;
		upper[i] = VW / 2 + i / 2 + (i % 2) * VW;
	}
#pragma GCC unroll 4
	for (int stage = 1; stage < VW; stage *= 2) {
		vi t[VW];
#pragma GCC unroll 16
		for (int i = 0; i < VW / 2; i++) {
			t[2 * i] = __builtin_shuffle(r[i], r[i + VW / 2], lower);
			t[2 * i + 1] = __builtin_shuffle(r[i], r[i + VW / 2], upper);
		}
#pragma GCC unroll 16
		for (int i = 0; i < VW; i++) r[i] = t[i];
	}
}

// pack_turned packs rows whose depth is contiguous. words reads VW steps of a
// row at a position, or fewer with zeros after them.
#define PACK_TURNED(name, words)                                                                                     \
	static void name(int32_t *restrict d, arr x, int64_t ld, int64_t first, int64_t count, int64_t k, int width, int64_t apart) { \
		int64_t steps = x.type == PAIRS ? (k + 1) / 2 : k;                                                           \
		for (int64_t w = 0; w < count; w += width, d += apart)                                                       \
			for (int g = 0; g < width; g += VW) {                                                                    \
				int n = (int)(count - w - g < width - g ? count - w - g : width - g);                                \
				for (int64_t p = 0; p < steps; p += VW) {                                                            \
					vi r[VW];                                                                                        \
					_Pragma("GCC unroll 16") for (int i = 0; i < VW; i++) r[i] = i < n ? words(x, (first + w + g + i) * ld, p, k) : (vi){0}; \
					transpose(r);                                                                                    \
					if (p + VW <= steps)                                                                             \
						_Pragma("GCC unroll 16") for (int i = 0; i < VW; i++) *(vi *)(d + (p + i) * width + g) = r[i]; \
					else                                                                                             \
						for (int i = 0; i < steps - p; i++) *(vi *)(d + (p + i) * width + g) = r[i];                 \
				}                                                                                                    \
			}                                                                                                        \
	}

static inline __attribute__((always_inline)) vi words_f32(arr x, int64_t row, int64_t p, int64_t k) {
	const int32_t *s = (const int32_t *)x.p + row + p;
	if (p + VW <= k) return *(const vi *)s;
	vi v = {0};
	memcpy(&v, s, (size_t)(k - p) * 4);
	return v;
}

static inline __attribute__((always_inline)) vi words_bf16(arr x, int64_t row, int64_t p, int64_t k) {
	const uint16_t *s = (const uint16_t *)x.p + row + p;
	vh h = {0};
	if (p + VW <= k) h = *(const vh *)s;
	else memcpy(&h, s, (size_t)(k - p) * 2);
	return __builtin_convertvector(h, vi) << 16;
}

static inline vi words_any(arr x, int64_t row, int64_t p, int64_t k) {
	float wide[VW] = {0};
	vi v;
	widen(wide, x, row + p, k - p < VW ? k - p : VW);
	memcpy(&v, wide, sizeof v);
	return v;
}

static inline __attribute__((always_inline)) vi words_pairs(arr x, int64_t row, int64_t p, int64_t k) {
	const uint16_t *s = (const uint16_t *)x.p + row + 2 * p;
	if (2 * (p + VW) <= k) return *(const vi2 *)s;
	vi v = {0};
	memcpy(&v, s, (size_t)(k - 2 * p) * 2);
	return v;
}

PACK_TURNED(turn_f32, words_f32)
PACK_TURNED(turn_bf16, words_bf16)
PACK_TURNED(turn_any, words_any)
PACK_TURNED(turn_pairs, words_pairs)

// pack_straight packs an operand of which each step's rows lie together. It
// takes a few panels at a time: whole lines of memory are read, where one panel
// would use a part of each. With many, the lines that are written would not stay
// in the first-level cache until they are full. Rows lie too far apart for the
// processor to see the pattern, so it is told a few ahead what comes.
static inline __attribute__((always_inline)) void pack_straight(float *restrict d, arr x, int64_t ld, int64_t first, int64_t count, int64_t k, int width, int64_t apart) {
	enum { WORDS = 72, AHEAD = 12 };
	int64_t size = size_of(x.type), group = WORDS / width;
	int64_t whole = count / width * width;
	for (int64_t w = 0; w < whole; w += group * width) {
		int64_t panels = (whole - w) / width < group ? (whole - w) / width : group;
		for (int64_t p = 0; p < k; p++) {
			const char *next = (const char *)x.p + ((p + AHEAD) * ld + first + w) * size;
			for (int64_t i = 0; i < panels * width * size; i += 64) __builtin_prefetch(next + i);
			for (int64_t q = 0; q < panels; q++) {
				float *t = d + (w / width + q) * apart + p * width;
				int64_t at = p * ld + first + w + q * width;
				if (x.type == F32 && p + 1 < k) { // whole vectors: the next step writes over what is too much, and lies behind it in memory
#pragma GCC unroll 8
					for (int i = 0; i < width; i += VW) *(vf *)(t + i) = *(const vf *)((const float *)x.p + at + i);
				} else if (x.type == F32) memcpy(t, (const float *)x.p + at, (size_t)width * 4);
				else if (x.type == BF16)
					for (int i = 0; i < width; i++) t[i] = bits_f((int32_t)((uint32_t)((const uint16_t *)x.p)[at + i] << 16));
				else widen(t, x, at, width);
			}
		}
	}
	int n = (int)(count - whole);
	if (n == 0) return;
	d += whole / width * apart;
	for (int64_t p = 0; p < k; p++, d += width) {
		widen(d, x, p * ld + first + whole, n);
		for (int i = n; i < width; i++) d[i] = 0;
	}
}

// straight_pairs is pack_straight for pairs: two steps' rows are interleaved.
static inline __attribute__((always_inline)) void straight_pairs(uint32_t *restrict panels, const uint16_t *x, int64_t ld, int64_t first, int64_t count, int64_t k, int width, int64_t apart) {
	for (int64_t w = 0; w < count; w += width) {
		uint32_t *d = panels + w / width * apart;
		for (int64_t p = 0; p < k; p += 2, d += width) {
			int n = (int)(count - w < width ? count - w : width);
			const uint16_t *s = x + p * ld + first + w, *t = s + ld;
			if (p + 1 == k) {
				for (int i = 0; i < n; i++) d[i] = s[i];
			} else if (n == width) {
				for (int i = 0; i < width; i++) d[i] = s[i] | (uint32_t)t[i] << 16;
			} else {
				for (int i = 0; i < n; i++) d[i] = s[i] | (uint32_t)t[i] << 16;
			}
			for (int i = n; i < width; i++) d[i] = 0;
		}
	}
}

// pack copies k steps of rows [first, first+count) into panels. along says that
// the rows of one step lie together in memory. Up to VW words after the last
// panel may be written.
static inline __attribute__((always_inline)) void pack(void *d, arr x, int64_t ld, int along, int64_t first, int64_t count, int64_t k, int width, int64_t apart) {
	switch (x.type * 2 + !!along) {
	case PAIRS * 2 + 1: straight_pairs(d, x.p, ld, first, count, k, width, apart); return;
	case PAIRS * 2: turn_pairs(d, x, ld, first, count, k, width, apart); return;
	case F32 * 2: turn_f32(d, x, ld, first, count, k, width, apart); return;
	case BF16 * 2: turn_bf16(d, x, ld, first, count, k, width, apart); return;
	}
	if (along) pack_straight(d, x, ld, first, count, k, width, apart);
	else turn_any(d, x, ld, first, count, k, width, apart);
}

static __attribute__((noinline)) void pack_a(void *d, arr x, int64_t ld, int along, int64_t first, int64_t count, int64_t k, int64_t apart) { pack(d, x, ld, along, first, count, k, MR, apart); }
static __attribute__((noinline)) void pack_b(void *d, arr x, int64_t ld, int along, int64_t first, int64_t count, int64_t k, int64_t apart) { pack(d, x, ld, along, first, count, k, NR, apart); }
