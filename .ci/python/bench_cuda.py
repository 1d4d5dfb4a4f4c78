"""PyTorch's side of `make bench-cuda`: DPO and SFT steps of one model on one GPU.

    bench_cuda.py CONFIG_DIR   says what it is, then answers each line of its input, a job
                               (runtime/bench/gpu_torch.go), with a line for each row and an empty one

"reference" is the step of eric-mitchell/direct-preference-optimization: chosen and rejected padded and
concatenated, eager attention, whole logits in float32, RMSprop. "eager" is the same job with SDPA, a fused
AdamW and the logits of labelled rows only; "compiled" is that with every block compiled, which costs a
compilation once and not once for each layer. All keep float32 weights and compute in the job's type by
autocast.
"""
import json
import os
import statistics
import sys
import time

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

import torch
import transformers

transformers.logging.set_verbosity_error()

# Name of the row, whole logits, attention, blocks compiled, fused AdamW.
VARIANTS = {
    "reference": ("the reference's step", True, "eager", False, False),
    "eager": ("best PyTorch step, eager", False, "sdpa", False, True),
    "compiled": ("best PyTorch step, compiled", False, "sdpa", True, True),
}


def batch_of(pairs, kind, device):
    """Chosen responses first, then rejected ones, padded on the right."""
    answers = ("chosen", "rejected") if kind == "dpo" else ("chosen",)
    rows = [p["prompt"] + p[a] for a in answers for p in pairs]
    labels = [[-100] * len(p["prompt"]) + p[a] for a in answers for p in pairs]
    width = max(map(len, rows))
    pad = lambda lists, value: torch.tensor([l + [value] * (width - len(l)) for l in lists], device=device)
    return pad(rows, 0), pad(labels, -100), pad([[1] * len(r) for r in rows], 0), sum(map(len, rows))


def logps(model, batch, whole):
    ids, labels, mask, _ = batch
    labels = labels[:, 1:]
    keep = labels != -100
    if whole:
        logits = model(ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
        per = torch.gather(logits.log_softmax(-1), 2, labels.masked_fill(~keep, 0).unsqueeze(2)).squeeze(2)
        return (per * keep).sum(-1)
    hidden = model.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1][keep]
    logits = model.get_output_embeddings()(hidden).float()
    per = -torch.nn.functional.cross_entropy(logits, labels[keep], reduction="none")
    rows = torch.arange(len(labels), device=ids.device).unsqueeze(1).expand_as(labels)[keep]
    return torch.zeros(len(labels), device=ids.device).index_add(0, rows, per)


def step(policy, reference, known, optimizer, batch, job, whole):
    amp = torch.autocast(torch.device(job["device"]).type, torch.bfloat16, enabled=job["dtype"] == "bfloat16")
    with amp:
        mine = logps(policy, batch, whole)
    n = len(mine) // 2
    if job["kind"] == "sft":
        loss = -mine.mean()
    else:
        theirs = known
        if reference is not None:
            with torch.no_grad(), amp:
                theirs = logps(reference, batch, whole)
        ratio = mine - theirs
        loss = -torch.nn.functional.logsigmoid(0.1 * (ratio[:n] - ratio[n:])).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def blocks(model):
    """The largest list of modules: a transformer's blocks."""
    return max((m for m in model.modules() if isinstance(m, torch.nn.ModuleList)), key=len)


def model_of(config, job, attention, dtype, compiled):
    with torch.device(job["device"]):  # weights are made where they are used
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype)
    if compiled:
        for block in blocks(model):
            block.compile()
    return model


def measure(config, job, name, whole, attention, compiled, fused):
    cuda = job["device"].startswith("cuda")
    torch.set_float32_matmul_precision("high" if job["dtype"] == "tf32" else "highest")
    torch.manual_seed(0)
    torch.compiler.reset()
    policy = model_of(config, job, attention, torch.float32, compiled)
    reference = None
    if job["kind"] == "dpo" and not job["cached"]:
        narrow = torch.bfloat16 if job["dtype"] == "bfloat16" else torch.float32
        reference = model_of(config, job, attention, narrow, compiled).eval()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-6, fused=cuda) if fused else torch.optim.RMSprop(policy.parameters(), lr=1e-6)
    best = 0.0
    for size in job["batches"]:
        batches = [batch_of(job["pairs"][i * size:(i + 1) * size], job["kind"], job["device"]) for i in range(job["rounds"] + 1)]
        known = torch.zeros(2 * size, device=job["device"])
        seconds, tokens = [], 0
        try:
            for i, batch in enumerate(batches):
                if i == 1 and cuda:
                    torch.cuda.reset_peak_memory_stats()
                start = time.perf_counter()
                step(policy, reference, known, optimizer, batch, job, whole)
                if cuda:
                    torch.cuda.synchronize()
                if i > 0:
                    seconds.append(time.perf_counter() - start)
                    tokens += batch[3]
        except torch.OutOfMemoryError:
            break
        peak = torch.cuda.max_memory_allocated() if cuda else 0
        print(json.dumps({"name": name, "batch": size, "seconds": statistics.median(seconds), "total": sum(seconds),
                          "tokens": tokens, "peak": peak}), flush=True)
        rate = size * len(seconds) / sum(seconds)
        if rate < best or statistics.median(seconds) > job["slow"]:
            break
        best = rate


def main():
    config = transformers.AutoConfig.from_pretrained(sys.argv[1])
    print(f"PyTorch {torch.__version__}, transformers {transformers.__version__}", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        for variant in job["variants"]:
            try:
                measure(config, job, *VARIANTS[variant])
            except Exception as e:  # a row that cannot be had is said, not left out
                print(json.dumps({"name": VARIANTS[variant][0], "error": f"{type(e).__name__}: {e}"[:300]}), flush=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        print(flush=True)


main()
