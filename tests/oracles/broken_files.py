"""One small file for each class of advisory against readers of GGUF and safetensors: tests/fuzz/corpus/{gguf,safetensors}. Every one of them must be refused with an error
(tests/base/broken_files_test.cc); they seed the fuzzers too, as do the whole files (whole_*).

  python broken_files.py tests/fuzz/corpus
"""
import json
import os
import struct
import sys

U32, STRING, ARRAY, U64 = 4, 8, 9, 10
F32, Q4_0 = 0, 2


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def entry(name, dims, kind, offset):
    return text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset)


def gguf(keys=(), entries=(), data=b"", tensors=None, count=None, version=3, alignment=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(entries) if tensors is None else tensors, len(keys) if count is None else count)
    head += b"".join(keys) + b"".join(entries)
    return head + b"\0" * (-len(head) % alignment) + data


BIG = 2**64 - 1
NAME = key("general.architecture", STRING, text("llama"))
ALIGN = lambda n: key("general.alignment", U32, struct.pack("<I", n))
GGUF = {
    # heap overflow in the header: counts and lengths that wrap (CVE-2024-21802, CVE-2024-23605, CVE-2025-66959, CVE-2025-66960)
    "tensor_count_wraps": gguf(tensors=2**61),
    "key_count_wraps": gguf(count=2**60),
    "string_length_wraps": gguf([text("k") + struct.pack("<IQ", STRING, BIG)]),
    "key_length_wraps": gguf([struct.pack("<Q", BIG)]),
    "array_count_wraps": gguf([text("k") + struct.pack("<IIQ", ARRAY, U64, 2**61)]),
    "string_array_count_wraps": gguf([text("k") + struct.pack("<IIQ", ARRAY, STRING, 2**60)]),
    "array_of_arrays": gguf([text("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + struct.pack("<IQ", ARRAY, 1)]),
    "nested_arrays_deep": gguf([text("k") + struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 5000]),
    "unknown_value_type": gguf([text("k") + struct.pack("<I", 77)]),
    # sizes of tensors (CVE-2025-53630 and its bypass CVE-2026-27940, CVE-2026-33298: nbytes)
    "dims_product_wraps": gguf([NAME], [entry("t", [2**32, 2**32], F32, 0)], b"x" * 64),
    "dims_times_bytes_wraps": gguf([NAME], [entry("t", [2**62], F32, 0)], b"x" * 64),
    "blocks_wrap": gguf([NAME], [entry("t", [32, 2**59], Q4_0, 0)], b"x" * 64),
    "zero_dim_hides_wrap": gguf([NAME], [entry("t", [2**63, 2**63, 0], F32, 0)], b"x" * 64),
    "size_plus_padding_wraps": gguf([NAME], [entry("t", [2**62 - 1], F32, 0), entry("u", [1], F32, 0)], b"x" * 64),
    # reads beyond the file (CVE-2026-7482, CVE-2025-49847, CVE-2024-12055, CVE-2025-0317)
    "offset_outside": gguf([NAME], [entry("t", [8], F32, 2**40)], b"x" * 64),
    "offset_wraps": gguf([NAME], [entry("t", [8], F32, BIG - 31)], b"x" * 64),
    "data_cut_short": gguf([NAME], [entry("t", [64], F32, 0)], b"x" * 64),
    "overlap": gguf([NAME], [entry("t", [16], F32, 0), entry("u", [16], F32, 32)], b"x" * 128),
    "gap": gguf([NAME], [entry("t", [8], F32, 0), entry("u", [8], F32, 64)], b"x" * 128),
    "partial_block": gguf([NAME], [entry("t", [31], Q4_0, 0)], b"x" * 64),
    "rank_9": gguf([NAME], [entry("t", [1] * 9, F32, 0)], b"x" * 64),
    "rank_wraps": gguf([NAME], [text("t") + struct.pack("<I", 2**32 - 1)], b"x" * 64),
    "unknown_tensor_type": gguf([NAME], [entry("t", [8], 4711, 0)], b"x" * 64),
    "same_name_twice": gguf([NAME], [entry("t", [8], F32, 0), entry("t", [8], F32, 32)], b"x" * 64),
    "same_key_twice": gguf([NAME, NAME]),
    # division by the alignment, huge alignment (llama.cpp #24997)
    "alignment_0": gguf([ALIGN(0)], [entry("t", [8], F32, 0)], b"x" * 64),
    "alignment_odd": gguf([ALIGN(33)], [entry("t", [8], F32, 0)], b"x" * 64),
    "alignment_2g": gguf([ALIGN(2**31)], [entry("t", [8], F32, 0)], b"x" * 64),
    "alignment_text": gguf([key("general.alignment", STRING, text("32"))]),
    "version_1": gguf(version=1),
    "big_endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "empty": b"",
    "magic_only": b"GGUF",
}


def safetensors(header, data=b"", size=None):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header) if size is None else size) + header + data


def one(**fields):
    return json.dumps({"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **fields}})


SAFETENSORS = {
    # header bloat and lengths that wrap (Trail of Bits audit 2023, denial-of-service reports)
    "header_length_wraps": safetensors("{}", size=BIG),
    "header_over_the_cap": safetensors("{}", size=100_000_001),
    "header_longer_than_file": safetensors("{}", size=1000),
    "deep_nesting": safetensors('{"t":' + "[" * 100_000),
    "deep_objects": safetensors('{"t":' * 50_000),
    "not_an_object": safetensors("[]"),
    "not_utf8": safetensors(b'{"\xff":1}'),
    "trailing_json": safetensors("{}{}"),
    # offsets (polyglot files, overlaps, holes)
    "offsets_backwards": safetensors(one(data_offsets=[4, 0]), b"abcd"),
    "offsets_outside": safetensors(one(data_offsets=[0, 2**40], shape=[2**38]), b"abcd"),
    "offsets_wrap": safetensors(one(data_offsets=[BIG - 3, BIG]), b"abcd"),
    "offsets_negative": safetensors(one(data_offsets=[-4, 0]), b"abcd"),
    "offsets_float": safetensors(one(data_offsets=[0.0, 4.0]), b"abcd"),
    "hole": safetensors(one(data_offsets=[4, 8]), b"abcdefgh"),
    "bytes_after_the_last": safetensors(one(), b"abcdPK\x03\x04"),
    "overlap": safetensors(json.dumps({n: {"dtype": "U8", "shape": [4], "data_offsets": o} for n, o in [("a", [0, 4]), ("b", [2, 6])]}), b"abcdef"),
    "shape_does_not_fit": safetensors(one(shape=[2]), b"abcd"),
    "shape_product_wraps": safetensors(one(shape=[2**32, 2**32, 1]), b"abcd"),
    "shape_negative": safetensors(one(shape=[-1]), b"abcd"),
    "rank_9": safetensors(one(shape=[1] * 9), b"abcd"),
    "unknown_dtype": safetensors(one(dtype="F33"), b"abcd"),
    "dtype_missing": safetensors('{"t":{"shape":[1],"data_offsets":[0,4]}}', b"abcd"),
    "same_name_twice": safetensors('{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "same_field_twice": safetensors('{"t":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "metadata_not_text": safetensors('{"__metadata__":{"a":{"b":1}}}'),
    # pickles under another name (CVE-2025-32434 and its kin)
    "pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "zip": b"PK\x03\x04" + b"\0" * 60,
    "empty": b"",
}


def main():
    for folder, files in [("gguf", GGUF), ("safetensors", SAFETENSORS)]:
        path = os.path.join(sys.argv[1], folder)
        os.makedirs(path, exist_ok=True)
        for name, data in files.items():
            with open(os.path.join(path, name), "wb") as f:
                f.write(data)
    with open(os.path.join(sys.argv[1], "gguf", "whole_small"), "wb") as f:
        f.write(gguf([NAME, ALIGN(32)], [entry("t", [8], F32, 0), entry("q", [32], Q4_0, 32)], b"x" * 64))
    with open(os.path.join(sys.argv[1], "safetensors", "whole_small"), "wb") as f:
        f.write(safetensors(one(), b"abcd"))


main()
