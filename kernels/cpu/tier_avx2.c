#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("O3,no-math-errno,no-trapping-math")
#define TIER avx2
#define VW 8
#define MR 6
#define NRV 2
#define HAVE_F16C 1
#define HAVE_INT16 1
#include "bodies.h"
#endif
