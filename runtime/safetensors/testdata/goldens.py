"""Writes the files that TestGoldens reads back.

    python goldens.py        # safetensors 0.8.0, torch 2.15.0

types.safetensors holds one tensor of each kind of element, written by the
Python package; types.json says what is in it. sharded/ is a directory in
transformers' layout, two shards and an index.
"""

import json
import os

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
names = {
    torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}


def raw(t):
    return t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes().hex() if t.numel() else ""


torch.manual_seed(0)
tensors = {}
for dtype, name in names.items():
    values = torch.randint(0, 2, (3, 2)) if dtype == torch.bool else torch.randn(3, 2) * 5
    tensors["all." + name] = values.to(dtype)
tensors["scalar"] = torch.tensor(2.5)
tensors["no_elements"] = torch.zeros(0, 4)
tensors["five.dims"] = torch.arange(24, dtype=torch.float32).reshape(1, 2, 3, 4, 1)
tensors["ünï\"code\\name"] = torch.tensor([1.0, -0.0, float("inf"), float("nan")])
metadata = {"format": "pt", "note": "line\nbreak and ünï"}
save_file(tensors, os.path.join(here, "types.safetensors"), metadata=metadata)
described = {
    "metadata": metadata,
    "tensors": {n: {"type": names[t.dtype], "shape": list(t.shape), "hex": raw(t)} for n, t in tensors.items()},
}
with open(os.path.join(here, "types.json"), "w") as f:
    json.dump(described, f, indent=1, ensure_ascii=False, sort_keys=True)
    f.write("\n")

sharded = os.path.join(here, "sharded")
os.makedirs(sharded, exist_ok=True)
parts = [{"a.weight": torch.tensor([1.0, 2.0])}, {"b.weight": torch.tensor([3.0]).bfloat16()}]
weight_map = {}
for i, part in enumerate(parts, 1):
    name = f"model-{i:05d}-of-{len(parts):05d}.safetensors"
    save_file(part, os.path.join(sharded, name), metadata={"format": "pt"})
    weight_map.update({n: name for n in part})
with open(os.path.join(sharded, "model.safetensors.index.json"), "w") as f:
    json.dump({"metadata": {"total_size": 10}, "weight_map": weight_map}, f, indent=2)
    f.write("\n")
