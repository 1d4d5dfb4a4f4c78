#include <cuda.h>

// Opens the driver library and fills the table. Returns 0, the driver's error
// code, or -1 with a message when the library cannot be opened.
int shim_load(const char *path, char *message, int size);

// Whether the loaded library has a function that the table names.
int shim_has(const char *name);

CUresult shim_launch(CUcontext ctx, CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned threads, unsigned shared, CUstream stream, void *args, size_t size);

// Loads an image (PTX text ending in NUL, or a cubin); log receives the compiler's words.
CUresult shim_module(CUcontext ctx, CUmodule *module, const void *image, char *log, size_t size);

CUresult shim_host_alloc(CUcontext ctx, void **p, size_t n);
CUresult shim_function_shared(CUcontext ctx, CUfunction f, int bytes);
