// Elementwise operations on contiguous arrays.
//
// Each thread takes eight consecutive elements; a block of 256 threads takes
// 2048. Every operand is read once and every result written once, in 16-byte
// accesses where addresses allow, so all of these run at memory speed. No
// element depends on another: the bits cannot vary.
#include "lists.cuh"

enum { THREADS = 256 };

struct FillArgs {
	Array y;
	i64 n;
	float value;
	int unused;
};

KERNEL(THREADS) fill(const FillArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float v[VEC];
#pragma unroll
	for (int j = 0; j < VEC; j++) v[j] = a.value;
	store(a.y, i, a.n, v);
}

struct UnaryArgs {
	Array y, x;
	i64 n;
};

// convert changes between floating types.
KERNEL(THREADS) convert(const UnaryArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float v[VEC];
	load(a.x, i, a.n, v);
	store(a.y, i, a.n, v);
}

// to_odd rounds a double to float32 so that a second rounding, to 16 bits,
// gives what one would have given.
DEVICE float to_odd(double v) {
	float f = (float)v;
	u32 bits = __float_as_uint(f);
	if ((double)f == v || v != v || (bits & 0x7fffffffu) == 0x7f800000u) return f;
	if (fabs((double)f) > fabs(v)) bits--;
	return __uint_as_float(bits | 1);
}

DEVICE double get_any(const Array &a, i64 i) {
	if (a.type == INT32) return ((const int *)a.data)[i];
	if (a.type == INT64) return (double)((const i64 *)a.data)[i];
	return get(a, i);
}

// convert_any changes between all types, integers too: one element a thread.
KERNEL(THREADS) convert_any(const UnaryArgs a) {
	i64 i = thread_index();
	if (i >= a.n) return;
	if (a.x.type == INT64 && a.y.type == INT32) {
		((int *)a.y.data)[i] = (int)((const i64 *)a.x.data)[i];
		return;
	}
	double v = get_any(a.x, i);
	if (a.y.type == INT32)
		((int *)a.y.data)[i] = (int)v;
	else if (a.y.type == INT64)
		((i64 *)a.y.data)[i] = (i64)v;
	else if (a.y.type == FLOAT32)
		((float *)a.y.data)[i] = (float)v;
	else
		put(a.y, i, to_odd(v));
}

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
DEVICE float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
DEVICE float sign(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }
DEVICE float minus_one(float) { return -1.0f; }
DEVICE float gelu_argument(float x) { return 0.7978845608028654f * (x + 0.044715f * x * x * x); }
DEVICE float phi(float x) { return 0.5f * (1.0f + erff(x * 0.7071067811865476f)); }

DEVICE float silu_slope(float x) {
	float s = sigmoid(x);
	return s * (1.0f + x * (1.0f - s));
}
DEVICE float gelu_slope(float x) { return phi(x) + x * expf(-0.5f * x * x) * 0.3989422804014327f; }
DEVICE float gelu_tanh_slope(float x) {
	float t = tanhf(gelu_argument(x)), slope = 0.7978845608028654f * (1.0f + 0.134145f * x * x);
	return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope;
}
DEVICE float sigmoid_slope(float x) {
	float s = sigmoid(x);
	return s * (1.0f - s);
}
DEVICE float tanh_slope(float x) {
	float t = tanhf(x);
	return 1.0f - t * t;
}

struct UnaryGradArgs {
	Array dx, dy, x;
	i64 n;
};

// UNARY makes a function's kernel and its gradient's: y = f(x), dx = dy·slope.
#define UNARY(name, f, slope)                                                   \
	KERNEL(THREADS) unary_##name(const UnaryArgs a) {                       \
		i64 i = thread_index() * VEC;                                   \
		if (i >= a.n) return;                                           \
		float v[VEC];                                                   \
		load(a.x, i, a.n, v);                                           \
		_Pragma("unroll") for (int j = 0; j < VEC; j++) {               \
			float x = v[j];                                         \
			v[j] = f;                                               \
		}                                                               \
		store(a.y, i, a.n, v);                                          \
	}                                                                       \
	KERNEL(THREADS) unary_grad_##name(const UnaryGradArgs a) {              \
		i64 i = thread_index() * VEC;                                   \
		if (i >= a.n) return;                                           \
		float v[VEC], g[VEC];                                           \
		load(a.x, i, a.n, v);                                           \
		load(a.dy, i, a.n, g);                                          \
		_Pragma("unroll") for (int j = 0; j < VEC; j++) {               \
			float x = v[j];                                         \
			g[j] *= slope;                                          \
		}                                                               \
		store(a.dx, i, a.n, g);                                         \
	}

UNARY(neg, -x, minus_one(x))
UNARY(exp, expf(x), expf(x))
UNARY(log, logf(x), 1.0f / x)
UNARY(sqrt, sqrtf(x), 0.5f / sqrtf(x))
UNARY(square, x * x, 2.0f * x)
UNARY(abs, fabsf(x), sign(x))
UNARY(reciprocal, 1.0f / x, -1.0f / (x * x))
UNARY(relu, x < 0.0f ? 0.0f : x, (x > 0.0f ? 1.0f : 0.0f))
UNARY(sigmoid, sigmoid(x), sigmoid_slope(x))
UNARY(log_sigmoid, -softplus(-x), sigmoid(-x))
UNARY(softplus, softplus(x), sigmoid(x))
UNARY(tanh, tanhf(x), tanh_slope(x))
UNARY(silu, x / (1.0f + expf(-x)), silu_slope(x))
UNARY(gelu, x * phi(x), gelu_slope(x))
UNARY(gelu_tanh, 0.5f * x * (1.0f + tanhf(gelu_argument(x))), gelu_tanh_slope(x))

struct AffineArgs {
	Array y, x;
	i64 n;
	float mul, add;
};

KERNEL(THREADS) affine(const AffineArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float v[VEC];
	load(a.x, i, a.n, v);
#pragma unroll
	for (int j = 0; j < VEC; j++) v[j] = v[j] * a.mul + a.add;
	store(a.y, i, a.n, v);
}

// add_scaled adds mul·x to y.
KERNEL(THREADS) add_scaled(const AffineArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float v[VEC], y[VEC];
	load(a.x, i, a.n, v);
	load(a.y, i, a.n, y);
#pragma unroll
	for (int j = 0; j < VEC; j++) y[j] += v[j] * a.mul;
	store(a.y, i, a.n, y);
}

// SwiGLU: y = silu(gate)·up, and both gradients from one reading.
struct SwigluArgs {
	Array y, gate, up;
	i64 n;
};

KERNEL(THREADS) swiglu(const SwigluArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float g[VEC], u[VEC];
	load(a.gate, i, a.n, g);
	load(a.up, i, a.n, u);
#pragma unroll
	for (int j = 0; j < VEC; j++) u[j] *= g[j] / (1.0f + expf(-g[j]));
	store(a.y, i, a.n, u);
}

struct SwigluGradArgs {
	Array dgate, dup, dy, gate, up;
	i64 n;
};

KERNEL(THREADS) swiglu_grad(const SwigluGradArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float g[VEC], u[VEC], d[VEC];
	load(a.gate, i, a.n, g);
	load(a.up, i, a.n, u);
	load(a.dy, i, a.n, d);
#pragma unroll
	for (int j = 0; j < VEC; j++) {
		float s = sigmoid(g[j]), dy = d[j];
		d[j] = dy * u[j] * (s * (1.0f + g[j] * (1.0f - s)));
		u[j] = dy * (g[j] * s);
	}
	store(a.dgate, i, a.n, d);
	store(a.dup, i, a.n, u);
}

// sum_peers adds arrays of other instances on the same device, in order.
struct SumPeersArgs {
	Array y;
	i64 n;
	int count, type;
	void *sources[16];
};

KERNEL(THREADS) sum_peers(const SumPeersArgs a) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float total[VEC], v[VEC];
	for (int s = 0; s < a.count; s++) {
		Array x = {a.sources[s], a.type, 0};
		load(x, i, a.n, v);
#pragma unroll
		for (int j = 0; j < VEC; j++) total[j] = s == 0 ? v[j] : total[j] + v[j];
	}
	store(a.y, i, a.n, total);
}

// convert_list and add_scaled_list are convert and add_scaled over a list of
// tensors; a block takes a piece of 16384 elements of one.
enum { PIECE = 16384 };

struct ListTensor {
	Array y, x;
	i64 n, first;
};

struct ListArgs {
	const ListTensor *tensors;
	int count;
	float mul;
};

KERNEL(THREADS) convert_list(const ListArgs a) {
	ListTensor t = row_of_block(a.tensors, a.count);
	i64 from = from_of(t.first, PIECE), to = to_of(from, PIECE, t.n);
	float v[VEC];
	for (i64 i = from + threadIdx.x * VEC; i < to; i += THREADS * VEC) {
		load(t.x, i, to, v);
		store(t.y, i, to, v);
	}
}

KERNEL(THREADS) add_scaled_list(const ListArgs a) {
	ListTensor t = row_of_block(a.tensors, a.count);
	i64 from = from_of(t.first, PIECE), to = to_of(from, PIECE, t.n);
	float v[VEC], y[VEC];
	for (i64 i = from + threadIdx.x * VEC; i < to; i += THREADS * VEC) {
		load(t.x, i, to, v);
		load(t.y, i, to, y);
#pragma unroll
		for (int j = 0; j < VEC; j++) y[j] += a.mul * v[j];
		store(t.y, i, to, y);
	}
}
