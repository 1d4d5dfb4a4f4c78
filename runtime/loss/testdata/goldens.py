"""Records what the reference's loss functions return, and their gradients.

Usage: python goldens.py CHECKOUT   (CHECKOUT of
eric-mitchell/direct-preference-optimization; goldens.json names the versions)

Calls preference_loss and _get_batch_logps of its trainers.py in float32 and in
float64 on the same float32 inputs, and writes goldens.json beside this script.
"""
import importlib.machinery, json, os, subprocess, sys
from unittest import mock
import numpy as np, torch

HERE = os.path.dirname(os.path.abspath(__file__))
# What trainers.py imports and these two functions do not use.
for name in ["wandb", "hydra", "datasets", "bs4", "tqdm", "tensor_parallel", "omegaconf", "transformers"]:
    sys.modules[name] = mock.MagicMock(__spec__=importlib.machinery.ModuleSpec(name, None))
sys.path.insert(0, sys.argv[1])
import trainers

rng = np.random.default_rng(20230529)


def log_probs(n):
    """Four lists of log-probabilities of responses of 5 to 300 tokens, the
    policy having moved away from the reference by up to a few nats."""
    reference = -rng.uniform(1, 3, (2, n)) * rng.integers(5, 300, (2, n))
    policy = reference + rng.normal(0, 6, (2, n))
    return [v.astype(np.float32).tolist() for v in (policy[0], policy[1], reference[0], reference[1])]


def margins(*values):
    """Pairs whose log-ratios differ by exactly the given margins."""
    n = len(values)
    return [[v - 64.0 for v in values], [-64.0] * n, [-32.0] * n, [-32.0] * n]


INPUTS = {
    "random": log_probs(24),
    "equal": [[-80.25, -3.5, 0.0]] * 4,
    "far": margins(1e3, -1e3, 512.0, -512.0),
    "near": margins(2.0**-17, -(2.0**-17), 2.0**-8, -(2.0**-8), 0.5, -0.5),
    "crossed": [[-1000.0, -0.5], [-0.5, -1000.0], [-0.5, -1000.0], [-1000.0, -0.5]],
}
SETTINGS = (
    [dict(beta=b) for b in (1e-6, 0.01, 0.1, 0.5, 1.0, 5.0)]
    + [dict(beta=b, label_smoothing=e) for b, e in ((0.1, 0.1), (0.5, 0.25), (0.3, 0.45), (1e-6, 0.1))]
    + [dict(beta=b, ipo=True) for b in (0.01, 0.1, 0.5, 1.0)]
    + [dict(beta=b, reference_free=True) for b in (0.01, 0.1, 0.5)]
    + [dict(beta=0.3, label_smoothing=0.2, reference_free=True)]
)


def preference(inputs, settings, dtype):
    tensors = [torch.tensor(v, dtype=torch.float32).to(dtype) for v in inputs]
    for t in tensors[:2]:
        t.requires_grad_()
    losses, chosen, rejected = trainers.preference_loss(*tensors, **settings)
    losses.sum().backward()
    assert not chosen.requires_grad and not rejected.requires_grad
    return dict(losses=losses.tolist(), chosen_rewards=chosen.tolist(), rejected_rewards=rejected.tolist(),
                chosen_grad=tensors[0].grad.tolist(), rejected_grad=tensors[1].grad.tolist())


def batch_log_probs(logits, labels, average, dtype):
    x = torch.tensor(logits, dtype=torch.float32).to(dtype).requires_grad_()
    out = trainers._get_batch_logps(x, torch.tensor(labels), average_log_prob=average)
    out.sum().backward()
    return dict(logps=out.tolist(), grad=x.grad.flatten().tolist())


def both(fn, *args):
    return {str(d).removeprefix("torch."): fn(*args, d) for d in (torch.float32, torch.float64)}


B, T, V = 4, 7, 11
logits = (rng.normal(0, 3, (B, T, V))).astype(np.float32)
logits[2] *= 100  # probabilities of 0 and 1
logits[3, :, 1:] = 0
labels = rng.integers(0, V, (B, T))
labels[0, :3] = -100           # a prompt
labels[1, :2] = labels[1, 5:] = -100  # a prompt and padding
labels[3, :6] = -100           # one token

golden = dict(
    versions=dict(python=sys.version.split()[0], torch=torch.__version__.split("+")[0], numpy=np.__version__,
                  reference=subprocess.check_output(["git", "-C", sys.argv[1], "rev-parse", "--short", "HEAD"], text=True).strip()),
    inputs=INPUTS,
    preference=[dict(settings=s, input=name, **both(preference, INPUTS[name], s)) for s in SETTINGS for name in INPUTS],
    batch_log_probs=dict(logits=logits.tolist(), labels=labels.tolist(),
                         **{f"{'mean' if a else 'sum'}": both(batch_log_probs, logits.tolist(), labels.tolist(), a) for a in (False, True)}),
)
with open(os.path.join(HERE, "goldens.json"), "w") as f:
    json.dump(golden, f, indent=None, separators=(",", ":"))
    f.write("\n")
