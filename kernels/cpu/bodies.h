// All kernel bodies, compiled once per tier. The including file sets the
// target, TIER, VW (floats per vector), and the GEMM tile MR × NRV vectors.
#include "cpu.h"
#include <math.h>
#include <string.h>
#if HAVE_F16C
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define NAME2(a, b) a##b
#define NAME1(a, b) NAME2(a, b)
#define STR2(a) #a
#define STR1(a) STR2(a)

typedef float vf __attribute__((vector_size(VW * 4), aligned(4), may_alias));
typedef uint16_t vh __attribute__((vector_size(VW * 2), aligned(2), may_alias));
typedef uint32_t vu __attribute__((vector_size(VW * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(VW * 4), aligned(4), may_alias));

// Elements per block that a kernel widens to float32 at a time: small enough
// for the first-level cache, large enough to hide the loop around it.
enum { BLOCK = 512 };

#include "body_math.h"
#include "body_convert.h"
#include "body_elementwise.h"
#include "body_reduce.h"
enum { NR = NRV * VW };
#include "body_pack.h"
#include "body_tile.h"
#include "body_gemm.h"
#if HAVE_AMX
#include "body_amx.h"
#endif
#include "body_direct.h"
#if HAVE_INT16
#include "body_int16.h"
#endif
#include "body_norm.h"
#include "body_rotary.h"
#include "body_attention.h"
#include "body_logprob.h"
#include "body_update.h"

const cpu_ops NAME1(cpu_ops_, TIER) = {
	.name = STR1(TIER),
	.convert = convert,
	.fill = fill,
	.unary = unary,
	.unary_grad = unary_grad,
	.binary = binary,
	.affine = affine,
	.add_scaled = add_scaled,
	.scatter_add = scatter_add,
	.sum_squares = sum_squares,
	.reduce_rows = reduce_rows,
	.reduce_cols = reduce_cols,
	.softmax = softmax,
	.softmax_grad = softmax_grad,
	.mr = MR,
	.nr = NR,
	.ways = {
		{.name = "widen", .takes = "float32", .able = cpu_is_able, .mr = MR, .nr = NR, .pack = gemm_pack, .rows = gemm_rows},
#if HAVE_BF16
		{.name = "native", .takes = "vdpbf16ps", .able = cpu_has_bf16, .mr = MR, .nr = NR, .pairs = 1, .pack = gemm_pack, .rows = pairs_rows},
#endif
#if HAVE_AMX
		{.name = "amx", .takes = "tdpbf16ps", .able = cpu_has_amx, .mr = AMX_ROWS, .nr = NR, .pairs = 1, .fill = AMX_PAIRS, .pack = amx_pack, .rows = amx_rows},
#endif
#if HAVE_INT16 && VW == 16
		{.name = "int16", .takes = "vpdpwssd", .able = cpu_has_vnni, .mr = MR, .nr = NR, .blocks = 1, .rows = rows_dot},
#elif HAVE_INT16
		{.name = "int16", .takes = "vpdpwssd", .able = cpu_has_avx_vnni, .mr = MR, .nr = NR, .blocks = 1, .rows = rows_dot},
		{.name = "int16", .takes = "vpmaddwd", .able = cpu_is_able, .mr = MR, .nr = NR, .blocks = 1, .rows = rows_madd},
#endif
	},
#if HAVE_INT16
	.int16_tops = int16_tops,
	.int16_balance = int16_balance,
	.int16_pack = int16_pack,
	.int16_decide = int16_decide,
	.int16_widen = int16_widen,
#endif
	.gemm_few = gemm_few,
	.layer_norm = layer_norm,
	.rms_norm = rms_norm,
	.norm_grad = norm_grad,
	.rotary = rotary,
	.swiglu = swiglu,
	.swiglu_grad = swiglu_grad,
	.attention = attention,
	.attention_grad = attention_grad,
	.logprob_chunk = logprob_chunk,
	.logprob_grad_chunk = logprob_grad_chunk,
	.adamw = adamw,
	.rmsprop = rmsprop,
	.sgd = sgd,
};
