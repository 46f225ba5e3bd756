"""The other half of tests/model/weights_hf_test.cc: transformers writes models and reads ours.

  python hf_models.py make DIR                  DIR/<family>[-sharded]: small random models of every family, saved by transformers; old names of a checkpoint too
  python hf_models.py same OURS THEIRS          for each folder in THEIRS: transformers loads the one of that name in OURS without a missing or surplus tensor and finds the
                                                same weights in both, bit for bit
  python hf_models.py gguf OURS FILE.gguf       the same for one folder against transformers' own reading of a GGUF file
"""
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import (AutoModelForCausalLM, DeepseekV2Config, DeepseekV3Config, Gemma3TextConfig, GPT2Config, LlamaConfig, Qwen2Config, Qwen3Config,
                          Qwen3MoeConfig)

SMALL = dict(vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
LLAMA3 = dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
MLA = dict(num_key_value_heads=4, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12, n_routed_experts=4, n_shared_experts=1,
           num_experts_per_tok=2, moe_intermediate_size=12, first_k_dense_replace=1)
YARN = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0, original_max_position_embeddings=16)
CONFIGS = {
    "llama": LlamaConfig(**SMALL, tie_word_embeddings=False),
    "llama-tied": LlamaConfig(**SMALL, tie_word_embeddings=True, rope_parameters=LLAMA3),
    "llama-bias": LlamaConfig(**SMALL, attention_bias=True),
    "qwen2": Qwen2Config(**SMALL, tie_word_embeddings=True),
    "qwen2-untied": Qwen2Config(**SMALL, tie_word_embeddings=False),
    "deepseek_v3": DeepseekV3Config(**{**SMALL, **MLA}, q_lora_rank=20, n_group=2, topk_group=1, rope_parameters=YARN, num_mtp_layers=0),
    "deepseek_v2": DeepseekV2Config(**{**SMALL, **MLA}, q_lora_rank=None),
    "qwen3": Qwen3Config(**SMALL, head_dim=16, tie_word_embeddings=False),
    "qwen3-moe": Qwen3MoeConfig(**SMALL, head_dim=16, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24, norm_topk_prob=True, mlp_only_layers=[0]),
    "gpt2": GPT2Config(vocab_size=97, n_embd=32, n_layer=3, n_head=4, n_positions=64),
    "gemma3": Gemma3TextConfig(**SMALL, head_dim=16, sliding_window=8, query_pre_attn_scalar=16, tie_word_embeddings=True),
}


def make(folder):
    for seed, (name, config) in enumerate(CONFIGS.items()):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():  # norms and biases too: what is one or zero everywhere proves nothing
            torch.nn.init.normal_(parameter)
        for key, buffer in model.named_buffers():
            if key.endswith("e_score_correction_bias"):
                torch.nn.init.normal_(buffer)
        model.save_pretrained(os.path.join(folder, name))
        model.to(torch.bfloat16).save_pretrained(os.path.join(folder, name + "-sharded"), max_shard_size="20KB")


def load(path, **options):
    model, info = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True, **options)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[key], f"{path}: {key} {info[key]}"
    return model


def compare(ours, theirs):
    a, b = dict(ours.named_parameters()), dict(theirs.named_parameters())
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    a |= {k: b for k, b in ours.named_buffers() if k.endswith("e_score_correction_bias")}
    b |= {k: b for k, b in theirs.named_buffers() if k.endswith("e_score_correction_bias")}
    for name in a:
        assert a[name].dtype == b[name].dtype, (name, a[name].dtype, b[name].dtype)
        assert torch.equal(a[name], b[name]), f"{name} differs"
    assert ours.config.to_diff_dict().get("rope_parameters") == theirs.config.to_diff_dict().get("rope_parameters"), "rope differs"


def main():
    what = sys.argv[1]
    if what == "make":
        make(sys.argv[2])
    elif what == "same":
        ours, theirs = sys.argv[2:4]
        for name in sorted(os.listdir(theirs)):
            print(name)
            compare(load(os.path.join(ours, name)), load(os.path.join(theirs, name)))
    elif what == "gguf":
        folder, file = os.path.split(sys.argv[3])
        theirs = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
        compare(load(sys.argv[2], dtype=torch.float32), theirs)
    else:
        sys.exit(__doc__)


main()
