"""A GGUF file in llama.cpp (xllamacpp carries it compiled), asked over its socket."""
import json
import urllib.request

import xllamacpp

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def completion(file, **request):
    """The answer of /completion: one thread, fp32 cache, greedy unless the request says otherwise."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 256, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    request = {"temperature": 0.0, "repeat_penalty": 1.0, "cache_prompt": False, **request}
    here = urllib.request.Request(server.listening_address + "/completion", json.dumps(request).encode(), {"Content-Type": "application/json"})
    with DIRECT.open(here) as answer:
        return json.load(answer)
