#ifndef _GNU_SOURCE
#define _GNU_SOURCE // madvise
#endif
#include "cpu.h"
#include <stdlib.h>
#include <sys/mman.h>

void *cpu_alloc(size_t n) {
	enum { LARGE = 1 << 21 };
	void *p = aligned_alloc(n >= LARGE ? LARGE : 64, n);
#ifdef MADV_HUGEPAGE
	if (p && n >= LARGE) madvise(p, n, MADV_HUGEPAGE);
#endif
	return p;
}
