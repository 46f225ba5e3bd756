"""Golden values of GGUF dequantization, made by gguf-py (pip install gguf safetensors numpy).

  python gguf_blocks.py ../golden          writes gguf_blocks.safetensors: random blocks of every type we read, and gguf-py's values for them
  python gguf_blocks.py ../golden MODELS   also gguf_files.json: SHA-256 of the fp32 values of whole tensors of real files
"""
import hashlib
import json
import os
import sys

import numpy as np
from gguf import GGUFReader
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize
from safetensors.numpy import save_file

TYPES = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K]
# Byte positions of fp16 scales in a block: random bits there would be NaN or infinite now and then.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def blocks_of(kind, rng):
    elements, size = GGML_QUANT_SIZES[kind]
    count = 2048 // elements
    if kind == T.BF16:
        return (rng.standard_normal(count).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(4, -1)
    if kind == T.F16:
        values = rng.standard_normal(count).astype(np.float16)
        values[:4] = [0, -0.0, 65504, 6e-8]  # zeros, the largest, the smallest subnormal
        return values.view(np.uint8).reshape(4, -1)
    raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scale = (rng.standard_normal(count) * 10.0 ** rng.integers(-7, 2, count)).astype(np.float16)
        raw[:, at : at + 2] = scale.view(np.uint8).reshape(count, 2)
    return raw.reshape(4, -1)  # four rows


def main():
    out = sys.argv[1]
    rng = np.random.default_rng(3)
    tensors = {}
    for kind in TYPES:
        raw = blocks_of(kind, rng)
        values = dequantize(raw, kind)
        assert np.isfinite(values).all(), kind
        tensors[f"{kind.name}.blocks"] = raw
        tensors[f"{kind.name}.values"] = np.ascontiguousarray(values, dtype=np.float32)
    save_file(tensors, os.path.join(out, "gguf_blocks.safetensors"), metadata={"made by": "tests/oracles/gguf_blocks.py"})
    if len(sys.argv) > 2:
        hashes = {}
        for name, wanted in [
            ("smollm2-135m-instruct-q4_1.gguf", lambda n: True),
            ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", lambda n: n.startswith(("blk.0.", "blk.11.", "output_norm"))),
        ]:
            reader = GGUFReader(os.path.join(sys.argv[2], name))
            hashes[name] = {
                t.name: [t.tensor_type.name, hashlib.sha256(np.ascontiguousarray(dequantize(t.data, t.tensor_type), dtype=np.float32).tobytes()).hexdigest()[:16]]
                for t in reader.tensors
                if wanted(t.name)
            }
        with open(os.path.join(out, "gguf_files.json"), "w") as f:
            json.dump(hashes, f, indent=0)


main()
