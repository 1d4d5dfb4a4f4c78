// Elementwise operations of two operands, each of which may be broadcast.
//
// The host joins axes that both operands step through evenly, so that most
// calls arrive with one or two. A thread makes eight consecutive results. If
// they lie within one run of the innermost axis, it finds each operand's place
// once and reads it in wide accesses (stride 1), as one element (stride 0) or
// one by one; otherwise it finds the place of every element. A broadcast
// operand is read again and again, but from the cache. Each result is made by
// one thread alone.
#include "prelude.cuh"

enum { THREADS = 256, MAX_AXES = 8 };

struct BinaryArgs {
	Array y, a, b;
	i64 n;
	int axes, unused;
	i64 shape[8], a_stride[8], b_stride[8];
};

// place finds where both operands stand at result i.
DEVICE void place(const BinaryArgs &a, i64 i, i64 &at_a, i64 &at_b) {
	at_a = at_b = 0;
	for (int k = a.axes - 1; k > 0; k--) {
		i64 d = a.shape[k], rest;
		if (i < 0x7fffffff && d < 0x7fffffff)
			rest = (u32)i / (u32)d; // a fifth of the instructions
		else
			rest = i / d;
		i64 at = i - rest * d;
		at_a += at * a.a_stride[k];
		at_b += at * a.b_stride[k];
		i = rest;
	}
	at_a += i * a.a_stride[0];
	at_b += i * a.b_stride[0];
}

// run reads eight elements from i on at a stride.
DEVICE void run(const Array &a, i64 i, i64 stride, float (&v)[VEC]) {
	if (stride == 1) {
		load(a, i, i + VEC, v);
		return;
	}
	if (stride == 0) {
		float one = get(a, i);
#pragma unroll
		for (int j = 0; j < VEC; j++) v[j] = one;
		return;
	}
#pragma unroll
	for (int j = 0; j < VEC; j++) v[j] = get(a, i + j * stride);
}

template <class F> DEVICE void binary(const BinaryArgs &a, F f) {
	i64 i = thread_index() * VEC;
	if (i >= a.n) return;
	float x[VEC], y[VEC];
	i64 last = a.shape[a.axes - 1], at_a, at_b;
	if (i + VEC <= a.n && (a.axes == 1 || last % VEC == 0)) {
		place(a, i, at_a, at_b);
		run(a.a, at_a, a.a_stride[a.axes - 1], x);
		run(a.b, at_b, a.b_stride[a.axes - 1], y);
	} else {
		for (int j = 0; j < VEC && i + j < a.n; j++) {
			place(a, i + j, at_a, at_b);
			put(a.y, i + j, f(get(a.a, at_a), get(a.b, at_b)));
		}
		return;
	}
#pragma unroll
	for (int j = 0; j < VEC; j++) x[j] = f(x[j], y[j]);
	store(a.y, i, a.n, x);
}

#define BINARY(name, expression)                                                              \
	struct Op_##name {                                                                    \
		__device__ __forceinline__ float operator()(float x, float y) const { return expression; } \
	};                                                                                    \
	KERNEL(THREADS) binary_##name(const BinaryArgs a) { binary(a, Op_##name()); }

BINARY(add, x + y)
BINARY(sub, x - y)
BINARY(mul, x *y)
BINARY(div, x / y)
BINARY(maximum, larger(x, y))
BINARY(minimum, smaller(x, y))
BINARY(greater, x > y ? 1.0f : 0.0f)
BINARY(equal, x == y ? 1.0f : 0.0f)
