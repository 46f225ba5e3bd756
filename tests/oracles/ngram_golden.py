"""Writes tests/golden/ngram/: a made-up text, what KenLM's lmplz learns from it, and what kenlm scores with that.

Run: python tests/oracles/ngram_golden.py LMPLZ tests/golden/ngram   (LMPLZ: the program, built from KenLM's sources; kenlm==0.3.0 installed)
"""
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile

import kenlm


def text():
    """Sentences of a chain of words, so that n-grams repeat as they do in language; with what tokenizers trip over."""
    rng = random.Random(11)
    words = [f"{a}{b}{c}" for a in "bdkt" for b in "aeiou" for c in "lmnrs"] + ["é", "猫", "don't", "x,y", "\u00a0", "U.S."]
    after = {w: rng.sample(words, 25) for w in words}
    lines = []
    for _ in range(700):
        word = words[int(len(words) * rng.random() ** 3)]
        line = [word]
        while rng.random() > 0.12:
            word = after[word][int(25 * rng.random() ** 3)] if rng.random() < 0.75 else words[int(len(words) * rng.random() ** 3)]
            # Words of all frequencies: discounts want n-grams seen once, twice, thrice and four times.
            line.append(f"rare{int(500 * rng.random() ** 3)}" if rng.random() < 0.12 else word)
        lines.append(" ".join(line))
    lines[5] = "  two \t blanks\rand  a return "
    lines[6] = "one"
    return "\n".join(lines) + "\n"


FEW_LINES = 60


def write(path, data):
    with open(path, "wb") as file:
        file.write(gzip.compress(data, 9, mtime=0))


def main(lmplz, folder):
    os.makedirs(folder, exist_ok=True)
    corpus = text().encode()
    write(os.path.join(folder, "text.gz"), corpus)
    runs = {
        "order1": ["-o", "1"],
        "order2": ["-o", "2"],
        "order3": ["-o", "3"],
        "order4_pruned": ["-o", "4", "--prune", "0", "0", "1"],
        "order3_pruned2": ["-o", "3", "--prune", "0", "1", "2"],
        "order6_fallback": ["-o", "6", "--discount_fallback"],  # of the first FEW_LINES lines
    }
    rng = random.Random(5)
    lines = corpus.decode().split("\n")[:-1]
    asked = rng.sample(lines, 12)
    for line in rng.sample(lines, 12):
        words = line.split()
        words.insert(rng.randrange(len(words) + 1), "never-seen")
        rng.shuffle(words)
        asked.append(" ".join(words))
    asked += ["", "never-seen", "never-seen at all", "one", "bal " * 30, "<s> bal </s> bal", "<unk> bal"]
    golden = {"asked": asked, "models": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in runs.items():
            some = b"\n".join(corpus.split(b"\n")[:FEW_LINES] + [b""]) if "fallback" in name else corpus
            arpa = subprocess.run([lmplz, *options, "-S", "64M", "-T", scratch], input=some, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
            write(os.path.join(folder, name + ".arpa.gz"), arpa)
            path = os.path.join(scratch, name + ".arpa")
            with open(path, "wb") as file:
                file.write(arpa)
            if "-o 1" in " ".join(options):
                continue  # kenlm queries no model of order 1
            model = kenlm.Model(path)
            golden["models"][name] = {
                "with_ends": [[[p, n, oov] for p, n, oov in model.full_scores(line)] for line in asked],
                "without": [model.score(line, bos=False, eos=False) for line in asked],
            }
    with open(os.path.join(folder, "scores.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=True, separators=(",", ":"))


if __name__ == "__main__":
    main(*sys.argv[1:])
