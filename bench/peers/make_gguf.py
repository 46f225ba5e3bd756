#!/usr/bin/env python3
"""A GGUF file of Qwen2.5-0.5B's shape with random weights, every matrix (the tied embedding too) of one type, without a vocabulary: what
bench/quantized measures with. Needs gguf and numpy.
make_gguf.py Q8_0|Q4_0 FILE"""
import sys

import gguf
import numpy

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 896, 4864, 24, 14, 2, 64, 151936


def main():
    kind, path = gguf.GGMLQuantizationType[sys.argv[1]], sys.argv[2]
    random = numpy.random.default_rng(1)
    file = gguf.GGUFWriter(path, "qwen2")
    file.add_block_count(LAYERS)
    file.add_context_length(32768)
    file.add_embedding_length(HIDDEN)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(KV_HEADS)
    file.add_rope_freq_base(1e6)
    file.add_layer_norm_rms_eps(1e-6)
    file.add_vocab_size(VOCAB)
    file.add_tokenizer_model("no_vocab")

    # Blocks of 32: a scale in half precision and random quants, values of a deviation of 0.05.
    bytes_of_block, deviation = {"Q8_0": (34, 73.9), "Q4_0": (18, 4.6)}[kind.name]

    def matrix(name, rows, columns):
        blocks = random.integers(0, 256, (rows, columns // 32, bytes_of_block), dtype=numpy.uint8)
        blocks[:, :, :2] = numpy.frombuffer(numpy.float16(0.05 / deviation).tobytes(), dtype=numpy.uint8)
        file.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=kind)

    def vector(name, size, value=0.0):
        file.add_tensor(name, (random.standard_normal(size) * 0.02 + value).astype(numpy.float32))

    matrix("token_embd.weight", VOCAB, HIDDEN)
    vector("output_norm.weight", HIDDEN, 1)
    for i in range(LAYERS):
        block = f"blk.{i}."
        vector(block + "attn_norm.weight", HIDDEN, 1)
        vector(block + "ffn_norm.weight", HIDDEN, 1)
        for name, rows in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            matrix(block + f"attn_{name}.weight", rows * HEAD_DIM, HIDDEN)
            vector(block + f"attn_{name}.bias", rows * HEAD_DIM)
        matrix(block + "attn_output.weight", HIDDEN, HEADS * HEAD_DIM)
        matrix(block + "ffn_gate.weight", INNER, HIDDEN)
        matrix(block + "ffn_up.weight", INNER, HIDDEN)
        matrix(block + "ffn_down.weight", HIDDEN, INNER)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


main()
