/* A CUDA driver without a GPU. Device memory is memory of the host, kernels are
   functions emulate_NAME of the libraries that FAKE_CUDA_KERNELS lists, and each
   stream is a queue of work with a thread of its own; with FAKE_CUDA_LAZY=1 there
   are no threads and work is done only when something waits for it, as late as
   the rules allow, so that what nobody waited for is seen not to be done.

   Misuse is an error, never a guess: calls without a context, handles that are
   gone, copies outside of an allocation, launches beyond the chip's limits,
   launches whose arguments point into freed memory.

   FAKE_CUDA_DEVICES (2), FAKE_CUDA_MEMORY (bytes, 1 GiB) and FAKE_CUDA_CAPABILITY
   (90) describe the machine. fake_report writes what is still held. */
#include "driver.h"

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
CUresult broken;
static char first_error[256];

CUresult fail(CUresult code, const char *what) {
	if (!first_error[0])
		snprintf(first_error, sizeof first_error, "%s", what);
	return code;
}

long setting(const char *name, long otherwise) {
	const char *s = getenv(name);
	return s && *s ? atol(s) : otherwise;
}
static int devices(void) { return (int)setting("FAKE_CUDA_DEVICES", 2); }

static struct context contexts[MOST_DEVICES];
__thread struct context *current;

API CUresult cuInit(unsigned flags) { return devices() > 0 ? OK : 100; }
API CUresult cuDriverGetVersion(int *v) { *v = (int)setting("FAKE_CUDA_VERSION", 13000); return OK; }
API CUresult cuDeviceGetCount(int *n) { *n = devices(); return OK; }
API CUresult cuDeviceGet(CUdevice *d, int i) { *d = i; return i >= 0 && i < devices() ? OK : INVALID_DEVICE; }
API CUresult cuDeviceGetName(char *s, int n, CUdevice d) { snprintf(s, n, "Fake GPU %d", d); return OK; }
API CUresult cuDeviceTotalMem_v2(size_t *n, CUdevice d) { *n = setting("FAKE_CUDA_MEMORY", 1 << 30); return OK; }
API CUresult cuDeviceGetPCIBusId(char *s, int n, CUdevice d) { snprintf(s, n, "0000:%02x:00.0", d + 1); return OK; }
API CUresult cuDeviceGetAttribute(int *v, int a, CUdevice d) {
	long capability = setting("FAKE_CUDA_CAPABILITY", 90);
	switch (a) {
	case 1: *v = 1024; break;
	case 8: *v = 48 << 10; break;
	case 10: *v = 32; break;
	case 16: *v = 4; break;
	case 75: *v = capability / 10; break;
	case 76: *v = capability % 10; break;
	case 97: *v = 227 << 10; break;
	default: *v = 1;
	}
	return OK;
}
API CUresult cuDevicePrimaryCtxRetain(void **ctx, CUdevice d) {
	if (d < 0 || d >= devices() || d >= MOST_DEVICES)
		return INVALID_DEVICE;
	contexts[d].magic = CONTEXT_MAGIC;
	contexts[d].device = d;
	contexts[d].users++;
	*ctx = &contexts[d];
	return OK;
}
API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) {
	if (contexts[d].users-- <= 0)
		return fail(INVALID_CONTEXT, "a context released twice");
	return OK;
}
API CUresult cuCtxSetCurrent(void *ctx) { current = ctx; return OK; }
API CUresult cuCtxGetCurrent(void **ctx) { *ctx = current; return OK; }
API CUresult cuDeviceCanAccessPeer(int *can, CUdevice a, CUdevice b) { *can = a != b; return OK; }
API CUresult cuCtxEnablePeerAccess(void *peer, unsigned flags) {
	CONTEXT();
	static char enabled[MOST_DEVICES][MOST_DEVICES];
	char *e = &enabled[current->device][((struct context *)peer)->device];
	if (*e)
		return PEER_ALREADY;
	*e = 1;
	return OK;
}
API CUresult cuGetErrorName(CUresult code, const char **s) { *s = "CUDA_ERROR"; return OK; }
API CUresult cuGetErrorString(CUresult code, const char **s) {
	switch (code) {
	case NO_MEMORY: *s = "out of memory"; break;
	case INVALID_CONTEXT: *s = "invalid device context"; break;
	default: *s = first_error[0] ? first_error : "an error of the fake driver";
	}
	return OK;
}

long live_ranges, live_pinned, live_streams, live_events, live_modules;
void count(long *what, long change) { __atomic_add_fetch(what, change, __ATOMIC_SEQ_CST); }

/* What is held, for tests that look for leaks. */
API void fake_report(char *text, int size) {
	snprintf(text, size, "allocations %ld, pinned %ld, streams %ld, events %ld, modules %ld", live_ranges, live_pinned, live_streams, live_events, live_modules);
}
/* Forgets a failure, which the real driver does not. */
API void fake_reset(void) { broken = 0; first_error[0] = 0; }
