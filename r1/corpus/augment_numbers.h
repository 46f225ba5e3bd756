// Word problems with other numbers: some quantities of the question change, and with them every step of the solution and the label. Only where the
// solution is a whole derivation in the form of GSM8K (Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021): each step
// calculated in an annotation <<48/2=24>>, the last line "#### 24". Everything else is left alone: a label is never wrong, a row may stay as it is.
//
// A solution is a whole derivation if
//   - each annotation holds exactly, its result is used by a later one, that of the last one is the label;
//   - each number in it, in annotations and between them, has a source: a number of the question, an earlier result, or a constant that the words
//     imply (twice, dozen, a week's 7 days); equations in the prose are annotated or hold by themselves.
// A quantity changes if it stands in the question once, is used in an annotation, and is no date, time, ordinal, fraction, number of a unit or of a
// thing, nothing that words imply, nothing below 5, and in no sum or product with other numbers of the question. Where one number could have come
// from two sources, both must change alike. Any two numbers keep their order (so conditions and comparisons hold as before), integers stay
// integers, nothing becomes negative, no decimals become longer than 2 or than they were. The row that comes out is held to the same rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/rng.h"

namespace r1::corpus {

struct NumbersChange {
  std::string question, answer;
  std::vector<std::pair<std::string, std::string>> changes;  // of the question, as written: "48", "52"
};

// `most`: how many quantities change at once, at least 1. Nothing: the row stays as it is.
std::optional<NumbersChange> change_numbers(std::string_view question, std::string_view answer, int64_t most, Rng& rng);

}  // namespace r1::corpus
