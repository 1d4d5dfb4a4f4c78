"""Loads checkpoints that dpolab saved into transformers and compares logits.

Usage: python peer_load.py DIR…

Each DIR is a Hugging Face directory that also holds peer.safetensors: `tokens`
[T] and the float32 `logits` [T, V] that dpolab computed. Prints a line per
directory and exits 1 if any logit is off by more than 1e-4 of the largest.
"""
import os
import sys

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def largest_difference(folder):
    peer = load_file(os.path.join(folder, "peer.safetensors"))
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[key]:
            raise SystemExit(f"{folder}: {key}: {sorted(info[key])}")
    with torch.no_grad():
        logits = model(peer["tokens"].long()[None]).logits[0]
    return ((logits - peer["logits"]).abs().max() / logits.abs().max()).item()


def main():
    worst = 0.0
    for folder in sys.argv[1:]:
        difference = largest_difference(folder)
        print(f"{os.path.basename(folder)}: largest difference of logits {difference:.2e} of the largest logit")
        worst = max(worst, difference)
    sys.exit(0 if worst < 1e-4 else 1)


main()
