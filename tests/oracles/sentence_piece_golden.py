"""Ids by sentencepiece for the SentencePiece vocabulary inside a GGUF file (Gemma 3), over the strings of tokenizer_strings.py.

  sentence_piece_golden.py generate               writes tests/golden/sentence_piece.json: a hash for each block of strings, some cases in full
  sentence_piece_golden.py ids PREFIX FIRST COUNT prints the ids of those strings, a JSON array a line

A GGUF file holds what a .model file does: pieces, scores, types. They are put back into a model here, with and without the space before each text that Llama's vocabularies have.
"""
import json
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb

import tokenizer_golden
import tokenizer_strings

FILE = "gemma-3-270m-q4_k_m.gguf"
BLOCK, BLOCKS = 1000, 4
SPACE = "\u2581"


def load(prefix):
    meta = tokenizer_golden.gguf_metadata(tokenizer_golden.MODELS / FILE)
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    proto = pb.ModelProto()
    unknown = meta["tokenizer.ggml.unknown_token_id"]
    for i, (token, score, kind) in enumerate(zip(tokens, meta["tokenizer.ggml.scores"], types)):
        piece = proto.pieces.add()
        piece.piece = token.replace(" ", SPACE)  # user-defined runs of spaces
        piece.score = score
        piece.type = 2 if i == unknown else kind
    spec = proto.trainer_spec
    spec.model_type, spec.byte_fallback, spec.vocab_size = 2, True, len(tokens)
    spec.pad_id, spec.eos_id, spec.bos_id, spec.unk_id = 0, 1, 2, unknown
    spec.pad_piece, spec.eos_piece, spec.bos_piece, spec.unk_piece = (tokens[i] for i in (0, 1, 2, unknown))
    rules = proto.normalizer_spec
    rules.name, rules.add_dummy_prefix, rules.remove_extra_whitespaces, rules.escape_whitespaces = "identity", prefix, False, True
    model = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    return model, [t for t, kind in zip(tokens, types) if kind in (3, 4)]


def encode(model, strings):
    return [model.encode(s) for s in strings]


def generate():
    golden = {"file": FILE, "block": BLOCK}
    for prefix in (False, True):
        model, added = load(prefix)
        entry = golden["prefix" if prefix else "plain"] = {"ids": [], "text": []}
        for b in range(BLOCKS if not prefix else 1):
            rows = encode(model, [tokenizer_strings.make(i, added) for i in range(b * BLOCK, (b + 1) * BLOCK)])
            entry["ids"].append(tokenizer_golden.block_hash(rows))
            if b == 0:
                entry["text"].append(tokenizer_golden.text_hash([model.decode(r) for r in rows]))
        entry["cases"] = encode(model, [tokenizer_strings.make(i, added) for i in range(1_000_000, 1_000_030)])
    (tokenizer_strings.GOLDEN / "sentence_piece.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def main():
    if sys.argv[1] == "generate":
        return generate()
    prefix, first, count = sys.argv[2] == "1", int(sys.argv[3]), int(sys.argv[4])
    model, added = load(prefix)
    for row in encode(model, [tokenizer_strings.make(i, added) for i in range(first, first + count)]):
        print(json.dumps(row, separators=(",", ":")))


if __name__ == "__main__":
    main()
