// GGUF files with nothing but a SentencePiece vocabulary, right or wrong on purpose.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/base/gguf_file.h"
#include "tests/base/gguf_builder.h"

namespace r1::text::testing {

constexpr int32_t kPlainPiece = 1, kUnknownPiece = 2, kControlPiece = 3, kUserPiece = 4, kUnusedPiece = 5, kBytePiece = 6;

struct Piece {
  std::string text;
  float score;
  int32_t type;
};

struct PieceFile {
  std::vector<Piece> pieces;
  bool space_prefix = false;
  size_t scores = SIZE_MAX, types = SIZE_MAX;  // so many are written, at most one for each piece
  std::optional<int64_t> unknown, bos, eos;
};

inline std::string gguf_of(const PieceFile& file) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const Piece& p : file.pieces) {
    tokens.push_back(p.text);
    if (scores.size() < file.scores) scores.push_back(p.score);
    if (types.size() < file.types) types.push_back(p.type);
  }
  r1::testing::GgufBuilder builder;
  builder.add("tokenizer.ggml.model", "llama").add("tokenizer.ggml.add_space_prefix", file.space_prefix);
  builder.add_list("tokenizer.ggml.tokens", tokens).add_list("tokenizer.ggml.scores", scores).add_list("tokenizer.ggml.token_type", types);
  const auto id = [&](const char* key, const std::optional<int64_t>& value) {
    if (value) builder.add(key, *value);
  };
  id("tokenizer.ggml.unknown_token_id", file.unknown);
  id("tokenizer.ggml.bos_token_id", file.bos);
  id("tokenizer.ggml.eos_token_id", file.eos);
  return builder.bytes();
}

inline void add_byte_pieces(std::vector<Piece>& pieces) {
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", unsigned(b));
    pieces.push_back({name, 0, kBytePiece});
  }
}

}  // namespace r1::text::testing
