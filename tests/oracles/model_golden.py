"""Tiny random-weight models of each family, made by transformers, with their logits and, for some, loss and gradients of one step.

  python tests/oracles/model_golden.py tests/golden/models [NAME...]        (transformers 5.23, torch 2.11; CPU, fp32)

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
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel,
                          LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM)

SMALL = dict(vocab_size=47, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, initializer_range=0.2, bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
# Latent attention. The published networks' yarn, on a trained context so short that the tests' sequences are well beyond it.
MLA = dict(num_key_value_heads=4, q_lora_rank=20, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12)
V3_MLA = dict(**MLA, num_mtp_layers=0)  # transformers has no such layers in its model, whatever the config says
PLAIN_ROPE = dict(rope_type="default", rope_theta=10000.0)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=40.0, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=16)
EXPERTS = dict(n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3, moe_intermediate_size=12, first_k_dense_replace=1)
DENSE = dict(n_routed_experts=8, num_experts_per_tok=3, moe_intermediate_size=12, first_k_dense_replace=2, n_group=1, topk_group=1)
V3 = (DeepseekV3Config, DeepseekV3ForCausalLM)
V2 = (DeepseekV2Config, DeepseekV2ForCausalLM)
GEMMA = dict(head_dim=12, num_hidden_layers=4, sliding_window=7, sliding_window_pattern=3, query_pre_attn_scalar=9)
GEMMA_ROPE = lambda factor: dict(full_attention=dict(rope_type="linear", rope_theta=3000.0, factor=factor) if factor else dict(rope_type="default", rope_theta=3000.0),
                                 sliding_attention=dict(rope_type="default", rope_theta=100.0))
MODELS = {
    "llama": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0), rms_norm_eps=1e-5), True),
    "llama_rope3_tied": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=LLAMA3, tie_word_embeddings=True, head_dim=12), False),
    "llama_linear_bias": (LlamaConfig, LlamaForCausalLM, dict(rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=4.0), attention_bias=True), False),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(rope_parameters=dict(rope_type="default", rope_theta=1e6), tie_word_embeddings=True), True),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(rope_parameters=dict(rope_type="default", rope_theta=1e6), head_dim=16, num_key_value_heads=1), True),
    "qwen3_moe": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(rope_parameters=PLAIN_ROPE, head_dim=16, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=12,
                                                            norm_topk_prob=True), True),
    "qwen3_moe_mixed": (Qwen3MoeConfig, Qwen3MoeForCausalLM, dict(rope_parameters=PLAIN_ROPE, head_dim=8, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=20,
                                                                  norm_topk_prob=False, mlp_only_layers=[0], tie_word_embeddings=True), False),
    "deepseek_v3_dense": (*V3, {**V3_MLA, **DENSE, "rope_parameters": YARN}, True),
    "deepseek_v3_dense_plain": (*V3, {**V3_MLA, **DENSE, "q_lora_rank": None, "rope_parameters": PLAIN_ROPE, "attention_bias": True, "rope_interleave": False}, True),
    "deepseek_v3_dense_ratio": (*V3, {**V3_MLA, **DENSE, "rope_parameters": {**YARN, "mscale": 0.5, "mscale_all_dim": 1.0}}, False),
    "deepseek_v3": (*V3, {**V3_MLA, **EXPERTS, "n_group": 4, "topk_group": 2, "rope_parameters": YARN}, True),
    "deepseek_v3_plain": (*V3, {**V3_MLA, **EXPERTS, "q_lora_rank": None, "first_k_dense_replace": 0, "n_group": 1, "topk_group": 1, "rope_parameters": PLAIN_ROPE,
                                "norm_topk_prob": False}, True),
    "deepseek_v2_lite": (*V2, {**MLA, **EXPERTS, "q_lora_rank": None, "n_shared_experts": 2, "rope_parameters": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}}, True),
    "deepseek_v2_groups": (*V2, {**MLA, **EXPERTS, "topk_method": "group_limited_greedy", "n_group": 4, "topk_group": 2, "routed_scaling_factor": 2.0,
                                 "rope_parameters": PLAIN_ROPE}, False),
    "gpt2": (GPT2Config, GPT2LMHeadModel, dict(n_positions=64, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0), True),
    "gpt2_untied": (GPT2Config, GPT2LMHeadModel, dict(n_positions=64, n_embd=24, n_layer=1, n_head=2, n_inner=40, tie_word_embeddings=False, scale_attn_weights=False,
                                                      resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0), False),
    "gemma3": (Gemma3TextConfig, Gemma3ForCausalLM, dict(rope_parameters=GEMMA_ROPE(None), **GEMMA), True),
    "gemma3_linear": (Gemma3TextConfig, Gemma3ForCausalLM, dict(rope_parameters=GEMMA_ROPE(4.0), **{**GEMMA, "query_pre_attn_scalar": 12}), False),
}
LENGTHS = [9, 1, 40, 17]


def v4_config(config):
    """The keys that transformers 4 writes: rope_theta beside rope_scaling, torch_dtype."""
    out = json.loads(json.dumps(config))
    if "dtype" in out:
        out["torch_dtype"] = out.pop("dtype")
    if "rope_parameters" not in out:
        return out
    if out["model_type"] == "gemma3_text":
        rope = out.pop("rope_parameters")
        out["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
        out["sliding_window_pattern"] = out.pop("_sliding_window_pattern")
        del out["layer_types"]
        out["rope_theta"] = rope.pop("rope_theta")
        out["rope_scaling"] = None if rope["rope_type"] == "default" else rope
        return out
    rope = out.pop("rope_parameters")
    out["rope_theta"] = rope.pop("rope_theta")
    out["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    return out


def published(key, grad):
    """transformers keeps the experts of a layer in one tensor; files have a tensor for each."""
    if not key.endswith(("experts.gate_up_proj", "experts.down_proj")):
        return [(key, grad)]
    prefix, name = key.rsplit(".", 1)
    parts = [("gate_proj", *grad.chunk(2, 1)[:1]), ("up_proj", *grad.chunk(2, 1)[1:])] if name == "gate_up_proj" else [("down_proj", grad)]
    return [(f"{prefix}.{e}.{part}.weight", g[e]) for part, g in parts for e in range(len(grad))]


def make(name, folder):
    config_class, model_class, extra, with_gradients = MODELS[name]
    torch.manual_seed(sum(name.encode()))
    small = {k: v for k, v in SMALL.items() if config_class is not GPT2Config or k in ("vocab_size", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id")}
    model = model_class(config_class(**{**small, **extra}, attn_implementation="eager"))
    with torch.no_grad():
        for key, p in model.named_parameters():
            # norms and biases away from 1 and 0, or they would test nothing
            if p.dim() == 1:
                about_one = key.endswith("weight") and ("norm" in key or "ln_" in key) and config_class is not Gemma3TextConfig
                p.copy_(torch.randn_like(p) * 0.3 + (1.0 if about_one else 0.0))
            p.copy_(p.to(torch.bfloat16).float())
        for key, b in model.named_buffers():
            if key.endswith("e_score_correction_bias"):  # large enough to change choices, small enough not to make them all
                b.copy_((torch.randn_like(b) * 0.1).to(torch.bfloat16).float())
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
            for name, grad in published(key, p.grad):
                out["grad." + name] = grad
    save_file({k: v.contiguous() for k, v in out.items()}, folder / "golden.safetensors")


if __name__ == "__main__":
    for each in sys.argv[2:] or MODELS:
        make(each, pathlib.Path(sys.argv[1]) / each)
