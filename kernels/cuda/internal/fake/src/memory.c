/* Memory of the devices and page-locked memory of the host. */
#include "driver.h"
#include <sys/mman.h>

struct range *ranges, *pinned;
static size_t used[MOST_DEVICES];

struct range *find(struct range *list, uintptr_t p, size_t n) {
	for (struct range *r = list; r; r = r->next)
		if (p >= r->at && p < r->at + r->size)
			return p + n <= r->at + r->size ? r : 0;
	return 0;
}
CUresult usable(CUdeviceptr p, size_t n) {
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

API CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
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
API CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t n) {
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
API CUresult cuMemFree_v2(CUdeviceptr p) {
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
API CUresult cuMemHostAlloc(void **p, size_t n, unsigned flags) {
	CONTEXT();
	pthread_mutex_lock(&lock);
	*p = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
	add(&pinned, *p, n);
	live_pinned++;
	pthread_mutex_unlock(&lock);
	return OK;
}
API CUresult cuMemFreeHost(void *p) {
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
