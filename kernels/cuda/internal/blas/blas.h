// What is used of cuBLASLt, declared by ourselves: opaque handles, and
// enumerations whose values have been the same since CUDA 11.
#include <stddef.h>
#include <stdint.h>

enum { LT_INVALID_VALUE = 7, LT_NOT_SUPPORTED = 15 };

typedef struct {
	uint64_t algorithm[8];
	size_t workspace;
	int status;
	float waves;
	int reserved[4];
} lt_result; // cublasLtMatmulHeuristicResult_t

typedef struct {
	size_t (*version)(void);
	int (*create)(void **handle);
	int (*destroy)(void *handle);
	int (*desc_create)(void **desc, int compute, int scale);
	int (*desc_destroy)(void *desc);
	int (*desc_set)(void *desc, int attribute, const void *value, size_t size);
	int (*layout_create)(void **layout, int type, uint64_t rows, uint64_t cols, int64_t ld);
	int (*layout_destroy)(void *layout);
	int (*layout_set)(void *layout, int attribute, const void *value, size_t size);
	int (*preference_create)(void **preference);
	int (*preference_destroy)(void *preference);
	int (*preference_set)(void *preference, int attribute, const void *value, size_t size);
	int (*heuristic)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference, int asked, lt_result *results, int *got);
	int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *al, const void *b, void *bl, const void *beta,
		const void *c, void *cl, void *d, void *dl, const void *algorithm, void *workspace, size_t size, void *stream);
} lt_library; // functions in the order of their names in blas.go

// A column-major product.
typedef struct {
	int ta, tb, at, bt, ct, compute, batch, bias;
	int64_t m, n, k, lda, ldb, ldc, sa, sb, sc;
	uint32_t align_a, align_b, align_c;
	size_t workspace;
} lt_shape;

typedef struct {
	void *desc, *a, *b, *c;
	lt_result result;
	int bias;
} lt_plan;

size_t lt_version(lt_library *lib);
int lt_create(lt_library *lib, void **handle);
int lt_destroy(lt_library *lib, void *handle);
int lt_prepare(lt_library *lib, void *handle, const lt_shape *shape, lt_plan **plan);
int lt_run(lt_library *lib, void *handle, lt_plan *plan, float alpha, float beta, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t bias, uintptr_t workspace, void *stream);
void lt_drop(lt_library *lib, lt_plan *plan);
