// Reductions along one axis, sums of squares, softmax.
//
// Long axes are cut into pieces of a fixed length, whose results, in float32,
// a second launch of the same kernel joins: the pieces depend on the shape
// alone, never on the device, and each piece is added in a fixed order. Every
// input is read once.
#include "lists.cuh"

enum { THREADS = 256 };

// reduce_rows: src is [outer, mid]; block (s, o) reduces elements [s·piece,
// (s+1)·piece) of row o to dst[o·pieces + s].
struct ReduceArgs {
	Array dst, src;
	i64 outer, mid, inner, piece, pieces;
};

template <class R> DEVICE void reduce_rows(const ReduceArgs &a) {
	i64 o = blockIdx.y + (i64)blockIdx.z * 65535, s = blockIdx.x;
	if (o >= a.outer) return;
	i64 from = s * a.piece, to = from + a.piece < a.mid ? from + a.piece : a.mid;
	float r = R::none(), v[VEC];
	for (i64 i = from + threadIdx.x * VEC; i < to; i += blockDim.x * VEC) {
		load(a.src, o * a.mid + i, o * a.mid + to, v);
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < to) r = R::step(r, v[j]);
	}
	r = block_reduce<R>(r);
	if (threadIdx.x == 0) put(a.dst, o * a.pieces + s, r);
}

KERNEL(THREADS) reduce_rows_sum(const ReduceArgs a) { reduce_rows<AddFloat>(a); }
KERNEL(THREADS) reduce_rows_max(const ReduceArgs a) { reduce_rows<MaxFloat>(a); }
KERNEL(THREADS) reduce_rows_min(const ReduceArgs a) { reduce_rows<MinFloat>(a); }

// reduce_columns: src is [outer, mid, inner]. A block takes 256 columns (32
// threads of 8) and a piece of mid, which its eight warps walk in turn; warp
// results are joined in order through shared memory. dst is [outer, pieces,
// inner].
template <class R> DEVICE void reduce_columns(const ReduceArgs &a) {
	__shared__ float parts[8][32 * VEC + 1];
	i64 s = blockIdx.y, o = blockIdx.z;
	i64 c = ((i64)blockIdx.x * 32 + lane_index()) * VEC;
	i64 from = s * a.piece, to = from + a.piece < a.mid ? from + a.piece : a.mid;
	float r[VEC], v[VEC];
#pragma unroll
	for (int j = 0; j < VEC; j++) r[j] = R::none();
	if (c < a.inner)
		for (i64 m = from + warp_index(); m < to; m += 8) {
			i64 row = (o * a.mid + m) * a.inner;
			load(a.src, row + c, row + a.inner, v);
#pragma unroll
			for (int j = 0; j < VEC; j++) r[j] = R::step(r[j], v[j]);
		}
#pragma unroll
	for (int j = 0; j < VEC; j++) parts[warp_index()][lane_index() * VEC + j] = r[j];
	__syncthreads();
	i64 column = (i64)blockIdx.x * 32 * VEC + threadIdx.x;
	if (column >= a.inner) return;
	float total = parts[0][threadIdx.x];
	for (int w = 1; w < 8; w++) total = R::step(total, parts[w][threadIdx.x]);
	put(a.dst, (o * a.pieces + s) * a.inner + column, total);
}

KERNEL(THREADS) reduce_columns_sum(const ReduceArgs a) { reduce_columns<AddFloat>(a); }
KERNEL(THREADS) reduce_columns_max(const ReduceArgs a) { reduce_columns<MaxFloat>(a); }
KERNEL(THREADS) reduce_columns_min(const ReduceArgs a) { reduce_columns<MinFloat>(a); }

// sum_squares: over a list of tensors, block b adds the squares of its piece of
// 65536 elements in float64 to partial[b]; join_squares, one block, adds the
// partials in order.
enum { SQUARES_PIECE = 65536 };

struct SquaresTensor {
	Array x;
	i64 n, first;
};

struct SumSquaresArgs {
	const SquaresTensor *tensors;
	double *partial;
	int count, unused;
};

KERNEL(THREADS) sum_squares(const SumSquaresArgs a) {
	SquaresTensor t = row_of_block(a.tensors, a.count);
	i64 from = from_of(t.first, SQUARES_PIECE), to = to_of(from, SQUARES_PIECE, t.n);
	double sum = 0.0;
	float v[VEC];
	for (i64 i = from + threadIdx.x * VEC; i < to; i += THREADS * VEC) {
		load(t.x, i, to, v);
#pragma unroll
		for (int j = 0; j < VEC; j++) sum += (double)v[j] * (double)v[j];
	}
	sum = block_reduce<AddDouble>(sum);
	if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}

struct JoinSquaresArgs {
	const double *partial;
	double *total;
	i64 n;
};

KERNEL(THREADS) join_squares(const JoinSquaresArgs a) {
	double sum = 0.0;
	for (i64 i = threadIdx.x; i < a.n; i += THREADS) sum += a.partial[i];
	sum = block_reduce<AddDouble>(sum);
	if (threadIdx.x == 0) *a.total = sum;
}

// softmax: one row a block. A first pass keeps the running maximum and the sum
// of exponentials relative to it, a second writes; the row is read from memory
// once, as it then lies in the cache.
struct SoftmaxArgs {
	Array y, x, g; // for the gradient: y is dx, x is the forward result, g is dy
	i64 rows, cols;
	int log, unused;
};

KERNEL(THREADS) softmax(const SoftmaxArgs a) {
	i64 row = (i64)blockIdx.x * a.cols, end = row + a.cols;
	float top = -INFINITE, sum = 0.0f, v[VEC];
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(a.x, row + i, end, v);
		float high = top;
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < a.cols) high = larger(high, v[j]);
		if (high == -INFINITE) continue;
		sum *= expf(top - high);
		top = high;
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < a.cols) sum += expf(v[j] - top);
	}
	float high = block_reduce<MaxFloat>(top);
	sum = block_reduce<AddFloat>(top == -INFINITE ? 0.0f : sum * expf(top - high));
	float shift = logf(sum);
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(a.x, row + i, end, v);
#pragma unroll
		for (int j = 0; j < VEC; j++) v[j] = a.log ? (v[j] - high) - shift : expf(v[j] - high) / sum;
		store(a.y, row + i, end, v);
	}
}

KERNEL(THREADS) softmax_grad(const SoftmaxArgs a) {
	i64 row = (i64)blockIdx.x * a.cols, end = row + a.cols;
	float sum = 0.0f, g[VEC], p[VEC];
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(a.g, row + i, end, g);
		load(a.x, row + i, end, p);
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < a.cols) sum += a.log ? g[j] : g[j] * p[j];
	}
	sum = block_reduce<AddFloat>(sum);
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(a.g, row + i, end, g);
		load(a.x, row + i, end, p);
#pragma unroll
		for (int j = 0; j < VEC; j++) g[j] = a.log ? g[j] - expf(p[j]) * sum : p[j] * (g[j] - sum);
		store(a.y, row + i, end, g);
	}
}
