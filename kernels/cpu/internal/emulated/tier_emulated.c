#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#pragma GCC optimize("no-math-errno,no-trapping-math")
#define TIER emulated
#define VW 16
#define MR 14
#define NRV 2
#define HAVE_F16C 1
#define HAVE_AMX 1
#define EMULATED 1 // no instruction that a processor with AVX2 may lack
#include "../../cpu.h"
#include "tiles.h"

static int able(void) { return 1; }
#define cpu_is_able able
#define cpu_has_amx able
#define TILES_OPEN(layout) tiles_open(layout)
#define TILES_CLOSE() tiles_close()
#define TILE_ZERO(t) tile_zero(t)
#define TILE_LOAD(t, p, row) tile_load(t, p, row)
#define TILE_STORE(t, p, row) tile_unload(t, p, row)
#define TILE_ADD(sums, a, b) tile_add(sums, a, b)
#include "../../bodies.h"
#endif
