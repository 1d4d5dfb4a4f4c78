"""Training steps in PyTorch, for `dpolab bench`.

Sft is the fixed-length step: nothing is padded, the loss is the next-token log-probability summed over each
sequence and averaged over the batch, and every setting is the fastest one known.

Dpo is the step of the reference DPO code: chosen and rejected padded to one length and concatenated, log_softmax
over all logits in float32, the reference model asked at every step, RMSprop with a linear warm-up.
"""
import contextlib

import torch
import torch.nn.functional as F
import transformers


def open_job(request):
    return {"sft": Sft, "dpo": Dpo}[request["kind"]](request)


def load(directory, request):
    config = transformers.AutoConfig.from_pretrained(directory)
    if request.get("fused_gelu") and getattr(config, "activation_function", None) == "gelu_new":
        config.activation_function = "gelu_pytorch_tanh"  # the same function in one kernel
    for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop", "attention_dropout", "hidden_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    config.use_cache = False
    return transformers.AutoModelForCausalLM.from_pretrained(
        directory, config=config, dtype=torch.float32, attn_implementation=request.get("attention", "sdpa"))


class Job:
    def __init__(self, request):
        self.model = load(request["policy"], request).train()
        self.forward = torch.compile(self.model) if request.get("compile") else self.model
        self.autocast = request.get("autocast", False)
        self.max_norm = request["max_grad_norm"]
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), lr=request["lr"], foreach=request.get("foreach"))
        warmup = request["warmup_steps"]
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: min(1.0, (step + 1) / (warmup + 1)))

    def precision(self):
        return torch.autocast("cpu", dtype=torch.bfloat16) if self.autocast else contextlib.nullcontext()

    def update(self, loss):
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()


class Sft(Job):
    def step(self, examples):
        ids = torch.tensor([e["chosen"] for e in examples])
        with self.precision():
            logits = self.forward(ids).logits
        logits = logits[:, :-1].reshape(-1, logits.shape[-1])
        loss = F.cross_entropy(logits.float(), ids[:, 1:].reshape(-1), reduction="sum") / len(examples)
        return self.update(loss)


class Dpo(Job):
    def __init__(self, request):
        super().__init__(request)
        self.beta = request["beta"]
        self.reference = load(request["reference"], request).eval().requires_grad_(False)

    def step(self, examples):
        ids, mask, labels = pad(examples)
        with self.precision():
            chosen, rejected = split(self.forward(ids, attention_mask=mask).logits, labels)
        with torch.no_grad(), self.precision():
            reference_chosen, reference_rejected = split(self.reference(ids, attention_mask=mask).logits, labels)
        margin = (chosen - rejected) - (reference_chosen - reference_rejected)
        return self.update(-F.logsigmoid(self.beta * margin).mean())


def pad(examples):
    """All chosen sequences, then all rejected ones, padded at the end to the longest."""
    rows = [(e["prompt"], e[side]) for side in ("chosen", "rejected") for e in examples]
    width = max(len(p) + len(r) for p, r in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    for i, (p, r) in enumerate(rows):
        n = len(p) + len(r)
        ids[i, :n] = torch.tensor(p + r)
        mask[i, :n] = 1
        labels[i, len(p):n] = torch.tensor(r)
    return ids, mask, labels


def split(logits, labels):
    """Summed log-probabilities of the responses, halves of the batch."""
    logits, labels = logits.to(torch.float32)[:, :-1, :], labels[:, 1:].clone()
    labelled = labels != -100
    labels[~labelled] = 0
    each = torch.gather(logits.log_softmax(-1), dim=2, index=labels.unsqueeze(2)).squeeze(2)
    return (each * labelled).sum(-1).chunk(2)
