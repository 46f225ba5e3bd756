#include "r1/tasks/format_reward.h"

#include <algorithm>
#include <set>

namespace r1::tasks {

namespace {

// The completion as the rules see it.
using View = std::function<std::string(const RewardInput&)>;
View view(OptionReader& o) {
  const bool opened = o.boolean("think_in_prompt", false);
  return [opened](const RewardInput& i) { return opened ? "<think>" + i.completion : i.completion; };
}

bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Length of a step's opener at the beginning of the line; 0 if there is none.
size_t opener(const std::string& line) {
  for (const char* word : {"Firstly", "First", "Secondly", "Second", "Thirdly", "Third", "Next", "Then", "Finally", "Lastly"}) {
    const size_t n = std::string(word).size();
    if (line.compare(0, n, word) == 0 && (line.size() == n || !is_alpha(line[n]))) return n;
  }
  if (line.compare(0, 2, "- ") == 0 || line.compare(0, 2, "* ") == 0) return 2;
  const bool step = line.compare(0, 5, "Step ") == 0;
  const size_t digits = step ? 5 : 0;
  size_t at = digits;
  while (at < line.size() && is_digit(line[at])) ++at;
  if (at == digits || at == line.size() || !(line[at] == '.' || (step && line[at] == ':'))) return 0;
  return at + 1 < line.size() && line[at + 1] == ' ' ? at + 2 : 0;
}

double reasoning_steps(const std::string& thought) {
  std::set<std::string> steps;
  for (size_t begin = 0; begin <= thought.size();) {
    const size_t end = std::min(thought.find('\n', begin), thought.size());
    const std::string line = trimmed(thought.substr(begin, end - begin));
    const size_t n = opener(line);
    const size_t said = line.find_first_not_of(" \t,.:;", n);
    if (n > 0 && said != std::string::npos) steps.insert(line.substr(said));
    begin = end + 1;
  }
  return std::min(1.0, double(steps.size()) / 3.0);
}

}  // namespace

std::unique_ptr<Reward> make_format_reward(OptionReader& o) {
  const bool allow = o.boolean("allow_empty_thought", false);
  return single_reward([allow, text = view(o)](const RewardInput& i) { return parse_tagged(text(i), allow) ? 1.0 : 0.0; });
}

std::unique_ptr<Reward> make_format_if_right_reward(OptionReader& o) {
  const bool allow = o.boolean("allow_empty_thought", false);
  return single_reward([allow, text = view(o)](const RewardInput& i) { return is_right(i) && parse_tagged(text(i), allow) ? 1.0 : 0.0; });
}

std::unique_ptr<Reward> make_tag_count_reward(OptionReader& o) {
  return single_reward([text = view(o)](const RewardInput& i) {
    const TagCounts n = count_tags(text(i));
    return 0.25 * ((n.think == 1) + (n.think_end == 1) + (n.answer == 1) + (n.answer_end == 1));
  });
}

std::unique_ptr<Reward> make_reasoning_steps_reward(OptionReader& o) {
  return single_reward([text = view(o)](const RewardInput& i) { return reasoning_steps(thought_of(text(i))); });
}

}  // namespace r1::tasks
