// Layer norm and RMS norm, forward and backward.
//
// Forward: a block takes one row and walks it two or three times; after the
// first the row lies in the cache, so memory sees it once in and once out. The
// variance is that of the differences from the mean, which keeps its digits
// when the mean is large. With a residual, x + residual is stored in sum by a
// walk of its own, in which each thread takes the columns that it takes in the
// others, and what is normalised is sum, as rounded as memory has it.
//
// Backward: norm_grad_V runs NORM_BLOCKS blocks, block b taking rows b,
// b+NORM_BLOCKS, ... Each thread owns V·8 columns and sums their weight
// gradients in registers while it makes dx, so that dy and x are read from
// memory once for both; the sums go to a partial row per block, which
// norm_join adds in block order. The number of blocks is fixed: the bits do
// not depend on the device. A residual's gradient is added to dx on the way out,
// after dx is rounded, as an operation of its own would.
#include "prelude.cuh"

enum { THREADS = 256, GRAD_THREADS = 512 };

struct NormArgs {
	Array y, x, weight, bias; // a bias without data is absent
	Array sum, residual;      // without a residual, x is normalised
	float *mean, *rstd;       // mean is null for RMS norm
	i64 rows, cols;
	float eps;
	int unused;
};

// normalised is the array whose row a block normalises.
DEVICE Array normalised(const NormArgs &a, i64 row, i64 end) {
	if (!a.residual.data) return a.x;
	float v[VEC], r[VEC];
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(a.x, row + i, end, v);
		load(a.residual, row + i, end, r);
#pragma unroll
		for (int j = 0; j < VEC; j++) v[j] += r[j];
		store(a.sum, row + i, end, v);
	}
	return a.sum;
}

KERNEL(THREADS) layer_norm(const NormArgs a) {
	i64 row = (i64)blockIdx.x * a.cols, end = row + a.cols;
	Array x = normalised(a, row, end);
	float v[VEC], w[VEC], b[VEC], sum = 0.0f;
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(x, row + i, end, v);
#pragma unroll
		for (int j = 0; j < VEC; j++) sum += v[j];
	}
	float mean = block_reduce<AddFloat>(sum) / (float)a.cols;
	sum = 0.0f;
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(x, row + i, end, v);
#pragma unroll
		for (int j = 0; j < VEC; j++)
			if (i + j < a.cols) sum += (v[j] - mean) * (v[j] - mean);
	}
	float rstd = 1.0f / sqrtf(block_reduce<AddFloat>(sum) / (float)a.cols + a.eps);
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(x, row + i, end, v);
		load(a.weight, i, a.cols, w);
#pragma unroll
		for (int j = 0; j < VEC; j++) b[j] = 0.0f;
		if (a.bias.data) load(a.bias, i, a.cols, b);
#pragma unroll
		for (int j = 0; j < VEC; j++) v[j] = (v[j] - mean) * rstd * w[j] + b[j];
		store(a.y, row + i, end, v);
	}
	if (threadIdx.x == 0) {
		a.mean[blockIdx.x] = mean;
		a.rstd[blockIdx.x] = rstd;
	}
}

KERNEL(THREADS) rms_norm(const NormArgs a) {
	i64 row = (i64)blockIdx.x * a.cols, end = row + a.cols;
	Array x = normalised(a, row, end);
	float v[VEC], w[VEC], sum = 0.0f;
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(x, row + i, end, v);
#pragma unroll
		for (int j = 0; j < VEC; j++) sum += v[j] * v[j];
	}
	float rstd = 1.0f / sqrtf(block_reduce<AddFloat>(sum) / (float)a.cols + a.eps);
	for (i64 i = threadIdx.x * VEC; i < a.cols; i += blockDim.x * VEC) {
		load(x, row + i, end, v);
		load(a.weight, i, a.cols, w);
#pragma unroll
		for (int j = 0; j < VEC; j++) v[j] = v[j] * rstd * w[j];
		store(a.y, row + i, end, v);
	}
	if (threadIdx.x == 0) a.rstd[blockIdx.x] = rstd;
}

struct NormGradArgs {
	Array dx, dy, x, weight, residual; // a residual without data is absent; it may be dx
	const float *mean, *rstd;
	float *dweight, *dbias; // partial sums [gridDim.x, cols], or null
	i64 rows, cols;
};

// rounded is what a type keeps of a number.
DEVICE float rounded(int type, float v) {
	if (type == FLOAT32) return v;
	return type == BFLOAT16 ? from_bf16(to_bf16(v)) : from_f16(to_f16(v));
}

template <int V> DEVICE void norm_grad(const NormGradArgs &a) {
	float dw[V][VEC], db[V][VEC];
#pragma unroll
	for (int k = 0; k < V; k++)
#pragma unroll
		for (int j = 0; j < VEC; j++) dw[k][j] = db[k][j] = 0.0f;
	float over = 1.0f / (float)a.cols;
	for (i64 r = blockIdx.x; r < a.rows; r += gridDim.x) {
		i64 row = r * a.cols, end = row + a.cols;
		float mean = a.mean ? a.mean[r] : 0.0f, rstd = a.rstd[r], sum = 0.0f, dot = 0.0f, v[VEC], g[VEC], w[VEC];
#pragma unroll
		for (int k = 0; k < V; k++) {
			i64 i = (threadIdx.x + (i64)k * blockDim.x) * VEC;
			if (i >= a.cols) continue;
			load(a.x, row + i, end, v);
			load(a.dy, row + i, end, g);
			load(a.weight, i, a.cols, w);
#pragma unroll
			for (int j = 0; j < VEC; j++) {
				float x = (v[j] - mean) * rstd;
				dw[k][j] += g[j] * x;
				db[k][j] += g[j];
				sum += g[j] * w[j];
				dot += g[j] * w[j] * x;
			}
		}
		sum = a.mean ? block_reduce<AddFloat>(sum) * over : 0.0f;
		dot = block_reduce<AddFloat>(dot) * over;
#pragma unroll
		for (int k = 0; k < V; k++) {
			i64 i = (threadIdx.x + (i64)k * blockDim.x) * VEC;
			if (i >= a.cols) continue;
			load(a.x, row + i, end, v);
			load(a.dy, row + i, end, g);
			load(a.weight, i, a.cols, w);
#pragma unroll
			for (int j = 0; j < VEC; j++) v[j] = rstd * (g[j] * w[j] - sum - (v[j] - mean) * rstd * dot);
			if (a.residual.data) {
				load(a.residual, row + i, end, g);
#pragma unroll
				for (int j = 0; j < VEC; j++) v[j] = __fadd_rn(g[j], rounded(a.dx.type, v[j])); // not fused with the product
			}
			store(a.dx, row + i, end, v);
		}
	}
	i64 partial = (i64)blockIdx.x * a.cols;
	Array to = {0, FLOAT32, 0};
#pragma unroll
	for (int k = 0; k < V; k++) {
		i64 i = (threadIdx.x + (i64)k * blockDim.x) * VEC;
		if (i >= a.cols) continue;
		if (a.dweight) to.data = a.dweight, store(to, partial + i, partial + a.cols, dw[k]);
		if (a.dbias) to.data = a.dbias, store(to, partial + i, partial + a.cols, db[k]);
	}
}

// V=1 serves up to 4096 columns.
KERNEL(GRAD_THREADS) norm_grad_1(const NormGradArgs a) { norm_grad<1>(a); }
KERNEL(GRAD_THREADS) norm_grad_2(const NormGradArgs a) { norm_grad<2>(a); }
KERNEL(GRAD_THREADS) norm_grad_4(const NormGradArgs a) { norm_grad<4>(a); }

// norm_join adds the sum of partial rows to a gradient. A block takes 32
// columns; each of its eight warps adds every eighth row, and the eight sums
// are added in order.
struct NormJoinArgs {
	Array dst;
	const float *partial;
	i64 rows, cols;
};

KERNEL(THREADS) norm_join(const NormJoinArgs a) {
	__shared__ float parts[8][32];
	i64 c = (i64)blockIdx.x * 32 + lane_index();
	float sum = 0.0f;
	if (c < a.cols)
		for (i64 r = warp_index(); r < a.rows; r += 8) sum += a.partial[r * a.cols + c];
	parts[warp_index()][lane_index()] = sum;
	__syncthreads();
	if (warp_index() > 0 || c >= a.cols) return;
	for (int w = 1; w < 8; w++) sum += parts[w][lane_index()];
	put(a.dst, c, get(a.dst, c) + sum);
}
