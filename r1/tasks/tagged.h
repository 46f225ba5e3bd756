// R1's format, taken apart: <think> the thought </think> <answer> the answer </answer>.
#pragma once

#include <optional>
#include <string>

namespace r1::tasks {

struct TaggedParts {
  std::string thought, answer;  // trimmed
};

// The parts of a strictly formatted completion: each tag exactly once and in this order, nothing but blanks between the blocks, before the
// first and after the last, a filled answer and (unless allowed) a filled thought; nothing if it is not.
std::optional<TaggedParts> parse_tagged(const std::string& completion, bool allow_empty_thought = false);

// What stands before </think>, without an opening tag (a prompt may have opened the thought); the whole text if no thought is closed.
std::string thought_of(const std::string& completion);

// The tags replaced by blanks.
std::string without_tags(std::string text);

// How often each of <think>, </think>, <answer>, </answer> stands in the text.
struct TagCounts {
  int64_t think = 0, think_end = 0, answer = 0, answer_end = 0;
};
TagCounts count_tags(const std::string& text);

// Without blanks at both ends.
std::string trimmed(const std::string& text);

}  // namespace r1::tasks
