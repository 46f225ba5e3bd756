#include "r1/engine/ngram_lookup.h"

#include <algorithm>

namespace r1::engine {

std::vector<TokenId> ngram_lookup(std::span<const TokenId> tokens, int64_t most) {
  constexpr int64_t kShortest = 2, kLongest = 8;
  const int64_t count = int64_t(tokens.size());
  int64_t best = kShortest - 1, found = -1;
  // `end`: where a run that ends before it would go on.
  for (int64_t end = count - 1; end >= kShortest && best < kLongest && most > 0; --end) {
    int64_t length = 0;
    while (length < std::min(kLongest, end) && tokens[size_t(end - 1 - length)] == tokens[size_t(count - 1 - length)]) ++length;
    if (length > best) best = length, found = end;
  }
  if (found < 0) return {};
  return {tokens.begin() + found, tokens.begin() + std::min(found + most, count)};
}

}  // namespace r1::engine
