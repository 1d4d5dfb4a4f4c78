#include "cpu.h"
#include <string.h>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

// Each tier may use only features that are tested here.
static int has_avx2(void) {
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
	return 0;
#endif
}

static int has_avx512(void) {
#if defined(__x86_64__)
	return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
	return 0;
#endif
}

int cpu_is_able(void) { return 1; }

int cpu_has_bf16(void) {
#if defined(__x86_64__)
	__builtin_cpu_init();
	return has_avx512() && __builtin_cpu_supports("avx512bf16");
#else
	return 0;
#endif
}

int cpu_has_vnni(void) {
#if defined(__x86_64__)
	__builtin_cpu_init();
	return has_avx512() && __builtin_cpu_supports("avx512vnni");
#else
	return 0;
#endif
}

int cpu_has_avx_vnni(void) {
#if defined(__x86_64__)
	__builtin_cpu_init();
	return has_avx2() && __builtin_cpu_supports("avxvnni");
#else
	return 0;
#endif
}

// The state of tiles takes 8 KB a thread. Linux makes room for it when a process
// asks, from 5.16 on; before that, and where it is refused, tiles fault.
int cpu_has_amx(void) {
#if defined(__x86_64__) && defined(__linux__)
	enum { TILES = 1 << 24, TILES_BF16 = 1 << 22, SAVED = 1 << 27, STATES = 3 << 17, ASK = 0x1023, TILE_DATA = 18 };
	unsigned a, b, c, d, low, high;
	if (!cpu_has_bf16() || !__get_cpuid(1, &a, &b, &c, &d) || !(c & SAVED)) return 0;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (TILES | TILES_BF16)) != (TILES | TILES_BF16)) return 0;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & STATES) == STATES && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
#else
	return 0;
#endif
}

#if defined(__x86_64__)
// A tier that only tests link with, and ask for by name (internal/emulated).
extern const cpu_ops cpu_ops_emulated __attribute__((weak));
#endif

const cpu_ops *cpu_select(const char *name) {
	int any = name[0] == 0;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if (!strcmp(name, "emulated") && has_avx2()) return &cpu_ops_emulated;
	if ((any || !strcmp(name, "avx512")) && has_avx512()) return &cpu_ops_avx512;
	if ((any || !strcmp(name, "avx2")) && has_avx2()) return &cpu_ops_avx2;
#elif defined(__aarch64__)
	if (any || !strcmp(name, "neon")) return &cpu_ops_neon; // part of the architecture
#endif
	if (any || !strcmp(name, "portable")) return &cpu_ops_portable;
	return NULL;
}
