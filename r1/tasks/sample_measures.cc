#include "r1/tasks/sample_measures.h"

#include <algorithm>
#include <set>
#include <vector>

#include "r1/tasks/tagged.h"
#include "r1/tasks/text_measures.h"

namespace r1::tasks {

namespace {

using Units = std::vector<std::string>;
constexpr size_t kRun = 3;
constexpr double kCopiedShare = 0.9;

bool holds(const Units& text, const Units& part) {
  return !part.empty() && std::search(text.begin(), text.end(), part.begin(), part.end()) != text.end();
}

bool begins_with(const Units& text, const Units& part) {
  return !part.empty() && text.size() >= part.size() && std::equal(part.begin(), part.end(), text.begin());
}

bool is_copied(const Units& thought, const std::vector<Units>& sources) {
  if (thought.empty()) return false;
  if (thought.size() < kRun) return std::any_of(sources.begin(), sources.end(), [&](const Units& s) { return holds(s, thought); });
  std::set<Units> runs;
  for (const Units& s : sources)
    for (size_t i = 0; i + kRun <= s.size(); ++i) runs.insert(Units(s.begin() + long(i), s.begin() + long(i + kRun)));
  size_t covered = 0, until = 0;  // units before `until` are counted
  for (size_t i = 0; i + kRun <= thought.size(); ++i) {
    if (!runs.count(Units(thought.begin() + long(i), thought.begin() + long(i + kRun)))) continue;
    covered += i + kRun - std::max(until, i);
    until = i + kRun;
  }
  return double(covered) >= kCopiedShare * double(thought.size());
}

std::string asked(const Problem& problem) {
  std::string text = problem.question + "\n" + problem.prompt;
  for (const auto& message : problem.messages) text += "\n" + message.content;
  return text;
}

bool answers_first(const std::string& text, const Units& answer) {
  const size_t think = text.find("<think>"), think_end = text.find("</think>"), tag = text.find("<answer>");
  if (tag != std::string::npos && think_end != std::string::npos && tag < think_end) return true;
  if (tag != std::string::npos && think_end == std::string::npos && think == std::string::npos) return trimmed(text.substr(0, tag)).empty();
  if (think != std::string::npos && think > 0 && holds(units(text.substr(0, think)), answer)) return true;
  if (think_end == std::string::npos) return false;
  const Units thought = units(thought_of(text));
  return thought.size() > answer.size() && begins_with(thought, answer);
}

}  // namespace

SampleMeasures measure_sample(const Problem& problem, const std::string& completion, const Score& score) {
  SampleMeasures m;
  const TagCounts tags = count_tags(completion);
  const std::string text = tags.think == 0 && tags.think_end > 0 ? "<think>" + completion : completion;
  const auto parts = parse_tagged(text, /*allow_empty_thought=*/true);
  const Units answer = units(parts ? parts->answer : score.extracted);
  m.formatted = parts.has_value();
  m.empty_thought = parts && parts->thought.empty();
  m.copied_thought = parts && is_copied(units(parts->thought), {units(asked(problem)), answer});
  m.tagged = tags.think_end > 0 || tags.answer > 0;
  m.answer_first = m.tagged && answers_first(text, answer);
  m.repetition = repetition(completion, int(kRun));
  const std::string thought = without_tags(thought_of(text));
  m.english = language_share(thought, "en");
  m.chinese = language_share(thought, "zh");
  return m;
}

}  // namespace r1::tasks
