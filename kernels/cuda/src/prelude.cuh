// What every kernel file stands on: element types, vector loads and stores
// that convert, and reductions. No header of any toolkit is needed, so that
// NVRTC compiles these files wherever its one library is found, and emulate.h
// takes the place of the hardware's part where the CPU runs them.
#ifndef PRELUDE
#define PRELUDE

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define DEVICE static __device__ __forceinline__
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)

// Element types: dtype.DType's numbers.
enum { FLOAT32 = 1, BFLOAT16 = 2, FLOAT16 = 3, INT32 = 4, INT64 = 5 };

// Array is an operand: an address and an element type. Lengths are given
// beside it.
struct Array {
	void *data;
	int type, unused;
};

#ifndef EMULATE
// The parts that are instructions. emulate.h has each of them in C.
DEVICE float from_bf16(u16 h) { return __uint_as_float((u32)h << 16); }
DEVICE u16 to_bf16(float v) {
	u16 h;
	asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(v));
	return h;
}
DEVICE u32 pack_bf16(float low, float high) {
	u32 w;
	asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(w) : "f"(high), "f"(low));
	return w;
}
DEVICE float from_f16(u16 h) {
	float v;
	asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(h));
	return v;
}
DEVICE u16 to_f16(float v) {
	u16 h;
	asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(v));
	return h;
}
DEVICE u32 pack_f16(float low, float high) {
	u32 w;
	asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(w) : "f"(high), "f"(low));
	return w;
}
DEVICE float quick_exp2(float v) {
	float e;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(v));
	return e;
}
// cp_async starts a copy of 16 bytes from global to shared memory; with
// inside false it writes zeros. cp_async_commit closes a group of copies,
// cp_async_wait<N> waits until at most the N latest groups are unfinished.
DEVICE void cp_async(void *shared, const void *global, bool inside) {
	u32 to = (u32)__cvta_generic_to_shared(shared);
	int bytes = inside ? 16 : 0;
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
}
DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void cp_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
// ldmatrix loads four 8x8 matrices of 16-bit elements; lane l gives the
// address of row l%8 of matrix l/8.
DEVICE void ldmatrix(u32 (&r)[4], const void *row) {
	u32 at = (u32)__cvta_generic_to_shared(row);
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
DEVICE void ldmatrix_trans(u32 (&r)[4], const void *row) {
	u32 at = (u32)__cvta_generic_to_shared(row);
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
// mma adds the product of a 16x16 and a 16x8 fragment to a 16x8 one.
template <int TYPE> DEVICE void mma(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
	if (TYPE == BFLOAT16)
		asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		             : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
	else
		asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		             : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) u8 name[]
#endif

template <int TYPE> DEVICE u32 pack(float low, float high) { return TYPE == BFLOAT16 ? pack_bf16(low, high) : pack_f16(low, high); }

DEVICE i64 thread_index() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
DEVICE int lane_index() { return threadIdx.x & 31; }
DEVICE int warp_index() { return threadIdx.x >> 5; }

#define INFINITE __uint_as_float(0x7f800000u)

DEVICE int size_of(int type) { return type == FLOAT32 || type == INT32 ? 4 : type == INT64 ? 8 : 2; }

// get and put convert one floating element.
DEVICE float get(const Array &a, i64 i) {
	if (a.type == FLOAT32) return ((const float *)a.data)[i];
	u16 h = ((const u16 *)a.data)[i];
	float b = from_bf16(h), f = from_f16(h);
	return a.type == BFLOAT16 ? b : f; // a choice, not a branch
}
DEVICE void put(const Array &a, i64 i, float v) {
	if (a.type == FLOAT32)
		((float *)a.data)[i] = v;
	else
		((u16 *)a.data)[i] = a.type == BFLOAT16 ? to_bf16(v) : to_f16(v);
}

// A Vec is what one thread takes at a time: eight elements, so that 16-bit
// types move in 16-byte accesses and float32 in two of them.
enum { VEC = 8 };

DEVICE bool aligned16(const void *p) { return ((u64)p & 15) == 0; }

// widen converts eight 16-bit elements; the branch is outside the loop, so
// that a kernel holds each conversion once.
DEVICE void widen(int type, const u32 (&w)[4], float (&v)[VEC]) {
	if (type == BFLOAT16) {
#pragma unroll
		for (int j = 0; j < 4; j++) v[2 * j] = from_bf16((u16)w[j]), v[2 * j + 1] = from_bf16((u16)(w[j] >> 16));
	} else {
#pragma unroll
		for (int j = 0; j < 4; j++) v[2 * j] = from_f16((u16)w[j]), v[2 * j + 1] = from_f16((u16)(w[j] >> 16));
	}
}

// load reads elements [i, i+8) as far as they lie below end, zeros beyond it.
// Whether wide accesses are possible is decided by the address, the same way
// throughout a warp except at the edges.
DEVICE void load(const Array &a, i64 i, i64 end, float (&v)[VEC]) {
	const u8 *p = (const u8 *)a.data + i * size_of(a.type);
	bool wide = i + VEC <= end && aligned16(p);
	if (a.type == FLOAT32) {
		if (wide) {
			uint4 w = *(const uint4 *)p, x = *(const uint4 *)(p + 16);
			v[0] = __uint_as_float(w.x), v[1] = __uint_as_float(w.y), v[2] = __uint_as_float(w.z), v[3] = __uint_as_float(w.w);
			v[4] = __uint_as_float(x.x), v[5] = __uint_as_float(x.y), v[6] = __uint_as_float(x.z), v[7] = __uint_as_float(x.w);
		} else
#pragma unroll
			for (int j = 0; j < VEC; j++) v[j] = i + j < end ? ((const float *)p)[j] : 0.0f;
		return;
	}
	u32 words[4];
	if (wide) {
		uint4 w = *(const uint4 *)p;
		words[0] = w.x, words[1] = w.y, words[2] = w.z, words[3] = w.w;
	} else
#pragma unroll
		for (int j = 0; j < 4; j++) {
			words[j] = i + 2 * j < end ? ((const u16 *)p)[2 * j] : 0;
			words[j] |= i + 2 * j + 1 < end ? (u32)((const u16 *)p)[2 * j + 1] << 16 : 0;
		}
	widen(a.type, words, v);
}

// store writes elements [i, i+8) as far as they lie below end, each rounded
// once to nearest even.
DEVICE void store(const Array &a, i64 i, i64 end, const float (&v)[VEC]) {
	u8 *p = (u8 *)a.data + i * size_of(a.type);
	bool wide = i + VEC <= end && aligned16(p);
	uint4 w;
	if (a.type == FLOAT32) {
		if (wide) {
			w.x = __float_as_uint(v[0]), w.y = __float_as_uint(v[1]), w.z = __float_as_uint(v[2]), w.w = __float_as_uint(v[3]);
			*(uint4 *)p = w;
			w.x = __float_as_uint(v[4]), w.y = __float_as_uint(v[5]), w.z = __float_as_uint(v[6]), w.w = __float_as_uint(v[7]);
			*(uint4 *)(p + 16) = w;
		} else
#pragma unroll
			for (int j = 0; j < VEC; j++)
				if (i + j < end) ((float *)p)[j] = v[j];
		return;
	}
	if (a.type == BFLOAT16)
		w.x = pack_bf16(v[0], v[1]), w.y = pack_bf16(v[2], v[3]), w.z = pack_bf16(v[4], v[5]), w.w = pack_bf16(v[6], v[7]);
	else
		w.x = pack_f16(v[0], v[1]), w.y = pack_f16(v[2], v[3]), w.z = pack_f16(v[4], v[5]), w.w = pack_f16(v[6], v[7]);
	if (wide) {
		*(uint4 *)p = w;
		return;
	}
	u32 words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
	for (int j = 0; j < VEC; j++)
		if (i + j < end) ((u16 *)p)[j] = (u16)(words[j / 2] >> 16 * (j % 2));
}

// larger is the greater of two numbers, or NaN if either is.
DEVICE float larger(float a, float b) { return a != a ? a : b != b ? b : a > b ? a : b; }
DEVICE float smaller(float a, float b) { return a != a ? a : b != b ? b : a < b ? a : b; }

// What a reduction does: its neutral element and its step.
struct AddFloat {
	typedef float T;
	static __device__ __forceinline__ T none() { return 0.0f; }
	static __device__ __forceinline__ T step(T a, T b) { return a + b; }
};
struct MaxFloat {
	typedef float T;
	static __device__ __forceinline__ T none() { return -INFINITE; }
	static __device__ __forceinline__ T step(T a, T b) { return larger(a, b); }
};
struct MinFloat {
	typedef float T;
	static __device__ __forceinline__ T none() { return INFINITE; }
	static __device__ __forceinline__ T step(T a, T b) { return smaller(a, b); }
};
struct AddDouble {
	typedef double T;
	static __device__ __forceinline__ T none() { return 0.0; }
	static __device__ __forceinline__ T step(T a, T b) { return a + b; }
};

// warp_reduce gives every lane the result. The tree is always the same, so
// the bits are.
template <class R> DEVICE typename R::T warp_reduce(typename R::T v) {
#pragma unroll
	for (int d = 16; d > 0; d >>= 1) v = R::step(v, __shfl_xor_sync(0xffffffffu, v, d));
	return v;
}

// block_reduce gives every thread the result; whole warps take part. The
// barrier before the writes lets a kernel call it again and again.
template <class R> DEVICE typename R::T block_reduce(typename R::T v) {
	__shared__ typename R::T parts[32];
	v = warp_reduce<R>(v);
	int warps = blockDim.x >> 5;
	if (warps == 1) return v;
	__syncthreads();
	if (lane_index() == 0) parts[warp_index()] = v;
	__syncthreads();
	v = lane_index() < warps ? parts[lane_index()] : R::none();
	return warp_reduce<R>(v);
}

// report files an index out of range in memory that the host reads when it
// next waits: {set, operation, index, position, limit}. The first one stays.
DEVICE bool outside(int *fault, int op, i64 index, i64 position, i64 limit) {
	if (index >= 0 && index < limit) return false;
	if (fault && atomicCAS(fault, 0, 1) == 0) {
		fault[1] = op;
		fault[2] = (int)index;
		fault[3] = (int)position;
		fault[4] = (int)limit;
	}
	return true;
}

#endif
