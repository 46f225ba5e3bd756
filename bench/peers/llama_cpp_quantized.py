#!/usr/bin/env python3
"""bench/quantized's work with llama.cpp, a command a line, a line of JSON an answer. Needs llama-cpp-python built for this machine:
CMAKE_ARGS="-DGGML_NATIVE=ON" pip install --no-binary llama-cpp-python llama-cpp-python
llama_cpp_quantized.py MODEL.gguf THREADS
  prefill N         seconds for N tokens of one text, the ids 1, 2, ... times 7919 mod 50000; the logits of the last
  decode N M        after that prompt M greedy tokens: seconds, ids
  streams N S M     S texts of N tokens, then M steps of all: seconds of the steps
  load              a fresh load and the first token of a prompt of 8: seconds
  memory N          after N tokens and 8 more: resident bytes now, and how many more than before the model was loaded"""
import ctypes
import json
import os
import sys
import time

import llama_cpp
import numpy

PATH, THREADS = sys.argv[1].encode(), int(sys.argv[2])
llama_cpp.llama_backend_init()
SILENT = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(SILENT, ctypes.c_void_p(0))


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Model:
    def __init__(self, context, texts=1):
        self.model = llama_cpp.llama_model_load_from_file(PATH, llama_cpp.llama_model_default_params())
        assert self.model, "llama.cpp does not load the file"
        p = llama_cpp.llama_context_default_params()
        p.n_ctx, p.n_batch, p.n_ubatch, p.n_seq_max = context * texts, max(512, context), 512, texts
        p.n_threads = p.n_threads_batch = THREADS
        p.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, p)
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(max(512, context), 0, 1)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def run(self, tokens):
        """[(id, position, text, wants logits)]"""
        b = self.batch
        b.n_tokens = len(tokens)
        for i, (token, position, text, logits) in enumerate(tokens):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = token, position, 1, logits
            b.seq_id[i][0] = text
        status = llama_cpp.llama_decode(self.context, b)
        assert status == 0, f"llama_decode returned {status}"

    def logits(self, i):
        return numpy.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, i), (self.vocab,))

    def prefill(self, n, text=0):
        self.run([((i + 1 + 1000 * text) * 7919 % 50000, i, text, i == n - 1) for i in range(n)])
        return int(self.logits(n - 1).argmax())

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)


BEFORE = resident()
kept = {}


def model(context, texts=1):
    if kept.get("form") != (context, texts):
        if kept:
            kept["model"].close()
        kept.update(form=(context, texts), model=Model(context, texts))
    kept["model"].clear()
    return kept["model"]


def answer(command, *numbers):
    n = [int(x) for x in numbers]
    if command == "prefill":
        m = model(1024)
        start = time.perf_counter()
        m.prefill(n[0])
        took = time.perf_counter() - start
        return {"s": took, "logits": [float(x) for x in m.logits(n[0] - 1)[:: max(1, m.vocab // 512)]]}
    if command == "decode":
        m = model(1024)
        ids = [m.prefill(n[0])]
        start = time.perf_counter()
        for i in range(n[1]):
            m.run([(ids[-1], n[0] + i, 0, True)])
            ids.append(int(m.logits(0).argmax()))
        return {"s": time.perf_counter() - start, "ids": ids[:-1]}
    if command == "streams":
        m = model(512, n[1])
        ids = [m.prefill(n[0], text) for text in range(n[1])]
        start = time.perf_counter()
        for i in range(n[2]):
            m.run([(ids[text], n[0] + i, text, True) for text in range(n[1])])
            ids = [int(m.logits(text).argmax()) for text in range(n[1])]
        return {"s": time.perf_counter() - start}
    if command == "load":
        if kept:
            kept["model"].close()
            kept.clear()
        start = time.perf_counter()
        m = Model(512)
        m.prefill(8)
        took = time.perf_counter() - start
        m.close()
        return {"s": took}
    if command == "memory":
        m = model(2304)
        m.prefill(n[0])
        for i in range(8):
            m.run([(1, n[0] + i, 0, True)])
        return {"resident": resident(), "grown": resident() - BEFORE}
    raise ValueError(command)


for line in sys.stdin:
    print(json.dumps(answer(*line.split())), flush=True)
