// Ids in, text out, as they come, and never half a character: bytes of an unfinished UTF-8 sequence are held back until it is whole;
// a sequence that can't become valid gives U+FFFD. The concatenation of all pieces plus finish() equals Tokenizer::decode of the ids, or
// what they add to the decoded text of the ids before them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/text/tokenizer.h"

namespace r1::text {

class StreamDecoder {
 public:
  // `before`: the ids that the text goes on from. What a decoder strips from the start of a text (SentencePiece's first space) is then not
  // stripped from the start of what follows them.
  // `shown`: special tokens that have a text all the same (a thought's marks, where a vocabulary calls them special).
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true, std::span<const TokenId> before = {},
                         std::vector<TokenId> shown = {});
  std::string push(TokenId id);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::vector<TokenId> shown_;
  bool shows(TokenId id) const;
  bool first_ = true;
  std::string held_;
};

}  // namespace r1::text
