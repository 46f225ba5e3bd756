#!/usr/bin/env python3
"""GPTQ and AWQ in 4 bits, ours and llm-compressor's, of one model, on the same calibration tokens, judged by one program on the same text.

quantize_peer.py --r1 R1 --model FOLDER --data CALIB.jsonl --eval TEXT --work DIR [--methods gptq awq] [--group 64] [--samples 12] [--length 256]

Needs llmcompressor (0.14.0.1 was tried; it computes on the CPU) and transformers. FOLDER: Hugging Face's layout, for instance of `r1 convert`.
CALIB: rows {"text"}, put one after another and cut as `r1 quantize` does. Each result is scored by `r1 score`, the peer's also by transformers. A line of JSON a method:
perplexities, their ratio to the peer's (goal: 1.002 at most), seconds of the quantization (the peer's without its imports), their ratio.
Threads are what OMP_NUM_THREADS says, for both."""
import argparse
import json
import math
import os
import subprocess
import sys
import time


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--r1", required=True)
    p.add_argument("--model", required=True)
    p.add_argument("--data", required=True)
    p.add_argument("--eval", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--methods", nargs="+", default=["gptq", "awq"])
    p.add_argument("--group", type=int, default=64)
    p.add_argument("--samples", type=int, default=12)
    p.add_argument("--length", type=int, default=256)
    p.add_argument("--peer", choices=["gptq", "awq"], help="only that method of the peer, into --work")
    return p.parse_args()


def calibration(args, tokenizer):
    ids, wanted = [], args.samples * args.length
    for line in open(args.data):
        ids += tokenizer.encode(json.loads(line)["text"], add_special_tokens=False)
        if len(ids) >= wanted:
            break
    assert len(ids) >= wanted, f"{args.data} has {len(ids)} tokens, and {wanted} are asked for"
    return [ids[i : i + args.length] for i in range(0, wanted, args.length)]


def peer(args):
    import torch
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier, QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    rows = calibration(args, tokenizer)
    data = Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(r) for r in rows]})
    weights = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=args.group, symmetric=args.peer == "gptq")
    groups = {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}
    if args.peer == "gptq":
        recipe = [GPTQModifier(ignore=["lm_head"], config_groups=groups)]
    else:
        recipe = [AWQModifier(), QuantizationModifier(ignore=["lm_head"], config_groups=groups)]
    start = time.time()
    oneshot(model=model, dataset=data, recipe=recipe, max_seq_length=args.length, num_calibration_samples=args.samples)
    seconds = time.time() - start
    model.save_pretrained(args.work, save_compressed=True)
    tokenizer.save_pretrained(args.work)
    # The peer's own reading of what it made: from the files, by transformers.
    model = AutoModelForCausalLM.from_pretrained(args.work, dtype=torch.float32)
    with torch.no_grad():
        ids = torch.tensor([tokenizer.encode(open(args.eval, newline="").read(), add_special_tokens=False)])
        loss = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1].float(), ids[0, 1:])
    print(json.dumps({"seconds": seconds, "perplexity": math.exp(loss.item())}))


def last_json(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])


def perplexity(args, folder):
    said = last_json([args.r1, "score", folder, "--file", args.eval, "--weights", "unpacked", "--json", "--quiet"])
    return math.exp(-sum(said["logprobs"][1:]) / (len(said["logprobs"]) - 1))  # the first has nothing before it


def main():
    args = parse()
    if args.peer:
        return peer(args)
    os.makedirs(args.work, exist_ok=True)
    original = perplexity(args, args.model)
    for method in args.methods:
        ours, theirs = os.path.join(args.work, f"ours-{method}"), os.path.join(args.work, f"theirs-{method}")
        shared = ["--group", str(args.group), "--samples", str(args.samples), "--length", str(args.length)]
        made = last_json([args.r1, "quantize", args.model, "--scheme", f"{method}-4", "--data", args.data, "--output_dir", ours, "--overwrite",
                          "--group_size", str(args.group), "--calibration_samples", str(args.samples), "--calibration_length", str(args.length),
                          "--eval_samples", "0", "--json", "--quiet"])
        his = last_json([sys.executable, os.path.abspath(__file__), "--peer", method, "--r1", args.r1, "--model", args.model, "--data", args.data,
                         "--eval", args.eval, "--work", theirs] + shared)
        ppl, his_ppl = perplexity(args, ours), perplexity(args, theirs)
        print(json.dumps({"method": method, "original": original, "ours": ppl, "llm-compressor": his_ppl,
                          "llm-compressor by transformers": his["perplexity"], "ratio": ppl / his_ppl,
                          "seconds": made["seconds"], "seconds_llm-compressor": his["seconds"], "time_ratio": made["seconds"] / his["seconds"],
                          "group": args.group, "tokens": args.samples * args.length}), flush=True)


main()
