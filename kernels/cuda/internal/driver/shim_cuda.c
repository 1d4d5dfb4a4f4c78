//go:build cuda

#define _GNU_SOURCE
#include "shim.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum {
#define X(name) slot_##name,
#include "names.h"
	slots
};
#undef X

static const char *const names[slots] = {
#define X(name) #name,
#include "names.h"
};

// Before a driver is loaded every function says that there is no device; the
// Go bindings initialise the driver as the program starts, and that succeeds.
// A function that the driver turns out to lack is not found.
static CUresult no_device(void) { return CUDA_ERROR_NO_DEVICE; }
static CUresult not_found(void) { return CUDA_ERROR_NOT_FOUND; }
static CUresult succeed(void) { return CUDA_SUCCESS; }

__attribute__((visibility("hidden"))) void *shim_table[slots] = {
	[0 ... slots - 1] = (void *)no_device,
	[slot_cuInit] = (void *)succeed,
};

int shim_load(const char *path, char *message, int size) {
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(message, size, "%s", dlerror());
		return -1;
	}
	CUresult (*init)(unsigned) = (CUresult(*)(unsigned))dlsym(lib, "cuInit");
	if (!init) {
		snprintf(message, size, "no function cuInit");
		return -1;
	}
	CUresult code = init(0);
	if (code != CUDA_SUCCESS) {
		const char *text = 0;
		CUresult (*say)(CUresult, const char **) = (CUresult(*)(CUresult, const char **))dlsym(lib, "cuGetErrorString");
		if (say && say(code, &text) == CUDA_SUCCESS && text)
			snprintf(message, size, "%s", text);
		return code;
	}
	for (int i = 0; i < slots; i++) {
		void *f = dlsym(lib, names[i]);
		shim_table[i] = f ? f : (void *)not_found;
	}
	return 0;
}

int shim_has(const char *name) {
	for (int i = 0; i < slots; i++)
		if (!strcmp(names[i], name))
			return shim_table[i] != (void *)not_found && shim_table[i] != (void *)no_device;
	return 0;
}

// One crossing for the hottest call: the context is made current and the
// arguments go as one packed block.
CUresult shim_launch(CUcontext ctx, CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, CUstream stream, void *args, size_t size) {
	void *extra[] = {(void *)1, args, (void *)2, &size, 0}; // CU_LAUNCH_PARAM_BUFFER_POINTER, _BUFFER_SIZE, _END
	CUresult code = cuCtxSetCurrent(ctx);
	return code != CUDA_SUCCESS ? code : cuLaunchKernel(f, gx, gy, gz, threads, 1, 1, shared, stream, 0, extra);
}

CUresult shim_module(CUcontext ctx, CUmodule *module, const void *image, char *log, size_t size) {
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)size};
	log[0] = 0;
	CUresult code = cuCtxSetCurrent(ctx);
	return code != CUDA_SUCCESS ? code : cuModuleLoadDataEx(module, image, 2, options, values);
}

CUresult shim_host_alloc(CUcontext ctx, void **p, size_t n) {
	CUresult code = cuCtxSetCurrent(ctx);
	return code != CUDA_SUCCESS ? code : cuMemHostAlloc(p, n, 1); // CU_MEMHOSTALLOC_PORTABLE
}

CUresult shim_function_shared(CUcontext ctx, CUfunction f, int bytes) {
	CUresult code = cuCtxSetCurrent(ctx);
	return code != CUDA_SUCCESS ? code : cuFuncSetAttribute(f, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
}
