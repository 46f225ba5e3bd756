#!/usr/bin/env python3
"""The text of pages: bench_html_notorch against trafilatura, in one call, on pages whose text is known. Quality is the measure of
scrapinghub/article-extraction-benchmark: precision and recall of shingles of four words, a mean over pages of each. One JSON object a line:
all pages, then each half (every other page by name; the rules were worked out on the first), then pages a second (CPU time, one thread, pages in
memory, best of --repeats). Needs trafilatura (pip install trafilatura lxml_html_clean).
trafilatura_html.py PROGRAM FOLDER [--repeats 3]      PROGRAM: build/.../bench_html_notorch; FOLDER: ground-truth.json and html/*.html.gz"""
import argparse
import collections
import gzip
import json
import pathlib
import re
import subprocess
import tempfile
import time

import trafilatura

WORD = re.compile(r"\w+")


def shingles(text, n=4):
    words = WORD.findall(text or "")
    return collections.Counter(tuple(words[i:i + n]) for i in range(max(1, len(words) - n + 1)) if words[i:i + n])


def matches(known, found):
    """Shares of shingles that are in both, only found, only known."""
    a, b = shingles(known), shingles(found)
    both, extra, missed = (sum(c.values()) for c in (a & b, b - a, a - b))
    total = both + extra + missed
    return (both / total, extra / total, missed / total) if total else (0.0, 0.0, 0.0)


def quality(rows):
    def share(both, other, third):
        return 1.0 if other == third == 0 else both / (both + other) if both else 0.0
    precision = [share(b, e, m) for b, e, m in rows if b + e > 0]
    recall = [share(b, m, e) for b, e, m in rows if b + m > 0]
    p, r = sum(precision) / len(precision), sum(recall) / len(recall)
    return {"precision": round(p, 4), "recall": round(r, 4), "f1": round(2 * p * r / (p + r), 4)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    known = json.loads((args.folder / "ground-truth.json").read_text())
    pages = {key: gzip.decompress((args.folder / f"html/{key}.html.gz").read_bytes()) for key in sorted(known)}
    with tempfile.TemporaryDirectory() as work:
        texts = pathlib.Path(work) / "texts.json"
        done = subprocess.run([args.program, str(args.folder / "html"), "--texts", str(texts), "--repeats", str(args.repeats)],
                              check=True, capture_output=True, text=True)
        ours = json.loads(texts.read_text())
    speed = json.loads(done.stdout)
    theirs, best = {}, float("inf")
    for _ in range(args.repeats):
        begin = time.process_time()
        for key, page in pages.items():
            theirs[key] = trafilatura.extract(page, include_comments=False) or ""
        best = min(best, time.process_time() - begin)
    rows = {side: {key: matches(known[key]["articleBody"], text[key]) for key in pages} for side, text in (("ours", ours), ("theirs", theirs))}
    keys = list(pages)
    for name, part in (("all", keys), ("first half", keys[::2]), ("second half", keys[1::2])):
        mine, peer = (quality([rows[side][key] for key in part]) for side in ("ours", "theirs"))
        print(json.dumps({"bench": "html", "pages": name, "count": len(part), "r1": mine, "trafilatura": peer, "f1_ratio": round(mine["f1"] / peer["f1"], 4)}))
    print(json.dumps({"bench": "html", "trafilatura_version": trafilatura.__version__, "r1_pages_per_s": round(speed["pages_per_s"], 1), "r1_mb_per_s": round(speed["mb_per_s"], 1),
                      "trafilatura_pages_per_s": round(len(pages) / best, 1), "ratio": round(speed["pages_per_s"] * best / len(pages), 2)}))


main()
