"""The peer of bench/train_step.cc: transformers with SDPA attention, fused AdamW and gradient clipping, the same shapes, the same JSON fields.

  python bench/peers/train_step.py [--peer eager|compile] [--shape gpt2-124m|gpt2-350m|qwen2.5-0.5b|qwen2.5-1.5b] [--batch 64 --seq 1024
    --steps 50 --warmup 20 --precision autocast|bf16] [--profile]

autocast: fp32 weights, bf16 products, as r1's fp32 masters with bf16 weights. bf16: weights and optimizer state in bf16 too, which is less
work (and another result); for comparison only. Nothing in a step waits for the device; time is taken around all timed steps.
"""
import argparse
import json
import os
import time


def process_seconds():
    with open("/proc/self/stat") as f:
        ticks = float(f.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime") as f:
        return float(f.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--peer", default="compile", choices=["eager", "compile"])
    a.add_argument("--shape", default="gpt2-124m")
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--seq", type=int, default=1024)
    a.add_argument("--steps", type=int, default=50)
    a.add_argument("--warmup", type=int, default=20)
    a.add_argument("--precision", default="autocast", choices=["autocast", "bf16"])
    a.add_argument("--profile", action="store_true")
    a = a.parse_args()

    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

    def qwen2(hidden, inner, layers, heads):
        return Qwen2ForCausalLM, Qwen2Config(
            vocab_size=151936, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=2, max_position_embeddings=32768, rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=True)

    def gpt2(hidden, layers, heads):
        return GPT2LMHeadModel, GPT2Config(vocab_size=50304, n_embd=hidden, n_layer=layers, n_head=heads, n_positions=max(1024, a.seq),
                                           resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)

    kind, config = {
        "gpt2-124m": lambda: gpt2(768, 12, 12),
        "gpt2-350m": lambda: gpt2(1024, 24, 16),
        "qwen2.5-0.5b": lambda: qwen2(896, 4864, 24, 14),
        "qwen2.5-1.5b": lambda: qwen2(1536, 8960, 28, 12),
    }[a.shape]()
    config._attn_implementation = "sdpa"
    config.use_cache = False
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    with torch.device("cuda"):
        model = kind(config)
    if a.precision == "bf16":
        model = model.bfloat16()
    model.train()
    parameters = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if a.peer == "compile" else model
    made = process_seconds()
    batches = [torch.randint(0, config.vocab_size, (a.batch, a.seq), device="cuda") for _ in range(4)]
    done, reached = 0, {}

    def step():
        nonlocal done
        ids = batches[done % len(batches)]
        with torch.autocast("cuda", torch.bfloat16, enabled=a.precision == "autocast"):
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done += 1
        if done in (1, 5, 50):
            torch.cuda.synchronize()
            reached[done] = process_seconds()
        return loss.detach()

    first = last = None
    for i in range(a.warmup):
        loss = step()
        first = loss if i == 0 else first
    torch.cuda.synchronize()
    start = time.time()
    for _ in range(a.steps):
        last = step()
    torch.cuda.synchronize()
    seconds = time.time() - start
    per_second = a.batch * a.seq * a.steps / seconds
    width = config.hidden_size
    flops = 6 * parameters + 6 * config.num_hidden_layers * width * a.seq
    print(json.dumps({
        "what": "train_step", "program": "transformers " + a.peer, "shape": a.shape, "batch": a.batch, "seq": a.seq, "micro_batches": 1,
        "dtype": a.precision, "parameters": parameters, "tokens_per_second": per_second, "ms": 1e3 * seconds / a.steps,
        "tflops": per_second * flops / 1e12, "mfu": per_second * flops / 780e12,
        "peak_allocated_gib": torch.cuda.max_memory_allocated() / 2**30, "peak_reserved_gib": torch.cuda.max_memory_reserved() / 2**30,
        "seconds_to_weights": made, "first_loss": first.item(), "last_loss": last.item(),
        "seconds_to_step_5": reached.get(5), "seconds_to_step_50": reached.get(50)}), flush=True)
    if a.profile:
        from torch.profiler import ProfilerActivity, profile
        with profile(activities=[ProfilerActivity.CUDA]) as p:
            step()
            torch.cuda.synchronize()
        print(p.key_averages().table(sort_by="cuda_time_total", row_limit=25, max_name_column_width=80))


if __name__ == "__main__":
    main()
