#include "r1/tasks/tagged.h"

#include "r1/base/strings.h"

namespace r1::tasks {

namespace {

constexpr const char* kTags[] = {"<think>", "</think>", "<answer>", "</answer>"};

int64_t count(const std::string& text, const std::string& what) {
  int64_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

}  // namespace

std::string trimmed(const std::string& text) {
  return std::string(trim(text));
}

TagCounts count_tags(const std::string& text) {
  return {count(text, kTags[0]), count(text, kTags[1]), count(text, kTags[2]), count(text, kTags[3])};
}

std::optional<TaggedParts> parse_tagged(const std::string& completion, bool allow_empty_thought) {
  const TagCounts n = count_tags(completion);
  if (n.think != 1 || n.think_end != 1 || n.answer != 1 || n.answer_end != 1) return std::nullopt;
  const std::string text = trimmed(completion);
  const size_t think_end = text.find("</think>"), answer = text.find("<answer>"), answer_end = text.find("</answer>");
  if (text.find("<think>") != 0 || think_end > answer || answer > answer_end || answer_end + 9 != text.size()) return std::nullopt;
  if (!trimmed(text.substr(think_end + 8, answer - think_end - 8)).empty()) return std::nullopt;
  TaggedParts parts{trimmed(text.substr(7, think_end - 7)), trimmed(text.substr(answer + 8, answer_end - answer - 8))};
  if (parts.answer.empty() || (parts.thought.empty() && !allow_empty_thought)) return std::nullopt;
  return parts;
}

std::string thought_of(const std::string& completion) {
  const size_t end = completion.find("</think>");
  if (end == std::string::npos) return completion;
  const size_t begin = completion.find("<think>");
  const size_t from = begin == std::string::npos || begin > end ? 0 : begin + 7;
  return completion.substr(from, end - from);
}

std::string without_tags(std::string text) {
  for (const char* tag : kTags)
    for (size_t at = text.find(tag); at != std::string::npos; at = text.find(tag, at)) text.replace(at, std::string(tag).size(), " ");
  return text;
}

}  // namespace r1::tasks
