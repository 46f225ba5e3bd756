// Where a completion marks its answer: after the thought, in <answer>..</answer>, in a box; and the words that take a value back. What the
// extractors (answer.h, number_answer.h, choice.h) share. Everything is linear in the text.
//
// A tag or box that is opened and not closed was cut off: what stands in it is a piece of an answer, and there is none.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/strings.h"

namespace r1::verify {

enum class AnswerPlace { kNone, kAnswerTag, kHashes, kBoxed, kPhrase, kLastNumber };
const char* answer_place_name(AnswerPlace place);
const char* answer_place_rule(AnswerPlace place);  // in words

// The text after the last </think>; nullopt if a <think> was opened and not closed; the whole text if there is none.
std::optional<std::string_view> after_thought(std::string_view completion);

// The last <answer>..</answer>. `cut`: an <answer> after it, or the only one, doesn't close.
struct AnswerBlock {
  std::optional<std::string_view> body;
  bool cut = false;
};
AnswerBlock answer_block(std::string_view text);

// \boxed{..}, \fbox{..}, \framebox{..}, blanks before the brace or not, braces balanced; "\boxed 5" without braces too. begin and end are of
// the whole command. The last 2,000 at most.
struct Box {
  size_t begin, end;
  std::string_view body;
};
struct Boxes {
  std::vector<Box> closed;
  bool cut = false;  // the one after these doesn't close
};
Boxes boxes_of(std::string_view text);

// Do the words right before a value take it back or leave it open: "not 2", "isn't $2$", "other than 2", "either 1" (with its "or 2")? Looks
// back to the beginning of the clause, over words that carry no meaning of their own.
bool taken_back(std::string_view before);

// In lower case (ASCII).
std::string lower_case(std::string_view s);

}  // namespace r1::verify
