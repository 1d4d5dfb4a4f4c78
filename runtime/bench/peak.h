// Measures how many multiply-adds one thread can do.
double bench_fma_flops(long rounds);
