/* Modules, their kernels, and launches. */
#include "driver.h"
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void kernel(unsigned, unsigned, unsigned, unsigned, unsigned, const void *);
struct module { uint32_t magic; char *text; void *library; };
struct function { uint32_t magic; struct module *module; kernel *run; const char *(*error)(void); int shared; char name[128]; };

/* opened loads the library that lies behind the names of an image of the fake
   NVRTC's. */
static void *opened(const char *image, size_t size) {
	int file = memfd_create("kernels", 0);
	const char *from = image + strlen(image) + 1;
	for (size_t n = 0; n < size;) {
		ssize_t wrote = write(file, from + n, size - n);
		if (wrote <= 0)
			break;
		n += wrote;
	}
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	/* The file stays open: the linker takes a second library of the same path for
	   the first, so no number may come twice. */
	return library;
}
/* An image is PTX, whose text is read for the names of its kernels only; or such
   names and the library they were compiled into. */
API CUresult cuModuleLoadDataEx(void **out, const void *image, unsigned n, int *options, void **values) {
	CONTEXT();
	const char *text = image;
	if (!strstr(text, ".entry"))
		return fail(INVALID_IMAGE, "an image without kernels");
	struct module *m = calloc(1, sizeof *m);
	m->magic = MODULE;
	m->text = strdup(text);
	size_t size;
	if (sscanf(text, "//fake library %zu", &size) == 1 && !(m->library = opened(text, size))) {
		if (n && options[0] == 5) /* CU_JIT_ERROR_LOG_BUFFER */
			snprintf(values[0], (size_t)values[1], "%s", dlerror());
		return INVALID_IMAGE;
	}
	count(&live_modules, 1);
	*out = m;
	return OK;
}
API CUresult cuModuleUnload(void *module) {
	CONTEXT();
	struct module *m = module;
	ARE(m, MODULE);
	m->magic = 0;
	free(m->text);
	count(&live_modules, -1);
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
API CUresult cuModuleGetFunction(void **out, void *module, const char *name) {
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
API CUresult cuFuncSetAttribute(void *function, int attribute, int value) {
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
API CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra) {
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
