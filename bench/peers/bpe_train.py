"""The peers of bench_bpe_train_notorch (pip: tokenizers==0.23.3 rustbpe==0.1.0 gigatoken==0.10.0). Each call trains once, in a process of its own.

bpe_train.py hf|rustbpe|gigatoken DOCUMENTS.jsonl VOCAB_SIZE THREADS OUT.json

GPT-2's pattern, all 256 bytes, one text a document. Prints the seconds; OUT: the merges, a pair of byte strings (as Latin-1) each, in order."""
import json
import os
import resource
import sys
import time

library, path, size, threads, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]
os.environ["RAYON_NUM_THREADS"] = threads
os.environ["TOKENIZERS_PARALLELISM"] = "true"
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

with open(path, encoding="utf-8", newline="\n") as file:
    documents = [json.loads(line)["text"] for line in file]


def byte_of_letters():
    letters, extra = {}, 256
    for b in range(256):
        letter = b if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else extra
        extra += letter == extra
        letters[chr(letter)] = b
    return letters


def hf():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    yield
    tokenizer.train_from_iterator(documents, trainer, length=len(documents))
    yield
    letters = byte_of_letters()
    spelled = lambda token: "".join(chr(letters[c]) for c in token)
    yield [[spelled(part) for part in (m.split(" ") if isinstance(m, str) else m)] for m in json.loads(tokenizer.to_str())["model"]["merges"]]


def rustbpe():
    import rustbpe

    tokenizer = rustbpe.Tokenizer()
    yield
    tokenizer.train_from_iterator(documents, vocab_size=size, pattern=PATTERN)
    yield
    # It names only what each merge makes: split again by the ranks below it.
    ranks = {bytes(token): rank for token, rank in tokenizer.get_mergeable_ranks()}
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], rank) if parts[i] + parts[i + 1] != token else rank)
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        merges.append([part.decode("latin-1") for part in parts])
    yield merges


def gigatoken():
    import gigatoken

    joined = "\0".join(documents).encode()
    yield
    _, merges = gigatoken.train_bpe(joined, size, [], separator=b"\0")
    yield
    yield [[part.decode("latin-1") for part in merge] for merge in merges]


training = {"hf": hf, "rustbpe": rustbpe, "gigatoken": gigatoken}[library]()
next(training)
wall, cpu = time.perf_counter(), time.process_time()
next(training)
line = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
with open(out, "w", encoding="utf-8") as file:
    json.dump(next(training), file)
print(json.dumps(line))
