// The one loop from a text to its pieces: a hand-written splitter where there is one, the steps of the file otherwise.
#pragma once

#include <string_view>

#include "r1/text/pretokenize.h"
#include "r1/text/splitters.h"

namespace r1::text {

template <class Sink>
void for_each_piece(const PreTokenizer& pre, std::string_view text, PreTokenizer::Scratch& scratch, Sink&& sink) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto plain = [&](const char* p, const char* q) { sink(Piece{p, q, size_t(p - begin)}); };
  switch (pre.kind()) {
    case PreTokenizer::Kind::kNone:
      return text.empty() ? void() : plain(begin, end);
    case PreTokenizer::Kind::kGpt2:
      return split_gpt2(begin, end, plain);
    case PreTokenizer::Kind::kQwen2:
      return split_qwen<1, kLetter>(begin, end, plain);
    case PreTokenizer::Kind::kQwen35:
      return split_qwen<1, kLetter | kMark>(begin, end, plain);
    case PreTokenizer::Kind::kLlama3:
      return split_qwen<3, kLetter>(begin, end, plain);
    case PreTokenizer::Kind::kDeepSeek:
      return split_deepseek(begin, end, plain);
    case PreTokenizer::Kind::kSmolLm:
      return split_smollm(begin, end, plain);
    case PreTokenizer::Kind::kSteps:
      for (const Piece& piece : pre.run_steps(text, scratch)) sink(piece);
  }
}

}  // namespace r1::text
