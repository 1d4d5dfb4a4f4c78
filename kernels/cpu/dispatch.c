#include "cpu.h"
#include <string.h>

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

const cpu_ops *cpu_select(const char *name) {
	int any = name[0] == 0;
#if defined(__x86_64__)
	__builtin_cpu_init();
	if ((any || !strcmp(name, "avx512")) && has_avx512()) return &cpu_ops_avx512;
	if ((any || !strcmp(name, "avx2")) && has_avx2()) return &cpu_ops_avx2;
#elif defined(__aarch64__)
	if (any || !strcmp(name, "neon")) return &cpu_ops_neon; // part of the architecture
#endif
	if (any || !strcmp(name, "portable")) return &cpu_ops_portable;
	return NULL;
}
