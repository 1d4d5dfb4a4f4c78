"""Single operations in PyTorch, for `dpolab bench`. Each returns the seconds of every repetition."""
import time

import torch
import torch.nn.functional as F


def time_kernel(request):
    run = {"gemm": gemm, "attention": attention, "logprob": logprob}[request["name"]](request)
    run()
    seconds = []
    for _ in range(request["repetitions"]):
        start = time.perf_counter()
        for _ in range(request["calls"]):
            run()
        seconds.append((time.perf_counter() - start) / request["calls"])
    return seconds


def gemm(r):
    dtype = getattr(torch, r["dtype"])
    m, n, k = r["m"], r["n"], r["k"]
    a = torch.randn((k, m) if r["trans_a"] else (m, k)).to(dtype)
    b = torch.randn((n, k) if r["trans_b"] else (k, n)).to(dtype)
    a, b = a.T if r["trans_a"] else a, b.T if r["trans_b"] else b
    out = torch.empty(m, n, dtype=dtype)
    return lambda: torch.mm(a, b, out=out)


def attention(r):
    dtype = getattr(torch, r["dtype"])
    q, k, v = (torch.randn(r["batch"], r["heads"], r["length"], r["head_dim"]).to(dtype).requires_grad_(r["gradient"]) for _ in range(3))
    if not r["gradient"]:
        def forward():
            with torch.no_grad():
                F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return forward
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    d_out = torch.randn_like(out)
    return lambda: torch.autograd.grad(out, (q, k, v), d_out, retain_graph=True)


def logprob(r):
    dtype = getattr(torch, r["dtype"])
    hidden = torch.randn(r["rows"], r["hidden"]).to(dtype).requires_grad_(r["gradient"])
    weight = (torch.randn(r["vocabulary"], r["hidden"]) * 0.02).to(dtype).requires_grad_(r["gradient"])
    labels = torch.randint(0, r["vocabulary"], (r["rows"], 1))

    def log_probs():
        return torch.gather((hidden @ weight.T).float().log_softmax(-1), 1, labels)

    if not r["gradient"]:
        def forward():
            with torch.no_grad():
                log_probs()
        return forward

    def both():  # forward too: the logits are part of what backward needs
        torch.autograd.grad(log_probs().sum(), (hidden, weight))
    return both
