"""Logits of quantized HF model folders: what tests/quant/peers_test.cc compares ours with.

  python tests/oracles/quantized_logits.py IDS.json OUT.safetensors FOLDER...

IDS.json: a list of ids, one sequence. OUT gets one tensor a folder, logits.<index> [T, V] fp32.
compressed-tensors folders are loaded by transformers with the compressed_tensors package. GPTQ, AWQ and fp8 blocks are unpacked here by the published rules
(their own readers want kernels that a test machine lacks), and transformers computes with what comes out.
"""
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM


def words(packed, bits, order=None):
    """int32 [R, W] -> [R, W * 32 / bits]"""
    per = 32 // bits
    order = order or range(per)
    values = torch.empty(packed.shape[0], packed.shape[1] * per, dtype=torch.int32)
    for place, at in enumerate(order):
        values[:, at::per] = (packed >> (bits * place)) & (2**bits - 1)
    return values


def from_fp8(state):
    out = {k: v.float() for k, v in state.items() if not k.endswith("_scale_inv")}
    for name in [k[: -len("_scale_inv")] for k in state if k.endswith("_scale_inv")]:
        rows, columns = out[name].shape
        scale = state[name + "_scale_inv"].repeat_interleave(128, 0).repeat_interleave(128, 1)
        out[name] = out[name] * scale[:rows, :columns]
    return out


def unpacked(state, q):
    if q["quant_method"] == "fp8":
        return from_fp8(state)
    out = {k: v for k, v in state.items() if not k.endswith((".qweight", ".qzeros", ".scales", ".g_idx"))}
    for name in [k[: -len(".qweight")] for k in state if k.endswith(".qweight")]:
        weight, zeros, scales = state[name + ".qweight"], state[name + ".qzeros"], state[name + ".scales"].float()
        if q["quant_method"] == "awq":
            order = [0, 2, 4, 6, 1, 3, 5, 7]
            codes, zeros = words(weight, 4, order), words(zeros, 4, order)
            group = torch.arange(codes.shape[0]) // (codes.shape[0] // zeros.shape[0])
        else:
            codes = words(weight.T.contiguous(), q["bits"]).T
            zeros = words(zeros, q["bits"]) + (0 if q["checkpoint_format"] == "gptq_v2" else 1)
            group = state[name + ".g_idx"].long()
        value = (codes - zeros[group]).float() * scales[group]  # [I, O]
        conv1d = ".c_" in name  # GPT-2 holds [in, out]
        out[name + ".weight"] = value.contiguous() if conv1d else value.T.contiguous()
    return {k: v.float() for k, v in out.items()}


def model_of(folder):
    config = json.load(open(os.path.join(folder, "config.json")))
    q = config["quantization_config"]
    if q["quant_method"] == "compressed-tensors":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    plain = AutoConfig.from_pretrained(folder)
    del plain.quantization_config
    plain.dtype = torch.float32
    model = AutoModelForCausalLM.from_config(plain, attn_implementation="eager").float()
    missing, unexpected = model.load_state_dict(unpacked(load_file(os.path.join(folder, "model.safetensors")), q), strict=False)
    missing = [k for k in missing if k != "lm_head.weight" or not plain.tie_word_embeddings]
    if missing or unexpected:
        sys.exit(f"{folder}: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    return model


ids = torch.tensor([json.load(open(sys.argv[1]))])
out = {"done": torch.ones(1)}
for i, folder in enumerate(sys.argv[3:]):
    model = model_of(folder)
    with torch.no_grad():
        out[f"logits.{i}"] = model.eval()(ids).logits[0].float().contiguous()
save_file(out, sys.argv[2])
