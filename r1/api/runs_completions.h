// The sample completions of a run (completions.jsonl: {"step", "id", "question", "gold", "completion", "extracted", "verdict", "reward",
// "rewards", "tokens", "finish"}) as a table that can be asked for a step, a verdict, a range of rewards, a text, or all that was said to one
// problem. Only places and what is filtered by are kept in memory; texts are read when they are shown. Broken lines are counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "r1/api/runs_metrics.h"

namespace r1::api {

struct CompletionQuery {
  std::optional<int64_t> step;  // none: all, the newest first
  std::string verdict;          // "right", "wrong" (all that is not right), or one of the others; "": all
  std::optional<double> reward_min, reward_max;
  std::string search;  // in question, completion, answers and id, without regard to the case of ASCII letters
  std::string id;      // of this problem only, in the order of the steps
  int64_t offset = 0, limit = 50;
};

class RunCompletions {
 public:
  static constexpr int64_t kMaxLine = 4 << 20, kMaxSearched = 64 << 20, kMaxAnswer = 8 << 20;
  static constexpr size_t kMaxRows = 1'000'000, kMaxSteps = 2'000;

  // As RunMetrics::refresh.
  bool refresh(const OpenFile& file, int64_t most);
  // {"rows": [..as in the file, with "other_steps": at which the problem was answered too, at most 50], "found": how many fit, "more": there
  // may be others that were not looked at (a search stops after kMaxSearched bytes, an answer at kMaxAnswer), "next": the offset to go on
  // from or null, "steps": [the steps there are, at most kMaxSteps evenly spread], "rows_total", "broken"}
  Json find(const OpenFile& file, const CompletionQuery& query) const;

  int64_t rows() const { return int64_t(rows_.size()); }
  int64_t broken() const { return broken_; }

 private:
  enum class Verdict : uint8_t { kRight, kWrong, kUnparsed, kTimeout, kCrash, kOther };
  struct Row {
    int64_t step, offset;
    uint64_t id;    // a hash
    double reward;  // NaN: none
    uint32_t length;
    Verdict verdict;
  };
  static Verdict verdict_of(std::string_view name);
  void take(std::string_view line, int64_t offset);
  bool fits(const Row& row, const CompletionQuery& query, std::optional<Verdict> verdict, uint64_t id) const;
  Json other_steps(const Row& row) const;

  LineReader reader_{kMaxLine};
  std::vector<Row> rows_;
  int64_t broken_ = 0, left_out_ = 0;
};

}  // namespace r1::api
