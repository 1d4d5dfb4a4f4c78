"""Runs the reference's preference_datasets.py and writes what it does.

    python goldens.py CHECKOUT [HH_FILE GPT_NEOX_TOKENIZER]

CHECKOUT is a checkout of github eric-mitchell/direct-preference-optimization
(made with f8b8c0f), HH_FILE Anthropic's harmless-base/test.jsonl.gz and
GPT_NEOX_TOKENIZER its tokenizer.json.gz. Needs torch, transformers, datasets,
beautifulsoup4 and tqdm; goldens.json names the versions used.

Writes rows of our own making (rows.py), a small tokenizer trained on them, and
goldens.json: the order of examples, tokens and labels that the reference's own
functions give. From the real file only digests are kept, in real.json.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import struct
import sys
import tempfile

os.environ["HF_HOME"] = tempfile.mkdtemp()
os.environ["HF_HUB_OFFLINE"] = "1"

import bs4
import datasets
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import rows

HERE = os.path.dirname(os.path.abspath(__file__))
HH, SHP, SE = os.path.join(HERE, "hh"), os.path.join(HERE, "shp.jsonl"), os.path.join(HERE, "se.jsonl")
sys.path.insert(0, sys.argv[1])

# The reference seeds with a NumPy integer. Python up to 3.10 takes its hash,
# which is its value; later ones refuse it.
seed_with = random.seed
random.seed = lambda a=None, version=2: seed_with(int(a) if isinstance(a, np.integer) else a, version)

# It asks for 64 processes, which these few rows do not deserve.
map_rows = datasets.Dataset.map
datasets.Dataset.map = lambda self, f, num_proc=None: map_rows(self, f)

import preference_datasets as reference

hub = datasets.load_dataset
hh_path = HH


def load_local(name, split=None, cache_dir=None):
    if name == "Anthropic/hh-rlhf":
        if os.path.isdir(hh_path):
            return hub(hh_path, split=split)
        return hub("json", data_files={split: hh_path}, split=split)
    if name == "stanfordnlp/SHP":
        return hub("json", data_files={split: SHP}, split=split)
    return hub("json", data_files={"train": SE})


datasets.load_dataset = load_local


def write_rows():
    shutil.rmtree(HH, ignore_errors=True)
    for (folder, split), pairs in rows.hh().items():
        os.makedirs(os.path.join(HH, folder), exist_ok=True)
        text = "".join(json.dumps({"chosen": c, "rejected": r}, ensure_ascii=folder == "helpful-base") + "\n" for c, r in pairs)
        if folder == "helpful-base":
            with open(os.path.join(HH, folder, split + ".jsonl.gz"), "wb") as raw:
                with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
                    f.write(text.encode())
        else:
            with open(os.path.join(HH, folder, split + ".jsonl"), "w") as f:
                f.write(text)
    for path, list_ in ((SHP, rows.shp()), (SE, rows.se())):
        with open(path, "w") as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in list_)


def train_tokenizer():
    """Byte-level BPE with padding 0 and end of text 1."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    texts = [c for pairs in rows.hh().values() for pair in pairs for c in pair]
    t.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "<|endoftext|>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    where = os.path.join(HERE, "tokenizer")
    os.makedirs(where, exist_ok=True)
    t.save(os.path.join(where, "tokenizer.json"))
    with open(os.path.join(where, "tokenizer_config.json"), "w") as f:
        json.dump({"eos_token": "<|endoftext|>", "pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"}, f, indent=1)
        f.write("\n")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|endoftext|>", pad_token="<pad>")


def batches(tokenizer, **arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        yield from reference.get_batch_iterator(tokenizer=tokenizer, silent=True, **arguments)


def sides(batch):
    return [s for s in ("chosen", "rejected") if s + "_input_ids" in batch]


def key(batch, i):
    """A short name of an example: a digest of its texts."""
    return hashlib.sha256("\0".join(batch[s][i] for s in sides(batch)).encode()).hexdigest()[:10]


def unpadded(batch, name, i):
    mask = batch[name + "_attention_mask"][i].bool()
    ids = batch[name + "_input_ids"][i][mask].tolist()
    labels = batch[name + "_labels"][i][mask].tolist() if name + "_labels" in batch else None
    return ids, labels


def orders(tokenizer):
    out = []

    def add(**arguments):
        found = [[key(b, i) for i in range(len(b["prompt"]))] for b in batches(tokenizer, **arguments)]
        out.append({**arguments, "batches": found})

    for seed in (0, 1, 7):
        for sft_mode in (False, True):
            add(names=["hh"], split="train", seed=seed, sft_mode=sft_mode, batch_size=4, n_epochs=4)
    for seed in (2**32 - 1, 123456):
        add(names=["hh"], split="train", seed=seed, batch_size=3, n_epochs=2)
    for n in (1, 12, 30, 41):
        add(names=["hh"], split="train", seed=0, batch_size=4, n_examples=n)
        add(names=["hh"], split="train", seed=0, batch_size=4, n_epochs=2, n_examples=n)
    add(names=["hh"], split="test", seed=0, batch_size=2, n_epochs=2, shuffle=False)
    add(names=["hh"], split="test", seed=0, batch_size=3, n_epochs=2)
    for names in (["shp"], ["se"], ["hh", "shp"], ["se", "hh"]):
        for sft_mode in (False, True):
            add(names=names, split="train", seed=1, sft_mode=sft_mode, batch_size=4, n_epochs=2)
    add(names=["se"], split="test", seed=0, batch_size=1, n_epochs=1, sft_mode=True)
    return out


def tokens(tokenizer):
    out = []
    for names, max_length, max_prompt_length in ((["hh"], 512, 128), (["hh"], 128, 64), (["hh"], 40, 30), (["shp"], 32, 8)):
        run = {"names": names, "max_length": max_length, "max_prompt_length": max_prompt_length, "examples": []}
        for b in batches(tokenizer, names=names, n_epochs=1, shuffle=False, max_length=max_length, max_prompt_length=max_prompt_length):
            prompt, _ = unpadded(b, "prompt", 0)
            chosen, chosen_labels = unpadded(b, "chosen", 0)
            rejected, rejected_labels = unpadded(b, "rejected", 0)
            run["examples"].append({
                "prompt": prompt, "chosen": chosen, "rejected": rejected,
                # Labels repeat the tokens after some -100s: their number says all.
                "masked": [sum(l == -100 for l in labels) for labels in (chosen_labels, rejected_labels)],
            })
            for ids, labels in ((chosen, chosen_labels), (rejected, rejected_labels)):
                masked = sum(l == -100 for l in labels)
                assert labels == [-100] * masked + ids[masked:]
        out.append(run)
    return out


def padded(tokenizer):
    """One batch as the reference's trainer puts it together: both sides padded
    to one length, all chosen before all rejected."""
    b = next(batches(tokenizer, names=["hh"], split="test", n_epochs=1, batch_size=3, max_length=48, max_prompt_length=24))
    width = max(b["chosen_input_ids"].shape[1], b["rejected_input_ids"].shape[1])

    def joined(kind, value):
        parts = [torch.nn.functional.pad(b[s + kind], (0, width - b[s + kind].shape[1]), value=value) for s in ("chosen", "rejected")]
        return torch.cat(parts).tolist()

    return {"ids": joined("_input_ids", 0), "mask": joined("_attention_mask", 0), "labels": joined("_labels", -100)}


def real(hh_file, tokenizer_file):
    """Digests of all tokens and labels, in order."""
    global hh_path
    hh_path = hh_file
    with gzip.open(tokenizer_file) as f:
        t = Tokenizer.from_str(f.read().decode())
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    out = []
    for arguments in (
        dict(seed=0, sft_mode=False, batch_size=4, n_epochs=2, max_length=512, max_prompt_length=256),
        dict(seed=0, sft_mode=True, batch_size=8, n_epochs=1, max_length=512, max_prompt_length=256),
        dict(seed=7, sft_mode=False, batch_size=6, n_epochs=1, max_length=128, max_prompt_length=64),
        dict(seed=1, sft_mode=False, batch_size=64, n_examples=300, max_length=512, max_prompt_length=128),
    ):
        digest, count = hashlib.sha256(), 0
        for b in batches(tokenizer, names=["hh"], split="test", **arguments):
            for i in range(len(b["prompt"])):
                count += 1
                for side in sides(b):
                    for list_ in unpadded(b, side, i):
                        digest.update(struct.pack(f"<i{len(list_)}i", len(list_), *list_))
        out.append({**arguments, "examples": count, "sha256": digest.hexdigest()})
    return out


def save(name, value):
    with open(os.path.join(HERE, name), "w") as f:
        f.write(json.dumps(value, indent=None, separators=(",", ":"), ensure_ascii=False).replace('{"names"', '\n{"names"').replace('{"prompt"', '\n{"prompt"'))
        f.write("\n")


write_rows()
tokenizer = train_tokenizer()
versions = {m.__name__: m.__version__ for m in (torch, transformers, datasets, np, bs4)}
versions["python"] = sys.version.split()[0]
order_of_120 = np.random.default_rng(42).permutation(120).tolist()
save("goldens.json", {
    "versions": versions, "orders": orders(tokenizer), "tokens": tokens(tokenizer), "padded": padded(tokenizer),
    "html": [[h, reference.strip_html_tags(h)] for h in rows.HTML], "permutation": order_of_120,
})
if len(sys.argv) > 2:
    save("real.json", {"versions": versions, "runs": real(sys.argv[2], sys.argv[3])})
