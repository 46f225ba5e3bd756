"""Brotli streams as Google's encoder writes them (libbrotlienc.so.1, Debian: libbrotli1), for the tests of r1/data/unpack.h:
    python3 tests/oracles/brotli_golden.py tests/golden/brotli.json
{"streams": [[hex of the stream, its text], ..], "bomb": hex of 300 MiB of one letter}"""
import ctypes
import json
import sys

library = ctypes.CDLL("libbrotlienc.so.1")
library.BrotliEncoderMaxCompressedSize.restype = ctypes.c_size_t
library.BrotliEncoderMaxCompressedSize.argtypes = [ctypes.c_size_t]
library.BrotliEncoderCompress.argtypes = [ctypes.c_int] * 3 + [ctypes.c_size_t, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t), ctypes.c_char_p]


def pack(data, quality, window):
    size = ctypes.c_size_t(library.BrotliEncoderMaxCompressedSize(len(data)) + 100)
    out = ctypes.create_string_buffer(size.value)
    assert library.BrotliEncoderCompress(quality, window, 0, len(data), data, ctypes.byref(size), out)
    return out.raw[: size.value]


words = "The quick brown fox jumps over the lazy dog; \u00e9t\u00e9 \u4e16\u754c, and 1234 more. ".split(" ")
streams = []
for n in [0, 1, 2, 3, 5, 8, 13, 21, 40, 100, 400, 3000]:
    for quality, window in [(0, 10), (5, 18), (11, 22), (11, 24)]:
        text = " ".join(words[(i * i + n) % len(words)] for i in range(n))
        streams.append([pack(text.encode(), quality, window).hex(), text if n < 400 else {"words": n}])
    if n >= 400:
        streams[-1][1] = text
streams = [s for s in streams if not isinstance(s[1], dict)]
json.dump({"streams": streams, "bomb": pack(b"x" * (300 << 20), 3, 24).hex()}, open(sys.argv[1], "w"), ensure_ascii=False, indent=0)
