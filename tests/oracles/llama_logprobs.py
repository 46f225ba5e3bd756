"""Log probabilities of the token after IDS.json as llama.cpp computes them from GGUF files (xllamacpp carries it compiled).

  python tests/oracles/llama_logprobs.py IDS.json VOCAB OUT.json FILE...     OUT: for each file VOCAB numbers, null where none was said
"""
import json
import sys

from llama_server import completion

ids = json.load(open(sys.argv[1]))
vocab = int(sys.argv[2])
out = []
for file in sys.argv[4:]:
    # Probabilities are said before the sampler's bias, but only where an id is taken that is a whole character: one of the prompt's own is.
    answer = completion(file, prompt=ids, n_predict=1, n_probs=vocab, logit_bias=[[ids[1], 1000.0]])
    logprobs = [None] * vocab
    for token in answer["completion_probabilities"][0]["top_logprobs"]:
        logprobs[token["id"]] = token["logprob"]
    out.append(logprobs)
json.dump(out, open(sys.argv[3], "w"))
