#!/usr/bin/env python3
"""Makes tests/golden/minhash.json with datatrove: words, signatures, clusters.

pip install datatrove spacy tokenizers orjson "xxhash<4"; then: tests/oracles/minhash_golden.py tests/golden/minhash.json
bench/peers/corpus_dedup.py uses it too.
"""
import json
import random
import sys
import tempfile
import time

import numpy
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.utils.hashing import HashConfig
from datatrove.utils.logging import logger
from datatrove.utils.text import simplify_text
from datatrove.utils.word_tokenizers import load_word_tokenizer

logger.remove()
WORDS = load_word_tokenizer("eng")

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and doesn't stop; it can't.",
    "Dont you think theyre gonna come? Id say its 5km or 10kg, 3.5mm, 1,000,000.5 km/h at 8am and 10pm.",
    "Na\u00efve caf\u00e9 \u00c5ngstr\u00f6m \u2260 \u226e \u1fef \u03a3\u03a3 \u039f\u0394\u039f\u03a3 \u039f\u0394\u039f\u03a3\u0391 \u0130stanbul \u00a9 2024 \u20ac5 5\u20ac a\u00a9b \u00a9\u00ae x\u2260y 5\u2260y",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! 5\u043a\u043c 7\u043a\u043c\u00b2 \u0451\u043b\u043a\u0430 \u0419\u043e\u0434 \u0432\u0435\u0441\u0438\u0442 3\u043a\u0433 \u0438 \u0435\u0449\u0451 \u043d\u0435\u043c\u043d\u043e\u0433\u043e",
    "\u0645\u0631\u062d\u0628\u0627\u060c \u0663\u066b\u0661\u0664 \u0643\u0645 \u0667\u0643\u0645\u00b2 \u0627\u0644\u0639\u0627\u0644\u0645 \u0628\u064e\u064a\u0652\u062a\u064c \u0648\u0647\u0630\u0627 \u0646\u0635 \u0637\u0648\u064a\u0644",
    "\ud55c\uad6d\uc5b4 \ub744\uc5b4\uc4f0\uae30 \ud14c\uc2a4\ud2b8 \ubb38\uc7a5\uc774 \uc5ec\uae30\uc5d0 \uc788\ub2e4 \ub610 \uc788\ub2e4",
    "\u4e2d\u6587 \u6587\u672c \u6ca1\u6709 \u7a7a\u683c \u4f46\u662f \u8fd9\u91cc \u6709\u3002\u5168\u89d2\uff01",
    "\U0001f600 smile\U0001f600smile \U0001f1e9\U0001f1ea flags \u2603snow\u2603 \u2192 arrows\u2192here 0\u00b0C \u00b0 1\u00b0",
    "e\u0301 combining \u0301alone \u1e9e\u00df \ufb01sh \u2126 \u212b \u00bd \u00b2\u00b3 \u2163 \ua64b",
    "tab\tnew\nline\r\nnbsp\u00a0em\u2003zero\u200bwidth\ufeffbom\u0085nel\u2028ls\x1cfs\x00nul",
    "snake_case camelCase C++ a.b.c e-mail@example.com http://example.com/x?y=1#z $100 100% #tag @user",
    "1.2.3 1,2 1, 2 .5 5. 1\u066b2 \u0967\u0968\u0969 a1b2c3 0x1F 1e10 12abc abc12 3d 5t 7g 9k 1m 2M 3gb",
    "I'm you've he'd it'll we're shouldn't cannot gotta y'all ol' 'em nuff said im ive youre wont whats thats id ill well shell were",
    "too short",
    "",
    "   \n\t ",
    "one two three four five",
    "_ _ _ ... --- !!! ((( ))) a",
    "\u00a1Hola! \u00bfQu\u00e9 tal? \u00abbien\u00bb \u2018quoted\u2019 \u201cdouble\u201d \u2026 \u2013 \u2014 \u00a7 5 \u00a35 5\u00a3 \u00a55",
]
ALPHABET = ("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789     .,;'!-_/" + "\u00e9\u00df\u00a9\u20ac\u2260\u226e\u03a3\u03c3\u0430\u0411\u043c\u043a\u0645\u0643\u0301\u4e2d\uac00\u00b2\u00b0\u00b7\u2018\u00a1\U0001f600\u0967\u066b\u1fef\u037e\u0130\u00b5")


def made_up(seed):
    r = random.Random(seed)
    words = ["".join(r.choice(ALPHABET) for _ in range(r.randint(1, 9))) for _ in range(60)]
    words += ["dont", "cant", "5km", "3mm", "id", "theyre", "gonna", "0g"]
    r.shuffle(words)
    return " ".join(words)


def words_of(text):
    return WORDS.word_tokenize(simplify_text(text)) if text else []


def clusters(documents, config):
    """What each document belongs to, as the least number of its cluster; and the seconds of signing and of the rest."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        step = MinhashDedupSignature(folder + "/sig", config=config, language="eng")
        step.run((Document(text=t, id=str(i)) for i, t in enumerate(documents)), rank=0, world_size=1)
        signed = time.perf_counter()
        for i in range(config.num_buckets):
            MinhashDedupBuckets(folder + "/sig", folder + "/dups", config=config).run(rank=i, world_size=config.num_buckets)
        MinhashDedupCluster(folder + "/dups", folder + "/out", config=config, save_cluster_id=True).run(world_size=1)
        end = time.perf_counter()
        least = list(range(len(documents)))
        try:
            rows = numpy.fromfile(folder + "/out/000000.clusters", dtype="<u4").reshape(-1, 2)
        except FileNotFoundError:
            rows = numpy.zeros((0, 2), dtype="<u4")
        first = {}
        for document, cluster in sorted(map(tuple, rows.tolist())):
            least[document] = first.setdefault(cluster, document)
    return least, signed - start, end - signed


def near_duplicates():
    r = random.Random(7)
    vocabulary = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(500)]
    out = []
    for _ in range(40):
        words = [r.choice(vocabulary) for _ in range(r.randint(20, 120))]
        out.append(" ".join(words))
        for changes in (0, 1, 3, 8):
            if r.random() < 0.5:
                copy = list(words)
                for _ in range(changes):
                    copy[r.randrange(len(copy))] = r.choice(vocabulary)
                out.append(" ".join(copy))
    r.shuffle(out)
    return out


def main():
    texts = TEXTS + [made_up(seed) for seed in range(40)]
    golden = {"words": [{"text": t, "words": words_of(t)} for t in texts], "signatures": []}
    for fc, precision in (("xxhash", 64), ("xxhash", 32), ("sha1", 64), ("sha1", 32)):
        config = MinhashConfig(hash_config=HashConfig(precision=precision, hash_fc=fc))
        step = MinhashDedupSignature(tempfile.mkdtemp(), config=config, language="eng")
        rows = []
        for i in (0, 1, 2, 3, 9, 16, 20, 21):
            shingles = step.get_shingles(texts[i])
            rows.append({"text": i, "signature": [str(x) for b in step.get_signature(shingles) for x in b]})
        golden["signatures"].append({"hash": {"xxhash": "xxhash", "sha1": "sha1_"}[fc] + str(precision), "rows": rows})
        golden.setdefault("a", [str(x) for x in step.parameters[0][0].tolist()])
        golden.setdefault("b", [str(x) for x in step.parameters[1][0].tolist()])
    documents = near_duplicates()
    golden["clusters"] = {"documents": documents, "least": clusters(documents, MinhashConfig())[0]}
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        json.dump(golden, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
