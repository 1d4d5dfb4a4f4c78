// Attention on tensor cores, for operands of one 16-bit type and heads of 64,
// 80 or 128 elements (80 is five steps of 16: nothing is padded).
//
// The method is FlashAttention-2's (arXiv 2307.08691). Forward: a block of four
// warps takes 64 query rows of one head, a warp 16 of them, and walks the keys
// they see in tiles of 64. Scores and sums stay in registers as fragments of
// mma.m16n8k16, with float32 accumulators; a tile of values travels to shared
// memory while scores are made, the next keys while values are summed. Global
// traffic: queries and results once, keys and values once per 64 rows, mostly
// from the L2 cache.
//
// Backward makes the probabilities again from LSE. flash_grad_query has the
// same blocks and makes delta = Σ out·dout and dq; flash_grad_key gives a block
// 64 keys of one key-value head, computes the transposed scores and walks all
// queries that see them, over all heads of the group, so that dk and dv are
// summed in registers. Probabilities and their gradients are rounded to the
// operands' type before they are multiplied. Scores are made twice, once for
// each; in return nothing is added by atomics, and the bits are always the
// same.
//
// Rows in shared memory are 16 bytes longer than they need be, which puts the
// eight rows of an ldmatrix into different banks for all three lengths.
#include "segments.cuh"

enum { THREADS = 128, TILE = 64 };

#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

// start_tile begins the copy of 64 rows of a head, rows from limit on as zeros.
template <int D> DEVICE void start_tile(u16 *tile, const Array &x, const Strides &s, int head, int first, int limit) {
#pragma unroll
	for (int i = 0; i < TILE * (D / 8) / THREADS; i++) {
		int chunk = threadIdx.x + i * THREADS, row = chunk / (D / 8), part = chunk % (D / 8);
		bool inside = first + row < limit;
		cp_async(tile + row * (D + 8) + 8 * part, (const u16 *)x.data + at(s, inside ? first + row : first, head) + 8 * part, inside);
	}
}

// left loads rows [row, row+16), columns [col, col+16) of a tile as the left
// operand of a product.
template <int D> DEVICE void left(u32 (&a)[4], const u16 *tile, int row, int col) {
	int lane = lane_index();
	ldmatrix(a, tile + (row + lane % 16) * (D + 8) + col + lane / 16 * 8);
}

// right loads the right operands of two products, transposed: what multiplies
// rows [row, row+16) of a tile over columns [col, col+16).
template <int D> DEVICE void right(u32 (&b)[4], const u16 *tile, int row, int col) {
	int lane = lane_index();
	ldmatrix(b, tile + (row + lane % 8 + lane / 16 * 8) * (D + 8) + col + lane / 8 % 2 * 8);
}

// across loads the right operands of two products as they lie: rows [row,
// row+16) are summed over, columns [col, col+16) remain.
template <int D> DEVICE void across(u32 (&b)[4], const u16 *tile, int row, int col) {
	int lane = lane_index();
	ldmatrix_trans(b, tile + (row + lane % 16) * (D + 8) + col + lane / 16 * 8);
}

// scores makes x = A·Bᵀ for 16 rows of one tile and 8·N of another.
template <int TYPE, int D, int N> DEVICE void scores(float (&x)[N][4], const u16 *a, int row, const u16 *b, int from) {
#pragma unroll
	for (int n = 0; n < N; n++) x[n][0] = x[n][1] = x[n][2] = x[n][3] = 0.0f;
#pragma unroll
	for (int k = 0; k < D; k += 16) {
		u32 l[4], r[4];
		left<D>(l, a, row, k);
#pragma unroll
		for (int n = 0; n < N; n += 2) {
			right<D>(r, b, from + 8 * n, k);
			mma<TYPE>(x[n], l, r[0], r[1]);
			mma<TYPE>(x[n + 1], l, r[2], r[3]);
		}
	}
}

// combine adds W·B to sum, where W is 16 rows of weights as scores leaves them
// and B are 8·N rows of a tile.
template <int TYPE, int D, int N> DEVICE void combine(float (&sum)[D / 8][4], const float (&w)[N][4], const u16 *b, int from) {
#pragma unroll
	for (int n = 0; n < N; n += 2) {
		u32 l[4] = {pack<TYPE>(w[n][0], w[n][1]), pack<TYPE>(w[n][2], w[n][3]), pack<TYPE>(w[n + 1][0], w[n + 1][1]), pack<TYPE>(w[n + 1][2], w[n + 1][3])}, r[4];
#pragma unroll
		for (int d = 0; d < D / 8; d += 2) {
			across<D>(r, b, from + 8 * n, 8 * d);
			mma<TYPE>(sum[d], l, r[0], r[1]);
			mma<TYPE>(sum[d + 1], l, r[2], r[3]);
		}
	}
}

// A Walk goes over the tiles of keys that a block's rows see: the prefix, then
// their own up to the last row's diagonal.
struct Walk {
	int part, key, from, to, own_from, own_to;
	__device__ __forceinline__ Walk(const Segment &s, int last_row) {
		part = 0;
		key = from = s.prefix_start;
		to = s.prefix_end;
		own_from = s.key_start;
		own_to = diagonal(s, last_row) + 1;
		settle();
	}
	__device__ __forceinline__ void settle() {
		if (part == 0 && key >= to) part = 1, key = from = own_from, to = own_to;
		if (part == 1 && key >= to) part = 2;
	}
	__device__ __forceinline__ bool more() const { return part < 2; }
	__device__ __forceinline__ void next() {
		key += TILE;
		settle();
	}
};

// quad joins the four lanes that share a row.
template <class R> DEVICE float quad(float v) {
	v = R::step(v, __shfl_xor_sync(0xffffffffu, v, 1));
	return R::step(v, __shfl_xor_sync(0xffffffffu, v, 2));
}

template <int D> DEVICE void clear(float (&sum)[D / 8][4]) {
#pragma unroll
	for (int d = 0; d < D / 8; d++) sum[d][0] = sum[d][1] = sum[d][2] = sum[d][3] = 0.0f;
}

template <int TYPE, int D> DEVICE void flash(const AttentionArgs &a) {
	DYNAMIC_SHARED(memory);
	u16 *q = (u16 *)memory, *keys = q + TILE * (D + 8), *values = keys + TILE * (D + 8);
	int h = blockIdx.y, kv = h / a.group, row = warp_index() * 16, g = lane_index() / 4, column = lane_index() % 4 * 2;
	QueryTile mine = a.query_tiles[blockIdx.x];
	Segment s = a.segments[mine.segment];
	int last = min(mine.first + (int)TILE, s.query_end) - 1;
	Walk walk(s, last);
	start_tile<D>(q, a.q, a.q_at, h, mine.first, s.query_end);
	start_tile<D>(keys, a.k, a.k_at, kv, walk.key, walk.to);
	cp_async_commit();
	float sum[D / 8][4], x[TILE / 8][4], top[2] = {-INFINITE, -INFINITE}, total[2] = {0.0f, 0.0f}, scale = a.scale * LOG2E;
	clear<D>(sum);
	while (walk.more()) {
		Walk here = walk;
		start_tile<D>(values, a.v, a.v_at, kv, here.key, here.to);
		cp_async_commit();
		cp_async_wait<1>();
		__syncthreads();
		scores<TYPE, D, TILE / 8>(x, q, row, keys, 0);
		__syncthreads();
		walk.next();
		if (walk.more()) start_tile<D>(keys, a.k, a.k_at, kv, walk.key, walk.to);
		cp_async_commit();
#pragma unroll
		for (int e = 0; e < 2; e++) { // rows g and g+8
			int t = mine.first + row + g + 8 * e, end = here.to;
			if (here.part == 1) end = min(end, diagonal(s, t) + 1);
			float high = top[e];
#pragma unroll
			for (int n = 0; n < TILE / 8; n++)
#pragma unroll
				for (int c = 0; c < 2; c++) {
					float &v = x[n][2 * e + c];
					v = here.key + 8 * n + column + c < end ? v * scale : -INFINITE;
					high = fmaxf(high, v);
				}
			high = quad<MaxFloat>(high);
			float base = high == -INFINITE ? 0.0f : high, keep = quick_exp2(top[e] - base), part = 0.0f;
#pragma unroll
			for (int n = 0; n < TILE / 8; n++)
#pragma unroll
				for (int c = 0; c < 2; c++) {
					float &v = x[n][2 * e + c];
					v = quick_exp2(v - base);
					part += v;
				}
			top[e] = high;
			total[e] = total[e] * keep + quad<AddFloat>(part);
#pragma unroll
			for (int d = 0; d < D / 8; d++) sum[d][2 * e] *= keep, sum[d][2 * e + 1] *= keep;
		}
		cp_async_wait<1>();
		__syncthreads();
		combine<TYPE, D, TILE / 8>(sum, x, values, 0);
		__syncthreads();
	}
	cp_async_wait<0>();
#pragma unroll
	for (int e = 0; e < 2; e++) {
		int t = mine.first + row + g + 8 * e;
		if (t > last) continue;
		float over = 1.0f / total[e];
		u16 *out = (u16 *)a.out.data + at(a.out_at, t, h) + column;
#pragma unroll
		for (int d = 0; d < D / 8; d++) *(u32 *)(out + 8 * d) = pack<TYPE>(sum[d][2 * e] * over, sum[d][2 * e + 1] * over);
		if (column == 0) a.lse[(i64)t * a.heads + h] = top[e] * LN2 + logf(total[e]);
	}
}

// add_rows adds a warp's sums, scaled, to rows of a gradient of any type.
template <int D> DEVICE void add_rows(const Array &to, const Strides &s, int head, int first, int end, const float (&sum)[D / 8][4], float scale) {
	int g = lane_index() / 4, column = lane_index() % 4 * 2;
#pragma unroll
	for (int e = 0; e < 2; e++) {
		int t = first + g + 8 * e;
		if (t >= end) continue;
		i64 i = at(s, t, head) + column;
#pragma unroll
		for (int d = 0; d < D / 8; d++)
#pragma unroll
			for (int c = 0; c < 2; c++) put(to, i + 8 * d + c, get(to, i + 8 * d + c) + sum[d][2 * e + c] * scale);
	}
}

template <int TYPE, int D> DEVICE void flash_grad_query(const AttentionArgs &a) {
	DYNAMIC_SHARED(memory);
	u16 *q = (u16 *)memory, *dout = q + TILE * (D + 8), *keys = dout + TILE * (D + 8), *values = keys + TILE * (D + 8);
	int h = blockIdx.y, kv = h / a.group, lane = lane_index(), row = warp_index() * 16, g = lane / 4, column = lane % 4 * 2;
	QueryTile mine = a.query_tiles[blockIdx.x];
	Segment s = a.segments[mine.segment];
	int last = min(mine.first + (int)TILE, s.query_end) - 1;
	start_tile<D>(q, a.q, a.q_at, h, mine.first, s.query_end);
	start_tile<D>(dout, a.dout, a.dout_at, h, mine.first, s.query_end);
	cp_async_commit();

	// Two lanes make delta of one of the warp's rows.
	float delta = 0.0f, mean[2], lse[2], v[VEC], w[VEC];
	int t = mine.first + row + lane / 2;
	if (t <= last) {
		i64 i = at(a.out_at, t, h), j = at(a.dout_at, t, h);
		for (int d = lane % 2 * 8; d < D; d += 16) {
			load(a.out, i + d, i + D, v);
			load(a.dout, j + d, j + D, w);
#pragma unroll
			for (int c = 0; c < VEC; c++) delta += v[c] * w[c];
		}
	}
	delta += __shfl_xor_sync(0xffffffffu, delta, 1);
	if (t <= last && lane % 2 == 0) a.delta[(i64)t * a.heads + h] = delta;
	mean[0] = __shfl_sync(0xffffffffu, delta, 2 * g);
	mean[1] = __shfl_sync(0xffffffffu, delta, 2 * (g + 8));
#pragma unroll
	for (int e = 0; e < 2; e++) {
		t = mine.first + row + g + 8 * e;
		lse[e] = t <= last ? a.lse[(i64)t * a.heads + h] * LOG2E : 0.0f;
	}

	float sum[D / 8][4], x[TILE / 8][4], dp[TILE / 8][4], scale = a.scale * LOG2E;
	clear<D>(sum);
	for (Walk walk(s, last); walk.more(); walk.next()) {
		__syncthreads();
		start_tile<D>(keys, a.k, a.k_at, kv, walk.key, walk.to);
		start_tile<D>(values, a.v, a.v_at, kv, walk.key, walk.to);
		cp_async_commit();
		cp_async_wait<0>();
		__syncthreads();
		scores<TYPE, D, TILE / 8>(x, q, row, keys, 0);
		scores<TYPE, D, TILE / 8>(dp, dout, row, values, 0);
#pragma unroll
		for (int e = 0; e < 2; e++) {
			int end = walk.to;
			t = mine.first + row + g + 8 * e;
			if (walk.part == 1) end = min(end, diagonal(s, t) + 1);
			if (t > last) end = 0;
#pragma unroll
			for (int n = 0; n < TILE / 8; n++)
#pragma unroll
				for (int c = 0; c < 2; c++) {
					float &p = x[n][2 * e + c];
					p = walk.key + 8 * n + column + c < end ? quick_exp2(p * scale - lse[e]) * (dp[n][2 * e + c] - mean[e]) : 0.0f;
				}
		}
		combine<TYPE, D, TILE / 8>(sum, x, keys, 0);
	}
	cp_async_wait<0>();
	add_rows<D>(a.dq, a.dq_at, h, mine.first + row, last + 1, sum, a.scale);
}

template <int TYPE, int D> DEVICE void flash_grad_key(const AttentionArgs &a) {
	enum { HALF = TILE / 2 }; // queries at a time, for the sake of registers
	DYNAMIC_SHARED(memory);
	u16 *keys = (u16 *)memory, *values = keys + TILE * (D + 8), *q = values + TILE * (D + 8), *dout = q + TILE * (D + 8);
	float *lse = (float *)(dout + TILE * (D + 8)), *delta = lse + TILE;
	int kv = blockIdx.y, row = warp_index() * 16, g = lane_index() / 4, column = lane_index() % 4 * 2;
	KeyTile mine = a.key_tiles[blockIdx.x];
	start_tile<D>(keys, a.k, a.k_at, kv, mine.first, mine.end);
	start_tile<D>(values, a.v, a.v_at, kv, mine.first, mine.end);
	cp_async_commit();
	float dk[D / 8][4], dv[D / 8][4], x[HALF / 8][4], dp[HALF / 8][4], scale = a.scale * LOG2E;
	clear<D>(dk);
	clear<D>(dv);
	for (int i = mine.from; i < mine.to; i++) {
		Sight sight = a.sights[i];
		Segment s = a.segments[sight.segment];
		// The first query that sees the first key.
		int start = sight.prefix ? s.query_start : max(s.query_start, mine.first - s.key_end + s.query_end);
		for (int h = kv * a.group; h < (kv + 1) * a.group; h++)
			for (int first = start; first < s.query_end; first += TILE) {
				__syncthreads();
				start_tile<D>(q, a.q, a.q_at, h, first, s.query_end);
				start_tile<D>(dout, a.dout, a.dout_at, h, first, s.query_end);
				cp_async_commit();
				if (threadIdx.x < TILE) {
					int t = first + threadIdx.x;
					bool there = t < s.query_end;
					lse[threadIdx.x] = there ? a.lse[(i64)t * a.heads + h] * LOG2E : 0.0f;
					delta[threadIdx.x] = there ? a.delta[(i64)t * a.heads + h] : 0.0f;
				}
				cp_async_wait<0>();
				__syncthreads();
#pragma unroll 1
				for (int half = 0; half < TILE; half += HALF) {
					scores<TYPE, D, HALF / 8>(x, keys, row, q, half);
					scores<TYPE, D, HALF / 8>(dp, values, row, dout, half);
#pragma unroll
					for (int n = 0; n < HALF / 8; n++)
#pragma unroll
						for (int c = 0; c < 4; c++) {
							int k = mine.first + row + g + c / 2 * 8, at = half + 8 * n + column + c % 2, t = first + at;
							bool seen = t < s.query_end && k < mine.end && (sight.prefix || k <= diagonal(s, t));
							x[n][c] = seen ? quick_exp2(x[n][c] * scale - lse[at]) : 0.0f;
							dp[n][c] = x[n][c] * (dp[n][c] - delta[at]);
						}
					combine<TYPE, D, HALF / 8>(dv, x, dout, half);
					combine<TYPE, D, HALF / 8>(dk, dp, q, half);
				}
			}
	}
	cp_async_wait<0>();
	add_rows<D>(a.dk, a.dk_at, kv, mine.first + row, mine.end, dk, a.scale);
	add_rows<D>(a.dv, a.dv_at, kv, mine.first + row, mine.end, dv, 1.0f);
}

#define FLASH(name, type, dim)                                                                                     \
	KERNEL(THREADS) flash_##name(const AttentionArgs a) { flash<type, dim>(a); }                               \
	KERNEL(THREADS) flash_grad_query_##name(const AttentionArgs a) { flash_grad_query<type, dim>(a); }         \
	KERNEL(THREADS) flash_grad_key_##name(const AttentionArgs a) { flash_grad_key<type, dim>(a); }

FLASH(bf16_64, BFLOAT16, 64)
FLASH(bf16_80, BFLOAT16, 80)
FLASH(bf16_128, BFLOAT16, 128)
FLASH(f16_64, FLOAT16, 64)
FLASH(f16_80, FLOAT16, 80)
FLASH(f16_128, FLOAT16, 128)
