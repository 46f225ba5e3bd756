// A grammar's text as a constraint on tokens: only what goes on in the grammar, the ids that end an answer where the text may end, and those
// alone where it must. A token that does not fit (forced upon it from outside) leaves the grammar: from then on only the end is allowed.
#pragma once

#include <optional>
#include <vector>

#include "r1/grammar/matcher.h"
#include "r1/grammar/token_constraint.h"

namespace r1::grammar {

class GrammarConstraint : public TokenConstraint {
 public:
  // At least one stop id (kUsage), or there would be nothing to allow at the end.
  GrammarConstraint(std::shared_ptr<Matcher> matcher, std::vector<TokenId> stop_ids);

  bool mask(std::span<uint64_t> words) override;
  void accept(TokenId id) override;
  std::unique_ptr<TokenConstraint> clone() const override;

  bool complete() const { return !left_ && place_.complete(); }  // the text may end here
  bool open() const { return !left_ && place_.open(); }          // and may go on
  bool left() const { return left_; }                            // a token did not fit
  // As accept(), of bytes; false, and nothing has changed, if they do not fit.
  bool advance(std::string_view bytes) { return !left_ && place_.advance(bytes); }
  Matcher::Place& place() { return place_; }
  const std::vector<TokenId>& stop_ids() const { return stop_ids_; }

 private:
  Matcher::Place place_;
  std::vector<TokenId> stop_ids_;
  bool left_ = false, ended_ = false;
};

}  // namespace r1::grammar
