// Attention in blocks of query rows: the scores of one block against all keys
// it sees are the most that ever exists. Heads are first copied to contiguous
// float32 rows; products are the GEMM's.

enum { QB = 64 };

static void take(float *d, heads x, int64_t lo, int64_t hi, int64_t h, int64_t dim) {
	for (int64_t t = lo; t < hi; t++, d += dim) widen(d, x.x, t * x.row + h * x.head, dim);
}

static void give(heads x, const float *s, int64_t lo, int64_t hi, int64_t h, int64_t dim) {
	for (int64_t t = lo; t < hi; t++, s += dim) narrow(x.x, t * x.row + h * x.head, s, dim);
}

static void give_added(heads x, const float *s, int64_t lo, int64_t hi, int64_t h, int64_t dim) {
	float buf[1024];
	for (int64_t t = lo; t < hi; t++, s += dim) {
		int64_t at = t * x.row + h * x.head;
		widen(buf, x.x, at, dim);
		for (int64_t i = 0; i < dim; i++) buf[i] += s[i];
		narrow(x.x, at, buf, dim);
	}
}

// One query head over all segments.
static void attention(const attention_args *a) {
	int64_t d = a->dim, h = a->head, kv = h / (a->nheads / a->kvheads);
	for (int64_t si = 0; si < a->nsegs; si++) {
		segment s = a->segs[si];
		int64_t prefix = s.pe - s.ps, own = s.ke - s.ks, m = prefix + own, n = s.qe - s.qs;
		if (n == 0) continue;
		float *k = a->work, *v = k + m * d, *q = v + m * d, *o = q + QB * d, *p = o + QB * d;
		take(k, a->k, s.ps, s.pe, kv, d);
		take(k + prefix * d, a->k, s.ks, s.ke, kv, d);
		take(v, a->v, s.ps, s.pe, kv, d);
		take(v + prefix * d, a->v, s.ks, s.ke, kv, d);
		for (int64_t b = 0; b < n; b += QB) {
			int64_t rows = n - b < QB ? n - b : QB;
			int64_t seen = m - n + b + rows; // keys the block's last row sees
			take(q, a->q, s.qs + b, s.qs + b + rows, h, d);
			product(a->scratch, 0, 1, rows, seen, d, a->scale, q, d, k, d, 0, p, seen);
			for (int64_t i = 0; i < rows; i++) {
				float *row = p + i * seen;
				int64_t visible = m - n + b + i + 1;
				float top = row_max(row, visible), sum = exp_sum(row, row, visible, top), inv = 1.0f / sum;
				for (int64_t j = 0; j < visible; j++) row[j] *= inv;
				for (int64_t j = visible; j < seen; j++) row[j] = 0;
				a->lse[(s.qs + b + i) * a->nheads + h] = top + logf(sum);
			}
			product(a->scratch, 0, 0, rows, d, seen, 1, p, seen, v, d, 0, o, d);
			give(a->out, o, s.qs + b, s.qs + b + rows, h, d);
		}
	}
}

// One key-value head over a group of segments whose keys lie in [lo, hi) and
// are seen by no other group.
static void attention_grad(const attention_args *a) {
	int64_t d = a->dim, kv = a->head, group = a->nheads / a->kvheads, span = a->hi - a->lo;
	float *sk = a->work, *sv = sk + span * d; // sums of dK and dV over the group
	memset(sk, 0, (size_t)(2 * span * d) * 4);
	for (int64_t si = 0; si < a->nsegs; si++) {
		segment s = a->segs[si];
		int64_t prefix = s.pe - s.ps, own = s.ke - s.ks, m = prefix + own, n = s.qe - s.qs;
		if (n == 0) continue;
		float *k = sv + span * d, *v = k + m * d, *dk = v + m * d, *dv = dk + m * d;
		float *q = dv + m * d, *g = q + QB * d, *dq = g + QB * d, *p = dq + QB * d, *dp = p + QB * m;
		take(k, a->k, s.ps, s.pe, kv, d);
		take(k + prefix * d, a->k, s.ks, s.ke, kv, d);
		take(v, a->v, s.ps, s.pe, kv, d);
		take(v + prefix * d, a->v, s.ks, s.ke, kv, d);
		memset(dk, 0, (size_t)(2 * m * d) * 4);
		for (int64_t h = kv * group; h < (kv + 1) * group; h++) {
			for (int64_t b = 0; b < n; b += QB) {
				int64_t rows = n - b < QB ? n - b : QB, q0 = s.qs + b, seen = m - n + b + rows;
				take(q, a->q, q0, q0 + rows, h, d);
				take(g, a->dout, q0, q0 + rows, h, d);
				product(a->scratch, 0, 1, rows, seen, d, a->scale, q, d, k, d, 0, p, seen);
				product(a->scratch, 0, 1, rows, seen, d, 1, g, d, v, d, 0, dp, seen);
				for (int64_t i = 0; i < rows; i++) {
					float *pr = p + i * seen, *dr = dp + i * seen;
					float lse = a->lse[(q0 + i) * a->nheads + h];
					int64_t visible = m - n + b + i + 1;
					for (int64_t j = 0; j < visible; j++) pr[j] = exp_f(pr[j] - lse);
					// The product of out and dout would do as well, but out may be rounded.
					float dotted = dot(pr, dr, visible);
					for (int64_t j = 0; j < visible; j++) dr[j] = pr[j] * (dr[j] - dotted) * a->scale;
					for (int64_t j = visible; j < seen; j++) pr[j] = dr[j] = 0;
				}
				product(a->scratch, 1, 0, seen, d, rows, 1, p, seen, g, d, 1, dv, d);
				product(a->scratch, 1, 0, seen, d, rows, 1, dp, seen, q, d, 1, dk, d);
				product(a->scratch, 0, 0, rows, d, seen, 1, dp, seen, k, d, 0, dq, d);
				give_added(a->dq, dq, q0, q0 + rows, h, d);
			}
		}
		for (int64_t j = 0; j < m; j++) {
			int64_t row = (j < prefix ? s.ps + j : s.ks + j - prefix) - a->lo;
			for (int64_t i = 0; i < d; i++) {
				sk[row * d + i] += dk[j * d + i];
				sv[row * d + i] += dv[j * d + i];
			}
		}
	}
	give_added(a->dk, sk, a->lo, a->hi, kv, d);
	give_added(a->dv, sv, a->lo, a->hi, kv, d);
}
