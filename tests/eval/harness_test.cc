// Evaluation of a model whose answers are known by construction: after the last character of the question comes the answer, then the end.
#include "r1/eval/harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/eval/statistics.h"
#include "tests/engine/scripted.h"

namespace r1::eval {
namespace {

using engine::kEos;

// Asks "1", "2", "3", "4"; the golden answers are a, x, c, d. What is said at length counts as unparsed.
class Questions : public tasks::Task {
 public:
  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override { return split == "test" ? 4 : 0; }
  tasks::Problem problem(const std::string&, int64_t index) const override {
    tasks::Problem p;
    p.id = str("q/", index);
    p.question = p.prompt = std::string(1, char('1' + index));
    p.messages = {{"user", p.prompt}};
    p.gold = std::string(1, "axcd"[index]);
    return p;
  }
  tasks::Score score(const tasks::Problem& problem, const std::string& completion) const override {
    if (completion.empty() || (completion.size() > 3 && completion[0] != '<')) return {tasks::Verdict::kUnparsed, 0, ""};
    const std::string answer(1, completion.back());
    const bool right = answer == problem.gold;
    return {right ? tasks::Verdict::kRight : tasks::Verdict::kWrong, right ? 1.0 : 0.0, answer, "last_number", right ? "same" : "other"};
  }

 private:
  const std::string name_ = "questions";
};

// "1" -> a, "2" -> b, "3" -> c without end, "4" -> d or e, three to one.
engine::Script answers() {
  engine::Script s;
  s['1'] = {{'a', 0}};
  s['2'] = {{'b', 0}};
  s['3'] = {{'c', 0}};
  s['4'] = {{'d', std::log(3.0)}, {'e', 0}};
  for (const int end : {'a', 'b', 'd', 'e', '>'}) s[end] = {{kEos, 0}};
  s['c'] = {{'c', 0}};
  return s;
}

struct Evaluate : testing::Test {
  text::Tokenizer tokenizer = engine::byte_tokenizer();
  std::unique_ptr<model::Transformer> model = engine::scripted_model(answers());
  engine::Engine engine{*model, engine::small_config()};
  Questions task;
  data::PromptMaker prompts{tokenizer, nullptr, {}, {kEos}};

  EvalResult run(const EvalArgs& args, const std::function<bool(int64_t, int64_t)>& progress = {}) {
    return evaluate(engine, tokenizer, task, prompts, args, progress);
  }
  std::string refusal(const EvalArgs& args) {
    try {
      run(args);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      return error.what();
    }
    return "";
  }
};

EvalArgs short_answers() {
  EvalArgs args;
  args.max_completion_length = 6;
  return args;
}

TEST_F(Evaluate, GreedyNumbersAreThoseOfTheScript) {
  const EvalResult r = run(short_answers());
  EXPECT_EQ(r.task, "questions");
  EXPECT_EQ(r.n, 4);
  EXPECT_EQ(r.accuracy, 0.5);  // a and d are right, b is wrong, ccc.. is no answer
  EXPECT_EQ(r.ci95, wilson_interval(2, 4));
  EXPECT_EQ(r.mean_length, (2 + 2 + 6 + 2) / 4.0);
  EXPECT_EQ(r.clipped_ratio, 0.25);
  EXPECT_EQ(r.format, 0);
  EXPECT_EQ(r.pass_at, (std::map<int64_t, double>{{1, 0.5}}));
  EXPECT_EQ(r.cons_at, (std::map<int64_t, double>{{1, 0.5}}));
  EXPECT_EQ(r.verdicts, (std::map<std::string, int64_t>{{"right", 2}, {"unparsed", 1}, {"wrong", 1}}));
  ASSERT_EQ(r.problems.size(), 4u);
  EXPECT_EQ(r.problems[0].prompt, "1");
  EXPECT_EQ(r.problems[1].gold, "x");
  EXPECT_EQ(r.rewards, (std::vector<std::string>{"accuracy", "format"}));
  EXPECT_FALSE(r.draft_acceptance);
  ASSERT_EQ(r.samples.size(), 4u);
  const char* said[] = {"a", "b", "cccccc", "d"};
  for (int64_t i = 0; i < 4; ++i) {
    const EvalSample& s = r.samples[size_t(i)];
    EXPECT_EQ(s.problem, i);
    EXPECT_EQ(s.id, str("q/", i));
    EXPECT_EQ(s.completion, said[i]);
    EXPECT_EQ(s.tokens, i == 2 ? 6 : 2);
    EXPECT_EQ(s.finish, i == 2 ? engine::FinishReason::kLength : engine::FinishReason::kStop);
  }
  EXPECT_EQ(r.samples[2].extracted, "");
  EXPECT_EQ(r.samples[3].extracted, "d");
}

// By enumeration of all ways to take k of a problem's answers, and of the first k for the vote.
TEST_F(Evaluate, PassAndConsensusAreTheirDefinitions) {
  EvalArgs args = short_answers();
  args.num_samples = 5;
  args.temperature = 1;
  args.pass_at = {1, 2, 5};
  std::set<std::string> heard;
  for (args.seed = 1; args.seed <= 4; ++args.seed) {
    const EvalResult r = run(args);
    ASSERT_EQ(r.samples.size(), 20u);
    double accuracy = 0;
    for (const EvalSample& s : r.samples) accuracy += s.accuracy / 20;
    EXPECT_NEAR(r.accuracy, accuracy, 1e-12);
    for (const int64_t k : args.pass_at) {
      double pass = 0, cons = 0;
      for (size_t p = 0; p < 4; ++p) {
        int subsets = 0, passed = 0;
        for (int mask = 0; mask < 32; ++mask) {
          if (__builtin_popcount(unsigned(mask)) != k) continue;
          ++subsets;
          bool any = false;
          for (size_t j = 0; j < 5; ++j) any |= (mask >> j & 1) && r.samples[p * 5 + j].verdict == tasks::Verdict::kRight;
          passed += any;
        }
        pass += double(passed) / subsets / 4;
        std::map<std::string, int> votes;
        for (size_t j = 0; j < size_t(k); ++j) ++votes[r.samples[p * 5 + j].extracted];
        votes.erase("");
        int most = 0;
        for (const auto& [answer, count] : votes) most = std::max(most, count);
        for (size_t j = 0; j < size_t(k); ++j)
          if (const auto it = votes.find(r.samples[p * 5 + j].extracted); it != votes.end() && it->second == most) {
            cons += (it->first == task.problem("test", int64_t(p)).gold) / 4.0;
            break;
          }
      }
      EXPECT_NEAR(r.pass_at.at(k), pass, 1e-12) << k;
      EXPECT_NEAR(r.cons_at.at(k), cons, 1e-12) << k;
    }
    for (const EvalSample& s : r.samples)
      if (s.problem == 3) heard.insert(s.completion);
  }
  EXPECT_EQ(heard, (std::set<std::string>{"d", "e"}));
}

TEST_F(Evaluate, TheSeedDecidesWhatIsSaid) {
  EvalArgs args = short_answers();
  args.num_samples = 40;
  args.temperature = 1;
  const auto said = [&](int64_t seed) {
    args.seed = seed;
    std::string all;
    for (const EvalSample& s : run(args).samples) all += s.completion;
    return all;
  };
  EXPECT_EQ(said(1), said(1));
  EXPECT_NE(said(1), said(2));
}

TEST_F(Evaluate, OptionsReachTheModel) {
  EvalArgs args = short_answers();
  args.limit = 2;
  EXPECT_EQ(run(args).n, 2);
  args.limit = 400;
  EXPECT_EQ(run(args).n, 4);
  args.limit = 0;
  args.stop = {"cc"};
  EXPECT_EQ(run(args).samples[2].completion, "");
  EXPECT_EQ(run(args).clipped_ratio, 0);
  args.min_new_tokens = 3;
  EXPECT_EQ(run(args).samples[2].completion, "cc");
  args.min_new_tokens = 0;
  args.stop.clear();
  args.max_completion_length = 3;
  EXPECT_EQ(run(args).samples[2].completion, "ccc");
  args.max_completion_length = 60;
  args.forced = "<think>so</think><answer>d</answer>";
  const EvalResult forced = run(args);
  EXPECT_EQ(forced.samples[3].completion, args.forced);
  EXPECT_EQ(forced.samples[3].tokens, int64_t(args.forced.size()) + 1);
  EXPECT_EQ(forced.format, 1);
  // Sampled from the likeliest alone: what top_k, top_p and min_p leave.
  args = short_answers();
  args.temperature = 1;
  args.num_samples = 60;
  const auto distinct = [&](const EvalArgs& a) {
    std::set<std::string> out;
    for (const EvalSample& s : run(a).samples)
      if (s.problem == 3) out.insert(s.completion);
    return out.size();
  };
  EXPECT_EQ(distinct(args), 2u);
  EvalArgs cut = args;
  cut.top_k = 1;
  EXPECT_EQ(distinct(cut), 1u);
  cut = args;
  cut.top_p = 0.7;
  EXPECT_EQ(distinct(cut), 1u);
  cut = args;
  cut.min_p = 0.5;
  EXPECT_EQ(distinct(cut), 1u);
}

TEST_F(Evaluate, WhatCannotBeIsRefused) {
  EvalArgs args;
  args.pass_at = {2};
  EXPECT_NE(refusal(args).find("pass_at has 2, but num_samples is 1"), std::string::npos);
  args.pass_at = {0};
  EXPECT_NE(refusal(args).find("pass_at has 0"), std::string::npos);
  args.pass_at.clear();
  args.split = "train";
  EXPECT_NE(refusal(args).find("eval needs the train split of task 'questions', which has no problems"), std::string::npos);
  args.split = "test";
  args.min_new_tokens = 1000;
  EXPECT_NE(refusal(args).find("min_new_tokens"), std::string::npos);
  EXPECT_TRUE(engine.idle());
}

TEST_F(Evaluate, StoppedHalfWayItSaysOfHowManyProblems) {
  std::vector<int64_t> finished;
  const EvalResult r = run(short_answers(), [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 4);
    finished.push_back(done);
    return done < 3;
  });
  EXPECT_EQ(finished.back(), 3);
  EXPECT_TRUE(std::is_sorted(finished.begin(), finished.end()));
  EXPECT_EQ(r.n, 3);  // the one that never ends is left out, not called wrong
  EXPECT_EQ(r.samples.size(), 3u);
  EXPECT_NEAR(r.accuracy, 2.0 / 3, 1e-12);
  EXPECT_TRUE(engine.idle());
}

TEST_F(Evaluate, AnswersThatCannotBeReadAreSaidAloud) {
  testing::internal::CaptureStderr();
  run(short_answers());
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("no answer could be found in 25 % of the completions"), std::string::npos);
  EXPECT_NE(
      said.find("25 % of the completions were cut off at 6 tokens, and mostly count as wrong; give them more (--max_completion_length 12)"),
      std::string::npos);
  EvalArgs args = short_answers();
  args.limit = 2;
  testing::internal::CaptureStderr();
  run(args);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Evaluate, EverySampleIsKept) {
  const fs::path folder = fs::temp_directory_path() / str("r1_eval_test_", ::getpid());
  const EvalResult r = run(short_answers());
  save_result(r, folder, {{"model", "m"}});
  std::istringstream lines(read_file(folder / "samples.jsonl"));
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(parse_json(line, "samples"));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[1], (Json{{"id", "q/1"},
                           {"sample", 0},
                           {"question", "2"},
                           {"prompt", "2"},
                           {"gold", "x"},
                           {"completion", "b"},
                           {"extracted", "b"},
                           {"rule", "last_number"},
                           {"verdict", "wrong"},
                           {"reason", "other"},
                           {"accuracy", 0.0},
                           {"rewards", {{"accuracy", 0.0}, {"format", 0.0}}},
                           {"tokens", 2},
                           {"finish_reason", "stop"}}));
  EXPECT_EQ(rows[2]["finish_reason"], "length");
  const Json summary = parse_json_file(folder / "result.json");
  EXPECT_EQ(summary["task"], "questions");
  EXPECT_EQ(summary["n"], 4);
  EXPECT_EQ(summary["accuracy"], 0.5);
  EXPECT_EQ(summary["pass@1"], 0.5);
  EXPECT_EQ(summary["cons@1"], 0.5);
  EXPECT_EQ(summary["verdicts"], (Json{{"right", 2}, {"unparsed", 1}, {"wrong", 1}}));
  EXPECT_EQ(summary["ci95"][0].get<double>(), r.ci95.first);
  EXPECT_EQ(summary["samples"], 4);
  EXPECT_EQ(summary["model"], "m") << "what else is known of the run";
  EXPECT_FALSE(summary.contains("draft_acceptance"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace r1::eval
