"""Runs the reference's own functions and records every step.

Usage: python goldens.py CHECKOUT   (torch==2.15.0, transformers==5.23.0;
CHECKOUT of eric-mitchell/direct-preference-optimization)

Its get_batch_iterator makes the batches and its BasicTrainer.get_batch_metrics
the losses of the runs below, on tiny random models saved beside this script,
with the demo's pairs and tokenizer. Microbatches, warm-up, clipping and update
follow BasicTrainer.train.
"""
import importlib.machinery, json, os, shutil, sys, types
from unittest import mock
import torch, transformers
from transformers import GPTNeoXConfig, LlamaConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "..", "..", "demo", "tiny")
for name in ["wandb", "hydra", "datasets", "bs4", "tqdm", "tensor_parallel", "omegaconf"]:
    if name not in sys.modules:
        sys.modules[name] = mock.MagicMock(__spec__=importlib.machinery.ModuleSpec(name, None))
sys.path.insert(0, sys.argv[1])
import preference_datasets, trainers, utils

rows = [json.loads(l) for l in open(os.path.join(HERE, "pairs.jsonl"))]


def dataset(*a, **k):
    data = {}
    for r in rows:
        prompt = preference_datasets.extract_anthropic_prompt(r["chosen"])
        d = data.setdefault(prompt, {"responses": [], "pairs": [], "sft_target": None})
        n = len(d["responses"])
        d["pairs"].append((n, n + 1))
        d["responses"] += [r["chosen"][len(prompt):], r["rejected"][len(prompt):]]
        d["sft_target"] = r["chosen"][len(prompt):]
    return data


class Seeded(preference_datasets.TemporarilySeededRandom):
    def __init__(self, seed):
        super().__init__(int(seed))  # Python before 3.11 did this to NumPy's integers by itself


preference_datasets.TemporarilySeededRandom = Seeded
preference_datasets.get_dataset = dataset
tok = PreTrainedTokenizerFast(tokenizer_file=os.path.join(DEMO, "tokenizer.json"), eos_token="<|endoftext|>", pad_token="<|endoftext|>")
small = dict(vocab_size=512, hidden_size=24, num_hidden_layers=2, max_position_embeddings=128, initializer_range=0.15, bos_token_id=0, eos_token_id=0)
MODELS = {
    "gptneox": GPTNeoXConfig(intermediate_size=48, num_attention_heads=3, rotary_pct=0.25, tie_word_embeddings=False, attention_dropout=0.0, hidden_dropout=0.0, **small),
    "llama": LlamaConfig(intermediate_size=40, num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, **small),
}
RUNS = {"dpo": dict(name="dpo", beta=0.1, label_smoothing=0, reference_free=False), "cdpo": dict(name="dpo", beta=0.3, label_smoothing=0.1, reference_free=False),
        "ipo": dict(name="ipo", beta=0.5, label_smoothing=0, reference_free=False), "sft": dict(name="sft")}
STEPS, BATCH, ACCUMULATION, LR, WARMUP, CLIP = 20, 4, 2, 1e-4, 5, 1.0


def run(directory, loss):
    policy, reference = [AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval() for _ in range(2)]
    me = types.SimpleNamespace(policy=policy, reference_model=reference, rank=0, world_size=1)
    me.concatenated_forward = lambda m, b: trainers.BasicTrainer.concatenated_forward(me, m, b)
    cfg = types.SimpleNamespace(**loss)
    optimizer = torch.optim.RMSprop(policy.parameters(), lr=LR / 10 if loss["name"] == "ipo" else LR)  # IPO's gradients are large, and amplify rounding
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / (WARMUP + 1)))
    out = []
    for batch in preference_datasets.get_batch_iterator(["hh"], tok, split="train", batch_size=BATCH, max_length=48, max_prompt_length=20, n_epochs=None,
                                                        n_examples=STEPS * BATCH, sft_mode=loss["name"] == "sft", silent=True, seed=0):
        collected = {}
        for i in range(ACCUMULATION):
            part = {k: v[i * BATCH // ACCUMULATION:(i + 1) * BATCH // ACCUMULATION] for k, v in batch.items()}
            value, metrics = trainers.BasicTrainer.get_batch_metrics(me, part, cfg, train=True)
            (value / ACCUMULATION).backward()
            for k, v in metrics.items():
                collected.setdefault(k, []).extend(float(x) for x in v)
        norm = float(torch.nn.utils.clip_grad_norm_(policy.parameters(), CLIP))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        out.append({"prompts": batch["prompt"], "grad_norm": norm, **{k: sum(v) / len(v) for k, v in collected.items()}})
    return out


for k, (name, cfg) in enumerate(MODELS.items()):
    directory = os.path.join(HERE, name)
    shutil.rmtree(directory, ignore_errors=True)
    torch.manual_seed(k)
    AutoModelForCausalLM.from_config(cfg).save_pretrained(directory)
    runs = {r: run(directory, loss) for r, loss in RUNS.items()}
    with open(os.path.join(HERE, name + ".json"), "w") as f:
        json.dump({"torch": torch.__version__, "transformers": transformers.__version__, "runs": runs}, f)
