// The C side of the CPU backend. Every function works on one thread and on a
// range that Go chose; the same bodies are compiled once per instruction-set
// tier (tier_*.c), and cpu_select picks a table of them at run time.
#ifndef DPOLAB_CPU_H
#define DPOLAB_CPU_H
#include <stddef.h>
#include <stdint.h>

// Element types, numbered as in package dtype.
// PAIRS is bfloat16 that a product takes two at a time, by instructions of the
// processor's own, instead of widening it.
enum { F32 = 1, BF16 = 2, F16 = 3, I32 = 4, I64 = 5, PAIRS = 16 };

enum {
	GEMM_SCRATCH = 1024 * 1024, // floats that a thread of a product has for a block of A and for sums
	GEMM_DEPTH = 512,           // words along the depth of a packed block of A
	GEMM_APART = 16,            // words between packed panels of A
	GEMM_BLOCK = 256,           // steps along K that share a scale, at most
	GEMM_GROUP = 8,             // panels that are quantised together
	GEMM_MARGIN = 16,           // words that packing may write after a panel
	GEMM_STRETCH = 512,         // rows of an operand whose magnitudes are looked through together
	GEMM_WAYS = 5,              // of a tier, at most, and one that ends the list
};

typedef struct {
	void *p;
	int32_t type;
} arr;

// gemm_blocks is what a product in block-scaled int16 has beside its arguments
// (body_int16.h). Operand 0 is A, of which rows are packed, and operand 1 is B, of
// which columns are.
typedef struct {
	int64_t size, count;  // steps of a block, even, of which the last may be shorter; how many blocks
	int64_t panels[2];    // how many, of whole groups
	int32_t *wide;        // of each block: -1, or the number of blocks before it that have tiles in float32
	int32_t *live;        // of each block: steps at which neither operand is zero throughout
	int64_t wides;        // blocks that have tiles in float32
	uint16_t *tops[2];    // largest magnitude at each step, over GEMM_STRETCH rows: a list for each stretch
	float *factors[2];    // what an operand is multiplied by at each step
	float *heights[2];    // one over an operand's largest magnitude at each step, as powers of two
	float *weights;       // how much an element rounded at each step counts
	float *scales[2];     // of each block, those of all rows, up to whole panels
	float *flat[2];       // of each block, the least flatness of a row of each panel
	float *rough[2];      // of each block, the most that is rounded of a row of each panel
	float *narrow[2];     // panels of int16 pairs
	float *broad[2];      // panels of float32, of blocks that have tiles in it
} gemm_blocks;

// C[m,n] = alpha*op(A)*op(B) + beta*C + bias, row-major, as GemmArgs.
typedef struct {
	arr a, b, c, bias;
	int64_t m, n, k, lda, ldb, ldc;
	int32_t ta, tb;
	float alpha, beta;
	float *pb; // packed B
	gemm_blocks *blocks;
} gemm_args;

typedef struct {
	int32_t qs, qe, ks, ke, ps, pe;
} segment;

typedef struct {
	arr x;
	int64_t row, head;
} heads;

typedef struct {
	heads out, q, k, v, dout, dq, dk, dv;
	float *lse;
	int64_t nheads, kvheads, dim;
	float scale;
	const segment *segs;
	int64_t nsegs;
	int64_t head; // query head (forward) or key-value head (backward) of this call
	int64_t lo, hi; // key rows this group of segments touches (backward)
	int64_t ldd, lds; // distances of rows of heads and of scores in work
	int32_t fresh;  // whether gradients are stored instead of added
	float *work;
} attention_args;

typedef struct {
	// Complements such as 1 - beta are taken in double, before rounding.
	float lr, b1, b2, rest1, rest2, eps, decay, wd, c1, c2, momentum, scale;
	int32_t nesterov, first;
} update_args;

// gemm_way is a way of computing products: how operands are packed, and what
// takes the products of packed ones. A tier's first takes operands of every type,
// widened to float32; the others those of two bfloat16 matrices.
typedef struct {
	const char *name;  // as DPOLAB_BF16 gives it
	const char *takes; // the instruction behind it
	int (*able)(void); // whether this processor has it
	int32_t mr, nr;    // its tile
	int32_t pairs;     // whether it takes operands as PAIRS, two to a word
	int32_t fill;      // a packed depth is filled up to a multiple of so many words; 0 is 1
	int32_t blocks;    // whether it takes gemm_blocks, and has no pack of its own
	void (*pack)(const gemm_args *g, int64_t j0, int64_t j1);
	void (*rows)(const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa);
} gemm_way;

typedef struct {
	const char *name;
	void (*convert)(arr dst, arr src, int64_t n);
	void (*fill)(arr dst, double v, int64_t n);
	void (*unary)(int op, arr dst, arr x, int64_t n);
	void (*unary_grad)(int op, arr dx, arr dy, arr x, int64_t n);
	// one operand may be a single element (step 0)
	void (*binary)(int op, arr dst, arr a, arr b, int64_t n, int sa, int sb);
	void (*affine)(arr dst, arr x, float mul, float add, int64_t n);
	void (*add_scaled)(arr dst, float alpha, arr x, int64_t n);
	void (*scatter_add)(arr dst, arr src, const int32_t *index, const int32_t *order, int64_t lo, int64_t hi, int64_t width);
	double (*sum_squares)(arr x, int64_t n);
	void (*reduce_rows)(int op, arr dst, arr src, int64_t rows, int64_t mid);
	void (*reduce_cols)(int op, arr dst, arr src, int64_t mid, int64_t inner, int64_t lo, int64_t hi);
	void (*softmax)(arr dst, arr x, int64_t rows, int64_t cols, int log);
	void (*softmax_grad)(arr dx, arr dy, arr y, int64_t rows, int64_t cols, int log);
	int32_t mr, nr; // tile of float32 products
	gemm_way ways[GEMM_WAYS]; // after the last, one without a name
	void (*int16_tops)(const gemm_args *g, int operand, int64_t stretch, int64_t block);
	void (*int16_balance)(const gemm_args *g);
	void (*int16_pack)(const gemm_args *g, int operand, int64_t group, float *scratch);
	int64_t (*int16_decide)(const gemm_args *g);
	void (*int16_widen)(const gemm_args *g, int operand, int64_t group);
	void (*gemm_few)(const gemm_args *g, int64_t j0, int64_t j1);
	// x is x0 + res, stored there first, if res is given
	void (*layer_norm)(arr y, float *mean, float *rstd, arr x, arr x0, arr res, arr w, arr b, int64_t rows, int64_t cols, float eps);
	void (*rms_norm)(arr y, float *rstd, arr x, arr x0, arr res, arr w, int64_t rows, int64_t cols, float eps);
	// mean is null for rms_norm's; dw, db and res may be
	void (*norm_grad)(arr dx, float *dw, float *db, arr res, arr dy, arr x, arr w, const float *mean, const float *rstd, int64_t rows, int64_t cols);
	void (*rotary)(heads y, heads x, arr cos, arr sin, const int32_t *pos, int64_t lo, int64_t hi, int64_t nheads, int64_t hd, int64_t dim, int grad);
	void (*swiglu)(arr y, arr gate, arr up, int64_t n);
	void (*swiglu_grad)(arr dgate, arr dup, arr dy, arr gate, arr up, int64_t n);
	void (*attention)(const attention_args *a);
	void (*attention_grad)(const attention_args *a);
	void (*logprob_chunk)(const float *logits, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, float *max, float *sum, float *picked);
	void (*logprob_grad_chunk)(const float *logits, arr grad, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, const float *lse, const float *dout);
	void (*adamw)(float *p, const float *g, float *m, float *v, int64_t n, const update_args *u);
	void (*rmsprop)(float *p, const float *g, float *sq, float *mom, float *avg, int64_t n, const update_args *u);
	void (*sgd)(float *p, const float *g, float *mom, int64_t n, const update_args *u);
} cpu_ops;

extern const cpu_ops cpu_ops_portable;
#if defined(__x86_64__)
extern const cpu_ops cpu_ops_avx2, cpu_ops_avx512;
#elif defined(__aarch64__)
extern const cpu_ops cpu_ops_neon;
#endif

// cpu_select returns the tier of that name, or the best one for an empty name;
// NULL if this processor cannot run it.
const cpu_ops *cpu_select(const char *name);

// What ways of computing products want: nothing, beyond their tier; vdpbf16ps;
// vpdpwssd on 512 bits, and on 256 where there are no more; tdpbf16ps, which the
// system must let the process use.
int cpu_is_able(void);
int cpu_has_bf16(void);
int cpu_has_vnni(void);
int cpu_has_avx_vnni(void);
int cpu_has_amx(void);

// cpu_alloc takes memory from the system, to be given back by free. Large blocks
// are aligned to the processor's large pages and ask for those: they are cleared
// and found far faster than small ones, and lie in one piece in the caches.
void *cpu_alloc(size_t n);

// cpu_thread_time is what the calling thread has had of processors, in nanoseconds.
int64_t cpu_thread_time(void);

// Calls through the table, for cgo.
void call_convert(const cpu_ops *o, arr dst, arr src, int64_t n);
void call_fill(const cpu_ops *o, arr dst, double v, int64_t n);
void call_unary(const cpu_ops *o, int op, arr dst, arr x, int64_t n);
void call_unary_grad(const cpu_ops *o, int op, arr dx, arr dy, arr x, int64_t n);
void call_binary(const cpu_ops *o, int op, arr dst, arr a, arr b, int64_t n, int sa, int sb);
void call_affine(const cpu_ops *o, arr dst, arr x, float mul, float add, int64_t n);
void call_add_scaled(const cpu_ops *o, arr dst, float alpha, arr x, int64_t n);
void call_scatter_add(const cpu_ops *o, arr dst, arr src, const int32_t *index, const int32_t *order, int64_t lo, int64_t hi, int64_t width);
double call_sum_squares(const cpu_ops *o, arr x, int64_t n);
void call_reduce_rows(const cpu_ops *o, int op, arr dst, arr src, int64_t rows, int64_t mid);
void call_reduce_cols(const cpu_ops *o, int op, arr dst, arr src, int64_t mid, int64_t inner, int64_t lo, int64_t hi);
void call_softmax(const cpu_ops *o, arr dst, arr x, int64_t rows, int64_t cols, int log);
void call_softmax_grad(const cpu_ops *o, arr dx, arr dy, arr y, int64_t rows, int64_t cols, int log);
void call_int16_tops(const cpu_ops *o, const gemm_args *g, int operand, int64_t stretch, int64_t block);
void call_int16_balance(const cpu_ops *o, const gemm_args *g);
void call_int16_pack(const cpu_ops *o, const gemm_args *g, int operand, int64_t group, float *scratch);
int64_t call_int16_decide(const cpu_ops *o, const gemm_args *g);
void call_int16_widen(const cpu_ops *o, const gemm_args *g, int operand, int64_t group);
int call_gemm_able(const gemm_way *w);
void call_gemm_pack(const gemm_way *w, const gemm_args *g, int64_t j0, int64_t j1);
void call_gemm_rows(const gemm_way *w, const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa);
void call_gemm_few(const cpu_ops *o, const gemm_args *g, int64_t j0, int64_t j1);
void call_layer_norm(const cpu_ops *o, arr y, float *mean, float *rstd, arr x, arr x0, arr res, arr w, arr b, int64_t rows, int64_t cols, float eps);
void call_rms_norm(const cpu_ops *o, arr y, float *rstd, arr x, arr x0, arr res, arr w, int64_t rows, int64_t cols, float eps);
void call_norm_grad(const cpu_ops *o, arr dx, float *dw, float *db, arr res, arr dy, arr x, arr w, const float *mean, const float *rstd, int64_t rows, int64_t cols);
void call_rotary(const cpu_ops *o, heads y, heads x, arr cos, arr sin, const int32_t *pos, int64_t lo, int64_t hi, int64_t nheads, int64_t hd, int64_t dim, int grad);
void call_swiglu(const cpu_ops *o, arr y, arr gate, arr up, int64_t n);
void call_swiglu_grad(const cpu_ops *o, arr dgate, arr dup, arr dy, arr gate, arr up, int64_t n);
void call_attention(const cpu_ops *o, const attention_args *a);
void call_attention_grad(const cpu_ops *o, const attention_args *a);
void call_logprob_chunk(const cpu_ops *o, const float *logits, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, float *max, float *sum, float *picked);
void call_logprob_grad_chunk(const cpu_ops *o, const float *logits, arr grad, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, const float *lse, const float *dout);
void call_adamw(const cpu_ops *o, float *p, const float *g, float *m, float *v, int64_t n, const update_args *u);
void call_rmsprop(const cpu_ops *o, float *p, const float *g, float *sq, float *mom, float *avg, int64_t n, const update_args *u);
void call_sgd(const cpu_ops *o, float *p, const float *g, float *mom, int64_t n, const update_args *u);

#endif
