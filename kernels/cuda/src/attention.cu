// Attention, exact and for any mixture of types: float32 throughout, head
// dimensions up to 256. flash.cu is faster where all operands are of one
// 16-bit type.
//
// Forward: a block takes 16 query rows of one head, a warp four of them, and
// walks the keys that they see in tiles of 32: lanes are keys while scores are
// made, and elements of the head while values are summed. The maximum and the
// sum of each row are kept as it goes, so scores never leave the block.
// Traffic: keys and values are read once per 16 rows (from the L2 cache),
// everything else once.
//
// Backward makes probabilities again from LSE. attention_grad_query gives a
// block the same 16 rows and makes delta = Σ_k p·dp (from out where that is
// float32) and dq; attention_grad_key gives a block 16 keys of one key-value
// head and walks all queries that see them, over all heads of the group. Each
// result is made by one warp in one order: no atomics, always the same bits.
#include "segments.cuh"

enum { THREADS = 128, ROWS = 16, EACH = 4, KEYS = 32, SLICES = 8 }; // SLICES·32 elements of a head

// fetch fills a tile of shared memory with n rows, those outside [0, limit)
// with zeros.
DEVICE void fetch(float *tile, int pitch, int n, const Array &x, const Strides &s, int head, int first, int limit, int dim) {
	for (int r = warp_index(); r < n; r += THREADS / 32)
		for (int d = lane_index(); d < dim; d += 32) tile[r * pitch + d] = first + r < limit ? get(x, at(s, first + r, head) + d) : 0.0f;
}

// products makes, for each of the warp's rows, the inner product with this
// lane's row of a tile.
DEVICE void products(float (&s)[EACH], const float *rows, int pitch, const float *tile, int dim) {
#pragma unroll
	for (int r = 0; r < EACH; r++) s[r] = 0.0f;
	const float *mine = tile + lane_index() * (dim + 1);
	for (int d = 0; d < dim; d++) {
		float t = mine[d];
#pragma unroll
		for (int r = 0; r < EACH; r++) s[r] += rows[r * pitch + d] * t;
	}
}

// combine adds to the warp's rows the tile's rows, weighted.
DEVICE void combine(float (&sum)[EACH][SLICES], const float *weights, const float *tile, int dim) {
	for (int j = 0; j < KEYS; j++) {
		float w[EACH];
#pragma unroll
		for (int r = 0; r < EACH; r++) w[r] = weights[r * KEYS + j];
#pragma unroll
		for (int c = 0; c < SLICES; c++) {
			int d = lane_index() + 32 * c;
			if (d >= dim) continue;
			float t = tile[j * (dim + 1) + d];
#pragma unroll
			for (int r = 0; r < EACH; r++) sum[r][c] += w[r] * t;
		}
	}
}

DEVICE void zero(float (&sum)[EACH][SLICES]) {
#pragma unroll
	for (int r = 0; r < EACH; r++)
#pragma unroll
		for (int c = 0; c < SLICES; c++) sum[r][c] = 0.0f;
}

KERNEL(THREADS) attention(const AttentionArgs a) {
	DYNAMIC_SHARED(memory);
	int dim = a.dim, h = blockIdx.y, kv = h / a.group, warp = warp_index(), lane = lane_index();
	float *q = (float *)memory, *tile = q + ROWS * dim, *weights = tile + KEYS * (dim + 1) + warp * EACH * KEYS;
	QueryTile mine = a.query_tiles[blockIdx.x];
	Segment s = a.segments[mine.segment];
	int rows = s.query_end - mine.first < ROWS ? s.query_end - mine.first : (int)ROWS;
	fetch(q, dim, ROWS, a.q, a.q_at, h, mine.first, s.query_end, dim);
	float top[EACH], total[EACH], sum[EACH][SLICES], x[EACH];
	zero(sum);
#pragma unroll
	for (int r = 0; r < EACH; r++) top[r] = -INFINITE, total[r] = 0.0f;
	for (int part = 0; part < 2; part++) {
		int from = part ? s.key_start : s.prefix_start, to = part ? diagonal(s, mine.first + rows - 1) + 1 : s.prefix_end;
		for (int k = from; k < to; k += KEYS) {
			__syncthreads();
			fetch(tile, dim + 1, KEYS, a.k, a.k_at, kv, k, to, dim);
			__syncthreads();
			products(x, q + warp * EACH * dim, dim, tile, dim);
#pragma unroll
			for (int r = 0; r < EACH; r++) {
				int t = mine.first + warp * EACH + r;
				bool seen = k + lane < to && (part == 0 || k + lane <= diagonal(s, t));
				x[r] = seen ? x[r] * a.scale : -INFINITE;
				float high = fmaxf(top[r], warp_reduce<MaxFloat>(x[r]));
				float p = high == -INFINITE ? 0.0f : expf(x[r] - high), keep = high == -INFINITE ? 1.0f : expf(top[r] - high);
				top[r] = high;
				total[r] = total[r] * keep + warp_reduce<AddFloat>(p);
				weights[r * KEYS + lane] = p;
#pragma unroll
				for (int c = 0; c < SLICES; c++) sum[r][c] *= keep;
			}
			__syncthreads();
			fetch(tile, dim + 1, KEYS, a.v, a.v_at, kv, k, to, dim);
			__syncthreads();
			combine(sum, weights, tile, dim);
		}
	}
#pragma unroll
	for (int r = 0; r < EACH; r++) {
		int t = mine.first + warp * EACH + r;
		if (t >= s.query_end) continue;
		float over = 1.0f / total[r];
#pragma unroll
		for (int c = 0; c < SLICES; c++)
			if (lane + 32 * c < dim) put(a.out, at(a.out_at, t, h) + lane + 32 * c, sum[r][c] * over);
		if (lane == 0) a.lse[(i64)t * a.heads + h] = top[r] + logf(total[r]);
	}
}

// attention_clear zeroes rows that no segment has: one row and head a warp.
KERNEL(THREADS) attention_clear(const AttentionArgs a) {
	int row = a.rows[blockIdx.x];
	for (int h = warp_index(); h < a.heads; h += THREADS / 32) {
		for (int d = lane_index(); d < a.dim; d += 32) put(a.out, at(a.out_at, row, h) + d, 0.0f);
		if (lane_index() == 0) a.lse[(i64)row * a.heads + h] = 0.0f;
	}
}

KERNEL(THREADS) attention_grad_query(const AttentionArgs a) {
	DYNAMIC_SHARED(memory);
	int dim = a.dim, h = blockIdx.y, kv = h / a.group, warp = warp_index(), lane = lane_index();
	float *q = (float *)memory, *dout = q + ROWS * dim, *keys = dout + ROWS * dim, *values = keys + KEYS * (dim + 1);
	float *weights = values + KEYS * (dim + 1) + warp * EACH * KEYS;
	QueryTile mine = a.query_tiles[blockIdx.x];
	Segment s = a.segments[mine.segment];
	int rows = s.query_end - mine.first < ROWS ? s.query_end - mine.first : (int)ROWS;
	fetch(q, dim, ROWS, a.q, a.q_at, h, mine.first, s.query_end, dim);
	fetch(dout, dim, ROWS, a.dout, a.dout_at, h, mine.first, s.query_end, dim);
	float lse[EACH], delta[EACH], sum[EACH][SLICES], x[EACH], dp[EACH];
	zero(sum);
#pragma unroll
	for (int r = 0; r < EACH; r++) {
		int t = mine.first + warp * EACH + r;
		lse[r] = t < s.query_end ? a.lse[(i64)t * a.heads + h] : 0.0f;
		delta[r] = 0.0f;
	}
	__syncthreads();
	if (a.delta_from_out) {
#pragma unroll
		for (int r = 0; r < EACH; r++) {
			int t = mine.first + warp * EACH + r;
			if (t < s.query_end)
				for (int d = lane; d < dim; d += 32) delta[r] += get(a.out, at(a.out_at, t, h) + d) * dout[(warp * EACH + r) * dim + d];
			delta[r] = warp_reduce<AddFloat>(delta[r]);
		}
	}
	for (int pass = a.delta_from_out ? 1 : 0; pass < 2; pass++) {
		for (int part = 0; part < 2; part++) {
			int from = part ? s.key_start : s.prefix_start, to = part ? diagonal(s, mine.first + rows - 1) + 1 : s.prefix_end;
			for (int k = from; k < to; k += KEYS) {
				__syncthreads();
				fetch(keys, dim + 1, KEYS, a.k, a.k_at, kv, k, to, dim);
				fetch(values, dim + 1, KEYS, a.v, a.v_at, kv, k, to, dim);
				__syncthreads();
				products(x, q + warp * EACH * dim, dim, keys, dim);
				products(dp, dout + warp * EACH * dim, dim, values, dim);
#pragma unroll
				for (int r = 0; r < EACH; r++) {
					int t = mine.first + warp * EACH + r;
					bool seen = t < s.query_end && k + lane < to && (part == 0 || k + lane <= diagonal(s, t));
					float p = seen ? expf(x[r] * a.scale - lse[r]) : 0.0f;
					if (pass == 0)
						delta[r] += warp_reduce<AddFloat>(p * dp[r]);
					else
						weights[r * KEYS + lane] = p * (dp[r] - delta[r]) * a.scale;
				}
				if (pass == 0) continue;
				__syncwarp();
				combine(sum, weights, keys, dim);
			}
		}
	}
#pragma unroll
	for (int r = 0; r < EACH; r++) {
		int t = mine.first + warp * EACH + r;
		if (t >= s.query_end) continue;
#pragma unroll
		for (int c = 0; c < SLICES; c++) {
			int d = lane + 32 * c;
			i64 i = at(a.dq_at, t, h) + d;
			if (d < dim) put(a.dq, i, get(a.dq, i) + sum[r][c]);
		}
		if (lane == 0) a.delta[(i64)t * a.heads + h] = delta[r];
	}
}

KERNEL(THREADS) attention_grad_key(const AttentionArgs a) {
	DYNAMIC_SHARED(memory);
	int dim = a.dim, kv = blockIdx.y, warp = warp_index(), lane = lane_index();
	float *keys = (float *)memory, *values = keys + ROWS * dim, *q = values + ROWS * dim, *dout = q + KEYS * (dim + 1);
	float *weights = dout + KEYS * (dim + 1) + warp * 2 * EACH * KEYS;
	KeyTile mine = a.key_tiles[blockIdx.x];
	fetch(keys, dim, ROWS, a.k, a.k_at, kv, mine.first, mine.end, dim);
	fetch(values, dim, ROWS, a.v, a.v_at, kv, mine.first, mine.end, dim);
	float dk[EACH][SLICES], dv[EACH][SLICES], x[EACH], dp[EACH];
	zero(dk);
	zero(dv);
	for (int e = mine.from; e < mine.to; e++) {
		Sight sight = a.sights[e];
		Segment s = a.segments[sight.segment];
		// The first query that sees the first key.
		int start = sight.prefix ? s.query_start : mine.first - s.key_end + s.query_end;
		if (start < s.query_start) start = s.query_start;
		for (int h = kv * a.group; h < (kv + 1) * a.group; h++)
			for (int t0 = start; t0 < s.query_end; t0 += KEYS) {
				__syncthreads();
				fetch(q, dim + 1, KEYS, a.q, a.q_at, h, t0, s.query_end, dim);
				fetch(dout, dim + 1, KEYS, a.dout, a.dout_at, h, t0, s.query_end, dim);
				__syncthreads();
				products(x, keys + warp * EACH * dim, dim, q, dim);
				products(dp, values + warp * EACH * dim, dim, dout, dim);
				int t = t0 + lane;
				bool there = t < s.query_end;
				float lse = there ? a.lse[(i64)t * a.heads + h] : 0.0f, delta = there ? a.delta[(i64)t * a.heads + h] : 0.0f;
#pragma unroll
				for (int r = 0; r < EACH; r++) {
					int k = mine.first + warp * EACH + r;
					bool seen = there && k < mine.end && (sight.prefix || k <= diagonal(s, t));
					float p = seen ? expf(x[r] * a.scale - lse) : 0.0f;
					weights[r * KEYS + lane] = p;
					weights[(EACH + r) * KEYS + lane] = p * (dp[r] - delta) * a.scale;
				}
				__syncwarp();
				combine(dv, weights, dout, dim);
				combine(dk, weights + EACH * KEYS, q, dim);
			}
	}
#pragma unroll
	for (int r = 0; r < EACH; r++) {
		int k = mine.first + warp * EACH + r;
		if (k >= mine.end) continue;
#pragma unroll
		for (int c = 0; c < SLICES; c++) {
			int d = lane + 32 * c;
			if (d >= dim) continue;
			i64 i = at(a.dk_at, k, kv) + d;
			put(a.dk, i, get(a.dk, i) + dk[r][c]);
			i = at(a.dv_at, k, kv) + d;
			put(a.dv, i, get(a.dv, i) + dv[r][c]);
		}
	}
}
