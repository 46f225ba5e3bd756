// Ids in, text out, as they come, and never half a character: bytes of an unfinished UTF-8 sequence are held back until it is whole;
// a sequence that can't become valid gives U+FFFD. The concatenation of all pieces plus finish() equals Tokenizer::decode of the ids.
#pragma once

#include <string>

#include "r1/text/tokenizer.h"

namespace r1::text {

class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true) : tokenizer_(&tokenizer), skip_special_(skip_special) {}
  std::string push(TokenId id);
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool first_ = true;
  std::string held_;
};

}  // namespace r1::text
