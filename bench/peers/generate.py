#!/usr/bin/env python3
"""bench/generate's rows `single` and `rollout` with transformers: the same shapes, random weights, lengths and fields; one JSON object a line.
generate.py single|rollout [--shape qwen2.5-0.5b] [--static]      --static: static cache and torch.compile (its first run takes a minute)"""
import argparse
import json
import time

import torch
import transformers

SHAPES = {  # hidden, intermediate, layers, heads, kv heads, head size
    "qwen2.5-0.5b": ("Qwen2", 896, 4864, 24, 14, 2, 64),
    "qwen2.5-1.5b": ("Qwen2", 1536, 8960, 28, 12, 2, 128),
    "qwen3-0.6b": ("Qwen3", 1024, 3072, 28, 16, 8, 128),
}


def make_model(shape):
    family, hidden, inner, layers, heads, kv_heads, head_dim = SHAPES[shape]
    config = getattr(transformers, family + "Config")(
        vocab_size=151936, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv_heads, head_dim=head_dim, tie_word_embeddings=True, max_position_embeddings=32768, rope_theta=1e6)
    torch.manual_seed(1)
    with torch.device("cuda"):
        model = getattr(transformers, family + "ForCausalLM")(config)
    return model.to(torch.bfloat16).eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("row", choices=["single", "rollout"])
    parser.add_argument("--shape", default="qwen2.5-0.5b", choices=SHAPES)
    parser.add_argument("--static", action="store_true")
    args = parser.parse_args()
    started = time.time()
    model = make_model(args.shape)
    batch, prompt, answer = (1, 32, 128) if args.row == "single" else (256, 128, 256)
    ids = torch.randint(0, 151936, (batch, prompt), device="cuda")
    options = dict(max_new_tokens=answer, min_new_tokens=answer, do_sample=args.row == "rollout", top_k=0, top_p=1.0, pad_token_id=0)
    if args.static:
        options["cache_implementation"] = "static"
    best, first = None, None
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.time()
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
        torch.cuda.synchronize()
        assert out.shape == (batch, prompt + answer)
        took = time.time() - start
        first = first or time.time() - started
        best = min(best or took, took)
    print(json.dumps({"bench": args.row, "peer": "transformers " + transformers.__version__ + (" static" if args.static else ""),
                      "shape": args.shape, "tok_s": batch * answer / best, "start_to_first_answer_s": first}), flush=True)


main()
