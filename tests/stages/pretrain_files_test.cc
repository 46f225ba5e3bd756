// Pretraining from files: tokenized once into the run's folder, resumed over the same bytes, refused over others.
#include <gtest/gtest.h>
#include <unistd.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/stages/pretrain.h"

namespace r1::stages {
namespace {

class PretrainFiles : public testing::Test {
 protected:
  void SetUp() override {
    set_log_level(LogLevel::kError);
    fs::remove_all(root);
    make_folder(root);
    write_lines(root / "train.jsonl", 1);
    write_lines(root / "eval.jsonl", 2);
  }
  void TearDown() override {
    fs::remove_all(root);
    set_log_level(LogLevel::kInfo);
  }

  static void write_lines(const fs::path& path, uint64_t seed) {
    Rng rng(seed);
    std::string rows;
    for (int i = 0; i < 60; ++i) {
      std::string text;
      for (uint64_t n = rng.below(30); n > 0; --n) text += str(rng.below(10), "+");
      rows += dump_json({{"text", text}}) + "\n";
    }
    write_file_atomic(path, rows);
  }

  Json run(const std::string& name) const {
    PretrainConfig config;
    const std::vector<std::string> arguments = {"--output_dir",
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
                                                "--per_device_train_batch_size=2",
                                                "--max_steps=6",
                                                "--save_steps=2",
                                                "--save_total_limit=3",
                                                "--device=cpu",
                                                "--learning_rate=1e-3"};
    apply_settings(config, parse_overrides(arguments));
    return pretrain(config);
  }

  // As a kill after step 2 leaves it.
  void back_to_step_2(const std::string& from, const std::string& to) const {
    fs::copy(root / from, root / to, fs::copy_options::recursive);
    for (const char* name : {"stage.json", "model.safetensors", "checkpoint-4", "checkpoint-6"}) fs::remove_all(root / to / name);
  }

  const fs::path root = fs::temp_directory_path() / str("r1_pretrain_files_", getpid());
};

TEST_F(PretrainFiles, AreTokenizedOnceAndAResumeSeesTheSame) {
  const Json whole = run("whole");
  const fs::path manifest = root / "whole" / "token_shards" / "manifest.json";
  EXPECT_EQ(parse_json_file(manifest)["shards"][0]["documents"], 60);
  const std::string model = sha256_file(root / "whole" / "model.safetensors");

  back_to_step_2("whole", "resumed");
  const auto shard = root / "resumed" / "token_shards" / "tokens-00000.bin";
  const auto written = fs::last_write_time(shard);
  EXPECT_EQ(run("resumed").at("train_loss"), whole.at("train_loss"));
  EXPECT_EQ(fs::last_write_time(shard), written) << "tokenized twice";
  EXPECT_EQ(sha256_file(root / "resumed" / "model.safetensors"), model);

  back_to_step_2("whole", "without_shards");
  fs::remove_all(root / "without_shards" / "token_shards");
  EXPECT_EQ(run("without_shards").at("eval_loss"), whole.at("eval_loss"));
  EXPECT_EQ(sha256_file(root / "without_shards" / "model.safetensors"), model);

  back_to_step_2("whole", "other_data");
  write_lines(root / "train.jsonl", 3);
  try {
    run("other_data");
    ADD_FAILURE() << "went on over other data";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("the data or the tokenizer has changed"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("other_data"), std::string::npos) << e.what();
  }
}

TEST_F(PretrainFiles, AnInterruptWhileTokenizingLosesNothing) {
  request_interrupt();
  try {
    run("stopped");
    ADD_FAILURE() << "was not interrupted";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInterrupted);
  }
  clear_interrupt();
  EXPECT_EQ(run("stopped").at("train_loss"), run("whole").at("train_loss"));
}

}  // namespace
}  // namespace r1::stages
