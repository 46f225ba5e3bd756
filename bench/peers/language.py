"""fastText for bench_corpus_language_notorch (pip: fasttext-wheel==0.9.2, or Debian's python3-fasttext). Arguments: the model, a file of JSON lines, a
text each. Answers "predict" with [label, probability] of each text, "round" with the seconds of CPU that predicting them all takes."""
import json
import sys
import time

import fasttext

model = fasttext.load_model(sys.argv[1])
with open(sys.argv[2], encoding="utf-8") as file:
    texts = [json.loads(line) + "\n" for line in file]
predict = model.f.predict  # without the binding's numpy around it
for command in sys.stdin:
    if command == "predict\n":
        best = [predict(text, 1, 0.0, "strict") for text in texts]
        print(json.dumps([[pairs[0][1].removeprefix("__label__"), pairs[0][0]] if pairs else ["", 0] for pairs in best]), flush=True)
    else:
        start = time.process_time()
        for text in texts:
            predict(text, 1, 0.0, "strict")
        print(json.dumps(time.process_time() - start), flush=True)
