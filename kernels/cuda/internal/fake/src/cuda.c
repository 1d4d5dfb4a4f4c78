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
#define _GNU_SOURCE
#include "fake.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;

enum {
	OK = 0, INVALID_VALUE = 1, NO_MEMORY = 2, INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
	PEER_ALREADY = 704, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, OUT_OF_RESOURCES = 701
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static CUresult broken; /* a failure of queued work: every later call answers it */
static char first_error[256];

static CUresult fail(CUresult code, const char *what) {
	if (!first_error[0])
		snprintf(first_error, sizeof first_error, "%s", what);
	return code;
}

static long setting(const char *name, long otherwise) {
	const char *s = getenv(name);
	return s && *s ? atol(s) : otherwise;
}
static int lazy(void) { return setting("FAKE_CUDA_LAZY", 0) != 0; }
static int devices(void) { return (int)setting("FAKE_CUDA_DEVICES", 2); }

/* ---- contexts ---- */
#define MOST_DEVICES 16
struct context { uint32_t magic; int device; long users; };
static struct context contexts[MOST_DEVICES];
static __thread struct context *current;
#define CONTEXT() do { if (broken) return broken; if (!current) return fail(INVALID_CONTEXT, "a call without a context"); } while (0)

/* ---- memory ---- */
struct range { uintptr_t at; size_t size; int device; int freed; struct range *next; };
static struct range *ranges;         /* device memory, freed ranges too: their addresses are never used again */
static struct range *pinned;
static size_t used[MOST_DEVICES];
static long live_ranges, live_pinned, live_streams, live_events, live_modules;

static struct range *find(struct range *list, uintptr_t p, size_t n) {
	for (struct range *r = list; r; r = r->next)
		if (p >= r->at && p < r->at + r->size)
			return p + n <= r->at + r->size ? r : 0;
	return 0;
}
static CUresult usable(CUdeviceptr p, size_t n) {
	if (!n)
		return OK;
	pthread_mutex_lock(&lock);
	struct range *r = find(ranges, p, n);
	struct range *h = find(pinned, p, n);
	pthread_mutex_unlock(&lock);
	if (h || (r && !r->freed))
		return OK;
	return fail(INVALID_VALUE, r ? "a copy of freed device memory" : "a copy outside of an allocation");
}

/* ---- streams ---- */
struct op { void (*fn)(void *); void *arg; struct stream *waits; long until; struct op *next; };
struct stream {
	struct fake_stream_head head;
	uint32_t magic;
	struct context *ctx;
	struct op *first, **last;
	long queued, done;
	int running, stop, threaded;
	pthread_t worker;
};
enum { STREAM = 0x57e4, EVENT = 0xe7e4, MODULE = 0x30d, FUNCTION = 0xf0c, CONTEXT_MAGIC = 0xc0e };

/* Runs s until it has done n operations; the lock is held. */
static void drive(struct stream *s, long n) {
	while (s->done < n) {
		if (s->running) {
			pthread_cond_wait(&changed, &lock);
			continue;
		}
		struct op *o = s->first;
		if (!o)
			return;
		s->running = 1;
		if (!(s->first = o->next))
			s->last = &s->first;
		if (o->waits)
			drive(o->waits, o->until);
		pthread_mutex_unlock(&lock);
		if (o->fn)
			o->fn(o->arg);
		free(o);
		pthread_mutex_lock(&lock);
		s->running = 0;
		s->done++;
		pthread_cond_broadcast(&changed);
	}
}
static void *work(void *arg) {
	struct stream *s = arg;
	pthread_mutex_lock(&lock);
	while (!s->stop || s->first) {
		if (s->first)
			drive(s, s->done + 1);
		else
			pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}
static void enqueue(struct stream *s, void (*fn)(void *), void *arg, struct stream *waits, long until) {
	struct op *o = malloc(sizeof *o);
	*o = (struct op){fn, arg, waits, until, 0};
	pthread_mutex_lock(&lock);
	*s->last = o;
	s->last = &o->next;
	s->queued++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}
static void launch(void *stream, void (*fn)(void *), void *arg) { enqueue(stream, fn, arg, 0, 0); }

static void finish(struct stream *s, long n) {
	pthread_mutex_lock(&lock);
	drive(s, n);
	pthread_mutex_unlock(&lock);
}
#define ARE(p, kind) if (!(p) || (p)->magic != kind) return fail(INVALID_HANDLE, "a handle that is gone: " #p)

/* ---- initialisation, devices, contexts ---- */
CUresult cuInit(unsigned flags) { return devices() > 0 ? OK : 100; }
CUresult cuDriverGetVersion(int *v) { *v = (int)setting("FAKE_CUDA_VERSION", 13000); return OK; }
CUresult cuDeviceGetCount(int *n) { *n = devices(); return OK; }
CUresult cuDeviceGet(CUdevice *d, int i) { *d = i; return i >= 0 && i < devices() ? OK : INVALID_DEVICE; }
CUresult cuDeviceGetName(char *s, int n, CUdevice d) { snprintf(s, n, "Fake GPU %d", d); return OK; }
CUresult cuDeviceTotalMem_v2(size_t *n, CUdevice d) { *n = setting("FAKE_CUDA_MEMORY", 1 << 30); return OK; }
CUresult cuDeviceGetPCIBusId(char *s, int n, CUdevice d) { snprintf(s, n, "0000:%02x:00.0", d + 1); return OK; }
CUresult cuDeviceGetAttribute(int *v, int a, CUdevice d) {
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
CUresult cuDevicePrimaryCtxRetain(void **ctx, CUdevice d) {
	if (d < 0 || d >= devices() || d >= MOST_DEVICES)
		return INVALID_DEVICE;
	contexts[d].magic = CONTEXT_MAGIC;
	contexts[d].device = d;
	contexts[d].users++;
	*ctx = &contexts[d];
	return OK;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice d) {
	if (contexts[d].users-- <= 0)
		return fail(INVALID_CONTEXT, "a context released twice");
	return OK;
}
CUresult cuCtxSetCurrent(void *ctx) { current = ctx; return OK; }
CUresult cuCtxGetCurrent(void **ctx) { *ctx = current; return OK; }
CUresult cuDeviceCanAccessPeer(int *can, CUdevice a, CUdevice b) { *can = a != b; return OK; }
CUresult cuCtxEnablePeerAccess(void *peer, unsigned flags) {
	CONTEXT();
	static char enabled[MOST_DEVICES][MOST_DEVICES];
	char *e = &enabled[current->device][((struct context *)peer)->device];
	if (*e)
		return PEER_ALREADY;
	*e = 1;
	return OK;
}
CUresult cuGetErrorName(CUresult code, const char **s) { *s = "CUDA_ERROR"; return OK; }
CUresult cuGetErrorString(CUresult code, const char **s) {
	switch (code) {
	case NO_MEMORY: *s = "out of memory"; break;
	case INVALID_CONTEXT: *s = "invalid device context"; break;
	default: *s = first_error[0] ? first_error : "an error of the fake driver";
	}
	return OK;
}

/* ---- memory ---- */
CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
	CONTEXT();
	*total = setting("FAKE_CUDA_MEMORY", 1 << 30);
	*free = *total - used[current->device];
	return OK;
}
static struct range *add(struct range **list, void *p, size_t n) {
	struct range *r = malloc(sizeof *r);
	*r = (struct range){(uintptr_t)p, n, current->device, 0, *list};
	return *list = r;
}
CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t n) {
	CONTEXT();
	if (!n)
		return fail(INVALID_VALUE, "an allocation of nothing");
	pthread_mutex_lock(&lock);
	CUresult code = NO_MEMORY;
	if (used[current->device] + n <= (size_t)setting("FAKE_CUDA_MEMORY", 1 << 30)) {
		void *m = mmap(0, n + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (m != MAP_FAILED) {
			mprotect((char *)m + (n + 4095) / 4096 * 4096, 4096, PROT_NONE);
			add(&ranges, m, n);
			used[current->device] += n;
			live_ranges++;
			*p = (CUdeviceptr)m;
			code = OK;
		}
	}
	pthread_mutex_unlock(&lock);
	return code;
}
/* The addresses stay mapped to nothing, and nobody waits for queued work (the
   driver happens to): what still uses the memory ends the program. */
CUresult cuMemFree_v2(CUdeviceptr p) {
	CONTEXT();
	pthread_mutex_lock(&lock);
	struct range *r = find(ranges, p, 0);
	if (!r || r->freed || r->at != p) {
		pthread_mutex_unlock(&lock);
		return fail(INVALID_VALUE, r && r->freed ? "device memory freed twice" : "free of what is no allocation");
	}
	r->freed = 1;
	used[r->device] -= r->size;
	live_ranges--;
	madvise((void *)r->at, r->size, MADV_DONTNEED);
	mprotect((void *)r->at, r->size, PROT_NONE);
	pthread_mutex_unlock(&lock);
	return OK;
}
CUresult cuMemHostAlloc(void **p, size_t n, unsigned flags) {
	CONTEXT();
	pthread_mutex_lock(&lock);
	*p = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
	add(&pinned, *p, n);
	live_pinned++;
	pthread_mutex_unlock(&lock);
	return OK;
}
CUresult cuMemFreeHost(void *p) {
	CONTEXT();
	pthread_mutex_lock(&lock);
	for (struct range **r = &pinned; *r; r = &(*r)->next)
		if ((*r)->at == (uintptr_t)p) {
			struct range *gone = *r;
			*r = gone->next;
			free(gone);
			free(p);
			live_pinned--;
			pthread_mutex_unlock(&lock);
			return OK;
		}
	pthread_mutex_unlock(&lock);
	return fail(INVALID_VALUE, "free of what is no pinned memory");
}

/* ---- copies ---- */
struct copy { void *dst, *src, *owned; size_t n; int value; };
static void do_copy(void *arg) {
	struct copy *c = arg;
	if (c->src)
		memmove(c->dst, c->src, c->n);
	else
		memset(c->dst, c->value, c->n);
	free(c->owned);
	free(c);
}
static CUresult copy(void *stream, void *dst, void *src, void *owned, size_t n, int value) {
	struct stream *s = stream;
	ARE(s, STREAM);
	struct copy *c = malloc(sizeof *c);
	*c = (struct copy){dst, src, owned, n, value};
	enqueue(s, do_copy, c, 0, 0);
	return OK;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(dst, n);
	if (code)
		return code;
	pthread_mutex_lock(&lock);
	int locked = find(pinned, (uintptr_t)src, n) != 0;
	pthread_mutex_unlock(&lock);
	void *owned = 0;
	if (!locked) /* the driver copies memory that is not locked before it returns */
		src = owned = memcpy(malloc(n + 1), src, n);
	return copy(stream, (void *)dst, (void *)src, owned, n, 0);
}
CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(src, n);
	return code ? code : copy(stream, dst, (void *)src, 0, n, 0);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(dst, n);
	if (!code)
		code = usable(src, n);
	return code ? code : copy(stream, (void *)dst, (void *)src, 0, n, 0);
}
CUresult cuMemcpyPeerAsync(CUdeviceptr dst, void *to, CUdeviceptr src, void *from, size_t n, void *stream) {
	return cuMemcpyDtoDAsync_v2(dst, src, n, stream);
}
CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char value, size_t n, void *stream) {
	CONTEXT();
	CUresult code = usable(dst, n);
	return code ? code : copy(stream, (void *)dst, 0, 0, n, value);
}

/* ---- streams and events ---- */
CUresult cuStreamCreateWithPriority(void **out, unsigned flags, int priority) {
	CONTEXT();
	struct stream *s = calloc(1, sizeof *s);
	s->head.launch = launch;
	s->magic = STREAM;
	s->ctx = current;
	s->last = &s->first;
	s->threaded = !lazy();
	if (s->threaded)
		pthread_create(&s->worker, 0, work, s);
	__atomic_add_fetch(&live_streams, 1, __ATOMIC_SEQ_CST);
	*out = s;
	return OK;
}
CUresult cuStreamCreate(void **out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }
CUresult cuStreamSynchronize(void *stream) {
	CONTEXT();
	struct stream *s = stream;
	ARE(s, STREAM);
	finish(s, s->queued);
	return broken;
}
CUresult cuStreamQuery(void *stream) {
	CONTEXT();
	struct stream *s = stream;
	ARE(s, STREAM);
	return s->done == s->queued ? OK : NOT_READY;
}
CUresult cuStreamDestroy_v2(void *stream) {
	CONTEXT();
	struct stream *s = stream;
	ARE(s, STREAM);
	finish(s, s->queued);
	if (s->threaded) {
		pthread_mutex_lock(&lock);
		s->stop = 1;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		pthread_join(s->worker, 0);
	}
	s->magic = 0; /* kept, so that a later use is seen */
	__atomic_sub_fetch(&live_streams, 1, __ATOMIC_SEQ_CST);
	return OK;
}
struct event { uint32_t magic; struct stream *in; long at; unsigned flags; double *when; };
static void stamp(void *arg) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	*(double *)arg = t.tv_sec + 1e-9 * t.tv_nsec;
}
CUresult cuEventCreate(void **out, unsigned flags) {
	CONTEXT();
	struct event *e = calloc(1, sizeof *e);
	e->magic = EVENT;
	e->flags = flags;
	__atomic_add_fetch(&live_events, 1, __ATOMIC_SEQ_CST);
	*out = e;
	return OK;
}
CUresult cuEventRecord(void *event, void *stream) {
	CONTEXT();
	struct event *e = event;
	struct stream *s = stream;
	ARE(e, EVENT);
	ARE(s, STREAM);
	double *when = calloc(1, sizeof *when); /* small, and never freed: a later record may run after this one */
	enqueue(s, stamp, when, 0, 0);
	e->in = s;
	e->at = s->queued;
	e->when = when;
	return OK;
}
CUresult cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
	CONTEXT();
	struct event *e = event;
	struct stream *s = stream;
	ARE(e, EVENT);
	ARE(s, STREAM);
	if (e->in)
		enqueue(s, 0, 0, e->in, e->at);
	return OK;
}
CUresult cuEventSynchronize(void *event) {
	CONTEXT();
	struct event *e = event;
	ARE(e, EVENT);
	if (e->in)
		finish(e->in, e->at);
	return broken;
}
CUresult cuEventQuery(void *event) {
	CONTEXT();
	struct event *e = event;
	ARE(e, EVENT);
	if (e->in && !e->in->threaded) /* nobody else would ever do the work */
		finish(e->in, e->at);
	return !e->in || e->in->done >= e->at ? OK : NOT_READY;
}
CUresult cuEventElapsedTime(float *ms, void *start, void *end) {
	CONTEXT();
	struct event *a = start, *b = end;
	ARE(a, EVENT);
	ARE(b, EVENT);
	if (!a->in || !b->in || (a->flags | b->flags) & 2)
		return fail(INVALID_HANDLE, "the time of an event that has none");
	if (a->in->done < a->at || b->in->done < b->at)
		return NOT_READY;
	*ms = (float)((*b->when - *a->when) * 1e3);
	return OK;
}
CUresult cuEventElapsedTime_v2(float *ms, void *start, void *end) { return cuEventElapsedTime(ms, start, end); }
CUresult cuEventDestroy_v2(void *event) {
	CONTEXT();
	struct event *e = event;
	ARE(e, EVENT);
	e->magic = 0;
	__atomic_sub_fetch(&live_events, 1, __ATOMIC_SEQ_CST);
	return OK;
}

/* ---- modules and launches ---- */
typedef void kernel(unsigned, unsigned, unsigned, unsigned, unsigned, const void *);
struct module { uint32_t magic; char *text; void *library; };
struct function { uint32_t magic; struct module *module; kernel *run; const char *(*error)(void); int shared; char name[128]; };

/* An image is PTX, whose text is read for the names of its kernels only; or, made
   by the fake NVRTC, a line that names the library they were compiled into. */
CUresult cuModuleLoadDataEx(void **out, const void *image, unsigned n, int *options, void **values) {
	CONTEXT();
	const char *text = image;
	if (!strstr(text, ".entry"))
		return fail(INVALID_IMAGE, "an image without kernels");
	struct module *m = calloc(1, sizeof *m);
	m->magic = MODULE;
	m->text = strdup(text);
	char path[512];
	if (sscanf(text, "//fake library %511s", path) == 1 && !(m->library = dlopen(path, RTLD_NOW | RTLD_LOCAL))) {
		if (n && options[0] == 5) /* CU_JIT_ERROR_LOG_BUFFER */
			snprintf(values[0], (size_t)values[1], "%s", dlerror());
		return INVALID_IMAGE;
	}
	__atomic_add_fetch(&live_modules, 1, __ATOMIC_SEQ_CST);
	*out = m;
	return OK;
}
CUresult cuModuleUnload(void *module) {
	CONTEXT();
	struct module *m = module;
	ARE(m, MODULE);
	m->magic = 0;
	free(m->text);
	__atomic_sub_fetch(&live_modules, 1, __ATOMIC_SEQ_CST);
	return OK;
}
static int declared(const char *text, const char *name) {
	for (const char *p = text; (p = strstr(p, ".entry")); p++) {
		const char *q = p + strlen(".entry");
		while (*q == ' ' || *q == '\t' || *q == '\n')
			q++;
		size_t n = strlen(name);
		if (!strncmp(q, name, n) && strchr("( \t\n", q[n]))
			return 1;
	}
	return 0;
}
static kernel *emulated(struct module *m, const char *name, const char *(**error)(void)) {
	char symbol[160];
	snprintf(symbol, sizeof symbol, "emulate_%s", name);
	if (m->library) {
		*error = (const char *(*)(void))dlsym(m->library, "emulate_error");
		return (kernel *)dlsym(m->library, symbol);
	}
	const char *list = getenv("FAKE_CUDA_KERNELS");
	char *copy = strdup(list ? list : ""), *rest = 0;
	kernel *k = 0;
	for (char *path = strtok_r(copy, ":", &rest); path && !k; path = strtok_r(0, ":", &rest)) {
		void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!lib)
			fail(NOT_FOUND, dlerror());
		else
			*error = (const char *(*)(void))dlsym(lib, "emulate_error"), k = (kernel *)dlsym(lib, symbol);
	}
	free(copy);
	return k;
}
CUresult cuModuleGetFunction(void **out, void *module, const char *name) {
	CONTEXT();
	struct module *m = module;
	ARE(m, MODULE);
	const char *(*error)(void) = 0;
	kernel *run = declared(m->text, name) ? emulated(m, name, &error) : 0;
	if (!run)
		return fail(NOT_FOUND, name);
	struct function *f = calloc(1, sizeof *f);
	*f = (struct function){FUNCTION, m, run, error, 48 << 10, ""};
	snprintf(f->name, sizeof f->name, "%s", name);
	*out = f;
	return OK;
}
CUresult cuFuncSetAttribute(void *function, int attribute, int value) {
	CONTEXT();
	struct function *f = function;
	ARE(f, FUNCTION);
	if (attribute == 8) {
		if (value > 227 << 10)
			return fail(INVALID_VALUE, "more shared memory than the chip has");
		f->shared = value;
	}
	return OK;
}
struct call { struct function *f; unsigned gx, gy, gz, threads, shared; size_t size; uint64_t args[512]; };
static void run(void *arg) {
	struct call *c = arg;
	for (size_t i = 0; i + 8 <= c->size; i += 8) {
		pthread_mutex_lock(&lock);
		struct range *r = find(ranges, c->args[i / 8], 0);
		if (r && r->freed) {
			broken = fail(ILLEGAL_ADDRESS, c->f->name);
			fprintf(stderr, "fake driver: %s is given freed memory in its argument at byte %zu\n", c->f->name, i);
		}
		pthread_mutex_unlock(&lock);
	}
	if (!broken) {
		static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER; /* the emulation has one chip */
		pthread_mutex_lock(&one);
		c->f->run(c->gx, c->gy, c->gz, c->threads, c->shared, c->args);
		const char *error = c->f->error ? c->f->error() : "";
		if (*error) {
			fprintf(stderr, "fake driver: %s: %s\n", c->f->name, error);
			broken = fail(ILLEGAL_ADDRESS, error);
		}
		pthread_mutex_unlock(&one);
	}
	free(c);
}
CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra) {
	CONTEXT();
	struct function *f = function;
	struct stream *s = stream;
	ARE(f, FUNCTION);
	ARE(f->module, MODULE);
	ARE(s, STREAM);
	if (s->ctx != current)
		return fail(INVALID_HANDLE, "a stream of another context");
	if (!gx || !gy || !gz || gx > 0x7fffffff || gy > 65535 || gz > 65535)
		return fail(INVALID_VALUE, "a grid beyond the chip's limits");
	if (!bx || !by || !bz || (unsigned long)bx * by * bz > 1024 || by != 1 || bz != 1)
		return fail(INVALID_VALUE, "a block beyond the chip's limits");
	if ((int)shared > f->shared)
		return fail(INVALID_VALUE, "more shared memory than the kernel was allowed");
	if (!extra || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4])
		return fail(INVALID_VALUE, "arguments that are not packed");
	size_t size = *(size_t *)extra[3];
	if (size > 4096)
		return fail(INVALID_VALUE, "more than 4096 bytes of arguments");
	struct call *c = calloc(1, sizeof *c);
	*c = (struct call){f, gx, gy, gz, bx, shared, size};
	memcpy(c->args, extra[1], size);
	enqueue(s, run, c, 0, 0);
	return OK;
}

/* What is held, for tests that look for leaks. */
void fake_report(char *text, int size) {
	snprintf(text, size, "allocations %ld, pinned %ld, streams %ld, events %ld, modules %ld", live_ranges, live_pinned, live_streams, live_events, live_modules);
}
/* Forgets a failure, which the real driver does not. */
void fake_reset(void) { broken = 0; first_error[0] = 0; }
