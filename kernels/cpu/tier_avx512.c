#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#pragma GCC optimize("O3,no-math-errno,no-trapping-math")
#define TIER avx512
#define VW 16
#define MR 14
#define NRV 2
#define HAVE_F16C 1
#define HAVE_INT16 1
#define HAVE_BF16 1
#define HAVE_AMX 1
#include "bodies.h"
#endif
