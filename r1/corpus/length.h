// Documents that are too short or too long: the short go, the long are cut at a paragraph's end, where there is none in the last half of
// what fits, at a line's, a sentence's, a word's, at worst between two characters. What is left at a long one's end is not too short by the cut: the last two
// parts share what they have.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/text/tokenizer.h"

namespace r1::corpus {

struct LengthConfig {
  std::string unit = "auto";    // "tokens" of the run's tokenizer, "characters"; auto: tokens if there is a tokenizer
  int64_t min = -1, max = -1;   // in units; -1: 512 and 16,384 tokens, or 0 and 1,000,000 characters; max 0: no bound
  int64_t min_characters = 50;  // whatever the unit
  void visit(Fields& v);
  // With the defaults filled in.
  LengthConfig resolved(bool has_tokenizer) const;
};

class LengthWindow {
 public:
  // The tokenizer is asked only for the unit "tokens" and must live on.
  LengthWindow(const LengthConfig& config, const text::Tokenizer* tokenizer);
  // The text's parts, without the blanks between them; none of blanks alone.
  std::vector<std::string> parts(const std::string& text) const;
  bool too_short(std::string_view text) const;

 private:
  int64_t units(std::string_view text) const;
  size_t reach_of(std::string_view rest, size_t begin, const std::vector<std::pair<uint32_t, uint32_t>>& tokens) const;
  LengthConfig config_;
  const text::Tokenizer* tokenizer_;
};

}  // namespace r1::corpus
