"""Greedy ids of GGUF files as llama.cpp computes them (xllamacpp carries it compiled).

  python tests/oracles/llama_greedy.py IDS.json COUNT OUT.json FILE...     OUT: a list of lists, COUNT ids after those of IDS.json for each file
"""
import json
import sys
import urllib.request

import xllamacpp

ids = json.load(open(sys.argv[1]))
count = int(sys.argv[2])
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
    # Over its socket: the answers of handle_completions leave out tokens that end within a character.
    request = {"prompt": ids, "n_predict": count, "temperature": 0.0, "repeat_penalty": 1.0, "return_tokens": True, "cache_prompt": False}
    here = urllib.request.Request(server.listening_address + "/completion", json.dumps(request).encode(), {"Content-Type": "application/json"})
    with direct.open(here) as answer:
        out.append(json.load(answer)["tokens"])
json.dump(out, open(sys.argv[3], "w"))
