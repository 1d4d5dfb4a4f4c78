// Products of small matrices, on operands as they lie in memory: where a block
// is used once or twice, packing it costs more than it saves.

// direct_tile adds up k products for each of MR rows by NR columns and stores
// alpha times the first rows of them, or adds them to what C has. Element (i, p)
// of A lies at a[i*ai + p*ap]; step p of B is the row b + p*ldb. All MR rows of A
// and NR columns of B are read, and NR columns of C written, so operands must
// be padded to that.
static __attribute__((noinline)) void direct_tile(int64_t k, const float *a, int64_t ai, int64_t ap, const float *b, int64_t ldb, float alpha, float *restrict c, int64_t ldc, int64_t rows, int add) {
	do { // in runs of KC: sums of sums round less than one long sum
		int64_t run = k < KC ? k : KC;
		vf acc[MR][NRV];
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++)
#pragma GCC unroll 4
			for (int j = 0; j < NRV; j++) acc[i][j] = (vf){0};
		k -= run;
#pragma GCC unroll 2
		for (; run > 0; run--, a += ap, b += ldb) tile_step(acc, a, ai, b);
#pragma GCC unroll 16
		for (int i = 0; i < MR; i++) {
			if (i >= rows) break;
#pragma GCC unroll 4
			for (int j = 0; j < NRV; j++) {
				vf *to = (vf *)(c + i * ldc + j * VW), v = acc[i][j] * alpha;
				if (add) v += *to;
				*to = v;
			}
		}
		add = 1;
	} while (k > 0);
}
