"""Log probabilities of the token after IDS.json as llama.cpp computes them from GGUF files (xllamacpp carries it compiled).

  python tests/oracles/llama_logprobs.py IDS.json VOCAB OUT.json FILE...     OUT: for each file VOCAB numbers, null where none was said
"""
import json
import sys
import urllib.request

import xllamacpp

ids = json.load(open(sys.argv[1]))
vocab = int(sys.argv[2])
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
out = []
for file in sys.argv[4:]:
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 256, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    # Probabilities are said before the sampler's bias, but only where an id is taken that is a whole character: one of the prompt's own is.
    request = {"prompt": ids, "n_predict": 1, "temperature": 0.0, "repeat_penalty": 1.0, "n_probs": vocab, "logit_bias": [[ids[1], 1000.0]], "cache_prompt": False}
    here = urllib.request.Request(server.listening_address + "/completion", json.dumps(request).encode(), {"Content-Type": "application/json"})
    with direct.open(here) as answer:
        said = json.load(answer)["completion_probabilities"][0]["top_logprobs"]
    logprobs = [None] * vocab
    for token in said:
        logprobs[token["id"]] = token["logprob"]
    out.append(logprobs)
json.dump(out, open(sys.argv[3], "w"))
