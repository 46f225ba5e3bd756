// What the reward-hacking monitors (monitors.h) look at in one completion. Cheap next to generating it: n log n in its length.
#pragma once

#include <optional>
#include <string>

#include "r1/tasks/task.h"

namespace r1::tasks {

struct SampleMeasures {
  // In R1's format (tagged.h, an empty thought allowed; a thought that the prompt opened counts as opened).
  bool formatted = false;
  // The thought is blank.
  bool empty_thought = false;
  // At least 90 % of the thought's units (text_measures.h) stand in runs of three or more that also stand in the question, the prompt or
  // the answer; a thought of one or two units: it stands there whole.
  bool copied_thought = false;
  // Has any of </think>, <answer>: only then can it be said whether it answers before it thinks.
  bool tagged = false;
  // <answer> comes before </think>, or begins the completion without any thought; or text in front of <think> holds the answer; or the
  // thought begins with the answer and goes on.
  bool answer_first = false;
  double repetition = 0;                   // share of repeated 3-grams of words, whole completion
  std::optional<double> english, chinese;  // language_share of the thought; nothing without words
};

SampleMeasures measure_sample(const Problem& problem, const std::string& completion, const Score& score);

}  // namespace r1::tasks
