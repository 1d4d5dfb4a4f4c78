#pragma GCC optimize("O3,no-math-errno,no-trapping-math")
#define TIER portable
#define VW 4
#define MR 4
#define NRV 2
#include "bodies.h"
