"""Tiny random-weight models of each family, made by transformers, with their logits and, for some, loss and gradients of one step.

  python tests/oracles/model_golden.py tests/golden/models        (transformers 5.23, torch 2.11; CPU, fp32)

Each folder gets config.json and model.safetensors as transformers writes them (weights rounded to bfloat16 and stored so, which fp32 holds exactly), config_v4.json (the
transformers 4 spelling of the same config), and golden.safetensors: ids [T], cu_seqlens [S+1], logits [T, V] fp32, and where asked loss [1] and grad.<hf name>.
Loss: mean over all tokens but each sequence's last of -log p(next token). Sequences are run one by one, so packing is on our side only.
"""

import copy
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

SMALL = dict(vocab_size=47, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, initializer_range=0.2, bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
MODELS = {
    "llama": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0), rms_norm_eps=1e-5), True),
    "llama_rope3_tied": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=LLAMA3, tie_word_embeddings=True, head_dim=12), False),
    "llama_linear_bias": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=4.0), attention_bias=True), False),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters=dict(rope_type="default", rope_theta=1e6), tie_word_embeddings=True), True),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(rope_parameters=dict(rope_type="default", rope_theta=1e6), head_dim=16, num_key_value_heads=1), True),
}
LENGTHS = [9, 1, 40, 17]


def v4_config(config):
    """The keys that transformers 4 writes: rope_theta beside rope_scaling, torch_dtype."""
    out = json.loads(json.dumps(config))
    rope = out.pop("rope_parameters")
    out["rope_theta"] = rope.pop("rope_theta")
    out["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    out["torch_dtype"] = out.pop("dtype")
    return out


def make(name, folder):
    config_class, model_class, extra, with_gradients = MODELS[name]
    torch.manual_seed(sum(name.encode()))
    model = model_class(config_class(**{**SMALL, **extra}, attn_implementation="eager"))
    with torch.no_grad():
        for key, p in model.named_parameters():
            # norms and biases away from 1 and 0, or they would test nothing
            if p.dim() == 1:
                p.copy_(torch.randn_like(p) * 0.3 + (1.0 if "norm" in key else 0.0))
            p.copy_(p.to(torch.bfloat16).float())
    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)  # a copy: the conversion also rounds the rotary frequencies
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config_v4.json").write_text(json.dumps(v4_config(config), indent=2) + "\n")

    ids = torch.randint(0, SMALL["vocab_size"], (sum(LENGTHS),))
    out, loss, count = {}, 0, sum(n - 1 for n in LENGTHS)
    logits = []
    for part in ids.split(LENGTHS):
        z = model(part[None]).logits[0].float()
        logits.append(z.detach())
        loss = loss + torch.nn.functional.cross_entropy(z[:-1], part[1:], reduction="sum") / count if len(part) > 1 else loss
    out["ids"] = ids
    out["cu_seqlens"] = torch.tensor([0] + LENGTHS).cumsum(0).to(torch.int32)
    out["logits"] = torch.cat(logits)
    if with_gradients:
        loss.backward()
        out["loss"] = loss.detach().reshape(1)
        for key, p in model.named_parameters():
            out["grad." + key] = p.grad
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "golden.safetensors")


if __name__ == "__main__":
    for each in MODELS:
        make(each, pathlib.Path(sys.argv[1]) / each)
