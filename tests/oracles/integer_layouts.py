"""Golden tensors of integer matrices as other programs lay them out.

  python integer_layouts.py ../golden     writes integer_layouts.safetensors

GPTQ and AWQ by the published rules (AutoGPTQ's and GPTQModel's pack(): a word holds neighbours along the inputs, zero points less 1 in the first
format; AutoAWQ's WQLinear_GEMM: eight outputs in the order 0 2 4 6 1 3 5 7), packed integers by compressed_tensors itself (pip install
compressed-tensors). `values` is what each program computes with.
"""
import os
import sys

import numpy as np
import torch
from compressed_tensors.compressors import pack_to_int32
from safetensors.numpy import save_file

rng = np.random.default_rng(9)
O, I, G = 16, 64, 4
out = {}
for bits in (4, 8):
    top = 2**bits
    codes = rng.integers(0, top, (O, I))
    zeros = rng.integers(1, top, (G, O))
    scales = (rng.random((G, O)) * 0.01 + 1e-3).astype(np.float16)
    g_idx = rng.permutation(np.arange(I) % G).astype(np.int32)
    per = 32 // bits
    qweight = np.zeros((I // per, O), np.uint32)
    for i in range(I):
        qweight[i // per] |= codes[:, i].astype(np.uint32) << np.uint32(bits * (i % per))
    for name, less in (("gptq", 1), ("gptq_v2", 0)):
        qzeros = np.zeros((G, O // per), np.uint32)
        for o in range(O):
            qzeros[:, o // per] |= (zeros[:, o] - less).astype(np.uint32) << np.uint32(bits * (o % per))
        out[f"{name}.{bits}.qzeros"] = qzeros.view(np.int32)
    out[f"gptq.{bits}.qweight"] = qweight.view(np.int32)
    out[f"gptq.{bits}.scales"], out[f"gptq.{bits}.g_idx"] = scales, g_idx
    out[f"gptq.{bits}.values"] = (scales.astype(np.float32)[g_idx] * (codes.T - zeros[g_idx]).astype(np.float32)).T.copy()

    centred = torch.tensor(codes - top // 2, dtype=torch.int8)
    scale = torch.rand(O, G) * 0.01 + 1e-3
    out[f"packed.{bits}.packed"] = pack_to_int32(centred, bits).numpy()
    out[f"packed.{bits}.scale"] = scale.numpy()
    out[f"packed.{bits}.values"] = (centred.float().view(O, G, I // G) * scale[:, :, None]).view(O, I).numpy()

order = [0, 2, 4, 6, 1, 3, 5, 7]
codes, zeros = rng.integers(0, 16, (I, O)), rng.integers(0, 16, (G, O))
scales = (rng.random((G, O)) * 0.01 + 1e-3).astype(np.float16)
pack = lambda m: sum((m[:, order[j] :: 8].astype(np.uint32) << np.uint32(4 * j)) for j in range(8)).astype(np.uint32).view(np.int32)
out["awq.qweight"], out["awq.qzeros"], out["awq.scales"] = pack(codes), pack(zeros), scales
group = np.arange(I) // (I // G)
out["awq.values"] = ((codes - zeros[group]).astype(np.float32) * scales.astype(np.float32)[group]).T.copy()
save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, os.path.join(sys.argv[1], "integer_layouts.safetensors"), metadata={"made by": "tests/oracles/integer_layouts.py"})
