// Trampolines: cgo cannot call through the table's pointers itself.
#include "cpu.h"

void call_convert(const cpu_ops *o, arr dst, arr src, int64_t n) { o->convert(dst, src, n); }
void call_fill(const cpu_ops *o, arr dst, double v, int64_t n) { o->fill(dst, v, n); }
void call_unary(const cpu_ops *o, int op, arr dst, arr x, int64_t n) { o->unary(op, dst, x, n); }
void call_unary_grad(const cpu_ops *o, int op, arr dx, arr dy, arr x, int64_t n) { o->unary_grad(op, dx, dy, x, n); }
void call_binary(const cpu_ops *o, int op, arr dst, arr a, arr b, int64_t n, int sa, int sb) { o->binary(op, dst, a, b, n, sa, sb); }
void call_affine(const cpu_ops *o, arr dst, arr x, float mul, float add, int64_t n) { o->affine(dst, x, mul, add, n); }
void call_add_scaled(const cpu_ops *o, arr dst, float alpha, arr x, int64_t n) { o->add_scaled(dst, alpha, x, n); }
void call_scatter_add(const cpu_ops *o, arr dst, arr src, const int32_t *index, const int32_t *order, int64_t lo, int64_t hi, int64_t width) { o->scatter_add(dst, src, index, order, lo, hi, width); }
double call_sum_squares(const cpu_ops *o, arr x, int64_t n) { return o->sum_squares(x, n); }
void call_reduce_rows(const cpu_ops *o, int op, arr dst, arr src, int64_t rows, int64_t mid) { o->reduce_rows(op, dst, src, rows, mid); }
void call_reduce_cols(const cpu_ops *o, int op, arr dst, arr src, int64_t mid, int64_t inner, int64_t lo, int64_t hi) { o->reduce_cols(op, dst, src, mid, inner, lo, hi); }
void call_softmax(const cpu_ops *o, arr dst, arr x, int64_t rows, int64_t cols, int log) { o->softmax(dst, x, rows, cols, log); }
void call_softmax_grad(const cpu_ops *o, arr dx, arr dy, arr y, int64_t rows, int64_t cols, int log) { o->softmax_grad(dx, dy, y, rows, cols, log); }
void call_int16_tops(const cpu_ops *o, const gemm_args *g, int operand, int64_t stretch, int64_t block) { o->int16_tops(g, operand, stretch, block); }
void call_int16_balance(const cpu_ops *o, const gemm_args *g) { o->int16_balance(g); }
void call_int16_pack(const cpu_ops *o, const gemm_args *g, int operand, int64_t group, float *scratch) { o->int16_pack(g, operand, group, scratch); }
int64_t call_int16_decide(const cpu_ops *o, const gemm_args *g) { return o->int16_decide(g); }
void call_int16_widen(const cpu_ops *o, const gemm_args *g, int operand, int64_t group) { o->int16_widen(g, operand, group); }
int call_gemm_able(const gemm_way *w) { return w->able(); }
void call_gemm_pack(const gemm_way *w, const gemm_args *g, int64_t j0, int64_t j1) { w->pack(g, j0, j1); }
void call_gemm_rows(const gemm_way *w, const gemm_args *g, int64_t i0, int64_t i1, int64_t j0, int64_t j1, float *pa) { w->rows(g, i0, i1, j0, j1, pa); }
void call_gemm_few(const cpu_ops *o, const gemm_args *g, int64_t j0, int64_t j1) { o->gemm_few(g, j0, j1); }
void call_layer_norm(const cpu_ops *o, arr y, float *mean, float *rstd, arr x, arr x0, arr res, arr w, arr b, int64_t rows, int64_t cols, float eps) { o->layer_norm(y, mean, rstd, x, x0, res, w, b, rows, cols, eps); }
void call_norm_grad(const cpu_ops *o, arr dx, float *dw, float *db, arr res, arr dy, arr x, arr w, const float *mean, const float *rstd, int64_t rows, int64_t cols) { o->norm_grad(dx, dw, db, res, dy, x, w, mean, rstd, rows, cols); }
void call_rms_norm(const cpu_ops *o, arr y, float *rstd, arr x, arr x0, arr res, arr w, int64_t rows, int64_t cols, float eps) { o->rms_norm(y, rstd, x, x0, res, w, rows, cols, eps); }
void call_rotary(const cpu_ops *o, heads y, heads x, arr cos, arr sin, const int32_t *pos, int64_t lo, int64_t hi, int64_t nheads, int64_t hd, int64_t dim, int grad) { o->rotary(y, x, cos, sin, pos, lo, hi, nheads, hd, dim, grad); }
void call_swiglu(const cpu_ops *o, arr y, arr gate, arr up, int64_t n) { o->swiglu(y, gate, up, n); }
void call_swiglu_grad(const cpu_ops *o, arr dgate, arr dup, arr dy, arr gate, arr up, int64_t n) { o->swiglu_grad(dgate, dup, dy, gate, up, n); }
void call_attention(const cpu_ops *o, const attention_args *a) { o->attention(a); }
void call_attention_grad(const cpu_ops *o, const attention_args *a) { o->attention_grad(a); }
void call_logprob_chunk(const cpu_ops *o, const float *logits, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, float *max, float *sum, float *picked) { o->logprob_chunk(logits, rows, cols, first, labels, max, sum, picked); }
void call_logprob_grad_chunk(const cpu_ops *o, const float *logits, arr grad, int64_t rows, int64_t cols, int64_t first, const int32_t *labels, const float *lse, const float *dout) { o->logprob_grad_chunk(logits, grad, rows, cols, first, labels, lse, dout); }
void call_adamw(const cpu_ops *o, float *p, const float *g, float *m, float *v, int64_t n, const update_args *u) { o->adamw(p, g, m, v, n, u); }
void call_rmsprop(const cpu_ops *o, float *p, const float *g, float *sq, float *mom, float *avg, int64_t n, const update_args *u) { o->rmsprop(p, g, sq, mom, avg, n, u); }
void call_sgd(const cpu_ops *o, float *p, const float *g, float *mom, int64_t n, const update_args *u) { o->sgd(p, g, mom, n, u); }
