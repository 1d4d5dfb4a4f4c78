// Attention in blocks of query rows: the scores of one block against all keys
// it sees are the most that ever exists. Heads are first copied to contiguous
// float32 rows; products leave out, tile by tile, what causality hides.
//
// Rows of a head have distance a->ldd, rows of scores a->lds. Both are padded for
// direct_tile, and hold an odd number of lines so that the rows of a column do
// not meet in one set of the cache.

enum { QB = 64 / MR * MR };

// take copies rows [lo, hi) of a head, with zeros up to whole tiles.
static void take(float *d, const attention_args *a, heads x, int64_t lo, int64_t hi, int64_t h) {
	int64_t whole = (a->dim + NR - 1) / NR * NR;
	for (int64_t t = lo; t < hi; t++, d += a->ldd) {
		widen(d, x.x, t * x.row + h * x.head, a->dim);
		for (int64_t i = a->dim; i < whole; i++) d[i] = 0;
	}
}

// take_keys copies the keys or values that a segment sees, its prefix first.
static void take_keys(float *d, const attention_args *a, heads x, segment s, int64_t kv) {
	take(d, a, x, s.ps, s.pe, kv);
	take(d + (s.pe - s.ps) * a->ldd, a, x, s.ks, s.ke, kv);
}

// give stores or adds gradients of rows [lo, hi) of a head.
static void give(const attention_args *a, heads x, const float *s, int64_t lo, int64_t hi, int64_t h) {
	float buf[1024];
	for (int64_t t = lo; t < hi; t++, s += a->ldd) {
		int64_t at = t * x.row + h * x.head;
		if (a->fresh) {
			narrow(x.x, at, s, a->dim);
			continue;
		}
		const float *old = in(x.x, at, a->dim, buf);
		float *sum = out(x.x, at, buf);
		for (int64_t i = 0; i < a->dim; i++) sum[i] = old[i] + s[i];
		done(x.x, at, sum, a->dim);
	}
}

// tile_rows is how many of a block's rows the tile at i has.
static inline int64_t tile_rows(int64_t rows, int64_t i) { return rows - i < MR ? rows - i : MR; }

// block_scores multiplies a block's rows with keys (or values) that pack_b
// turned; row i meets the first hidden + i + 1 of them.
static void block_scores(const attention_args *a, float *p, const float *x, const float *turned, int64_t rows, int64_t hidden, float scale) {
	for (int64_t j = 0; j < hidden + rows; j += NR) {
		int64_t first = j < hidden ? 0 : (j - hidden) / MR * MR; // earlier tiles see none of these keys
		for (int64_t i = first; i < rows; i += MR)
			direct_tile(a->dim, x + i * a->ldd, a->ldd, 1, turned + j * a->dim, NR, scale, p + i * a->lds + j, a->lds, tile_rows(rows, i), 0);
	}
}

// block_rows multiplies a block's scores with the rows they belong to.
static void block_rows(const attention_args *a, float *o, const float *p, const float *x, int64_t rows, int64_t hidden) {
	for (int64_t c = 0; c < a->dim; c += NR)
		for (int64_t i = 0; i < rows; i += MR)
			direct_tile(hidden + i + tile_rows(rows, i), p + i * a->lds, a->lds, 1, x + c, a->ldd, 1, o + i * a->ldd + c, a->ldd, tile_rows(rows, i), 0);
}

// block_columns adds the transposed scores' product with the block's rows x to
// the keys' sums.
static void block_columns(const attention_args *a, float *sums, const float *p, const float *x, int64_t rows, int64_t hidden) {
	for (int64_t c = 0; c < a->dim; c += NR)
		for (int64_t j = 0; j < hidden + rows; j += MR) {
			int64_t i = j < hidden ? 0 : j - hidden; // the first row that sees key j
			direct_tile(rows - i, p + i * a->lds + j, 1, a->lds, x + i * a->ldd + c, a->ldd, 1, sums + j * a->ldd + c, a->ldd, tile_rows(hidden + rows, j), 1);
		}
}

// hide zeroes the scores behind the visible ones, as far as tiles read them.
static inline void hide(float *row, int64_t visible) {
	for (int64_t j = visible; j < visible + MR; j++) row[j] = 0;
}

// One query head over all segments.
static void attention(const attention_args *a) {
	int64_t d = a->dim, h = a->head, kv = h / (a->nheads / a->kvheads);
	for (int64_t si = 0; si < a->nsegs; si++) {
		segment s = a->segs[si];
		int64_t m = s.pe - s.ps + s.ke - s.ks, n = s.qe - s.qs;
		if (n == 0) continue;
		float *v = a->work, *q = v + m * a->ldd, *o = q + (QB + MR) * a->ldd, *p = o + (QB + MR) * a->ldd, *turned = p + (QB + MR) * a->lds;
		take_keys(v, a, a->k, s, kv);
		pack_b(turned, (arr){v, F32}, a->ldd, 0, 0, m, d, d * NR);
		take_keys(v, a, a->v, s, kv);
		for (int64_t b = 0; b < n; b += QB) {
			int64_t rows = n - b < QB ? n - b : QB, q0 = s.qs + b, hidden = m - n + b;
			take(q, a, a->q, q0, q0 + rows, h);
			block_scores(a, p, q, turned, rows, hidden, a->scale);
			float inverse[QB];
			for (int64_t i = 0; i < rows; i++) {
				float *row = p + i * a->lds;
				int64_t visible = hidden + i + 1;
				float top = row_max(row, visible), sum = exp_sum(row, row, visible, top);
				inverse[i] = 1.0f / sum;
				hide(row, visible);
				a->lse[(q0 + i) * a->nheads + h] = top + logf(sum);
			}
			block_rows(a, o, p, v, rows, hidden);
			for (int64_t i = 0; i < rows; i++) {
				float *row = o + i * a->ldd;
				for (int64_t j = 0; j < d; j++) row[j] *= inverse[i];
				narrow(a->out.x, (q0 + i) * a->out.row + h * a->out.head, row, d);
			}
		}
	}
}

// One key-value head over a group of segments whose keys lie in [lo, hi) and
// are seen by no other group.
static void attention_grad(const attention_args *a) {
	int64_t d = a->dim, kv = a->head, group = a->nheads / a->kvheads, span = a->hi - a->lo;
	float *sk = a->work, *sv = sk + span * a->ldd; // sums of dK and dV over the group
	memset(sk, 0, (size_t)(2 * span * a->ldd) * 4);
	for (int64_t si = 0; si < a->nsegs; si++) {
		segment s = a->segs[si];
		int64_t prefix = s.pe - s.ps, m = prefix + s.ke - s.ks, n = s.qe - s.qs;
		if (n == 0) continue;
		float *k = sv + span * a->ldd, *dk = k + m * a->ldd, *dv = dk + m * a->ldd;
		int alone = a->nsegs == 1 && prefix == 0 && m == span; // its sums are the group's
		float *q = dv + m * a->ldd, *g = q + (QB + MR) * a->ldd, *dq = g + (QB + MR) * a->ldd;
		float *p = dq + (QB + MR) * a->ldd, *dp = p + (QB + MR) * a->lds;
		float *keys = dp + (QB + MR) * a->lds, *values = keys + (m + NR - 1) / NR * NR * d + MARGIN;
		take_keys(k, a, a->v, s, kv);
		pack_b(values, (arr){k, F32}, a->ldd, 0, 0, m, d, d * NR);
		take_keys(k, a, a->k, s, kv);
		pack_b(keys, (arr){k, F32}, a->ldd, 0, 0, m, d, d * NR);
		if (alone) dk = sk, dv = sv;
		else memset(dk, 0, (size_t)(2 * m * a->ldd) * 4);
		for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
			for (int64_t b = 0; b < n; b += QB) {
				int64_t rows = n - b < QB ? n - b : QB, q0 = s.qs + b, hidden = m - n + b;
				take(q, a, a->q, q0, q0 + rows, h);
				take(g, a, a->dout, q0, q0 + rows, h);
				block_scores(a, p, q, keys, rows, hidden, a->scale);
				block_scores(a, dp, g, values, rows, hidden, 1);
				for (int64_t i = 0; i < rows; i++) {
					float *pr = p + i * a->lds, *dr = dp + i * a->lds;
					float lse = a->lse[(q0 + i) * a->nheads + h];
					int64_t visible = hidden + i + 1;
					for (int64_t j = 0; j < visible; j++) pr[j] = exp_n(pr[j] - lse);
					// The product of out and dout would do as well, but out may be rounded.
					float dotted = dot(pr, dr, visible);
					for (int64_t j = 0; j < visible; j++) dr[j] = pr[j] * (dr[j] - dotted) * a->scale;
					hide(pr, visible);
					hide(dr, visible);
				}
				block_columns(a, dv, p, g, rows, hidden);
				block_columns(a, dk, dp, q, rows, hidden);
				block_rows(a, dq, dp, k, rows, hidden);
				give(a, a->dq, dq, q0, q0 + rows, h);
			}
		}
		for (int64_t j = 0; j < m && !alone; j++) {
			int64_t row = (j < prefix ? s.ps + j : s.ks + j - prefix) - a->lo;
			for (int64_t i = 0; i < d; i++) {
				sk[row * a->ldd + i] += dk[j * a->ldd + i];
				sv[row * a->ldd + i] += dv[j * a->ldd + i];
			}
		}
	}
	give(a, a->dk, sk, a->lo, a->hi, kv);
	give(a, a->dv, sv, a->lo, a->hi, kv);
}
