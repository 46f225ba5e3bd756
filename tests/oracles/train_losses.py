"""Five AdamW steps by transformers + torch on tiny models whose weights and data are formulas: tests/train/golden/hf_losses.json.

Regenerate: python tests/oracles/train_losses.py > tests/train/golden/hf_losses.json
"""
import json
import math
import sys

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

SHAPE = dict(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             head_dim=8, max_position_embeddings=128, rms_norm_eps=1e-6, attention_dropout=0.0, bos_token_id=None, eos_token_id=None)
FAMILIES = {
    "llama": (LlamaConfig, dict(tie_word_embeddings=False)),
    "qwen2": (Qwen2Config, dict(tie_word_embeddings=True)),
    "qwen3": (Qwen3Config, dict(tie_word_embeddings=True)),
}
STEPS, LR, DECAY, CLIP = 5, 3e-3, 0.1, 0.5


def fill(model):
    """Parameter k in order of name: sin(0.37 i + k) / 10, norms 1 + that."""
    with torch.no_grad():
        for k, (name, p) in enumerate(sorted(model.named_parameters())):
            values = torch.tensor([math.sin(0.37 * i + k) / 10 for i in range(p.numel())], dtype=torch.float64).view(p.shape)
            p.copy_(values + 1 if "norm" in name else values)


def documents(step):
    """Three documents a step: token t of document d is (7 t t + 5 d + 11 step + t) % 96; all but the first are targets."""
    return [[(7 * t * t + 5 * d + 11 * step + t) % 96 for t in range(length)] for d, length in enumerate((9, 23, 14))]


def train(family):
    make_config, extra = FAMILIES[family]
    model = AutoModelForCausalLM.from_config(make_config(**SHAPE, **extra), attn_implementation="eager").float().train()
    fill(model)
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "lm_head" not in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=DECAY), dict(params=rest, weight_decay=0)], lr=LR, betas=(0.9, 0.95))
    out = []
    for step in range(STEPS):
        docs = documents(step)
        targets = sum(len(d) - 1 for d in docs)
        optimizer.zero_grad()
        total = 0.0
        for doc in docs:
            ids = torch.tensor([doc])
            logits = model(ids).logits[0, :-1]
            loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum") / targets
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item()
        optimizer.step()
        out.append(dict(loss=total, grad_norm=norm))
    return out


torch.manual_seed(0)
json.dump({family: train(family) for family in FAMILIES}, sys.stdout, indent=1)
print()
