#ifndef _GNU_SOURCE
#define _GNU_SOURCE // madvise, clock_gettime
#endif
#include "cpu.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

void *cpu_alloc(size_t n) {
	enum { LARGE = 1 << 21 };
	void *p = aligned_alloc(n >= LARGE ? LARGE : 64, n);
#ifdef MADV_HUGEPAGE
	if (p && n >= LARGE) madvise(p, n, MADV_HUGEPAGE);
#endif
	return p;
}

int64_t cpu_thread_time(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}
