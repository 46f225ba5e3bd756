// A run's folder over time: extended, gone on with another config, stopped; what is refused, what is said, what is kept.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "r1/base/interrupt.h"
#include "r1/stages/results.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

std::string joined(const std::string& a, const std::string& b) {
  return "{" + a + (b.empty() ? "" : ", " + b) + "}";
}

// A small SFT run of `steps` steps. A constant learning rate: then the first steps of a longer run are those of a shorter one.
std::string small(const std::string& more = "") {
  return joined(
      model_setting() + ", num_examples: 40, max_length: 64, per_device_train_batch_size: 2, save_steps: 0, lr_scheduler_type: constant",
      more);
}
Json train(const fs::path& out, const std::vector<std::string>& more) {
  std::vector<std::string> yamls = {small()};
  yamls.insert(yamls.end(), more.begin(), more.end());
  return run_stage("sft", out, yamls);
}
std::string refused(const fs::path& out, const std::vector<std::string>& more) {
  return refusal([&] { train(out, more); });
}

// A run that was stopped after `steps` steps.
void stop_after(const fs::path& out, const std::vector<std::string>& more, int64_t steps) {
  clear_interrupt();
  const Watcher watcher([&] { return lines_of(out / "metrics.jsonl") >= steps; }, request_interrupt);
  EXPECT_THROW(train(out, more), Error);
  clear_interrupt();
}

std::vector<Json> json_lines(const fs::path& file) {
  return report::read_metrics(file);
}

// ---- extending ----

TEST(Extend, AFinishedRunGoesOnAsIfItHadBeenLonger) {
  TemporaryFolder folder("extend");
  const fs::path whole = folder.path() / "whole", out = folder.path() / "out";
  train(whole, {"{max_steps: 9}"});
  train(out, {"{max_steps: 5, save_final_checkpoint: true}"});
  const std::string first = weights_hash(out);
  EXPECT_TRUE(fs::exists(out / "checkpoint-5/optimizer.safetensors"));
  const std::string words = said([&] { train(out, {"{max_steps: 9, save_final_checkpoint: true}"}); });
  EXPECT_TRUE(contains(words, "max_steps: 5 -> 9")) << words;
  EXPECT_EQ(numbers_of(out), numbers_of(whole));
  EXPECT_EQ(weights_hash(out), weights_hash(whole));
  EXPECT_NE(weights_hash(out), first);
  EXPECT_EQ(parse_json_file(out / "stage.json").at("steps"), 9);
  EXPECT_EQ(parse_json_file(out / "stage-5.json").at("steps"), 5) << "the shorter run's results are kept";
  const auto history = json_lines(out / "configs.jsonl");
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[0].at("step"), 0);
  EXPECT_EQ(history[0].at("config").at("max_steps"), 5);
  EXPECT_EQ(history[1].at("step"), 5);
  EXPECT_EQ(history[1].at("config").at("max_steps"), 9);
}

TEST(Extend, WithoutItsLastStateTheWaysOutAreNamed) {
  TemporaryFolder folder("extend_not");
  const fs::path out = folder.path() / "out";
  train(out, {"{max_steps: 5, save_steps: 3}"});
  const std::string stage = read_file(out / "stage.json");
  const std::string why = refused(out, {"{max_steps: 9, save_steps: 3}"});
  for (const char* part : {"max_steps: 5 -> 9", "save_final_checkpoint", "--model ", "--resume_from_checkpoint ", "checkpoint-3",
                           "another output_dir", "--overwrite_output_dir"})
    EXPECT_TRUE(contains(why, part)) << part << " in " << why;
  EXPECT_EQ(read_file(out / "stage.json"), stage);
  // The earlier checkpoint, by name, is one of the ways.
  train(out, {"{max_steps: 9, save_steps: 3}", "{resume_from_checkpoint: " + (out / "checkpoint-3").string() + "}"});
  EXPECT_EQ(parse_json_file(out / "stage.json").at("steps"), 9);
  EXPECT_EQ(read_file(out / "stage-5.json"), stage);
}

TEST(Extend, WithOtherDataTheyAreReadFromTheirBeginning) {
  TemporaryFolder folder("extend_data");
  const fs::path out = folder.path() / "out";
  train(out, {"{max_steps: 3, save_final_checkpoint: true}"});
  const std::string words = said([&] { train(out, {"{max_steps: 6, num_examples: 60, save_final_checkpoint: true}"}); });
  EXPECT_TRUE(contains(words, "num_examples: 40 -> 60")) << words;
  EXPECT_TRUE(contains(words, "read from their beginning")) << words;
  EXPECT_EQ(metrics_of(out).size(), 6u);
  EXPECT_LT(metrics_of(out).back().at("epoch").get<double>(), metrics_of(out)[2].at("epoch").get<double>() * 2);
}

TEST(Extend, WhatItsStateHangsOnStays) {
  TemporaryFolder folder("extend_fixed");
  const fs::path out = folder.path() / "out";
  train(out, {"{max_steps: 3, save_final_checkpoint: true}"});
  for (const char* other : {"optim: muon", "seed: 7"}) {
    const std::string why = refused(out, {joined("max_steps: 6, save_final_checkpoint: true", other)});
    EXPECT_TRUE(contains(why, "finished run of another config")) << why;
  }
  const std::string config = read_file(out / "config.yaml");
  const std::string lower = refused(out, {"{max_steps: 2, save_final_checkpoint: true}"});
  EXPECT_EQ(read_file(out / "config.yaml"), config);
  EXPECT_EQ(lines_of(out / "configs.jsonl"), 1) << "a refused config leaves nothing";
  EXPECT_TRUE(contains(lower, "at step 3 already")) << lower;
  EXPECT_TRUE(fs::exists(out / "stage.json")) << "it is finished still";
  EXPECT_TRUE(contains(refused(out, {"{max_steps: 3, resume_from_checkpoint: never}"}), "resume_from_checkpoint is never"));
}

// ---- what makes no difference ----

TEST(Habits, AFinishedRunIsDoneHoweverItIsNamedAndLogged) {
  TemporaryFolder folder("habits");
  const fs::path out = folder.path() / "out";
  const Json results = train(out, {"{max_steps: 2}"});
  EXPECT_EQ(train(out, {"{max_steps: 2, logging_steps: 5, save_steps: 7, stop_grace: 3, save_final_checkpoint: true}"}), results);
  EXPECT_EQ(run_stage("sft", out, {small(), "{max_steps: 2}", "{model: " + (tiny_model() / "../sft/.").string() + "}"}), results)
      << "the same place by another spelling";
}

// ---- an unfinished run ----

TEST(GoOn, WithAnotherConfigSaysWhatChangesAndKeepsTheOldOne) {
  TemporaryFolder folder("go_on");
  const fs::path out = folder.path() / "out";
  const std::string steps = "{max_steps: 400, learning_rate: 1e-3}";
  stop_after(out, {steps}, 2);
  ASSERT_FALSE(fs::exists(out / "stage.json"));
  const std::string before = read_file(out / "config.yaml");
  const std::string why = refused(out, {"{max_steps: 400, learning_rate: 1e-3, max_length: 48, optim: muon}"});
  for (const char* part :
       {"not finished", "max_length: 64 -> 48", "optim: \"adamw\" -> \"muon\"", "take the old values", "another output_dir"})
    EXPECT_TRUE(contains(why, part)) << part << " in " << why;
  EXPECT_EQ(read_file(out / "config.yaml"), before) << "a refused config leaves nothing";
  const int64_t at = int64_t(metrics_of(out).size());
  const std::string words = said([&] { train(out, {str("{max_steps: ", at + 2, ", learning_rate: 2e-3}")}); });
  EXPECT_TRUE(contains(words, "goes on with another config")) << words;
  EXPECT_TRUE(contains(words, "learning_rate: 0.001 -> 0.002")) << words;
  EXPECT_EQ(metrics_of(out).back().at("learning_rate"), 2e-3);
  EXPECT_EQ(metrics_of(out)[0].at("learning_rate"), 1e-3);
  const auto history = json_lines(out / "configs.jsonl");
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history[1].at("config").at("learning_rate"), 2e-3);
  EXPECT_EQ(history[1].at("step"), at);
}

TEST(Report, IsThereWhileTheRunIsAndAfterAStop) {
  TemporaryFolder folder("report_stop");
  const fs::path out = folder.path() / "out";
  bool while_running = false;
  clear_interrupt();
  std::string words = said([&] {
    const Watcher watcher([&] { return lines_of(out / "metrics.jsonl") >= 3; },
                          [&] {
                            for (int i = 0; i < 1000 && !fs::exists(out / "report.html"); ++i)
                              std::this_thread::sleep_for(std::chrono::milliseconds(5));
                            while_running = fs::exists(out / "report.html");
                            request_interrupt();
                          });
    train(out, {"{max_steps: 100000}"});
  });
  clear_interrupt();
  EXPECT_TRUE(while_running);
  EXPECT_TRUE(contains(words, "stopped at step")) << words;
  EXPECT_TRUE(contains(words, "report: " + (out / "report.html").string())) << words;
  const std::string page = read_file(out / "report.html");
  EXPECT_TRUE(contains(page, "not finished: step ")) << "says how far it came";
  EXPECT_TRUE(contains(page, " of 100000"));
}

TEST(End, SaysWhatWasWrittenAndWhatComesNextAndNothingTwice) {
  TemporaryFolder folder("end");
  const fs::path out = folder.path() / "out";
  const std::string words = said([&] { train(out, {"{max_steps: 3}"}); });
  for (const std::string& part : {std::string("sft: done in "), "report: " + (out / "report.html").string(),
                                  "next:   r1 generate " + out.string(), std::string("stage.json are in ") + out.string()})
    EXPECT_TRUE(contains(words, part)) << part << " in " << words;
  std::set<std::string> seen;
  std::istringstream lines(words);
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(line.empty() || seen.insert(line).second) << "twice: " << line;
  const std::string again = said([&] { train(out, {"{max_steps: 3}"}); });
  EXPECT_TRUE(contains(again, "is finished already")) << again;
}

TEST(End, ThroughputLeavesEvaluationsOut) {
  TemporaryFolder folder("throughput");
  const fs::path out = folder.path() / "out";
  const Json results = train(out, {"{max_steps: 4}"});
  const auto lines = metrics_of(out);
  double seconds = 0, tokens = lines.back().at("num_tokens");
  for (const auto& line : lines) seconds += line.at("step_time").get<double>();
  EXPECT_NEAR(results.at("tokens_per_second").get<double>(), tokens / seconds, 1e-6 * tokens / seconds);
}

// ---- results.h ----

TEST(Results, AreTakenRefusedOrMadeAnew) {
  TemporaryFolder folder("results");
  ResultPlace place{
      .what = "eval", .record = folder.path() / "result.json", .files = {folder.path() / "samples.jsonl"}, .option = "output_dir"};
  const Json config{{"limit", 5}, {"output_dir", "a"}}, other{{"limit", 6}, {"output_dir", "a"}};
  EXPECT_FALSE(earlier_results(place, config).has_value());
  write_record(place, config, {{"accuracy", 0.5}});
  EXPECT_EQ(earlier_results(place, config).value(), (Json{{"accuracy", 0.5}}));
  EXPECT_EQ(earlier_results(place, Json{{"limit", 5}, {"output_dir", "b"}}).value(), (Json{{"accuracy", 0.5}}))
      << "a folder that was moved";
  const std::string why = refusal([&] { earlier_results(place, other); });
  for (const char* part : {"limit: 5 -> 6", "another output_dir", "--overwrite"}) EXPECT_TRUE(contains(why, part)) << why;
  place.inputs = {{"model", "other weights"}};
  EXPECT_TRUE(contains(refusal([&] { earlier_results(place, config); }), "model")) << "the model at that path is another one now";
  place.overwrite = true;
  EXPECT_FALSE(earlier_results(place, other).has_value());
  place.overwrite = false;
  fs::remove(place.record);
  write_file_atomic(place.files[0], "somebody's");
  EXPECT_TRUE(contains(refusal([&] { earlier_results(place, config); }), "stands there already"));
}

}  // namespace
}  // namespace r1::stages
