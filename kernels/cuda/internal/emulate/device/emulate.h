// CUDA C for the CPU: what a kernel file finds in place of the hardware.
//
// The threads of a block are fibers on one operating system thread. A fiber
// runs until it meets a barrier or a warp-wide operation, then the next one
// does; when all that must meet have met, they go on. Blocks run one after
// the other. So every race that depends on order alone stays hidden, but
// barriers that threads do not reach together, reads of shared memory that
// nothing wrote (it begins as NaN) and accesses beyond its end (it ends at a
// page that cannot be touched) are found, and so are results of cp.async used
// before they were waited for.
#ifndef EMULATE
#define EMULATE
#include <math.h>
#include <stdint.h>
#include <string.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define __restrict__
#define __align__(n) __attribute__((aligned(n)))
#define __grid_constant__

struct uint2 { unsigned x, y; };
struct uint3 { unsigned x, y, z; };
struct __attribute__((aligned(16))) uint4 { unsigned x, y, z, w; };
struct __attribute__((aligned(8))) float2 { float x, y; };
struct __attribute__((aligned(16))) float4 { float x, y, z, w; };
struct dim3 { unsigned x, y, z; };

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulate {
// What of a warp a lane waits for is told apart by the place of the call.
void barrier(const void *site);
void warp_barrier(const void *site);
// slots are what the lanes of this warp deposit before a warp barrier; they
// alternate, so that one barrier an operation is enough.
struct Slots { uint64_t lane[32][4]; };
Slots &slots();
void finish_copies(int keep);
void start_copy(void *to, const void *from, bool inside);
void close_copies();
void *shared_memory();
void launch(const char *name, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, void (*thread)(const void *), const void *args);

template <class T> T shuffle(T v, int from, const void *site) {
	Slots &s = slots();
	memcpy(s.lane[threadIdx.x & 31], &v, sizeof v);
	warp_barrier(site);
	memcpy(&v, s.lane[from & 31], sizeof v);
	return v;
}

// An argument list is laid out as a kernel's parameters are: each at a
// multiple of its alignment.
inline const void *next(const char *&at, const char *start, size_t size, size_t align) {
	at = start + ((at - start) + align - 1) / align * align;
	const void *p = at;
	at += size;
	return p;
}
template <class... A> struct Kernel {
	template <void (*F)(A...)> static void thread(const void *args) {
		const char *start = (const char *)args, *at = start;
		(void)at, (void)start;
		call<F>(at, start);
	}
	template <void (*F)(A...)> static void call(const char *at, const char *start) {
		// Braces evaluate their elements from left to right.
		struct Pack { void (*f)(A...); Pack(A... a) { F(a...); } };
		Pack{*(const A *)next(at, start, sizeof(A), alignof(A))...};
	}
};
template <class... A> Kernel<A...> kernel_of(void (*)(A...));
}

#define EMULATE_SITE (__builtin_return_address(0))
// EMULATED exports a kernel under the name that the fake driver looks for.
#define EMULATED(name)                                                                                                                \
	extern "C" void emulate_##name(unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, const void *args) { \
		typedef decltype(emulate::kernel_of(name)) Kernel;                                                                    \
		emulate::launch(#name, gx, gy, gz, threads, shared, Kernel::template thread<name>, args);                             \
	}

// The labels tell call sites apart; noinline keeps one address for each.
#define __syncthreads() emulate::barrier((const void *)__COUNTER__)
#define __syncwarp(...) emulate::warp_barrier((const void *)(0x100000 + __COUNTER__))
#define __shfl_xor_sync(mask, v, d) emulate::shuffle(v, (threadIdx.x & 31) ^ (d), (const void *)(0x100000 + __COUNTER__))
#define __shfl_sync(mask, v, from) emulate::shuffle(v, (from), (const void *)(0x100000 + __COUNTER__))
#define __shfl_down_sync(mask, v, d) \
	emulate::shuffle(v, (threadIdx.x & 31) + (d) < 32 ? (threadIdx.x & 31) + (d) : (threadIdx.x & 31), (const void *)(0x100000 + __COUNTER__))

inline float __uint_as_float(unsigned v) { float f; memcpy(&f, &v, 4); return f; }
inline unsigned __float_as_uint(float f) { unsigned v; memcpy(&v, &f, 4); return v; }
inline int atomicCAS(int *at, int old, int v) { int was = *at; if (was == old) *at = v; return was; }
inline int atomicAdd(int *at, int v) { int was = *at; *at += v; return was; }
inline float atomicAdd(float *at, float v) { float was = *at; *at += v; return was; }
template <class T> T min(T a, T b) { return a < b ? a : b; }
template <class T> T max(T a, T b) { return a > b ? a : b; }
inline float rsqrtf(float v) { return 1.0f / sqrtf(v); }
inline float __expf(float v) { return expf(v); }
// No contraction of sums here (emulate.go), nor of this one on a GPU.
inline float __fadd_rn(float a, float b) { return a + b; }

// The prelude's instructions.
inline float from_bf16(uint16_t h) { return __uint_as_float((unsigned)h << 16); }
inline uint16_t to_bf16(float v) {
	unsigned b = __float_as_uint(v);
	if ((b & 0x7fffffff) > 0x7f800000) return 0x7fff;
	return (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}
inline float from_f16(uint16_t h) {
	unsigned sign = (unsigned)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
	if (exponent == 31) return __uint_as_float(sign | 0x7f800000 | mantissa << 13);
	if (exponent == 0) return __uint_as_float(sign | __float_as_uint((float)mantissa * 0x1p-24f));
	return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
}
inline uint16_t to_f16(float v) {
	unsigned b = __float_as_uint(v), magnitude = b & 0x7fffffff;
	uint16_t sign = (uint16_t)(b >> 16 & 0x8000);
	if (magnitude > 0x7f800000) return 0x7fff;
	if (magnitude >= 0x477ff000) return sign | 0x7c00;
	if (magnitude < 0x38800000) return sign | (uint16_t)nearbyintf(fabsf(v) * 0x1p24f); // ties to even
	magnitude -= 0x38000000;
	return sign | (uint16_t)((magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13);
}
inline unsigned pack_bf16(float low, float high) { return to_bf16(low) | (unsigned)to_bf16(high) << 16; }
inline unsigned pack_f16(float low, float high) { return to_f16(low) | (unsigned)to_f16(high) << 16; }
inline float quick_exp2(float v) { return exp2f(v); }

inline void cp_async(void *to, const void *from, bool inside) { emulate::start_copy(to, from, inside); }
inline void cp_async_commit() { emulate::close_copies(); }
template <int N> void cp_async_wait() { emulate::finish_copies(N); }

// Fragments as PTX lays them out. ldmatrix: lane l receives elements 2(l%4)
// and 2(l%4)+1 of row l/4 of each matrix; transposed, of column l/4.
inline void emulate_ldmatrix(unsigned (&r)[4], const void *row, bool transposed, const void *site) {
	emulate::Slots &s = emulate::slots();
	int lane = threadIdx.x & 31;
	s.lane[lane][0] = (uint64_t)row;
	emulate::warp_barrier(site);
	for (int m = 0; m < 4; m++) {
		int x = lane / 4, y = 2 * (lane % 4);
		const uint16_t *a = (const uint16_t *)s.lane[8 * m + (transposed ? y : x)][0], *b = (const uint16_t *)s.lane[8 * m + (transposed ? y + 1 : x)][0];
		r[m] = transposed ? a[x] | (unsigned)b[x] << 16 : a[y] | (unsigned)a[y + 1] << 16;
	}
	emulate::warp_barrier(site); // nobody overwrites what another still reads
}
#define ldmatrix(r, row) emulate_ldmatrix(r, row, false, (const void *)(0x200000 + __COUNTER__))
#define ldmatrix_trans(r, row) emulate_ldmatrix(r, row, true, (const void *)(0x200000 + __COUNTER__))

// mma: A's four registers of lane l hold rows l/4 and l/4+8 of columns
// 2(l%4), +1 and, in the last two, 8 more; B's two hold rows 2(l%4), +1 and 8
// more of column l/4; C's four hold columns 2(l%4), +1 of rows l/4, l/4+8.
template <int TYPE> void emulate_mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const void *site) {
	emulate::Slots &s = emulate::slots();
	int lane = threadIdx.x & 31;
	uint64_t *mine = s.lane[lane];
	mine[0] = a[0] | (uint64_t)a[1] << 32;
	mine[1] = a[2] | (uint64_t)a[3] << 32;
	mine[2] = b0 | (uint64_t)b1 << 32;
	emulate::warp_barrier(site);
	for (int half = 0; half < 2; half++) // k below 8, then above
		for (int k = 0; k < 4; k++) {
			unsigned low = (unsigned)(s.lane[lane / 4 * 4 + k][half] & 0xffffffff), high = (unsigned)(s.lane[lane / 4 * 4 + k][half] >> 32);
			for (int j = 0; j < 2; j++) {
				unsigned w = (unsigned)(s.lane[(2 * (lane % 4) + j) * 4 + k][2] >> 32 * half);
				for (int e = 0; e < 2; e++) {
					uint16_t x = (uint16_t)(low >> 16 * e), y = (uint16_t)(high >> 16 * e), z = (uint16_t)(w >> 16 * e);
					float v = TYPE == 2 ? from_bf16(z) : from_f16(z);
					c[j] += (TYPE == 2 ? from_bf16(x) : from_f16(x)) * v;
					c[2 + j] += (TYPE == 2 ? from_bf16(y) : from_f16(y)) * v;
				}
			}
		}
}
template <int TYPE> void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
	emulate_mma<TYPE>(c, a, b0, b1, (const void *)0x300000);
}

#define DYNAMIC_SHARED(name) unsigned char *name = (unsigned char *)emulate::shared_memory()

#endif
