"""Tiny random checkpoints with transformers' logits and gradients.

Usage: python goldens.py   (torch==2.15.0, transformers==5.23.0)

Each directory beside this script gets a model and golden.safetensors: for two
sequences the float32 logits, and the gradient of every parameter of the loss
sum_i w_i log p(token_i | before) with w_i = cos(i + sequence).
"""
import json, os, shutil
import torch, transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPTNeoXConfig, LlamaConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
V = 61
SEQUENCES = [[3, 14, 15, 9, 26, 53, 5, 8, 9], [2, 7, 1, 8, 28, 18]]
llama = dict(vocab_size=V, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, initializer_range=0.3)
neox = dict(vocab_size=V, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, initializer_range=0.3,
            rotary_pct=0.25, bos_token_id=0, eos_token_id=0, tie_word_embeddings=False)
MODELS = {
    "gpt2": (GPT2Config(vocab_size=V, n_embd=24, n_layer=2, n_head=3, n_positions=64, initializer_range=0.3, bos_token_id=0, eos_token_id=0), torch.float32),
    "gptneox": (GPTNeoXConfig(use_parallel_residual=True, **neox), torch.float32),
    "gptneox-serial": (GPTNeoXConfig(use_parallel_residual=False, **neox), torch.float32),
    "llama": (LlamaConfig(num_key_value_heads=2, tie_word_embeddings=False, **llama), torch.float32),
    "llama-tied": (LlamaConfig(num_key_value_heads=4, tie_word_embeddings=True, head_dim=8, **llama), torch.float32),
    "llama3": (LlamaConfig(num_key_value_heads=1, tie_word_embeddings=False, **llama,
               rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)), torch.float32),
    "llama-bf16-shards": (LlamaConfig(num_key_value_heads=2, tie_word_embeddings=False, **llama), torch.bfloat16),
    "gpt2-f16": (GPT2Config(vocab_size=V, n_embd=24, n_layer=1, n_head=2, n_positions=64, initializer_range=0.2, bos_token_id=0, eos_token_id=0), torch.float16),
}

for k, (name, (cfg, dtype)) in enumerate(MODELS.items()):
    torch.manual_seed(k)
    cfg._attn_implementation = "eager"
    m = AutoModelForCausalLM.from_config(cfg).to(torch.float32).eval()
    with torch.no_grad():
        for n, p in m.named_parameters():
            if p.ndim == 1:  # norms and biases start at 1 and 0, which hides mistakes
                p.add_(0.3 * torch.randn_like(p))
    m = m.to(dtype)
    out = os.path.join(HERE, name)
    shutil.rmtree(out, ignore_errors=True)
    m.save_pretrained(out, **({"max_shard_size": "8KB"} if "shards" in name else {}))
    # Loaded again: Module.to(bfloat16) has rounded the rotary frequencies too.
    m = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager").eval()
    golden, loss = {}, 0
    for s, ids in enumerate(SEQUENCES):
        x = torch.tensor([ids])
        logits = m(x).logits[0]
        golden[f"logits.{s}"] = logits.detach().clone()
        lp = torch.log_softmax(logits[:-1], -1).gather(1, x[0, 1:, None])[:, 0]
        w = torch.cos(torch.arange(len(lp), dtype=torch.float32) + s)
        loss = loss + (w * lp).sum()
    loss.backward()
    for n, p in m.named_parameters():
        if "gptneox" in name:
            n = n.replace("lm_head.", "embed_out.")  # as the file calls it
        golden["grad." + n] = p.grad.clone()
    save_file(golden, os.path.join(out, "golden.safetensors"), metadata={"torch": torch.__version__, "transformers": transformers.__version__})
# A configuration in the form that checkpoints on the Hub mostly have.
src, dst = os.path.join(HERE, "llama3"), os.path.join(HERE, "llama3-old-config")
shutil.rmtree(dst, ignore_errors=True)
shutil.copytree(src, dst)
c = json.load(open(os.path.join(dst, "config.json")))
rope = c.pop("rope_parameters")
c["rope_theta"], c["rope_scaling"], c["torch_dtype"] = rope.pop("rope_theta"), rope, c.pop("dtype", "float32")
json.dump(c, open(os.path.join(dst, "config.json"), "w"), indent=2)
