"""KenLM for bench_corpus_ngram_notorch (pip: kenlm==0.3.0). Arguments: the model (ARPA, or what build_binary made of it), a text file, a sentence a line.
Answers "scores" with log10 of each sentence, "round" with the seconds of CPU that scoring them all takes."""
import json
import sys
import time

import kenlm

model = kenlm.Model(sys.argv[1])
with open(sys.argv[2], encoding="utf-8", newline="\n") as file:
    lines = [line.rstrip("\n") for line in file]
score = model.score
for command in sys.stdin:
    if command == "scores\n":
        print(json.dumps([sum(p for p, _, _ in model.full_scores(line)) for line in lines]), flush=True)
    else:
        start = time.process_time()
        for line in lines:
            score(line)
        print(json.dumps(time.process_time() - start), flush=True)
