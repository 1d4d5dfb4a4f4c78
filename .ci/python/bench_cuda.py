"""PyTorch's side of `make bench-cuda`: DPO and SFT steps of one model on one GPU.

    bench_cuda.py CONFIG_DIR JOB.json   prints one JSON line per row

JOB.json: {"device", "kind": "dpo" | "sft", "cached", "dtype", "batches": [..], "rounds", "pairs": [{"prompt", "chosen", "rejected"}]}

"reference" is the step of eric-mitchell/direct-preference-optimization: chosen and rejected padded and
concatenated, eager attention, whole logits in float32, RMSprop. "best" is the same job with SDPA, a fused
AdamW and the logits of labelled rows only, once eager and once compiled. Both keep float32 weights and
compute in the job's type by autocast.
"""
import json
import statistics
import sys
import time

import torch
import transformers

transformers.logging.set_verbosity_error()


def batch_of(pairs, kind, device):
    rows, labels = [], []
    for p in pairs:
        for answer in ("chosen", "rejected")[: 2 if kind == "dpo" else 1]:
            rows.append(p["prompt"] + p[answer])
            labels.append([-100] * len(p["prompt"]) + p[answer])
    order = range(0, len(rows), 2 if kind == "dpo" else 1)
    order = list(order) + ([i + 1 for i in order] if kind == "dpo" else [])
    width = max(map(len, rows))
    pad = lambda lists, value: torch.tensor([lists[i] + [value] * (width - len(lists[i])) for i in order], device=device)
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


def step(policy, reference, optimizer, batch, job, whole):
    amp = torch.autocast(torch.device(job["device"]).type, torch.bfloat16, enabled=job["dtype"] == "bfloat16")
    with amp:
        mine = logps(policy, batch, whole)
    n = len(mine) // 2
    if job["kind"] == "sft":
        loss = -mine.mean()
    else:
        theirs = torch.zeros_like(mine)
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


def measure(config, job, name, whole, attention, compiled, fused):
    cuda = job["device"].startswith("cuda")
    torch.backends.cuda.matmul.allow_tf32 = job["dtype"] == "tf32"
    torch.manual_seed(0)
    make = lambda dtype: transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=dtype).to(job["device"])
    policy = make(torch.float32)
    reference = None
    if job["kind"] == "dpo" and not job["cached"]:
        reference = make(torch.bfloat16 if job["dtype"] == "bfloat16" else torch.float32).eval()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-6, fused=cuda) if fused else torch.optim.RMSprop(policy.parameters(), lr=1e-6)
    if compiled:
        policy.compile()
        if reference is not None:
            reference.compile()
    for size in job["batches"]:
        batches = [batch_of(job["pairs"][i * size:(i + 1) * size], job["kind"], job["device"]) for i in range(job["rounds"] + 2)]
        seconds, tokens = [], 0
        try:
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            for i, batch in enumerate(batches):
                start = time.perf_counter()
                step(policy, reference, optimizer, batch, job, whole)
                if cuda:
                    torch.cuda.synchronize()
                if i >= 2:
                    seconds.append(time.perf_counter() - start)
                    tokens += batch[3]
        except torch.OutOfMemoryError:
            break
        peak = torch.cuda.max_memory_allocated() if cuda else 0
        print(json.dumps({"name": name, "batch": size, "seconds": statistics.median(seconds), "total": sum(seconds),
                          "pairs": size * len(seconds), "tokens": tokens, "peak": peak}), flush=True)


def main():
    config = transformers.AutoConfig.from_pretrained(sys.argv[1])
    with open(sys.argv[2]) as f:
        job = json.load(f)
    for name, whole, attention, compiled, fused in [
        ("the reference's step", True, "eager", False, False),
        ("best PyTorch step, eager", False, "sdpa", False, True),
        ("best PyTorch step, compiled", False, "sdpa", True, True),
    ]:
        try:
            measure(config, job, name, whole, attention, compiled, fused)
        except Exception as e:  # a row that cannot be had is said, not left out
            print(json.dumps({"name": name, "error": f"{type(e).__name__}: {e}"[:300]}), flush=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


main()
