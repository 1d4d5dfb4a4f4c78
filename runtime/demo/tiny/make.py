"""Trains the demo's tokenizer (tokenizers==0.23.3) on its own pairs.

Usage: python make.py PAIRS.jsonl
"""
import json, os, sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

text = [t for line in open(sys.argv[1]) for t in json.loads(line).values()]
tok = Tokenizer(models.BPE())
tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tok.decoder = decoders.ByteLevel()
tok.train_from_iterator(text, trainers.BpeTrainer(vocab_size=512, special_tokens=["<|endoftext|>"],
                        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
tok.save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizer.json"), pretty=False)
