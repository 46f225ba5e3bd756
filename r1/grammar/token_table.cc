#include "r1/grammar/token_table.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::grammar {

TokenTable::TokenTable(const text::Tokenizer& tokenizer) {
  const auto n = size_t(tokenizer.vocab_size());
  bytes_.resize(n);
  ordinary_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const auto id = TokenId(i);
    if (!tokenizer.known(id)) continue;
    bytes_[i] = tokenizer.token_bytes(id);
    ordinary_[i] = !tokenizer.is_special(id) && !bytes_[i].empty();
  }
  build();
}

TokenTable::TokenTable(std::vector<std::string> tokens, const std::vector<TokenId>& special) : bytes_(std::move(tokens)) {
  for (const std::string& token : bytes_) ordinary_.push_back(!token.empty());
  for (TokenId id : special) ordinary_.at(size_t(id)) = 0;
  build();
}

void TokenTable::build() {
  std::vector<TokenId> sorted;
  for (size_t i = 0; i < bytes_.size(); ++i)
    if (ordinary_[i]) sorted.push_back(TokenId(i));
  std::sort(sorted.begin(), sorted.end(), [&](TokenId a, TokenId b) {
    const int order = bytes_[size_t(a)].compare(bytes_[size_t(b)]);
    return order != 0 ? order < 0 : a < b;
  });
  constexpr size_t kMostBytes = 60'000;
  trie_.push_back({});
  std::vector<uint32_t> path{0};  // open nodes, the root's first
  std::string_view last;
  for (TokenId id : sorted) {
    const std::string_view text = bytes_[size_t(id)];
    check(text.size() <= kMostBytes, "[token_table] expected tokens of up to ", kMostBytes, " bytes, got one of ", text.size());
    max_bytes_ = std::max(max_bytes_, text.size());
    const size_t same = size_t(std::mismatch(last.begin(), last.end(), text.begin(), text.end()).first - last.begin());
    for (; path.size() > same + 1; path.pop_back()) trie_[path.back()].end = uint32_t(trie_.size());
    for (size_t i = same; i < text.size(); ++i) {
      path.push_back(uint32_t(trie_.size()));
      trie_.push_back({.first = uint32_t(ids_.size()), .depth = uint16_t(i + 1), .byte = uint8_t(text[i])});
    }
    ids_.push_back(id);
    last = text;
  }
  for (uint32_t open : path) trie_[open].end = uint32_t(trie_.size());
  trie_.push_back({.end = uint32_t(trie_.size()), .first = uint32_t(ids_.size())});
}

const std::string& TokenTable::bytes(TokenId id) const {
  static const std::string none;
  return id >= 0 && size_t(id) < bytes_.size() ? bytes_[size_t(id)] : none;
}

uint32_t TokenTable::find(std::string_view prefix) const {
  uint32_t node = 0;
  for (char c : prefix) {
    uint32_t child = node + 1;
    while (child < trie_[node].end && trie_[child].byte != uint8_t(c)) child = trie_[child].end;
    if (child >= trie_[node].end) return 0;
    node = child;
  }
  return node;
}

}  // namespace r1::grammar
