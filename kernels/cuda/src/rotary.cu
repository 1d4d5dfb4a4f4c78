// Rotary embeddings in the half-split form.
//
// A thread turns W pairs of one head, or passes W elements through; the host
// takes the widest W of 8, 2 and 1 that dimensions, strides and addresses
// allow. Heads are read where a fused projection left them, and each element
// is read and written once. The gradient turns back and adds.
#include "prelude.cuh"

enum { THREADS = 256 };

struct RotaryArgs {
	Array y, x, cos, sin;
	const int *positions;
	int *fault;
	i64 rows, y_row, x_row;
	i64 table; // rows of cos and sin
	int y_head, x_head, heads, half, rest, add, op, unused; // half: pairs turned; rest: elements passed through
};

template <int W> DEVICE void take(const Array &a, i64 i, float (&v)[W]) {
	if (W == VEC) {
		float all[VEC];
		load(a, i, i + VEC, all);
#pragma unroll
		for (int j = 0; j < W; j++) v[j] = all[j % VEC];
	} else
#pragma unroll
		for (int j = 0; j < W; j++) v[j] = get(a, i + j);
}

template <int W> DEVICE void give(const RotaryArgs &a, i64 i, float (&v)[W]) {
	float all[VEC];
#pragma unroll
	for (int j = 0; j < VEC; j++) all[j] = v[j % W];
	if (W == VEC) {
		float old[VEC];
		if (a.add) {
			load(a.y, i, i + VEC, old);
#pragma unroll
			for (int j = 0; j < VEC; j++) all[j] += old[j];
		}
		store(a.y, i, i + VEC, all);
	} else
#pragma unroll
		for (int j = 0; j < W; j++) put(a.y, i + j, a.add ? get(a.y, i + j) + v[j] : v[j]);
}

template <int W> DEVICE void rotary(const RotaryArgs &a) {
	i64 each = (a.half + a.rest) / W, i = thread_index();
	if (i >= a.rows * a.heads * each) return;
	i64 head = i / each, row = head / a.heads;
	int at = (int)(i - head * each) * W;
	head -= row * a.heads;
	i64 from = row * a.x_row + head * a.x_head, to = row * a.y_row + head * a.y_head;
	float x[W], y[W], c[W], s[W];
	if (at >= a.half) {
		take<W>(a.x, from + a.half + at, x);
		give<W>(a, to + a.half + at, x);
		return;
	}
	i64 position = a.positions[row];
	if (outside(a.fault, a.op, position, row, a.table)) return;
	take<W>(a.cos, position * a.half + at, c);
	take<W>(a.sin, position * a.half + at, s);
	take<W>(a.x, from + at, x);
	take<W>(a.x, from + a.half + at, y);
#pragma unroll
	for (int j = 0; j < W; j++) {
		float sine = a.add ? -s[j] : s[j], first = x[j];
		x[j] = first * c[j] - y[j] * sine;
		y[j] = y[j] * c[j] + first * sine;
	}
	give<W>(a, to + at, x);
	give<W>(a, to + a.half + at, y);
}

KERNEL(THREADS) rotary_8(const RotaryArgs a) { rotary<8>(a); }
KERNEL(THREADS) rotary_2(const RotaryArgs a) { rotary<2>(a); }
KERNEL(THREADS) rotary_1(const RotaryArgs a) { rotary<1>(a); }
