"""Writes the token ids that the Hugging Face tokenizers library gives.

Usage: python goldens.py SHARED_DATA_DIR   (needs: pip install tokenizers==0.23.3)

Makes, beside this script: small tokenizers of each supported kind, trained on
the text below (tiny-*.json), their ids of hostile strings (hostile.json), and
hashes of the ids that real tokenizers give to the Anthropic HH rows (hh.json).
"""
import gzip, json, os, sys, tempfile
import tokenizers
from tokenizers import Tokenizer, AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEXT = ["The gardener waters the roses before the sun is high, and 3 or 14 bees visit.",
        "Wir trinken Tee; l'été est fini. Ça va? Η θάλασσα είναι ήρεμη.", "it's we'll I'm they've you'd she're IT'S WE'LL",
        "    indented\n\tlines\r\n\r\nand   runs of   spaces  ", "日本語のテキスト と 漢字 한국어 العربية हिन्दी"] * 20

HOSTILE = ["", " ", "  ", "\n", "\r\n", "\n\n\n", "\t\t", " \n ", "   x", "x   ", "x  \n  y", "a\u00a0b", "\u3000", "\u0085", "\u2028x\u2029", "\u200b\u200d",
           "it's IT'S we'LL 'tis ''s don'ts I'ſ", "'", "''", "'S 'T 'RE 'Ve 'lL", "123456789", "1 22 333 4444 55555", "٣٤٥ ६७ ⅷ ½ ²³ 四五", "3.14e-10 0x1F",
           "é e\u0301 \u1e9b\u0323 ﬁ Å Å \u1100\u1161\u11a8 \u212b", "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽", "שלום עולם مرحبا بالعالم", "नमस्ते ಕನ್ನಡ ไทย",
           "\u0000\u0001\u007f", "<|endoftext|>", "a<|endoftext|>b <|endoftext|> ", "<s>x</s>", "<0x41> <unk>", "▁x ▁▁ y", "Ġx Ċ", "\ufffd\ufeff", "\U0010ffff\U00020000",
           "!!!??? ... --- ***", "a_b-c.d/e\\f", "http://x.y/z?q=1&r=2#t", "{\n  \"k\": [1, 2]\n}", "a" * 300, "ab" * 200, " " * 40, "\n" * 33, "x" + " " * 17 + "y", "á" * 70,
           "\n\nHuman: What?\n\nAssistant: That.", "tabs\tand\u000bvt\u000cff", "ＦＵＬＬ ｗｉｄｔｈ", "ǅ ß ẞ İ ı", "a\u0300\u0301\u0302\u0303b", "\u0378\ue000\U000e0001"]


def fnv(ids):
    h = 0xcbf29ce484222325
    for i in ids:
        for b in int(i).to_bytes(4, "little"):
            h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return f"{h:016x}"


def train(tok, special, alphabet):
    tok.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    return tok


def build():
    out, bytes_ = {}, pre_tokenizers.ByteLevel.alphabet()
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder, t.post_processor = decoders.ByteLevel(), processors.ByteLevel()
    out["gpt2"] = train(t, ["<|endoftext|>"], bytes_)
    t = Tokenizer(models.BPE())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    train(t, ["<|endoftext|>"], bytes_)
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    out["neox"] = t
    for name, pattern in [("llama3", LLAMA3), ("qwen2", QWEN)]:
        t = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
        if name == "qwen2":
            t.normalizer = normalizers.NFC()
        t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        t.decoder = decoders.ByteLevel()
        train(t, ["<|endoftext|>", "<s>"], bytes_)
        if name == "llama3":
            t.post_processor = processors.Sequence([processors.ByteLevel(), processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])])
        out[name] = t
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    out["smollm"] = train(t, ["<|endoftext|>"], bytes_)
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    train(t, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], [])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    out["llama2"] = t
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    out["metaspace"] = train(t, ["<unk>"] + [f"<0x{b:02X}>" for b in range(256)], [])
    return out


def real(shared):
    base = os.path.join(shared, "tokenizers")
    out = {}
    for name in ["gpt-neox", "qwen3"]:
        with gzip.open(os.path.join(base, name, "tokenizer.json.gz"), "rt") as f:
            out[name] = Tokenizer.from_str(f.read())
    with tempfile.TemporaryDirectory() as d:
        for n in ["vocab.json", "merges.txt"]:
            with gzip.open(os.path.join(base, "gpt2", n + ".gz"), "rb") as f, open(os.path.join(d, n), "wb") as g:
                g.write(f.read())
        t = Tokenizer(models.BPE.from_file(os.path.join(d, "vocab.json"), os.path.join(d, "merges.txt")))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.add_special_tokens(["<|endoftext|>"])
    out["gpt2"] = t
    return out


def main(shared):
    hostile = {"tokenizers": tokenizers.__version__, "strings": HOSTILE, "ids": {}, "special": {}, "decoded": {}}
    for name, t in build().items():
        t.save(os.path.join(HERE, f"tiny-{name}.json"), pretty=False)
        hostile["ids"][name] = [t.encode(s, add_special_tokens=False).ids for s in HOSTILE]
        hostile["special"][name] = [t.encode(s).ids for s in HOSTILE]
        hostile["decoded"][name] = [t.decode(ids, skip_special_tokens=True) for ids in hostile["ids"][name]]
    rows = []
    with gzip.open(os.path.join(shared, "hh", "harmless-base-test.jsonl.gz"), "rt") as f:
        for line in f:
            r = json.loads(line)
            rows += [r["chosen"], r["rejected"]]
    hh = {"tokenizers": tokenizers.__version__, "hashes": {}, "hostile": {}}
    for name, t in real(shared).items():
        hh["hashes"][name] = fnv(i for e in t.encode_batch(rows, add_special_tokens=False) for i in e.ids)
        hh["hostile"][name] = [t.encode(s, add_special_tokens=False).ids for s in HOSTILE]
    for name, data in [("hostile.json", hostile), ("hh.json", hh)]:
        with open(os.path.join(HERE, name), "w") as f:
            json.dump(data, f, ensure_ascii=True, separators=(",", ":"))


main(sys.argv[1])
