// Documents that are too short or too long: the short go, the long are cut at a paragraph's end, where there is none in the last half of
// what fits, at a line's, a sentence's, a word's, at worst between two characters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/text/tokenizer.h"

namespace r1::corpus {

struct LengthConfig {
  std::string unit = "characters";  // or "tokens", of the run's tokenizer
  int64_t min = 0;                  // in units
  int64_t max = 1'000'000;          // 0: no bound
  int64_t min_characters = 50;      // whatever the unit
  void visit(Fields& v);
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
  LengthConfig config_;
  const text::Tokenizer* tokenizer_;
};

}  // namespace r1::corpus
