// Rewards by rule, by name. A reward sees the whole group of completions of one problem (length compares them) and gives a number for each,
// or nothing where it does not apply: then it is left out of that sample's sum, and counted.
//
// accuracy                the task's own score, 0..1
// format                  1 if the completion is exactly <think> one block </think> <answer> one block </answer>, nothing behind it, both
// filled, no tag twice; else 0
//                         (open-r1's pattern passes with garbage behind the answer and with a second block; option allow_empty_thought=true
//                         admits an empty thought)
// format_if_right         format, but only for a right answer (tiny_r1: a format reward while accuracy is rare teaches the empty thought)
// tag_count               0.25 for each of <think>, </think>, <answer>, </answer> that stands exactly once
// reasoning_steps         min(1, n/3), n = lines of the thought that begin as a step: "Step N:", "N.", "-", "*", "First", "Second", "Next",
// "Finally", ... length                  Kimi k1.5 (arXiv 2501.12599, 2.3.3): lambda = 0.5 - (len - min)/(max - min) in tokens; right:
// lambda, wrong: min(0, lambda); all equal: 0 cosine                  Demystifying Long CoT (arXiv 2502.03373): by length, right 1.0
// (short) -> 0.5 (long), wrong -1.0 (short) -> -0.5 (long), in tokens, clamped at
//                         max_length (open-r1's wraps around behind it). Options: max_length, right_short, right_long, wrong_short,
//                         wrong_long
// repetition_penalty      (distinct n-grams / n-grams - 1) * -max_penalty <= 0; words, characters for Chinese and Japanese. Options: n (3),
// max_penalty (1) soft_overlong_punishment DAPO (arXiv 2503.14476) eq. 13: 0 up to max_length - cache, then linear to -1 at max_length, -1
// behind. Options: max_length, cache language_consistency    R1 2.3.2: words of the target language / words, in the thought (all text
// without tags). Option: language (en | zh)
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "r1/tasks/task.h"

namespace r1::tasks {

struct RewardInput {
  const Problem* problem = nullptr;
  std::string completion;
  int64_t tokens = 0;
  bool truncated = false;  // cut off by the length limit
  Score score;
};

class Reward {
 public:
  virtual ~Reward() = default;
  virtual std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const = 0;
};

// Usage errors name the nearest reward or option.
std::unique_ptr<Reward> make_reward(const std::string& name, const Json& options = Json::object());
std::vector<std::string> reward_names();

// The pieces, for filters and tests.
struct TaggedParts {
  std::string thought, answer;
};
// The parts of a strictly formatted completion; nothing if it is not.
std::optional<TaggedParts> parse_tagged(const std::string& completion, bool allow_empty_thought = false);
// Words; each Han, Hiragana, Katakana character is one of its own.
std::vector<std::string> words(const std::string& text);
// 1 - distinct n-grams / n-grams; 0 for texts shorter than n words.
double repetition(const std::string& text, int n);
// Share of words that are of `language` among words with letters; nothing if there are none.
std::optional<double> language_share(const std::string& text, const std::string& language);

}  // namespace r1::tasks
