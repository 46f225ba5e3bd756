"""Golden blocks of GGUF quantization, made by gguf-py (pip install gguf safetensors numpy).

  python gguf_quantize.py ../golden     writes gguf_quantized.safetensors: rows of values, and gguf-py's blocks of them in every type it quantizes to
"""
import os
import sys

import numpy as np
from gguf.constants import GGMLQuantizationType as T
from gguf.quants import quantize
from safetensors.numpy import save_file

rng = np.random.default_rng(5)
values = (rng.standard_normal((8, 256)) * 10.0 ** rng.integers(-4, 2, (8, 1))).astype(np.float32)
values[0, :32] = 0  # a block of zeros
values[1, :32] = 0.25  # of one value
values[2, 3] = 40  # an outlier
values[3] = np.abs(values[3])
values[4, :64] = np.round(values[4, :64] * 8) / 8  # ties
tensors = {"values": values}
for kind in [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.BF16]:
    tensors[kind.name] = quantize(values, kind).view(np.uint8)
save_file(tensors, os.path.join(sys.argv[1], "gguf_quantized.safetensors"), metadata={"made by": "tests/oracles/gguf_quantize.py"})
