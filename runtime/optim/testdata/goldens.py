"""Records ten steps of PyTorch's optimizers.

Usage: python goldens.py CHECKOUT   (CHECKOUT of
eric-mitchell/direct-preference-optimization; goldens.json names the versions)

Every case trains two parameters on given gradients as BasicTrainer.train does:
clip_grad_norm_, step, and LambdaLR with the lr_lambda found in the reference's
trainers.py. Once in float32 and once in float64, on the same float32 values.
Writes goldens.json beside this script.
"""
import json, os, re, subprocess, sys, types
import numpy as np, torch

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, WARMUP, MAX_NORM = 10, 4, 10.0
source = open(os.path.join(sys.argv[1], "trainers.py")).read()
found = re.search(r"LambdaLR\(self\.optimizer, lr_lambda=(lambda step: .*)\)\n", source)
warmup = lambda n: eval(found[1], {"self": types.SimpleNamespace(config=types.SimpleNamespace(warmup_steps=n))})

rng = np.random.default_rng(1)
SHAPES = {"weight": (5, 3), "bias": (7,)}
params = {k: rng.normal(0, 1, s).astype(np.float32) for k, s in SHAPES.items()}
grads = [{k: (rng.normal(0, 1, s) * rng.choice([1e-3, 1, 30], s)).astype(np.float32) for k, s in SHAPES.items()} for _ in range(STEPS)]
for i, g in enumerate(grads):
    g["bias"][0] = 0       # never a gradient
    g["bias"][1] = 1e-25   # whose square is 0
    if i == 3:
        g["bias"][2] = 3e5
    if i == 6:
        for v in g.values():
            v *= 1e-4      # a step that is not clipped

CASES = [
    ("RMSprop", dict(lr=1e-2)),
    ("RMSprop", dict(lr=1e-2, alpha=0.9, eps=1e-3)),
    ("RMSprop", dict(lr=1e-2, weight_decay=0.1)),
    ("RMSprop", dict(lr=1e-2, momentum=0.9)),
    ("RMSprop", dict(lr=1e-2, centered=True)),
    ("RMSprop", dict(lr=1e-2, centered=True, momentum=0.5, weight_decay=0.01)),
    ("AdamW", dict(lr=1e-2)),
    ("AdamW", dict(lr=1e-2, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.3)),
    ("AdamW", dict(lr=1e-2, weight_decay=0)),
    ("Adam", dict(lr=1e-2)),
    ("SGD", dict(lr=1e-2)),
    ("SGD", dict(lr=1e-2, weight_decay=0.1)),
    ("SGD", dict(lr=1e-2, momentum=0.9)),
    ("SGD", dict(lr=1e-2, momentum=0.9, dampening=0.3, weight_decay=0.05)),
    ("SGD", dict(lr=1e-2, momentum=0.9, nesterov=True)),
]


def run(name, options, dtype):
    ps = {k: torch.nn.Parameter(torch.tensor(v).to(dtype)) for k, v in params.items()}
    optimizer = getattr(torch.optim, name)(ps.values(), foreach=False, **options)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=warmup(WARMUP))
    steps = []
    for g in grads:
        for k, p in ps.items():
            p.grad = torch.tensor(g[k]).to(dtype)
        before = ps["weight"].grad[0, 0].item()
        norm = torch.nn.utils.clip_grad_norm_(ps.values(), MAX_NORM).item()
        clip = ps["weight"].grad[0, 0].item() / before
        lr = scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
        steps.append(dict(lr=lr, norm=norm, clip=clip, **{k: p.detach().flatten().tolist() for k, p in ps.items()}))
    return steps


golden = dict(
    versions=dict(python=sys.version.split()[0], torch=torch.__version__.split("+")[0], numpy=np.__version__,
                  reference=subprocess.check_output(["git", "-C", sys.argv[1], "rev-parse", "--short", "HEAD"], text=True).strip()),
    warmup_steps=WARMUP,
    warmup={n: [warmup(n)(i) for i in range(2 * n + 3)] for n in (0, 1, WARMUP, 150)},
    params={k: v.flatten().tolist() for k, v in params.items()},
    grads=[{k: v.flatten().tolist() for k, v in g.items()} for g in grads],
    max_norm=MAX_NORM,
    cases=[dict(optimizer=name, options=options, **{str(d).removeprefix("torch."): run(name, options, d) for d in (torch.float32, torch.float64)})
           for name, options in CASES],
)
with open(os.path.join(HERE, "goldens.json"), "w") as f:
    json.dump(golden, f, separators=(",", ":"))
    f.write("\n")
