"""Vocabularies learned by HF's BpeTrainer, for tests/text/bpe_train_test.cc: writes tests/golden/tokenizer_train.json with the number and a hash of the merges
of each case. Texts come from R1_DATA (default ../shared/data) and from tokenizer_strings.py."""
import hashlib
import json
import os
import pathlib
import sys

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

import tokenizer_strings
from tokenizer_golden import QWEN2, qwen_like

DATA = pathlib.Path(os.environ.get("R1_DATA", pathlib.Path(__file__).resolve().parents[2].parent / "shared/data"))


def gsm8k():
    rows = [json.loads(line) for line in open(DATA / "gsm8k/train.jsonl", encoding="utf-8")]
    return [row[key] for row in rows for key in ("question", "answer")]


def unicode_texts():
    return [tokenizer_strings.make(i, []) for i in range(20000)]


CASES = [
    {"name": "shakespeare", "data": "tinyshakespeare/input.txt", "vocab_size": 4000, "pre": "gpt-2"},
    {"name": "shakespeare-min", "data": "tinyshakespeare/input.txt", "vocab_size": 30000, "min_frequency": 40, "pre": "qwen2", "special": ["<|endoftext|>", "<think>"]},
    {"name": "gsm8k", "data": "gsm8k/train.jsonl", "vocab_size": 6000, "pre": "qwen2", "max_token_length": 6},
    {"name": "unicode", "data": "", "vocab_size": 3000, "pre": "gpt-2", "nfc": True},
]


def train(case):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False) if case["pre"] == "gpt-2" else qwen_like(QWEN2)
    if case.get("nfc"):
        t.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=case["vocab_size"], min_frequency=case.get("min_frequency", 0), special_tokens=case.get("special", []), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=case.get("max_token_length"))
    if case["data"].endswith(".txt"):
        t.train([str(DATA / case["data"])], trainer)
    elif case["data"]:
        t.train_from_iterator(gsm8k(), trainer)
    else:
        t.train_from_iterator(unicode_texts(), trainer)
    return json.loads(t.to_str())["model"]


def main():
    if sys.argv[1:2] == ["load"]:  # a folder written by r1: does HF read it, and what are the ids of the JSON strings on stdin?
        t = Tokenizer.from_file(sys.argv[2] + "/tokenizer.json")
        for line in sys.stdin:
            print(json.dumps(t.encode(json.loads(line), add_special_tokens=False).ids, separators=(",", ":")))
        return
    for case in CASES:
        model = train(case)
        merges = model["merges"]
        text = "\n".join(" ".join(m) if isinstance(m, list) else m for m in merges)
        vocab = "\n".join(sorted(model["vocab"], key=model["vocab"].get))
        case["merges"] = len(merges)
        case["hash"] = hashlib.sha256((text + "\n\n" + vocab).encode("utf-8")).hexdigest()[:16]
        case["first"] = [" ".join(m) if isinstance(m, list) else m for m in merges[:20]]
    (tokenizer_strings.GOLDEN / "tokenizer_train.json").write_text(json.dumps(CASES, indent=1) + "\n")


if __name__ == "__main__":
    main()
