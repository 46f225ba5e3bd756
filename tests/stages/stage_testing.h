// Stages on a tiny model, run in this process in a fraction of a second each.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/log.h"
#include "r1/eval/load.h"
#include "r1/report/metrics.h"
#include "r1/stages/recipe.h"
#include "tests/temporary_folder.h"

namespace r1::stages {

inline const std::string kCommon =
    "{device: cpu, task: arithmetic, task_options: {style: chain, steps: 1, train_size: 60, test_size: 20}, prompt_format: plain}";

// A stage of this kind with the settings of `common` that it knows, then those of each of `yamls`; later ones win.
inline Json run_stage(const std::string& kind, const fs::path& output, const std::vector<std::string>& yamls,
                      const std::string& common = kCommon) {
  const StageKind stage = stage_kinds().at(kind);
  const auto known = stage.known_keys();
  const auto knows = [&](const std::string& key) {
    return std::any_of(known.begin(), known.end(), [&](const auto& k) { return k == key || key.rfind(k + ".", 0) == 0; });
  };
  std::vector<Setting> settings;
  for (auto& s : parse_yaml(common, "common"))
    if (knows(s.key)) settings.push_back(s);
  settings.push_back({knows("output_file") ? "output_file" : "output_dir", "test", output.string()});
  for (size_t i = 0; i < yamls.size(); ++i)  // a source of its own each: twice in one is an error
    for (auto& s : parse_yaml(yamls[i], str("test", i))) settings.push_back(s);
  return stage.run(settings, /*in_recipe=*/false);
}
inline Json run_stage(const std::string& kind, const fs::path& output, const std::string& yaml, const std::string& common = kCommon) {
  return run_stage(kind, output, std::vector{yaml}, common);
}
inline const std::string kNoTask = "{device: cpu}";

// What a run is refused with; "" if it was not. Only usage errors count.
inline std::string refusal(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Runs are quiet unless said() listens.
inline const bool quiet_from_the_start = (set_log_level(LogLevel::kWarning), true);

// A model that has read a little and answers in R1's form now and then: made once a process, quietly.
inline const fs::path& tiny_model() {
  static const TemporaryFolder folder("stages_model");
  static const fs::path path = [] {
    const LogLevel level = log_level();
    set_log_level(LogLevel::kWarning);
    run_stage("pretrain", folder.path() / "base",
              "{preset: tiny-test, max_length: 64, per_device_train_batch_size: 8, max_steps: 100, save_steps: 0, learning_rate: 3e-3}");
    run_stage(
        "sft", folder.path() / "sft",
        "{model: " + (folder.path() / "base").string() +
            ", num_examples: 2000, max_length: 64, per_device_train_batch_size: 8, max_steps: 60, save_steps: 0, learning_rate: 3e-3}");
    set_log_level(level);
    return folder.path() / "sft";
  }();
  return path;
}

inline std::string model_setting() {
  return "model: " + tiny_model().string();
}

inline std::vector<Json> metrics_of(const fs::path& folder) {
  return report::read_metrics(folder / "metrics.jsonl");
}

// What is said on stderr meanwhile, an error's words too.
inline std::string said(const std::function<void()>& work) {
  set_log_level(LogLevel::kInfo);
  testing::internal::CaptureStderr();
  try {
    work();
  } catch (const Error& error) {
    log_line(LogLevel::kError, error.what());
  }
  set_log_level(LogLevel::kWarning);
  return testing::internal::GetCapturedStderr();
}

// A byte-level tokenizer, with a template if asked for, and an untrained model over it.
inline fs::path chat_model(const TemporaryFolder& folder, bool with_template = true) {
  const auto in = [&](const char* name) { return (folder.path() / name).string(); };
  write_file_atomic(in("text.txt"), "one two three four five\n");
  run_stage("tokenizer", in("chat_tokenizer"), "{train_files: [" + in("text.txt") + "], vocab_size: 258}");
  const fs::path config = folder.path() / "chat_tokenizer/tokenizer_config.json";
  Json json = parse_json_file(config);
  if (with_template)
    json["chat_template"] =
        "{% for m in messages %}{{ m.role }}:{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
  write_file_atomic(config, dump_json(json));
  run_stage("pretrain", in("chat_model"),
            "{preset: tiny-test, tokenizer: " + in("chat_tokenizer") + ", train_files: [" + in("text.txt") +
                "], max_length: 32, max_steps: 1, learning_rate: 1e-3}",
            kNoTask);
  return folder.path() / "chat_model";
}

// The numbers of each step, without clocks.
inline std::string numbers_of(const fs::path& folder) {
  std::string out;
  for (Json line : metrics_of(folder)) {
    for (const char* clock : {"step_time", "tokens_per_second", "time/sampling", "time/rewards", "time/reward_wait", "time/update",
                              "reward/overlap", "sampling/tokens_per_second"})
      line.erase(clock);
    out += dump_json(line) + "\n";
  }
  return out;
}

inline std::vector<fs::path> weight_files(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

inline std::string weights_hash(const fs::path& folder) {
  std::string out;
  for (const auto& file : weight_files(folder)) out += sha256_file(file);
  return out;
}

inline int64_t lines_of(const fs::path& file) {
  std::ifstream in(file);
  return std::count(std::istreambuf_iterator<char>(in), {}, '\n');
}

// Calls `act` once as soon as `when` is true, from a thread of its own; ends with the scope.
class Watcher {
 public:
  Watcher(std::function<bool()> when, std::function<void()> act)
      : thread_([this, when = std::move(when), act = std::move(act)] {
          for (; !done_; std::this_thread::sleep_for(std::chrono::milliseconds(1))) {
            if (!when()) continue;
            act();
            return;
          }
        }) {}
  ~Watcher() {
    done_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace r1::stages
