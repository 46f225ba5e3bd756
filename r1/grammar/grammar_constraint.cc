#include "r1/grammar/grammar_constraint.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/grammar/token_mask.h"

namespace r1::grammar {

GrammarConstraint::GrammarConstraint(std::shared_ptr<Matcher> matcher, std::vector<TokenId> stop_ids)
    : place_(std::move(matcher)), stop_ids_(std::move(stop_ids)) {
  if (stop_ids_.empty()) fail_usage("[grammar] expected at least one token that ends an answer: this model's vocabulary names none");
}

bool GrammarConstraint::mask(std::span<uint64_t> words) {
  if (left_ || ended_)
    std::fill(words.begin(), words.end(), 0);
  else
    place_.mask(words);
  bool end = left_ || ended_ || place_.complete();
  if (!end) end = std::all_of(words.begin(), words.end(), [](uint64_t w) { return w == 0; });  // no token of this vocabulary goes on
  // A stop id may be an ordinary token too; it ends the answer all the same.
  for (TokenId id : stop_ids_) end ? allow(words, id) : forbid(words, id);
  return true;
}

void GrammarConstraint::accept(TokenId id) {
  if (left_ || ended_) return;
  if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) {
    ended_ = true;
    return;
  }
  const TokenTable& table = place_.matcher().table();
  left_ = !table.ordinary(id) || !place_.advance(table.bytes(id));
}

std::unique_ptr<TokenConstraint> GrammarConstraint::clone() const {
  return std::make_unique<GrammarConstraint>(*this);
}

}  // namespace r1::grammar
