#include "r1/text/stream_decoder.h"

#include <utility>

#include "r1/text/tokenizer_impl.h"
#include "r1/text/unicode.h"

namespace r1::text {

std::string StreamDecoder::push(TokenId id) {
  const Tokenizer::Impl& impl = *tokenizer_->impl_;
  if (!impl.known(id) || (skip_special_ && impl.state[size_t(id)] == Tokenizer::Impl::State::kSpecial)) return {};
  impl.append_bytes(held_, id, first_);
  first_ = false;
  const size_t whole = held_.size() - unfinished_utf8(held_);
  std::string out = to_valid_utf8(std::string_view(held_).substr(0, whole));
  held_.erase(0, whole);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = to_valid_utf8(held_);
  held_.clear();
  first_ = true;
  return out;
}

}  // namespace r1::text
