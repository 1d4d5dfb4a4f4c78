// Elementary functions without branches, so that the compiler can vectorise
// loops over them. Polynomials are Chebyshev fits on the stated ranges; the
// errors are those of the fit, below float32's rounding.

static inline __attribute__((always_inline)) float bits_f(int32_t b) {
	float f;
	memcpy(&f, &b, 4);
	return f;
}
static inline __attribute__((always_inline)) int32_t f_bits(float f) {
	int32_t b;
	memcpy(&b, &f, 4);
	return b;
}

// exp_rest is e^r for x = n ln2 + r with |r| <= ln2/2, by a polynomial of degree 6.
static inline __attribute__((always_inline)) float exp_rest(float x, float n) {
	float r = x - n * 0.693145752f;
	r -= n * 1.42860677e-6f;
	float p = 0.001394111641f;
	p = p * r + 0.008375132781f;
	p = p * r + 0.0416663528f;
	p = p * r + 0.1666641544f;
	p = p * r + 0.5000000047f;
	p = p * r + 1.0f;
	p = p * r + 1.0f;
	return p;
}

// exp: e^r, then two scalings by 2^(n/2) so that results may be subnormal.
static inline __attribute__((always_inline)) float exp_f(float x) {
	float y = x < -104.0f ? -104.0f : (x > 89.0f ? 89.0f : x);
	float n = y * 1.44269504f + 12582912.0f;
	int32_t i = f_bits(n) - 0x4B400000;
	n -= 12582912.0f;
	float p = exp_rest(y, n);
	int32_t a = i >> 1, b = i - a;
	float e = p * bits_f((a + 127) << 23) * bits_f((b + 127) << 23);
	e = x > 88.8f ? INFINITY : e;
	return x != x ? x : e;
}

// exp_n is exp_f for sums and quotients with numbers of ordinary size: results
// below 2^-126 are 0 and those from 2^127 on may be infinite, for half the
// instructions. The exponent is made of the lowest bits of n while the constant
// that rounds it is still in it.
static inline __attribute__((always_inline)) float exp_n(float x) {
	float n = x * 1.44269504f + 12582912.0f;
	int32_t scale = (int32_t)((uint32_t)f_bits(n) << 23) + (127 << 23);
	n -= 12582912.0f;
	float e = exp_rest(x, n) * bits_f(scale);
	e = x < -87.3f ? 0.0f : e;
	return x > 88.0f ? INFINITY : e;
}

static inline __attribute__((always_inline)) float sigmoid_f(float x) { return 1.0f / (1.0f + exp_n(-x)); }

// log(1+u) for u in [0, 1], relative error 1e-9.
static inline __attribute__((always_inline)) float log1p_unit(float u) {
	float p = 0.001986696594f;
	p = p * u - 0.01318782657f;
	p = p * u + 0.04100657369f;
	p = p * u - 0.08188040924f;
	p = p * u + 0.1237799587f;
	p = p * u - 0.1608762301f;
	p = p * u + 0.1988582029f;
	p = p * u - 0.2498649646f;
	p = p * u + 0.3333249754f;
	p = p * u - 0.4999997949f;
	p = p * u + 0.9999999992f;
	return p * u;
}

static inline __attribute__((always_inline)) float softplus_f(float x) {
	float a = x < 0 ? x : -x; // -|x|, NaN kept
	return (x > 0 ? x : (x != x ? x : 0.0f)) + log1p_unit(exp_f(a));
}

// tanh: a polynomial near 0, where 1 - 2/(e^2x + 1) would lose digits.
static inline __attribute__((always_inline)) float tanh_f(float x) {
	float s = x * x;
	float p = 0.002102294859f;
	p = p * s - 0.008130431409f;
	p = p * s + 0.02168013339f;
	p = p * s - 0.05394252067f;
	p = p * s + 0.1333316464f;
	p = p * s - 0.3333332915f;
	p = p * s + 1.0f;
	float small = p * x;
	float large = 1.0f - 2.0f / (exp_n(2.0f * x) + 1.0f);
	return s < 0.39f ? small : large;
}

// The normal distribution: its density without the constant, and its integral
// up to x, for |x| the density times a polynomial of 1/(1 + 0.29|x|). The error
// is 5e-9 of the result near 0 and 1e-5 of it where it is next to nothing.
static inline __attribute__((always_inline)) float bell_f(float x) { return exp_n(-0.5f * x * x); }
static inline __attribute__((always_inline)) float phi_f(float x, float bell) {
	float t = 1.0f / (1.0f + 0.29f * (x < 0 ? -x : x));
	float p = 0.03766093271f;
	p = p * t - 0.183854363f;
	p = p * t + 0.2856274842f;
	p = p * t - 0.1254176728f;
	p = p * t + 0.1662624498f;
	p = p * t + 0.08572947206f;
	p = p * t + 0.1184502446f;
	p = p * t + 0.1155414547f;
	p = p * t * bell;
	return x > 0 ? 1.0f - p : p;
}

// The gate of the GELU approximation, (1 + tanh u)/2 = sigmoid(2u), which takes
// one exponential and loses no digits where tanh is near -1; and the slope of 2u.
static inline __attribute__((always_inline)) float gelu_tanh_gate(float x) { return sigmoid_f(1.59576912f * (x + 0.044715f * x * x * x)); }
static inline __attribute__((always_inline)) float gelu_tanh_slope(float x) { return 1.59576912f * (1.0f + 0.134145f * x * x); }

static inline __attribute__((always_inline)) float hsum(vf v) {
	float s = 0;
	for (int i = 0; i < VW; i++) s += v[i];
	return s;
}
