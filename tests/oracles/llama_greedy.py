"""Greedy ids of GGUF files as llama.cpp computes them (xllamacpp carries it compiled).

  python tests/oracles/llama_greedy.py IDS.json COUNT OUT.json FILE...     OUT: a list of lists, COUNT ids after those of IDS.json for each file
"""
import json
import sys

from llama_server import completion

ids = json.load(open(sys.argv[1]))
count = int(sys.argv[2])
# Over its socket: the answers of handle_completions leave out tokens that end within a character.
out = [completion(file, prompt=ids, n_predict=count, return_tokens=True)["tokens"] for file in sys.argv[4:]]
json.dump(out, open(sys.argv[3], "w"))
