#if defined(__aarch64__)
#pragma GCC optimize("O3,no-math-errno,no-trapping-math")
#define TIER neon
#define VW 4
#define MR 8
#define NRV 3
#include "bodies.h"
#endif
