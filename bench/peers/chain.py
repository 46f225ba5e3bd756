#!/usr/bin/env python3
"""The whole road from raw JSON lines to token shards: datatrove (with HF tokenizers) and `r1 data run` on the same documents, two workers each.

chain.py R1 DOCUMENTS.jsonl TOKENIZER.json FOLDER [--rounds=1] [--workers=2]         pip: datatrove==0.10.1 spacy tokenizers orjson "xxhash<4"

Both apply the rules of quality of Gopher (repetition, then quality), C4 and FineWeb with their defaults, drop all but one of each cluster of near
duplicates (MinHash, 14 x 8, 5-grams) and write the tokens of what stays. datatrove's five steps are those of its own examples/fineweb.py: filters, then
signatures, buckets, clusters, and filtering with tokenization. Prints one JSON line a round, wall and processor seconds of whole processes, then one
that compares what stayed: token sequences, document by document."""
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import time

import numpy


def run_datatrove(inputs, tokenizer, folder, workers):
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    def execute(name, steps, tasks):
        LocalPipelineExecutor(steps, tasks=tasks, workers=workers, logging_dir=f"{folder}/logs/{name}").run()

    execute(
        "filters",
        [
            JsonlReader(inputs),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            C4QualityFilter(),
            FineWebQualityFilter(),
            JsonlWriter(f"{folder}/filtered"),
        ],
        workers,
    )
    execute("signatures", [JsonlReader(f"{folder}/filtered"), MinhashDedupSignature(f"{folder}/signatures")], workers)
    execute("buckets", [MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets")], 14)
    execute("clusters", [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove")], 1)
    execute(
        "tokens",
        [
            JsonlReader(f"{folder}/filtered"),
            MinhashDedupFilter(f"{folder}/remove"),
            DocumentTokenizer(f"{folder}/tokens", tokenizer, eos_token=end_of_text(tokenizer), shuffle_documents=False),
        ],
        workers,
    )


# Ours ends each document with it.
def end_of_text(tokenizer):
    token = json.load(open(os.path.join(os.path.dirname(tokenizer), "tokenizer_config.json"), encoding="utf-8"))["eos_token"]
    return token if isinstance(token, str) else token["content"]


def run_r1(r1, inputs, tokenizer, folder, workers):
    return [
        *(r1, "data", "run", "--input", inputs, "--output", folder, "--stages", "quality", "near", "--near.similarity", "0", "--near.keep", "first"),
        *("--near.characters", "false", "--tokenizer", tokenizer, "--formats", "tokens", "--threads", str(workers), "--quiet"),
    ]


def files_below(folder, end):
    return sorted(os.path.join(root, name) for root, _, names in os.walk(folder) for name in names if name.endswith(end))


def datatrove_documents(folder):
    for path in files_below(f"{folder}/tokens", ".ds"):
        size = open(path + ".metadata", encoding="utf-8").readline().rsplit("|", 1)[1].strip()  # "tokenizer|bytes a token"
        tokens = numpy.fromfile(path, dtype=f"<u{size}").astype("<u4")
        begin = 0
        for end in numpy.fromfile(path + ".index", dtype="<u8"):
            yield tokens[begin:end].tobytes()
            begin = int(end)


def r1_documents(folder):
    for path in files_below(folder, ".bin"):
        if "tokens-" not in os.path.basename(path):
            continue
        data = open(path, "rb").read()
        documents, _, size, _, _, version = struct.unpack("<QQHHII", data[-40:-12])
        if data[-8:] != b"R1TOKENS" or version != 1:
            sys.exit(f"{path}: no token shard")
        table = len(data) - 40 - 16 * documents
        begin = 0
        for i in range(documents):
            (end,) = struct.unpack_from("<Q", data, table + 16 * i)
            yield numpy.frombuffer(data[begin * size : end * size], dtype="<u4" if size == 4 else "<u2").astype("<u4").tobytes()
            begin = end


def measured(start):
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    start()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begin, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(r1, documents, tokenizer, folder, rounds=1, workers=2):
    inputs = f"{folder}/input"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(inputs)
    # A file a worker.
    outs = [open(f"{inputs}/{i}.jsonl", "w", encoding="utf-8") for i in range(workers)]
    count = 0
    with open(documents, encoding="utf-8", newline="\n") as file:
        lines = file.readlines()
    for i, out in enumerate(outs):
        out.writelines(lines[i * len(lines) // workers : (i + 1) * len(lines) // workers])
        out.close()
    count = len(lines)
    ratios = []
    for number in range(rounds):
        ours, theirs = f"{folder}/r1_{number}", f"{folder}/datatrove_{number}"
        wall, cpu = measured(lambda: subprocess.run(run_r1(r1, inputs, tokenizer, ours, workers), check=True, stdout=subprocess.DEVNULL))
        command = [sys.executable, __file__, "--datatrove", inputs, tokenizer, theirs, str(workers)]
        log = f"{folder}/datatrove_{number}.log"
        their_wall, their_cpu = measured(lambda: subprocess.run(command, check=True, stdout=open(log, "w"), stderr=subprocess.STDOUT))
        ratios.append((their_wall / wall, their_cpu / cpu))
        line = {"bench": "chain", "peer": "datatrove", "documents": count, "workers": workers, "round": number}
        line |= {"wall_s": wall, "cpu_s": cpu, "documents_s": count / wall, "peer_wall_s": their_wall, "peer_cpu_s": their_cpu}
        line |= {"peer_documents_s": count / their_wall, "ratio": their_wall / wall, "cpu_ratio": their_cpu / cpu}
        print(json.dumps(line), flush=True)
    a, b = list(r1_documents(ours)), list(datatrove_documents(theirs))
    common = set(a) & set(b)
    line = {"bench": "chain_documents", "stay": len(a), "stay_at_peer": len(b), "same_tokens": sum(x in common for x in a)}
    line |= {"only_ours": sum(x not in common for x in a), "only_theirs": sum(x not in common for x in b)}
    line |= {"tokens": sum(map(len, a)) // 4, "peer_tokens": sum(map(len, b)) // 4}
    for i, name in enumerate(("ratio", "cpu_ratio")):
        values = sorted(r[i] for r in ratios)
        line |= {name: values[len(values) // 2], name + "_min": values[0], name + "_max": values[-1]}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--datatrove":
        run_datatrove(*sys.argv[2:5], int(sys.argv[5]))
    else:
        words = [a for a in sys.argv[1:] if not a.startswith("--")]
        options = {k.strip("-"): int(v) for k, v in (a.split("=") for a in sys.argv[1:] if a.startswith("--"))}
        main(*words, **options)
