// A vocabulary prepared once for masks: the bytes of its ordinary tokens as a trie, laid out so that one pass walks it and a branch that does
// not fit is stepped over. Special (control) tokens are in no grammar's text and are not in the trie; their bytes are known all the same.
// 150,000 tokens take about 8 MB. Read-only once made; threads may share it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "r1/text/tokenizer.h"

namespace r1::grammar {

using text::TokenId;

class TokenTable {
 public:
  explicit TokenTable(const text::Tokenizer& tokenizer);
  // For tests: tokens[i] is the text of id i; "" is none, as are the ids in `special`.
  explicit TokenTable(std::vector<std::string> tokens, const std::vector<TokenId>& special = {});

  int64_t vocab_size() const { return int64_t(bytes_.size()); }
  size_t max_bytes() const { return max_bytes_; }  // of an ordinary token
  // "" for an id that is none.
  const std::string& bytes(TokenId id) const;
  bool ordinary(TokenId id) const { return id >= 0 && size_t(id) < ordinary_.size() && ordinary_[size_t(id)]; }

  // The trie in preorder. Node 0 is the root; node i's branch is [i, end(i)); the tokens of that branch are ids()[first(i) .. first(end(i)))
  // and those that end at i itself the first of them, up to first(i + 1).
  struct TrieNode {
    uint32_t end = 0;
    uint32_t first = 0;
    uint16_t depth = 0;
    uint8_t byte = 0;
  };
  const std::vector<TrieNode>& trie() const { return trie_; }  // with one more at the end
  const std::vector<TokenId>& ids() const { return ids_; }
  // The node that `prefix` leads to, or 0 if no ordinary token begins so.
  uint32_t find(std::string_view prefix) const;

 private:
  void build();

  std::vector<std::string> bytes_;
  std::vector<uint8_t> ordinary_;
  std::vector<TrieNode> trie_;
  std::vector<TokenId> ids_;
  size_t max_bytes_ = 0;
};

}  // namespace r1::grammar
