#include "r1/text/stream_decoder.h"

#include <algorithm>
#include <utility>

#include "r1/text/tokenizer_impl.h"
#include "r1/text/unicode.h"

namespace r1::text {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special, std::span<const TokenId> before, std::vector<TokenId> shown)
    : tokenizer_(&tokenizer), skip_special_(skip_special), shown_(std::move(shown)) {
  first_ = std::ranges::none_of(before, [this](TokenId id) { return shows(id); });
}

bool StreamDecoder::shows(TokenId id) const {
  const Tokenizer::Impl& impl = *tokenizer_->impl_;
  if (!impl.known(id)) return false;
  return !skip_special_ || impl.state[size_t(id)] != Tokenizer::Impl::State::kSpecial || std::ranges::find(shown_, id) != shown_.end();
}

std::string StreamDecoder::push(TokenId id) {
  const Tokenizer::Impl& impl = *tokenizer_->impl_;
  if (!shows(id)) return {};
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
