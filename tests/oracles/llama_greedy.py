"""Greedy ids of GGUF files as llama.cpp computes them (pip install llama-cpp-python).

  python tests/oracles/llama_greedy.py IDS.json COUNT FILE...     prints a JSON list of lists: COUNT ids after those of IDS.json, for each file

Exit code 77: llama_cpp is not installed.
"""
import json
import sys

try:
    from llama_cpp import Llama
except ImportError:
    sys.exit(77)

ids = json.load(open(sys.argv[1]))
count = int(sys.argv[2])
out = []
for file in sys.argv[3:]:
    llama = Llama(file, n_ctx=len(ids) + count + 1, n_threads=1, verbose=False)
    made = []
    for token in llama.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
        made.append(int(token))
        if len(made) == count:
            break
    out.append(made)
print(json.dumps(out))
