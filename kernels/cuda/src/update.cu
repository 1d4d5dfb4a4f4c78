// Optimizer steps over a list of tensors: parameters, gradients and state, all
// float32, in one pass and one launch.
//
// A block takes a piece of 16384 elements of one tensor (lists.cuh), a thread
// four at a time, 16 bytes of each array. AdamW moves 28 bytes a parameter
// (reads four arrays, writes three), RMSprop 20 to 36, SGD 12 or 20. The order
// of operations is PyTorch's; the scalars that PyTorch computes on the host in
// double precision come from the host. Elements do not depend on each other.
#include "lists.cuh"

enum { THREADS = 256, FOUR = 4, PIECE = 16384 };

// UpdateTensor is one parameter. AdamW's state is exp_avg and exp_avg_sq,
// RMSprop's square_avg, momentum and grad_avg, SGD's momentum; null is absent.
struct UpdateTensor {
	float *param, *state[3];
	const float *grad;
	i64 n, first;
};

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
	const UpdateTensor *tensors;
	int count, unused;
	float grad_scale, beta2, lerp, square; // lerp 1-beta1, square 1-beta2
	float keep, step_size, root, eps;      // keep 1-lr·decay, step_size lr/(1-beta1^t), root sqrt(1-beta2^t)
};

KERNEL(THREADS) adamw(const AdamwArgs a) {
	UpdateTensor t = row_of_block(a.tensors, a.count);
	i64 from = from_of(t.first, PIECE), to = to_of(from, PIECE, t.n);
	for (i64 i = from + threadIdx.x * FOUR; i < to; i += THREADS * FOUR) {
		Four p = load4(t.param, i, to), g = load4(t.grad, i, to), m = load4(t.state[0], i, to), v = load4(t.state[1], i, to);
#pragma unroll
		for (int j = 0; j < FOUR; j++) {
			float d = g.v[j] * a.grad_scale;
			m.v[j] += (d - m.v[j]) * a.lerp;
			v.v[j] = v.v[j] * a.beta2 + a.square * d * d;
			p.v[j] = p.v[j] * a.keep - a.step_size * (m.v[j] / (sqrtf(v.v[j]) / a.root + a.eps));
		}
		store4(t.state[0], i, to, m);
		store4(t.state[1], i, to, v);
		store4(t.param, i, to, p);
	}
}

struct RmspropArgs {
	const UpdateTensor *tensors;
	int count;
	float grad_scale, lr, alpha, rest, eps, decay, mu; // rest 1-alpha, mu the momentum
};

KERNEL(THREADS) rmsprop(const RmspropArgs a) {
	UpdateTensor t = row_of_block(a.tensors, a.count);
	i64 from = from_of(t.first, PIECE), to = to_of(from, PIECE, t.n);
	bool moving = t.state[1], centered = t.state[2];
	for (i64 i = from + threadIdx.x * FOUR; i < to; i += THREADS * FOUR) {
		Four p = load4(t.param, i, to), g = load4(t.grad, i, to), v = load4(t.state[0], i, to), mean = v, buf = v, root = v;
		if (moving) buf = load4(t.state[1], i, to);
		if (centered) mean = load4(t.state[2], i, to);
#pragma unroll
		for (int j = 0; j < FOUR; j++) {
			float d = g.v[j] * a.grad_scale + a.decay * p.v[j];
			v.v[j] = v.v[j] * a.alpha + a.rest * d * d;
			root.v[j] = v.v[j];
			if (centered) {
				mean.v[j] += (d - mean.v[j]) * a.rest;
				root.v[j] -= mean.v[j] * mean.v[j];
			}
			float change = d / (sqrtf(root.v[j]) + a.eps);
			if (moving) {
				change += a.mu * buf.v[j];
				buf.v[j] = change;
			}
			p.v[j] -= a.lr * change;
		}
		store4(t.state[0], i, to, v);
		if (moving) store4(t.state[1], i, to, buf);
		if (centered) store4(t.state[2], i, to, mean);
		store4(t.param, i, to, p);
	}
}

struct SgdArgs {
	const UpdateTensor *tensors;
	int count, nesterov, first;
	float grad_scale, lr, mu, undamped, decay; // mu the momentum, undamped 1-dampening
};

KERNEL(THREADS) sgd(const SgdArgs a) {
	UpdateTensor t = row_of_block(a.tensors, a.count);
	i64 from = from_of(t.first, PIECE), to = to_of(from, PIECE, t.n);
	bool moving = t.state[0];
	for (i64 i = from + threadIdx.x * FOUR; i < to; i += THREADS * FOUR) {
		Four p = load4(t.param, i, to), g = load4(t.grad, i, to), buf = g;
		if (moving && !a.first) buf = load4(t.state[0], i, to);
#pragma unroll
		for (int j = 0; j < FOUR; j++) {
			float d = g.v[j] * a.grad_scale + a.decay * p.v[j];
			if (moving) {
				buf.v[j] = a.first ? d : a.mu * buf.v[j] + a.undamped * d;
				d = a.nesterov ? d + a.mu * buf.v[j] : buf.v[j];
			}
			p.v[j] -= a.lr * d;
		}
		if (moving) store4(t.state[0], i, to, buf);
		store4(t.param, i, to, p);
	}
}
