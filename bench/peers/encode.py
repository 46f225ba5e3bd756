"""The peers of bench_tokenizer_notorch (pip: tokenizers==0.23.3 tiktoken==0.14.0 gigatoken==0.10.0).

encode.py hf|tiktoken|gigatoken TOKENIZER.json DOCUMENTS.jsonl THREADS

Answers "ids FILE" by writing what the documents become: their numbers of tokens as uint64, then all ids as uint32. "round": a tokenizer that has seen
nothing encodes all documents and then, as far as it remembers texts (gigatoken does), encodes them once more. Each library gets the documents in the form
that it takes fastest, made ready before the clock starts; loading the tokenizer is not timed either."""
import json
import os
import sys
import time

library, path, documents_path, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
os.environ["RAYON_NUM_THREADS"] = str(threads)
os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
os.environ["RAYON_RS_NUM_THREADS"] = str(threads)

import numpy

with open(documents_path, encoding="utf-8", newline="\n") as file:
    documents = [json.loads(line)["text"] for line in file]


class Hf:
    remembers = False

    def __init__(self):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(path)

    def run(self, keep):
        ids = []
        for i in range(0, len(documents), 256):
            batch = self.tokenizer.encode_batch_fast(documents[i : i + 256], add_special_tokens=False)
            if keep:
                ids += [e.ids for e in batch]
        return ids


def one_pattern(pre_tokenizer):
    """The pre_tokenizer of a tokenizer.json as one pattern. DeepSeek's three steps: each later pattern sees only what the earlier ones left, which
    lookaheads and taking classes away say in one."""
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    patterns = [s["pattern"]["Regex"] for s in steps if s["type"] == "Split"]
    if not patterns:
        return r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    if len(patterns) == 1:
        return patterns[0]
    assert len(patterns) == 3 and patterns[0] == r"\p{N}{1,3}", patterns
    cjk = "\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff"
    word, mark, out = rf"[\p{{L}}\p{{M}}--[{cjk}]]", rf"[\p{{P}}\p{{S}}--[{cjk}]]", rf"\p{{N}}{cjk}"
    return (
        rf"\p{{N}}{{1,3}}|[{cjk}]+|"
        rf"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{{|}}~][A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}{out}]?{word}+| ?{mark}+[\r\n]*|"
        rf"\s*[\r\n]+|\s+(?![^\s{out}])|\s+|[^\s\p{{L}}\p{{M}}\p{{P}}\p{{S}}{out}]+"
    )


class Tiktoken:
    remembers = False

    def __init__(self):
        import tiktoken

        with open(path, encoding="utf-8") as file:
            config = json.load(file)
        byte_of, extra = {}, 256
        for b in range(256):
            letter = b if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else extra
            extra += letter == extra
            byte_of[chr(letter)] = b
        ranks = {bytes(byte_of[c] for c in token): i for token, i in config["model"]["vocab"].items() if all(c in byte_of for c in token)}
        self.tokenizer = tiktoken.Encoding("peer", pat_str=one_pattern(config["pre_tokenizer"]), mergeable_ranks=ranks, special_tokens={})

    def run(self, keep):
        if threads > 1 and not keep:
            return self.tokenizer.encode_ordinary_batch(documents, num_threads=threads)
        ids = []
        for document in documents:
            tokens = self.tokenizer.encode_ordinary(document)
            if keep:
                ids.append(tokens)
        return ids


class Gigatoken:
    remembers = True

    def __init__(self):
        import gigatoken

        self.tokenizer = gigatoken.Tokenizer(path)
        self.source = gigatoken.BytesSource([JOINED], separator=b"\0")

    def run(self, keep):
        ids = self.tokenizer.encode_batch(self.source, parallel=threads > 1)
        return [numpy.asarray(row) for row in ids] if keep else ids


Peer = {"hf": Hf, "tiktoken": Tiktoken, "gigatoken": Gigatoken}[library]
JOINED = "\0".join(documents).encode() if library == "gigatoken" else b""


def timed(run):
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


for command in sys.stdin:
    if command.startswith("ids "):
        ids = Peer().run(True)
        with open(command[4:].rstrip("\n"), "wb") as out:
            numpy.array([len(row) for row in ids], dtype="<u8").tofile(out)
            numpy.concatenate([numpy.asarray(row, dtype="<u4") for row in ids]).tofile(out)
        print(json.dumps({"documents": len(ids)}), flush=True)
    else:
        peer = Peer()
        first = timed(lambda: peer.run(False))
        print(json.dumps({"first": first, "later": timed(lambda: peer.run(False)) if peer.remembers else first}), flush=True)
