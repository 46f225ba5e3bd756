// A stage on several ranks as processes: the run of one, on any number of ranks, killed and taken up by another number.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <sstream>
#include <thread>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/model/weights_io.h"
#include "r1/report/metrics.h"
#include "r1/stages/pretrain.h"
#include "r1/stages/sft.h"
#include "r1/tensor/aten.h"
#include "tests/dist/processes.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::stages {
namespace {

using dist::AddScenario;
using dist::Outcome;
using dist::Ranks;

constexpr int64_t kSteps = 8;

void write_texts(const fs::path& path, uint64_t seed) {
  Rng rng(seed);
  std::string rows;
  for (int i = 0; i < 90; ++i) {
    std::string text;
    for (uint64_t n = rng.below(30); n > 0; --n) text += str(rng.below(10), "+");
    rows += dump_json({{"text", text}}) + "\n";
  }
  write_file_atomic(path, rows);
}

std::vector<std::string> arguments(const fs::path& root, const std::string& name) {
  return {"--output_dir",
          (root / name).string(),
          "--task",
          "arithmetic",
          "--train_files",
          (root / "train.jsonl").string(),
          "--eval_files",
          (root / "eval.jsonl").string(),
          "--preset",
          "tiny-test",
          "--max_length=32",
          "--per_device_train_batch_size=1",
          "--gradient_accumulation_steps=5",
          str("--max_steps=", kSteps),
          "--save_steps=2",
          "--save_total_limit=9",
          "--device=cpu",
          "--learning_rate=1e-3",
          "--eval_steps=4",
          "--parallel.timeout=20"};
}

int free_port() {
  return dist::Store(dist::StoreAddress{.serve = true}).address().port;
}

Json pretrain_with(const std::vector<std::string>& arguments) {
  PretrainConfig config;
  apply_settings(config, parse_overrides(arguments));
  return pretrain(config);
}

// `argument`: the run's name, then more settings, and "kill" for one whose rank 1 dies once it sees the checkpoint of step 4.
SCENARIO(pretrain) {
  set_log_level(LogLevel::kInfo);  // rank 0 says where it goes on from
  const fs::path root = std::getenv("R1_TEST_FOLDER");
  const std::string name = argument.substr(0, argument.find(' '));
  if (argument.find(" kill") != std::string::npos && ranks.rank == 1 && ranks.attempt == "0") {
    std::thread([root, name] {
      while (!fs::exists(root / name / "checkpoint-4")) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      raise(SIGKILL);
    }).detach();
  }
  auto settings = arguments(root, name);
  std::istringstream words(argument);
  for (std::string word; words >> word;)
    if (word.starts_with("--")) settings.push_back(word);
  int code = 0;
  try {
    pretrain_with(settings);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    code = error.exit_code();
  }
  std::_Exit(code);
}

// A rank in a folder of its own, with a train.jsonl and a model m there; `argument`: "data" or "model", what a relative path names.
SCENARIO(elsewhere) {
  const fs::path root = std::getenv("R1_TEST_FOLDER");
  fs::current_path(root / str("rank_", ranks.rank));
  auto all = arguments(root, "alike_" + argument);
  if (argument == "data") *std::find(all.begin(), all.end(), (root / "train.jsonl").string()) = "train.jsonl";
  if (argument == "model") all.push_back("--model_name_or_path=m");
  int code = 0;
  try {
    pretrain_with(all);
  } catch (const Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    code = error.exit_code();
  }
  std::_Exit(code);
}

class ParallelRun : public testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::kError);
    write_texts(root() / "train.jsonl", 1);
    write_texts(root() / "eval.jsonl", 2);
  }
  void TearDown() override { set_log_level(LogLevel::kInfo); }

  fs::path root() const { return folder_.path(); }
  Outcome on_ranks(int64_t size, const std::string& argument, dist::LaunchOptions options = {}) const {
    const EnvironmentVariable place("R1_TEST_FOLDER", root().string());
    const Outcome outcome = dist::run_ranks("pretrain", size, options, argument);
    EXPECT_EQ(outcome.code, 0) << outcome.said;
    EXPECT_FALSE(outcome.left_behind);
    return outcome;
  }
  std::vector<double> losses(const std::string& name, const char* key = "loss") const {
    std::vector<double> out;
    for (const Json& line : report::read_metrics(root() / name / "metrics.jsonl", 1000))
      if (line.contains(key)) out.push_back(line.at(key).get<double>());
    return out;
  }
  std::string model(const std::string& name) const { return sha256_file(root() / name / "model.safetensors"); }
  // As a kill after step 2 leaves it.
  void back_to_step_2(const std::string& from, const std::string& to) const {
    fs::copy(root() / from, root() / to, fs::copy_options::recursive);
    for (const char* name : {"stage.json", "model.safetensors", "checkpoint-4", "checkpoint-6"}) fs::remove_all(root() / to / name);
  }
  void expect_goes_on(const std::string& name, const std::string& said) const {
    EXPECT_TRUE(dist::contains(said, str("goes on from ", (root() / name / "checkpoint-2").string(), " (step 2 of 8)"))) << said;
  }
  void expect_same_losses(const std::string& got, const std::string& want) const {
    for (const char* key : {"loss", "eval_loss", "num_tokens", "epoch"}) {
      const auto a = losses(got, key), b = losses(want, key);
      ASSERT_EQ(a.size(), b.size()) << key;
      for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5 * std::max(1.0, std::abs(b[i]))) << got << " " << key << " " << i;
    }
  }

 private:
  TemporaryFolder folder_{"parallel_run"};
};

TEST_F(ParallelRun, IsTheRunOfOneAndGoesOnWithAnyNumber) {
  pretrain_with(arguments(root(), "one"));
  ASSERT_EQ(losses("one").size(), size_t(kSteps));
  ASSERT_EQ(losses("one", "eval_loss").size(), 2u);
  on_ranks(2, "two");
  expect_same_losses("two", "one");
  EXPECT_EQ(parse_json_file(root() / "two" / "stage.json").at("steps"), kSteps);
  back_to_step_2("two", "two_two");
  expect_goes_on("two_two", on_ranks(2, "two_two").said);
  EXPECT_EQ(model("two_two"), model("two"));  // to the bit
  back_to_step_2("two", "two_one");
  set_log_level(LogLevel::kInfo);
  testing::internal::CaptureStderr();
  pretrain_with(arguments(root(), "two_one"));
  expect_goes_on("two_one", testing::internal::GetCapturedStderr());
  set_log_level(LogLevel::kError);
  expect_same_losses("two_one", "one");
  back_to_step_2("one", "one_three");
  expect_goes_on("one_three", on_ranks(3, "one_three").said);
  expect_same_losses("one_three", "one");
  // A finished run is found finished by all.
  EXPECT_EQ(on_ranks(2, "two").code, 0);
}

TEST_F(ParallelRun, SharesLayersAndGoesOnWithAnyNumber) {
  pretrain_with(arguments(root(), "one"));
  on_ranks(2, "two --parallel.tp=2");
  expect_same_losses("two", "one");
  EXPECT_EQ(fs::file_size(root() / "two" / "model.safetensors"), fs::file_size(root() / "one" / "model.safetensors"));
  back_to_step_2("two", "two_one");
  pretrain_with(arguments(root(), "two_one"));
  expect_same_losses("two_one", "one");
  back_to_step_2("two_one", "two_one_four");
  on_ranks(4, "two_one_four --parallel.tp=4");
  expect_same_losses("two_one_four", "one");
  back_to_step_2("two", "square");
  on_ranks(4, "square --parallel.tp=2");
  expect_same_losses("square", "one");
  back_to_step_2("two", "beside");
  on_ranks(2, "beside --parallel.tp=2 --async_checkpoints=true");
  expect_same_losses("beside", "one");
  EXPECT_EQ(model("beside"), model("two"));  // to the bit
  EXPECT_FALSE(train::checkpoint_fault(root() / "beside" / "checkpoint-6"));
  // As one process the model is what it was trained to be.
  const auto shared = model::load_model(root() / "square", at::kCPU, at::kFloat),
             one = model::load_model(root() / "one", at::kCPU, at::kFloat);
  for (size_t i = 0; i < one->weights().size(); ++i) {
    const Tensor &got = *shared->weights()[i].tensor, &want = *one->weights()[i].tensor;
    EXPECT_LT((got - want).abs().max().item<double>(), 1e-3 * want.abs().max().item<double>()) << one->weights()[i].name;
  }
}

TEST_F(ParallelRun, WhateverIsSharedAndWrittenBesideItIsTheSameRun) {
  pretrain_with(arguments(root(), "one"));
  on_ranks(2, "two --parallel.zero=2 --async_checkpoints=true");
  expect_same_losses("two", "one");
  for (const int step : {2, 4, 6}) {
    const fs::path checkpoint = root() / "two" / str("checkpoint-", step);
    EXPECT_FALSE(train::checkpoint_fault(checkpoint)) << checkpoint;
    EXPECT_TRUE(fs::exists(checkpoint / "optimizer-00002-of-00002.safetensors"));
    EXPECT_TRUE(fs::exists(checkpoint / "tokenizer.json"));
  }
  back_to_step_2("two", "four");
  on_ranks(4, "four --parallel.zero=1");
  expect_same_losses("four", "one");
  back_to_step_2("two", "alone");
  auto alone = arguments(root(), "alone");
  alone.push_back("--async_checkpoints=true");
  pretrain_with(alone);
  expect_same_losses("alone", "one");
  EXPECT_FALSE(train::checkpoint_fault(root() / "alone" / "checkpoint-6"));
  set_log_level(LogLevel::kWarning);
  const Outcome outcome = on_ranks(2, "killed kill --parallel.zero=2 --async_checkpoints=true", {.max_restarts = 1});
  EXPECT_TRUE(dist::contains(outcome.said, "restart 1 of 1")) << outcome.said;
  EXPECT_EQ(model("killed"), model("two"));  // to the bit
}

TEST_F(ParallelRun, OtherDataOrAnotherModelOnARankIsSaid) {
  for (const char* rank : {"0", "1"}) {
    const fs::path folder = root() / str("rank_", rank);
    make_folder(folder);
    fs::copy(root() / (*rank == '0' ? "train.jsonl" : "eval.jsonl"), folder / "train.jsonl");
    auto steps = arguments(root(), str("m", rank));
    steps.push_back(str("--seed=", rank));
    steps.push_back("--max_steps=1");
    pretrain_with(steps);
    fs::rename(root() / str("m", rank), folder / "m");
  }
  const EnvironmentVariable place("R1_TEST_FOLDER", root().string());
  const Outcome data = dist::run_ranks("elsewhere", 2, {}, "data");
  EXPECT_EQ(data.code, 2) << data.said;
  EXPECT_TRUE(dist::contains(data.said, "no token shards of train.jsonl as this process reads it")) << data.said;
  const auto shards = [](const fs::path& run) { return sha256_file(run / "token_shards" / "tokens-00000.bin"); };
  EXPECT_EQ(shards(root() / "alike_data"), shards(root() / "rank_0" / "m"));  // rank 1 has written nothing
  const Outcome model = dist::run_ranks("elsewhere", 2, {}, "model");
  EXPECT_EQ(model.code, 2) << model.said;
  EXPECT_TRUE(dist::contains(model.said, "error: rank 1 (" + dist::own_host())) << model.said;
  EXPECT_TRUE(dist::contains(model.said, ") has another model than rank 0 (")) << model.said;
}

TEST_F(ParallelRun, GoesOnWhereARankWasKilled) {
  on_ranks(2, "whole");
  set_log_level(LogLevel::kWarning);
  const Outcome outcome = on_ranks(2, "killed kill", {.max_restarts = 1});
  EXPECT_TRUE(dist::contains(outcome.said, "was ended by signal 9")) << outcome.said;
  EXPECT_TRUE(dist::contains(outcome.said, "restart 1 of 1")) << outcome.said;
  // A run that had begun anew would have ended in the same model.
  EXPECT_TRUE(dist::contains(outcome.said, str("goes on from ", (root() / "killed" / "checkpoint-").string()))) << outcome.said;
  EXPECT_EQ(model("killed"), model("whole"));
}

// What attempt N of a launch starts from: the run's own process does not matter, so it is one alone.
TEST_F(ParallelRun, ARestartGoesOnWithWhatItsOwnLaunchHasMade) {
  pretrain_with(arguments(root(), "done"));
  const Json config = parse_json_file(root() / "done" / "config.yaml");
  const auto start = [&](const char* launch, const char* attempt, const std::string& folder, const std::string& resume, bool overwrite) {
    const EnvironmentVariable rank("RANK", "0"), size("WORLD_SIZE", "1"), id("TORCHELASTIC_RUN_ID", launch),
        count("TORCHELASTIC_RESTART_COUNT", attempt);
    RunArgs args{.output_dir = (root() / folder).string(), .resume_from_checkpoint = resume, .overwrite_output_dir = overwrite};
    const stages::Run run("pretrain", args, config);
    return run.complete() ? "complete" : run.checkpoint() ? fs::relative(*run.checkpoint(), root()).string() : "anew";
  };
  const auto write_checkpoint = [&](const std::string& folder, int step) {
    const std::string name = str("checkpoint-", step);
    fs::remove_all(root() / folder / name);
    fs::copy(root() / "done" / name, root() / folder / name, fs::copy_options::recursive);
  };
  // A path stays the start until the launch has saved.
  const std::string path = (root() / "done" / "checkpoint-4").string();
  EXPECT_EQ(start("a", "0", "new", path, false), "done/checkpoint-4");
  EXPECT_EQ(start("a", "1", "new", path, false), "done/checkpoint-4");
  write_checkpoint("new", 6);
  EXPECT_EQ(start("a", "2", "new", path, false), "new/checkpoint-6");
  // Newer checkpoints that were passed over are not those of the launch.
  fs::copy(root() / "done", root() / "old", fs::copy_options::recursive);
  fs::remove(root() / "old" / "stage.json");
  const std::string passed = (root() / "old" / "checkpoint-2").string();
  EXPECT_EQ(start("b", "0", "old", passed, false), "old/checkpoint-2");
  EXPECT_EQ(start("b", "1", "old", passed, false), "old/checkpoint-2");
  write_checkpoint("old", 4);
  EXPECT_EQ(start("b", "2", "old", passed, false), "old/checkpoint-4");
  EXPECT_EQ(start("c", "0", "old", "never", false), "anew");
  EXPECT_EQ(start("c", "1", "old", "never", false), "anew");
  // A launch that ended before it had opened the folder has not overwritten it yet; one that has keeps its own.
  fs::copy(root() / "done", root() / "again", fs::copy_options::recursive);
  EXPECT_EQ(start("d", "1", "again", "auto", true), "anew");
  write_checkpoint("again", 2);
  EXPECT_EQ(start("d", "2", "again", "auto", true), "again/checkpoint-2");
  EXPECT_EQ(start("e", "1", "again", "auto", true), "anew");
  // A run that the launch has finished is finished, however it began.
  write_file_atomic(root() / "again" / "stage.json", read_file(root() / "done" / "stage.json"));
  EXPECT_EQ(start("e", "2", "again", "never", true), "complete");
}

TEST_F(ParallelRun, WhatDoesNotFitIsSaidBeforeAnyWork) {
  auto with = [&](const std::string& more) {
    auto all = arguments(root(), "never");
    std::istringstream words(more);
    for (std::string word; words >> word;) all.push_back(word);
    return message_of([&] { pretrain_with(all); });
  };
  EXPECT_TRUE(dist::contains(with("--parallel.zero=1 --parallel.gradients=sign"), "parallel.zero 1 and parallel.gradients sign: "));
  EXPECT_TRUE(dist::contains(with("--parallel.zero=2 --quantize_training=int8"), "parallel.zero 2 and quantize_training int8: "));
  EXPECT_TRUE(dist::contains(with("--parallel.zero=2 --parallel.checkpoint=whole"), "parallel.zero 2 and parallel.checkpoint whole: "));
  EXPECT_EQ(with("--parallel.dp=4").substr(0, 73), "parallel.dp is 4, and one process was started; start as many (r1 launch -");
  EXPECT_EQ(with("--parallel.tp=2").substr(0, 73), "parallel.tp is 2, and one process was started, which is no multiple of it");
  {
    const EnvironmentVariable rank("RANK", "0"), size("WORLD_SIZE", "8"), host("MASTER_ADDR", "127.0.0.1"), port("MASTER_PORT", "1");
    EXPECT_TRUE(dist::contains(with("--seed=1"), "a step has 5 micro-batches (gradient_accumulation_steps) for 8 ranks"))
        << with("--seed=1");
    EXPECT_TRUE(dist::contains(with("--parallel.dp=2"), "parallel.dp is 2, and 8 ranks were started (RANK and WORLD_SIZE)"));
    EXPECT_TRUE(dist::contains(with("--parallel.tp=8 --parallel.zero=1"), "parallel.tp 8 and parallel.zero 1: "));
    EXPECT_EQ(with("--parallel.tp=8"), "parallel.tp 8: model config: num_attention_heads 4 cannot be shared out among 8 ranks");
    EXPECT_TRUE(dist::contains(with("--parallel.tp=3"), "parallel.tp is 3, and 8 ranks were started (RANK and WORLD_SIZE), which is no"));
    const RunArgs args{.output_dir = (root() / "grpo").string()};
    EXPECT_TRUE(dist::contains(message_of([&] { stages::Run("grpo", args, Json::object()); }),
                               "grpo does not share its work between ranks, and this is one of 8 processes (RANK and WORLD_SIZE)"));
  }
  {
    // parallel.timeout says how long a rank is waited for.
    const EnvironmentVariable rank("RANK", "0"), size("WORLD_SIZE", "2"), host("MASTER_ADDR", "127.0.0.1"),
        port("MASTER_PORT", std::to_string(free_port()));
    const std::string said = with("--parallel.timeout=1");
    EXPECT_TRUE(dist::contains(said, "rank 1 of 2 (by RANK and WORLD_SIZE) did not come to 127.0.0.1:")) << said;
    EXPECT_TRUE(dist::contains(said, " within 1 s")) << said;
  }
  EXPECT_FALSE(fs::exists(root() / "never"));
  EXPECT_FALSE(fs::exists(root() / "grpo"));
}

}  // namespace
}  // namespace r1::stages
