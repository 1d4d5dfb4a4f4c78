/* cuBLASLt without a GPU: products are plain loops, queued on the fake driver's
   streams. It takes what the real library takes of what the program asks for:
   operands of one type, float32 sums, results of the operands' type or float32,
   a bias of the result's type. Sums are cut in two, whose halves are joined in the
   result's type unless that is forbidden. */
#include "fake.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68, COMPUTE_TF32 = 77 };
enum { DESC = 0xde5c, LAYOUT = 0x1a70, PREFERENCE = 0x93ef, HANDLE = 0x4a2d };

struct desc { int magic, compute, scale, ta, tb, epilogue; void *bias; };
struct layout { int magic, type, batch; uint64_t rows, cols; int64_t ld, stride; };
struct preference { int magic; uint64_t workspace; uint32_t align[4], schemes; };
struct result { uint64_t algo[8]; size_t workspace; int status; float waves; int reserved[4]; };

API size_t cublasLtGetVersion(void) { return 130000; }
API int cublasLtCreate(void **h) { int *p = malloc(sizeof *p); *p = HANDLE; *h = p; return OK; }
API int cublasLtDestroy(void *h) { *(int *)h = 0; free(h); return OK; }

API int cublasLtMatmulDescCreate(void **out, int compute, int scale) {
	if ((compute != COMPUTE_32F && compute != COMPUTE_TF32) || scale != R_32F)
		return NOT_SUPPORTED;
	struct desc *d = calloc(1, sizeof *d);
	*d = (struct desc){DESC, compute, scale, 0, 0, 1, 0};
	*out = d;
	return OK;
}
API int cublasLtMatmulDescDestroy(void *d) { ((struct desc *)d)->magic = 0; free(d); return OK; }
API int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t size) {
	struct desc *d = desc;
	switch (attribute) {
	case 3: if (size != 4) return INVALID_VALUE; memcpy(&d->ta, value, 4); return OK;
	case 4: if (size != 4) return INVALID_VALUE; memcpy(&d->tb, value, 4); return OK;
	case 7: if (size != 4) return INVALID_VALUE; memcpy(&d->epilogue, value, 4); return OK;
	case 8: if (size != 8) return INVALID_VALUE; memcpy(&d->bias, value, 8); return OK;
	}
	return INVALID_VALUE;
}
API int cublasLtMatrixLayoutCreate(void **out, int type, uint64_t rows, uint64_t cols, int64_t ld) {
	struct layout *l = calloc(1, sizeof *l);
	*l = (struct layout){LAYOUT, type, 1, rows, cols, ld, 0};
	*out = l;
	return OK;
}
API int cublasLtMatrixLayoutDestroy(void *l) { ((struct layout *)l)->magic = 0; free(l); return OK; }
API int cublasLtMatrixLayoutSetAttribute(void *layout, int attribute, const void *value, size_t size) {
	struct layout *l = layout;
	switch (attribute) {
	case 5: if (size != 4) return INVALID_VALUE; memcpy(&l->batch, value, 4); return OK;
	case 6: if (size != 8) return INVALID_VALUE; memcpy(&l->stride, value, 8); return OK;
	}
	return INVALID_VALUE;
}
API int cublasLtMatmulPreferenceCreate(void **out) {
	struct preference *p = calloc(1, sizeof *p);
	p->magic = PREFERENCE;
	p->schemes = 7;
	for (int i = 0; i < 4; i++)
		p->align[i] = 256;
	*out = p;
	return OK;
}
API int cublasLtMatmulPreferenceDestroy(void *p) { free(p); return OK; }
API int cublasLtMatmulPreferenceSetAttribute(void *preference, int attribute, const void *value, size_t size) {
	struct preference *p = preference;
	if (attribute == 1 && size == 8)
		return memcpy(&p->workspace, value, 8), OK;
	if (attribute == 3 && size == 4)
		return memcpy(&p->schemes, value, 4), OK;
	if (attribute >= 5 && attribute <= 8 && size == 4)
		return memcpy(&p->align[attribute - 5], value, 4), OK;
	return INVALID_VALUE;
}

static int elem(int type) { return type == R_32F ? 4 : 2; }

static int check(const struct desc *d, const struct layout *a, const struct layout *b, const struct layout *c) {
	if (d->magic != DESC || a->magic != LAYOUT || b->magic != LAYOUT || c->magic != LAYOUT)
		return INVALID_VALUE;
	if (a->type != b->type || (c->type != a->type && c->type != R_32F))
		return NOT_SUPPORTED;
	if (d->compute == COMPUTE_TF32 && a->type != R_32F)
		return NOT_SUPPORTED;
	uint64_t m = d->ta ? a->cols : a->rows, k = d->ta ? a->rows : a->cols, k2 = d->tb ? b->cols : b->rows, n = d->tb ? b->rows : b->cols;
	if (!m || !n || !k || k != k2 || c->rows != m || c->cols != n || a->batch != b->batch || a->batch != c->batch)
		return INVALID_VALUE;
	if (a->ld < (int64_t)a->rows || b->ld < (int64_t)b->rows || c->ld < (int64_t)c->rows)
		return INVALID_VALUE;
	return OK;
}
/* The algorithm carries the alignments it was asked for, so that a later product
   with worse ones is found out. */
API int cublasLtMatmulAlgoGetHeuristic(void *h, void *desc, void *a, void *b, void *c, void *d, void *preference, int asked, struct result *results, int *got) {
	int code = check(desc, a, b, c);
	*got = 0;
	if (code)
		return code;
	struct preference *p = preference;
	if (asked < 1 || *(int *)h != HANDLE || p->magic != PREFERENCE)
		return INVALID_VALUE;
	memset(results, 0, sizeof *results);
	for (int i = 0; i < 4; i++)
		results->algo[i] = p->align[i];
	results->algo[4] = 0xa190;
	results->algo[5] = p->schemes;
	results->workspace = p->workspace < 4096 ? 0 : 4096;
	*got = 1;
	return OK;
}

static float half(uint16_t h) { _Float16 x; memcpy(&x, &h, 2); return (float)x; }
static float load(const void *p, int type, int64_t i) {
	if (type == R_32F)
		return ((const float *)p)[i];
	uint16_t h = ((const uint16_t *)p)[i];
	if (type == R_16F)
		return half(h);
	uint32_t w = (uint32_t)h << 16;
	float x;
	memcpy(&x, &w, 4);
	return x;
}
static void store(void *p, int type, int64_t i, float x) {
	if (type == R_32F) {
		((float *)p)[i] = x;
	} else if (type == R_16F) {
		_Float16 h = (_Float16)x;
		memcpy((uint16_t *)p + i, &h, 2);
	} else {
		uint32_t w;
		memcpy(&w, &x, 4);
		((uint16_t *)p)[i] = x != x ? 0x7fc0 : (uint16_t)((w + 0x7fff + (w >> 16 & 1)) >> 16);
	}
}
static float tf32(float x) {
	uint32_t w;
	memcpy(&w, &x, 4);
	if ((w >> 23 & 255) != 255)
		w = (w + 0xfff + (w >> 13 & 1)) & ~0x1fffu;
	memcpy(&x, &w, 4);
	return x;
}

struct job { struct desc d; struct layout a, b, c; float alpha, beta; const char *pa, *pb; char *pc; int narrow; /* halves are joined in the result's type */ };

static void product(void *arg) {
	struct job *j = arg;
	uint64_t m = j->c.rows, n = j->c.cols, k = j->d.ta ? j->a.rows : j->a.cols;
	float *wide = malloc(m * k * sizeof *wide); double *sums = malloc(m * sizeof *sums);
	for (int q = 0; q < j->a.batch; q++) {
		const char *pa = j->pa + q * j->a.stride * elem(j->a.type), *pb = j->pb + q * j->b.stride * elem(j->b.type);
		char *pc = j->pc + q * j->c.stride * elem(j->c.type);
		for (uint64_t l = 0; l < k; l++) /* op(A), column by column */
			for (uint64_t i = 0; i < m; i++) {
				float x = load(pa, j->a.type, j->d.ta ? l + i * j->a.ld : i + l * j->a.ld);
				wide[l * m + i] = j->d.compute == COMPUTE_TF32 ? tf32(x) : x;
			}
		for (uint64_t c = 0; c < n; c++) {
			memset(sums, 0, m * sizeof *sums);
			for (uint64_t l = 0; l < k; l++) {
				for (uint64_t i = 0; i < m && j->narrow && l == k / 2; i++) {
					float half;
					store(&half, j->c.type, 0, (float)sums[i]);
					sums[i] = load(&half, j->c.type, 0);
				}
				float y = load(pb, j->b.type, j->d.tb ? c + l * j->b.ld : l + c * j->b.ld);
				if (j->d.compute == COMPUTE_TF32)
					y = tf32(y);
				const float *col = wide + l * m;
				for (uint64_t i = 0; i < m; i++)
					sums[i] += (double)col[i] * y;
			}
			for (uint64_t i = 0; i < m; i++) {
				float x = (float)(j->alpha * sums[i]);
				if (j->beta != 0)
					x += j->beta * load(pc, j->c.type, i + c * j->c.ld);
				if (j->d.epilogue == 4)
					x += load(j->d.bias, j->c.type, i);
				store(pc, j->c.type, i + c * j->c.ld, x);
			}
		}
	}
	free(wide);
	free(sums);
	free(j);
}

API int cublasLtMatmul(void *h, void *desc, const void *alpha, const void *a, void *al, const void *b, void *bl, const void *beta,
	const void *c, void *cl, void *d, void *dl, const void *algo, void *workspace, size_t size, void *stream) {
	int code = check(desc, al, bl, cl);
	if (code)
		return code;
	const uint64_t *w = algo;
	const void *p[] = {a, b, c, d};
	if (*(int *)h != HANDLE || c != d || cl != dl || w[4] != 0xa190 || (size && !workspace))
		return INVALID_VALUE;
	for (int i = 0; i < 4; i++)
		if ((uintptr_t)p[i] % w[i]) {
			fprintf(stderr, "fake cuBLASLt: operand %d at %p is not aligned to %d\n", i, p[i], (int)w[i]);
			return INVALID_VALUE;
		}
	struct job *j = malloc(sizeof *j);
	*j = (struct job){*(struct desc *)desc, *(struct layout *)al, *(struct layout *)bl, *(struct layout *)cl, *(const float *)alpha, *(const float *)beta, a, b, d, (w[5] & 5) != 0};
	if (j->d.epilogue != 1 && (j->d.epilogue != 4 || !j->d.bias))
		return INVALID_VALUE;
	fake_launch(stream, product, j);
	return OK;
}
