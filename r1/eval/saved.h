// Evaluations as they were kept: result.json and samples.jsonl, read back, shown and compared. docs/eval.md.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::eval {

// A sample of samples.jsonl for people: what was asked, what the model saw and said, which answer was taken from it and why it counts as it
// does.
std::string sample_text(const Json& sample);

struct ShowOptions {
  int64_t n = 5;
  bool wrong = false;   // only those that are not right
  std::string verdict;  // only of this verdict; "": all
  std::string id;       // only problems whose id has this in it
};
// Calls `show` for the first n samples that fit; how many fit in all. Usage error if the folder holds no evaluation.
int64_t show_samples(const std::filesystem::path& folder, const ShowOptions& options, const std::function<void(const Json&)>& show);

// Two evaluations, or two training runs:
//   {"a", "b", "kind": "eval" | "run", "config": "key: a -> b" lines, "metrics": {name: [a, b]}, and for evaluations
//    "problems": common ones, "different_questions", "only_a", "only_b" (problems), "same_model", "same_data",
//    "flips": [{"id", "a", "b"}] problems whose accuracy moved by a half or more, most first by id,
//    "paired": {"test": "McNemar, exact" | "paired bootstrap", "a_only", "b_only", "difference", "ci95", "p"}}
// `difference` is b's accuracy less a's on the common problems. Usage error if one is neither, or they are of different kinds.
Json compare_runs(const std::filesystem::path& a, const std::filesystem::path& b);
// For people; at most `most_flips` of the flips.
std::string comparison_text(const Json& comparison, int64_t most_flips);

}  // namespace r1::eval
