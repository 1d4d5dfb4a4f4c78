// Optimizer steps: parameter, gradient and state, all float32, in one pass.
//
// A thread takes four elements, 16 bytes of each array. AdamW moves 28 bytes a
// parameter (reads four arrays, writes three), RMSprop 20 to 36, SGD 12 or 20.
// The order of operations is PyTorch's; the scalars that PyTorch computes on
// the host in double precision come from the host. Elements do not depend on
// each other.
#include "prelude.cuh"

enum { THREADS = 256, FOUR = 4 };

struct Four {
	float v[4];
};

DEVICE Four load4(const float *p, i64 i, i64 n) {
	Four f;
	if (i + FOUR <= n && aligned16(p)) {
		uint4 w = *(const uint4 *)(p + i);
		f.v[0] = __uint_as_float(w.x), f.v[1] = __uint_as_float(w.y), f.v[2] = __uint_as_float(w.z), f.v[3] = __uint_as_float(w.w);
	} else
#pragma unroll
		for (int j = 0; j < FOUR; j++) f.v[j] = i + j < n ? p[i + j] : 0.0f;
	return f;
}

DEVICE void store4(float *p, i64 i, i64 n, const Four &f) {
	if (i + FOUR <= n && aligned16(p)) {
		uint4 w;
		w.x = __float_as_uint(f.v[0]), w.y = __float_as_uint(f.v[1]), w.z = __float_as_uint(f.v[2]), w.w = __float_as_uint(f.v[3]);
		*(uint4 *)(p + i) = w;
	} else
#pragma unroll
		for (int j = 0; j < FOUR; j++)
			if (i + j < n) p[i + j] = f.v[j];
}

struct AdamwArgs {
	float *param, *exp_avg, *exp_avg_sq;
	const float *grad;
	i64 n;
	float grad_scale, beta2, lerp, square; // lerp 1-beta1, square 1-beta2
	float keep, step_size, root, eps;      // keep 1-lr·decay, step_size lr/(1-beta1^t), root sqrt(1-beta2^t)
};

KERNEL(THREADS) adamw(const AdamwArgs a) {
	i64 i = thread_index() * FOUR;
	if (i >= a.n) return;
	Four p = load4(a.param, i, a.n), g = load4(a.grad, i, a.n), m = load4(a.exp_avg, i, a.n), v = load4(a.exp_avg_sq, i, a.n);
#pragma unroll
	for (int j = 0; j < FOUR; j++) {
		float d = g.v[j] * a.grad_scale;
		m.v[j] += (d - m.v[j]) * a.lerp;
		v.v[j] = v.v[j] * a.beta2 + a.square * d * d;
		p.v[j] = p.v[j] * a.keep - a.step_size * (m.v[j] / (sqrtf(v.v[j]) / a.root + a.eps));
	}
	store4(a.exp_avg, i, a.n, m);
	store4(a.exp_avg_sq, i, a.n, v);
	store4(a.param, i, a.n, p);
}

struct RmspropArgs {
	float *param, *square_avg, *momentum, *grad_avg; // momentum and grad_avg may be null
	const float *grad;
	i64 n;
	float grad_scale, lr, alpha, rest, eps, decay, mu; // rest 1-alpha, mu the momentum
	int unused;
};

KERNEL(THREADS) rmsprop(const RmspropArgs a) {
	i64 i = thread_index() * FOUR;
	if (i >= a.n) return;
	Four p = load4(a.param, i, a.n), g = load4(a.grad, i, a.n), v = load4(a.square_avg, i, a.n), mean = v, buf = v, root = v;
	if (a.grad_avg) mean = load4(a.grad_avg, i, a.n);
	if (a.momentum) buf = load4(a.momentum, i, a.n);
#pragma unroll
	for (int j = 0; j < FOUR; j++) {
		float d = g.v[j] * a.grad_scale + a.decay * p.v[j];
		v.v[j] = v.v[j] * a.alpha + a.rest * d * d;
		root.v[j] = v.v[j];
		if (a.grad_avg) {
			mean.v[j] += (d - mean.v[j]) * a.rest;
			root.v[j] -= mean.v[j] * mean.v[j];
		}
		float change = d / (sqrtf(root.v[j]) + a.eps);
		if (a.momentum) {
			change += a.mu * buf.v[j];
			buf.v[j] = change;
		}
		p.v[j] -= a.lr * change;
	}
	store4(a.square_avg, i, a.n, v);
	if (a.grad_avg) store4(a.grad_avg, i, a.n, mean);
	if (a.momentum) store4(a.momentum, i, a.n, buf);
	store4(a.param, i, a.n, p);
}

struct SgdArgs {
	float *param, *momentum; // momentum may be null
	const float *grad;
	i64 n;
	float grad_scale, lr, mu, undamped, decay; // mu the momentum, undamped 1-dampening
	int nesterov, first, unused;
};

KERNEL(THREADS) sgd(const SgdArgs a) {
	i64 i = thread_index() * FOUR;
	if (i >= a.n) return;
	Four p = load4(a.param, i, a.n), g = load4(a.grad, i, a.n), buf = g;
	if (a.momentum && !a.first) buf = load4(a.momentum, i, a.n);
#pragma unroll
	for (int j = 0; j < FOUR; j++) {
		float d = g.v[j] * a.grad_scale + a.decay * p.v[j];
		if (a.momentum) {
			buf.v[j] = a.first ? d : a.mu * buf.v[j] + a.undamped * d;
			d = a.nesterov ? d + a.mu * buf.v[j] : buf.v[j];
		}
		p.v[j] -= a.lr * d;
	}
	if (a.momentum) store4(a.momentum, i, a.n, buf);
	store4(a.param, i, a.n, p);
}
