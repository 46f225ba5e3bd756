// A task over an engine: accuracy with a 95 % interval (by problem, whatever the number of samples), pass@k, cons@k, share in R1's format (an
// empty thought counts), verdict counts, lengths. The reward of training is the judge here, and every sample is kept. docs/eval.md.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "r1/data/prompt.h"
#include "r1/engine/completion.h"
#include "r1/engine/sampling_options.h"
#include "r1/tasks/task.h"

namespace r1::eval {

struct EvalArgs : engine::SamplingOptions {
  EvalArgs() { temperature = 0; }

  std::string split = "test";
  int64_t limit = 0, num_samples = 1, max_completion_length = 256, seed = 0;
  std::vector<int64_t> pass_at;
  std::string forced;
  std::vector<std::string> reward_funcs = {"accuracy", "format"};

  void visit(Fields& v);
};

// What was asked, once a problem.
struct EvalProblem {
  std::string id, question, gold;
  std::string prompt;  // exactly what the model saw, control tokens spelled out
};

struct EvalSample {
  int64_t problem = 0;
  int index = 0;
  std::string id, completion, extracted;
  std::string rule, reason;  // of the extraction and the verdict (tasks::Score)
  tasks::Verdict verdict = tasks::Verdict::kWrong;
  double accuracy = 0;
  int64_t tokens = 0;
  engine::FinishReason finish = engine::FinishReason::kNone;
  std::vector<std::optional<double>> rewards = {};  // of EvalResult::rewards
};

struct EvalResult {
  std::string task;
  int64_t n = 0;
  double accuracy = 0, format = 0, mean_length = 0, clipped_ratio = 0, seconds = 0, tokens_per_second = 0;
  std::pair<double, double> ci95{0, 1};
  std::optional<double> draft_acceptance;  // of speculation
  std::map<int64_t, double> pass_at, cons_at;
  std::map<std::string, int64_t> verdicts;
  std::vector<EvalProblem> problems;
  std::vector<std::string> rewards;  // names
  std::vector<EvalSample> samples;

  Json to_json() const;  // without samples
};

// `progress`: finished, total; return false to stop (what is done is scored and n says how many).
EvalResult evaluate(engine::Engine& engine, const text::Tokenizer& tokenizer, const tasks::Task& task, const data::PromptMaker& prompts,
                    const EvalArgs& args, const std::function<bool(int64_t, int64_t)>& progress = {});

// samples.jsonl and result.json in `folder`. `facts`: what else result.json says of the run (provenance.h).
void save_result(const EvalResult& result, const std::filesystem::path& folder, const Json& facts = Json::object());

// The result for people, numbers with three digits.
std::string result_text(const Json& result);

}  // namespace r1::eval
