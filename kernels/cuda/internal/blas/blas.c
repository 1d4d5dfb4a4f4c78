#include "blas.h"
#include <stdlib.h>

enum { TRANSA = 3, TRANSB = 4, EPILOGUE = 7, BIAS_POINTER = 8 };        // of a description
enum { BATCH_COUNT = 5, BATCH_STRIDE = 6 };                               // of a layout
enum { MAX_WORKSPACE = 1, REDUCTION_SCHEMES = 3, ALIGN_A = 5, ALIGN_B = 6, ALIGN_C = 7, ALIGN_D = 8 }; // of a preference
enum { EPILOGUE_BIAS = 4, REAL_32F = 0 };

size_t lt_version(lt_library *lib) { return lib->version(); }
int lt_create(lt_library *lib, void **handle) { return lib->create(handle); }
int lt_destroy(lt_library *lib, void *handle) { return lib->destroy(handle); }

static int layout(lt_library *lib, void **out, int type, int trans, int64_t rows, int64_t cols, int64_t ld, int batch, int64_t stride) {
	int code = lib->layout_create(out, type, trans ? cols : rows, trans ? rows : cols, ld);
	if (!code && batch > 1) {
		code = lib->layout_set(*out, BATCH_COUNT, &batch, sizeof batch);
		if (!code)
			code = lib->layout_set(*out, BATCH_STRIDE, &stride, sizeof stride);
	}
	return code;
}

void lt_drop(lt_library *lib, lt_plan *p) {
	if (!p)
		return;
	if (p->desc)
		lib->desc_destroy(p->desc);
	void *layouts[] = {p->a, p->b, p->c};
	for (int i = 0; i < 3; i++)
		if (layouts[i])
			lib->layout_destroy(layouts[i]);
	free(p);
}

int lt_prepare(lt_library *lib, void *handle, const lt_shape *s, lt_plan **out) {
	lt_plan *p = calloc(1, sizeof *p);
	void *preference = 0;
	int code = lib->desc_create(&p->desc, s->compute, REAL_32F);
	if (!code)
		code = lib->desc_set(p->desc, TRANSA, &s->ta, sizeof s->ta);
	if (!code)
		code = lib->desc_set(p->desc, TRANSB, &s->tb, sizeof s->tb);
	if (!code && s->bias) {
		const int epilogue = EPILOGUE_BIAS;
		void *somewhere = (void *)(uintptr_t)256; // the heuristic asks whether there is one
		code = lib->desc_set(p->desc, EPILOGUE, &epilogue, sizeof epilogue);
		if (!code)
			code = lib->desc_set(p->desc, BIAS_POINTER, &somewhere, sizeof somewhere);
		p->bias = 1;
	}
	if (!code)
		code = layout(lib, &p->a, s->at, s->ta, s->m, s->k, s->lda, s->batch, s->sa);
	if (!code)
		code = layout(lib, &p->b, s->bt, s->tb, s->k, s->n, s->ldb, s->batch, s->sb);
	if (!code)
		code = layout(lib, &p->c, s->ct, 0, s->m, s->n, s->ldc, s->batch, s->sc);
	if (!code)
		code = lib->preference_create(&preference);
	if (!code) {
		const struct { int attribute; uint32_t bytes; } alignments[] = {{ALIGN_A, s->align_a}, {ALIGN_B, s->align_b}, {ALIGN_C, s->align_c}, {ALIGN_D, s->align_c}};
		uint64_t workspace = s->workspace;
		code = lib->preference_set(preference, MAX_WORKSPACE, &workspace, sizeof workspace);
		// Where a sum is cut into parts, they are joined in the type it is taken in.
		// Otherwise the library may join them in the result's, 16 bits.
		const uint32_t schemes = 2;
		if (!code)
			code = lib->preference_set(preference, REDUCTION_SCHEMES, &schemes, sizeof schemes);
		for (int i = 0; i < 4 && !code; i++)
			code = lib->preference_set(preference, alignments[i].attribute, &alignments[i].bytes, sizeof alignments[i].bytes);
	}
	int got = 0;
	if (!code)
		code = lib->heuristic(handle, p->desc, p->a, p->b, p->c, p->c, preference, 1, &p->result, &got);
	if (!code && got == 0)
		code = LT_NOT_SUPPORTED;
	if (preference)
		lib->preference_destroy(preference);
	if (code) {
		lt_drop(lib, p);
		p = 0;
	}
	*out = p;
	return code;
}

int lt_run(lt_library *lib, void *handle, lt_plan *p, float alpha, float beta, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t bias, uintptr_t workspace, void *stream) {
	if (p->bias) {
		int code = lib->desc_set(p->desc, BIAS_POINTER, &bias, sizeof bias);
		if (code)
			return code;
	}
	// The library's A is our B and the other way round.
	return lib->matmul(handle, p->desc, &alpha, (void *)b, p->a, (void *)a, p->b, &beta, (void *)c, p->c, (void *)c, p->c,
		p->result.algorithm, (void *)workspace, p->result.workspace, stream);
}
