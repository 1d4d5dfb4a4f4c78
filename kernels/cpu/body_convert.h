// Widening to float32 and rounding back, to nearest even.

static inline uint16_t to_bf16(float x) {
	uint32_t b = (uint32_t)f_bits(x);
	uint32_t r = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
	return (uint16_t)((b & 0x7fffffff) > 0x7f800000 ? (b >> 16) | 0x40 : r);
}

// to_bf16s is to_bf16 of a vector, from_bf16s the way back.
static inline __attribute__((always_inline)) vh to_bf16s(vf x) {
	vu b = (vu)x, top = b >> 16, r = (b + 0x7fff + (top & 1)) >> 16, nan = (vu)((vi)(b & 0x7fffffff) > 0x7f800000);
	return __builtin_convertvector((nan & (top | 0x40)) | (~nan & r), vh);
}
static inline __attribute__((always_inline)) vf from_bf16s(vh x) { return (vf)(__builtin_convertvector(x, vu) << 16); }

static inline uint16_t to_f16(float x) {
	uint32_t b = (uint32_t)f_bits(x), sign = b >> 16 & 0x8000, a = b & 0x7fffffff;
	if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x1ff));
	if (a >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
	if (a >= 0x38800000) {
		a -= 0x38000000;
		return (uint16_t)(sign | ((a + 0xfff + (a >> 13 & 1)) >> 13));
	}
	if (a < 0x33000000) return (uint16_t)sign;
	uint32_t shift = 126 - (a >> 23), mant = (a & 0x7fffff) | 0x800000;
	uint32_t half = 1u << (shift - 1);
	return (uint16_t)(sign | ((mant + half - 1 + (mant >> shift & 1)) >> shift));
}

static inline float from_f16(uint16_t h) {
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 0x1f, m = h & 0x3ff;
	if (e == 0) return bits_f((int32_t)(sign | (uint32_t)f_bits((float)m * (1.0f / 16777216.0f))));
	if (e == 31) return bits_f((int32_t)(sign | 0x7f800000 | m << 13));
	return bits_f((int32_t)(sign | (e + 112) << 23 | m << 13));
}

// widen reads n elements from position at as float32.
static inline void widen(float *restrict d, arr x, int64_t at, int64_t n) {
	switch (x.type) {
	case F32:
		memcpy(d, (const float *)x.p + at, (size_t)n * 4);
		return;
	case BF16: {
		const uint16_t *s = (const uint16_t *)x.p + at;
		for (int64_t i = 0; i < n; i++) d[i] = bits_f((int32_t)((uint32_t)s[i] << 16));
		return;
	}
	case F16: {
		const uint16_t *s = (const uint16_t *)x.p + at;
		int64_t i = 0;
#if HAVE_F16C
		for (; i + 8 <= n; i += 8) _mm256_storeu_ps(d + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(s + i))));
#endif
		for (; i < n; i++) d[i] = from_f16(s[i]);
		return;
	}
	case I32: {
		const int32_t *s = (const int32_t *)x.p + at;
		for (int64_t i = 0; i < n; i++) d[i] = (float)s[i];
		return;
	}
	case I64: {
		const int64_t *s = (const int64_t *)x.p + at;
		for (int64_t i = 0; i < n; i++) d[i] = (float)s[i];
		return;
	}
	}
}

// narrow stores n float32 values from position at on.
static inline void narrow(arr x, int64_t at, const float *restrict s, int64_t n) {
	switch (x.type) {
	case F32:
		memcpy((float *)x.p + at, s, (size_t)n * 4);
		return;
	case BF16: {
		uint16_t *d = (uint16_t *)x.p + at;
		int64_t i = 0;
		for (; i + VW <= n; i += VW) *(vh *)(d + i) = to_bf16s(*(const vf *)(s + i));
		for (; i < n; i++) d[i] = to_bf16(s[i]);
		return;
	}
	case F16: {
		uint16_t *d = (uint16_t *)x.p + at;
		int64_t i = 0;
#if HAVE_F16C
		for (; i + 8 <= n; i += 8) _mm_storeu_si128((__m128i *)(d + i), _mm256_cvtps_ph(_mm256_loadu_ps(s + i), _MM_FROUND_TO_NEAREST_INT));
#endif
		for (; i < n; i++) d[i] = to_f16(s[i]);
		return;
	}
	case I32: {
		int32_t *d = (int32_t *)x.p + at;
		for (int64_t i = 0; i < n; i++) d[i] = (int32_t)s[i];
		return;
	}
	case I64: {
		int64_t *d = (int64_t *)x.p + at;
		for (int64_t i = 0; i < n; i++) d[i] = (int64_t)s[i];
		return;
	}
	}
}

// in returns n elements as float32: the memory itself when it is float32, else
// a widened copy in buf.
static inline const float *in(arr x, int64_t at, int64_t n, float *buf) {
	if (x.type == F32) return (const float *)x.p + at;
	widen(buf, x, at, n);
	return buf;
}

// out returns where n results may be written; done stores them.
static inline float *out(arr x, int64_t at, float *buf) { return x.type == F32 ? (float *)x.p + at : buf; }
static inline void done(arr x, int64_t at, const float *buf, int64_t n) {
	if (x.type != F32) narrow(x, at, buf, n);
}

static int size_of(int type) { return type == F32 || type == I32 ? 4 : type == I64 ? 8 : 2; } // PAIRS: of one bfloat16

static void convert(arr dst, arr src, int64_t n) {
	if (dst.type == src.type) {
		memmove(dst.p, src.p, (size_t)(n * size_of(src.type)));
		return;
	}
	if (dst.type == I64 && src.type == I32) {
		for (int64_t i = 0; i < n; i++) ((int64_t *)dst.p)[i] = ((int32_t *)src.p)[i];
		return;
	}
	if (dst.type == I32 && src.type == I64) {
		for (int64_t i = 0; i < n; i++) ((int32_t *)dst.p)[i] = (int32_t)((int64_t *)src.p)[i];
		return;
	}
	float buf[BLOCK];
	for (int64_t i = 0; i < n; i += BLOCK) {
		int64_t m = n - i < BLOCK ? n - i : BLOCK;
		widen(buf, src, i, m);
		narrow(dst, i, buf, m);
	}
}

static void fill(arr dst, double v, int64_t n) {
	if (dst.type == I32 || dst.type == I64) {
		for (int64_t i = 0; i < n; i++) {
			if (dst.type == I32) ((int32_t *)dst.p)[i] = (int32_t)v;
			else ((int64_t *)dst.p)[i] = (int64_t)v;
		}
		return;
	}
	if (v == 0) {
		memset(dst.p, 0, (size_t)(n * size_of(dst.type)));
		return;
	}
	float buf[BLOCK];
	for (int i = 0; i < BLOCK; i++) buf[i] = (float)v;
	for (int64_t i = 0; i < n; i += BLOCK) narrow(dst, i, buf, n - i < BLOCK ? n - i : BLOCK);
}
