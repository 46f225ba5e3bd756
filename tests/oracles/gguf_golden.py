"""Greedy text and some logits of real GGUF models as transformers sees them in fp32.

  python tests/oracles/gguf_golden.py ~/.cache/r1/models tests/golden/models [NAME...]        (transformers 5.23, gguf 0.19; CPU, fp32)

Writes <name>.json: {"file", "sha256" of the GGUF, "prompt", "prompt_ids", "greedy_ids", "text", "logits": {position: first 64 logits, sum, max, argmax}} where positions count over prompt +
greedy ids, and the smallest gap between best and second best logit on the way ("least_margin": how much rounding the greedy text bears).
"""

import hashlib
import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import sentence_piece_golden

MODELS = {
    "smollm2-135m": ("smollm2-135m-instruct-q4_1.gguf", "The capital of France is Paris. The capital of Italy is", 48),
    "gemma-3-270m": ("gemma-3-270m-q4_k_m.gguf", "The capital of France is Paris. The capital of Italy is", 24),
    "qwen2.5-coder-0.5b": ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "def fibonacci(n):\n    ", 32),
}


def golden(folder, file, prompt, new_tokens):
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32, attn_implementation="eager")
    if file.startswith("gemma"):  # transformers' own conversion of SentencePiece vocabularies takes minutes
        tokenizer = sentence_piece_golden.load(False)[0]
        ids = torch.tensor([[tokenizer.bos_id(), *tokenizer.encode(prompt)]])
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").input_ids
    prompt_ids = ids[0].tolist()
    margin = float("inf")
    with torch.no_grad():
        cache = None
        step = ids
        for _ in range(new_tokens):
            out = model(step, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            best = out.logits[0, -1].topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            step = best.indices[:1][None]
            ids = torch.cat([ids, step], 1)
        logits = model(ids).logits[0].float()
    positions = sorted({0, 1, len(prompt_ids) - 1, len(prompt_ids), ids.shape[1] // 2, ids.shape[1] - 1})
    return {
        "file": file,
        "sha256": hashlib.sha256((pathlib.Path(folder) / file).read_bytes()).hexdigest(),
        "prompt": prompt,
        "prompt_ids": prompt_ids,
        "greedy_ids": ids[0, len(prompt_ids):].tolist(),
        "text": tokenizer.decode(ids[0, len(prompt_ids):].tolist()),
        "least_margin": margin,
        "logits": {str(p): {"first": [round(x, 6) for x in logits[p, :64].tolist()], "sum": logits[p].double().sum().item(),
                            "max": logits[p].max().item(), "argmax": logits[p].argmax().item()} for p in positions},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in sys.argv[3:] or MODELS:
        file, prompt, new_tokens = MODELS[name]
        out = golden(sys.argv[1], file, prompt, new_tokens)
        (pathlib.Path(sys.argv[2]) / f"{name}.json").write_text(json.dumps(out, indent=1) + "\n")
        print(name, repr(out["text"]), out["least_margin"], flush=True)
