// The processor's own limit: chains of multiply-adds that touch no memory.
//
// Enough chains are kept for two pipes of four cycles' latency, each a vector
// of the widest type that the processor adds and multiplies at once. The
// compiler sees one body per instruction set; the dispatch is at run time.
#include "peak.h"

typedef float lanes16 __attribute__((vector_size(64)));
typedef float lanes8 __attribute__((vector_size(32)));
typedef float lanes4 __attribute__((vector_size(16)));

#define CHAINS 12
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)

// Each chain is a variable of its own: an array of them would live on the
// stack, and the loop would measure that.
#define BEGIN(c) sum##c = by * (float)(c + 1);
#define STEP(c)                 \
    sum##c = sum##c * by + more; \
    __asm__("" : REGISTER(sum##c));
#define END(c) all += sum##c;
#define BODY(name, lanes, count)                                                                 \
    static double name(long rounds) {                                                            \
        lanes sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7, sum8, sum9, sum10, sum11, all = {0}; \
        lanes by = all + 0.999f, more = all + 1e-3f;                                             \
        EACH(BEGIN)                                                                              \
        for (long r = 0; r < rounds; r++) { EACH(STEP) }                                         \
        EACH(END)                                                                                \
        volatile float keep = all[0];                                                            \
        (void)keep;                                                                              \
        return 2.0 * CHAINS * count * rounds;                                                    \
    }

#if defined(__x86_64__)
#define REGISTER(x) "+v"(x)
__attribute__((target("avx512f,fma"))) BODY(wide, lanes16, 16)
__attribute__((target("avx2,fma"))) BODY(half, lanes8, 8)
BODY(narrow, lanes4, 4)

double bench_fma_flops(long rounds) {
    if (__builtin_cpu_supports("avx512f")) return wide(rounds);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return half(rounds);
    return narrow(rounds);
}
#elif defined(__aarch64__)
#define REGISTER(x) "+w"(x)
BODY(narrow, lanes4, 4)
double bench_fma_flops(long rounds) { return narrow(rounds); }
#else
#define REGISTER(x) "+m"(x)
BODY(narrow, lanes4, 4)
double bench_fma_flops(long rounds) { return narrow(rounds); }
#endif
