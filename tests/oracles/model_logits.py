"""Logits of HF model folders as transformers computes them: what tests/model/export_test.cc compares our exports with.

  python tests/oracles/model_logits.py IDS.json OUT.safetensors FOLDER...

IDS.json: a list of ids, one sequence. OUT gets one tensor a folder, logits.<index> [T, V] fp32. A warning of transformers about the weights is an error here.
"""

import json
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ids = torch.tensor([json.load(open(sys.argv[1]))])
out = {}
for i, folder in enumerate(sys.argv[3:]):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    bad = {k: v for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    if bad:
        sys.exit(f"{folder}: {bad}")
    with torch.no_grad():
        out[f"logits.{i}"] = model(ids).logits[0].contiguous()
save_file(out, sys.argv[2])
