"""Weights in DeepSeek's 8 bit blocks, quantized and dequantized by torch: what tests/tensor/fp8_block_test.cc compares ours with.

  python tests/oracles/fp8_golden.py tests/golden/fp8_block.safetensors        (torch 2.11)

weight [130, 134] fp32 with blocks of very different size, one of zeros; values (float8_e4m3fn), scale_inv [2, 2], and back. The rule is the one of the
published kernels: scale = largest / 448, value = cast(weight / scale), weight = value * scale.
"""
import sys

import torch
from safetensors.torch import save_file

torch.manual_seed(3)
weight = torch.randn(130, 134) * 0.02
weight[:128, 128:] *= 1e-4
weight[128:, :128] *= 300
weight[128:, 128:] = 0
weight[0, :8] = torch.tensor([448.0, -448.0, 1.0625, 1.1875, 2.0**-9, 2.0**-10, 3 * 2.0**-11, -0.0])  # the ends, ties, subnormals; 448 makes the first scale 1
values, scales, back = torch.empty(130, 134, dtype=torch.float8_e4m3fn), torch.empty(2, 2), torch.empty(130, 134)
for r in range(2):
    for c in range(2):
        rows, columns = slice(128 * r, 128 * r + 128), slice(128 * c, 128 * c + 128)
        block = weight[rows, columns]
        largest = block.abs().max()
        scale = largest / 448 if largest > 0 else torch.tensor(1.0)
        scales[r, c] = scale
        values[rows, columns] = (block / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
        back[rows, columns] = values[rows, columns].float() * scale
save_file({"weight": weight, "values": values, "scale_inv": scales, "back": back}, sys.argv[1])
