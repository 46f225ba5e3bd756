#!/usr/bin/env python3
"""The peers of bench_corpus_dedup_notorch: each call measures one of them once and prints one JSON line. pip install datatrove spacy rensa pydivsufsort

corpus_dedup.py datatrove DOCUMENTS.jsonl N OUT.json  MinHash of the first N (0: all): signatures, buckets, clusters; OUT: each document's cluster
corpus_dedup.py rensa DOCUMENTS.jsonl N               the same road with rensa: words, shingles, signatures, buckets; and its signing alone
corpus_dedup.py divsufsort FILE LENGTH [OUT.bin]      a suffix array of the file; OUT: the repeats of LENGTH bytes worked out from it (pairs of uint64)
"""
import json
import os
import resource
import sys
import time


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def documents_of(path, n):
    texts = []
    for line in open(path, encoding="utf-8"):
        texts.append(json.loads(line)["text"])
        if n and len(texts) == n:
            break
    return texts


def datatrove(path, n, out):
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tests/oracles"))
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from minhash_golden import clusters, words_of

    texts = documents_of(path, int(n))
    words_of("load what is loaded once")
    start = time.process_time()
    least, sign, rest = clusters(texts, MinhashConfig())
    seconds = time.process_time() - start
    json.dump(least, open(out, "w"))
    return {"documents": len(texts), "cpu_seconds": seconds, "sign_seconds": sign, "rest_seconds": rest}


def rensa(path, n):
    import numpy
    from rensa import RMinHash, RMinHashDeduplicator

    texts = documents_of(path, int(n))

    def shingles(text):
        words = text.lower().split()
        return [" ".join(words[i : i + 5]) for i in range(len(words) - 4)]

    start = time.process_time()
    dedup = RMinHashDeduplicator(threshold=0.95, num_perm=128, use_lsh=True)
    dedup.add_pairs((str(i), shingles(t)) for i, t in enumerate(texts))
    whole = time.process_time() - start
    sets = [shingles(t) for t in texts]
    total = sum(map(len, sets))
    start = time.process_time()
    RMinHash.from_token_sets(sets, num_perm=128, seed=42)
    sign = time.process_time() - start
    # From hashes that are there already, in one array: nothing of Python is in it.
    hashes = numpy.array([h for row in RMinHash.hash_token_sets(sets) for h in row], dtype=numpy.uint64)
    offsets = numpy.cumsum([0] + [len(s) for s in sets]).astype(numpy.uint64)
    start = time.process_time()
    RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, num_perm=128, seed=42)
    return {
        "documents": len(texts),
        "cpu_seconds": whole,
        "sign_cpu_seconds": sign,
        "sign_hashes_cpu_seconds": time.process_time() - start,
        "shingles": total,
    }


def divsufsort(path, length, out=None):
    import numpy
    from pydivsufsort import divsufsort as sort
    from pydivsufsort import kasai

    text = numpy.fromfile(path, dtype=numpy.uint8)
    start, cpu = time.perf_counter(), time.process_time()
    array = sort(text)
    line = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu, "mb": len(text) / 2**20, "peak_mb": peak_mb()}
    if out:
        length = int(length)
        common = numpy.asarray(kasai(text, array))  # of each suffix in the array and the next one
        starts = numpy.ones(len(array), dtype=bool)
        starts[1:] = common[: len(array) - 1] < length
        begins = numpy.flatnonzero(starts)
        first = numpy.minimum.reduceat(array, begins)
        sizes = numpy.diff(numpy.append(begins, len(array)))
        repeated = array >= numpy.repeat(first, sizes) + length
        marks = numpy.zeros(len(text) + 1, dtype=numpy.int32)
        windows = array[repeated & (array + length <= len(text))]
        numpy.add.at(marks, windows, 1)
        numpy.add.at(marks, windows + length, -1)
        covered = numpy.concatenate(([0], (numpy.cumsum(marks) > 0).astype(numpy.int8)))
        edges = numpy.flatnonzero(numpy.diff(covered))
        edges.astype("<u8").tofile(out)
    return line


print(json.dumps({"datatrove": datatrove, "rensa": rensa, "divsufsort": divsufsort}[sys.argv[1]](*sys.argv[2:])))
