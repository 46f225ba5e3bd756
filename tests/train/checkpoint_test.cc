#include "r1/train/checkpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/report/metrics.h"
#include "tests/environment_variable.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSteps = 12;

TrainerConfig with_dropout() {
  TrainerConfig config = tiny_training();
  config.dropout = 0.1;
  return config;
}

struct Session {
  std::unique_ptr<model::Transformer> model;
  std::unique_ptr<Trainer> trainer;
  explicit Session(uint64_t seed = 1, TrainerConfig config = with_dropout())
      : model(tiny_model(seed, config.bf16 ? at::kBFloat16 : at::kFloat)),
        trainer(std::make_unique<Trainer>(*model, config, kSteps, seed)) {}
};

std::vector<double> uninterrupted(TrainerConfig config = with_dropout()) {
  Session run(1, config);
  return losses_of(train_steps(*run.trainer, kSteps));
}

// Every regular file below, by relative name.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) out[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
  }
  return out;
}

// Two checkpoints, at steps 3 and 6.
void two_checkpoints(const fs::path& folder) {
  Session run;
  for (int64_t step : {3, 6}) {
    train_steps(*run.trainer, step);
    save_checkpoint(folder, *run.trainer, {{"cursor", step * 10}}, {});
  }
}

void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// A manifest made anew over the files that are left must not pass: what a checkpoint holds is said elsewhere too.
TEST(Checkpoint, AFileRemovedAndTheManifestResealedIsSeen) {
  TemporaryFolder folder("resealed");
  two_checkpoints(folder.path());
  const fs::path checkpoint = folder.path() / "checkpoint-6";
  ASSERT_FALSE(checkpoint_fault(checkpoint));
  const auto good = contents(checkpoint);
  const std::string manifest_name = (checkpoint / "manifest.json").string();
  for (const auto& [name, bytes] : good) {
    if (name == "manifest.json") continue;
    fs::remove(checkpoint / name);
    Json manifest = parse_json_file(manifest_name);
    Json files = Json::object();
    for (const auto& [file, entry] : manifest["files"].items())
      if (file != name) files[file] = entry;
    manifest["files"] = files;
    manifest["sha256_of_files"] = sha256(std::string_view(dump_json(files)));
    overwrite(manifest_name, dump_json(manifest, 2) + "\n");
    // generation_config.json and the like are named by trainer_state.json, which is why that must be there.
    const auto fault = checkpoint_fault(checkpoint);
    ASSERT_TRUE(fault) << name;
    EXPECT_NE(fault->find(name), std::string::npos) << *fault;
    EXPECT_EQ(latest_checkpoint(folder.path()), folder.path() / "checkpoint-3");
    overwrite(checkpoint / name, bytes);
    overwrite(manifest_name, good.at("manifest.json"));
  }
  EXPECT_FALSE(checkpoint_fault(checkpoint));
}

TEST(Checkpoint, ResumesBitwise) {
  for (const char* optim : {"adamw", "muon"}) {
    for (bool bf16 : {false, true}) {
      TrainerConfig config = with_dropout();
      config.optim = optim;
      config.bf16 = bf16;
      TemporaryFolder folder("resume");
      const std::vector<double> whole = uninterrupted(config);
      {
        Session first(1, config);
        train_steps(*first.trainer, 5);
        save_checkpoint(folder.path(), *first.trainer, {{"cursor", 55}}, {});
      }
      Session second(2, config);  // other weights, other seed: all of it must come from the checkpoint
      const auto latest = latest_checkpoint(folder.path());
      ASSERT_TRUE(latest);
      EXPECT_EQ(load_checkpoint(*latest, *second.trainer)["cursor"], 55);
      EXPECT_EQ(second.trainer->global_step(), 5);
      EXPECT_EQ(losses_of(train_steps(*second.trainer, kSteps)), std::vector<double>(whole.begin() + 5, whole.end())) << optim << bf16;
    }
  }
}

TEST(Checkpoint, LayoutAndState) {
  TemporaryFolder folder("layout");
  report::MetricsWriter metrics(folder.path());
  Session run;
  for (const StepResult& r : train_steps(*run.trainer, 4)) metrics.write(4, {{"loss", r.loss}});
  metrics.write(5, {{"loss", 1}});  // beyond the step: not of this checkpoint
  CheckpointOptions options;
  options.extra_files = [](const fs::path& path) { write_file_atomic(path / "tokenizer.json", "{}"); };
  const fs::path path = save_checkpoint(folder.path(), *run.trainer, {{"epoch", 0.5}}, options);
  EXPECT_EQ(path.filename(), "checkpoint-4");
  for (const char* name :
       {"config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json", "tokenizer.json", "manifest.json"}) {
    EXPECT_TRUE(fs::exists(path / name)) << name;
  }
  const Json state = parse_json_file(path / "trainer_state.json");
  EXPECT_EQ(state["global_step"], 4);
  EXPECT_EQ(state["max_steps"], kSteps);
  EXPECT_EQ(state["epoch"], 0.5);
  EXPECT_EQ(state["log_history"].size(), 4u);
  const Json manifest = parse_json_file(path / "manifest.json");
  EXPECT_EQ(manifest["files"].size(), contents(path).size() - 1);
}

TEST(Checkpoint, KeepsTheNewestAndOverwritesTheSameStep) {
  TemporaryFolder folder("limit");
  Session run;
  CheckpointOptions options;
  options.save_total_limit = 2;
  for (int64_t step = 1; step <= 5; ++step) {
    train_steps(*run.trainer, step);
    save_checkpoint(folder.path(), *run.trainer, {}, options);
  }
  save_checkpoint(folder.path(), *run.trainer, {{"second", true}}, options);
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path())) names.insert(entry.path().filename().string());
  EXPECT_EQ(names, (std::set<std::string>{"checkpoint-4", "checkpoint-5"}));
  Session other(2);
  EXPECT_EQ(load_checkpoint(folder.path() / "checkpoint-5", *other.trainer)["second"], true);
}

TEST(Checkpoint, NamesOfCheckpoints) {
  EXPECT_EQ(checkpoint_step("runs/a/checkpoint-17"), 17);
  for (const char* name :
       {"checkpoint-", "checkpoint-x", "checkpoint-1x", "tmp-checkpoint-3", "checkpoint-99999999999999999999", "model"}) {
    EXPECT_EQ(checkpoint_step(name), -1) << name;
  }
}

TEST(Checkpoint, TruncationIsFoundAndTheOlderOneUsed) {
  TemporaryFolder folder("truncate");
  two_checkpoints(folder.path());
  const fs::path newest = folder.path() / "checkpoint-6";
  for (const auto& [name, bytes] : contents(newest)) {
    std::set<size_t> cuts{0, 1, bytes.size() / 2, bytes.size() - 1};
    for (size_t cut = 0; cut < std::min<size_t>(bytes.size(), 64); cut += 3) cuts.insert(cut);
    for (size_t cut = 4096; cut < bytes.size(); cut += 4096) cuts.insert(cut);
    for (size_t cut : cuts) {
      if (cut >= bytes.size()) continue;
      fs::resize_file(newest / name, cut);
      const auto fault = checkpoint_fault(newest);
      ASSERT_TRUE(fault) << name << " cut at " << cut;
      EXPECT_NE(fault->find(name), std::string::npos) << *fault;
      overwrite(newest / name, bytes);
    }
    fs::remove(newest / name);
    EXPECT_TRUE(checkpoint_fault(newest)) << name << " removed";
    EXPECT_EQ(latest_checkpoint(folder.path())->filename(), "checkpoint-3");
    overwrite(newest / name, bytes);
  }
  EXPECT_EQ(latest_checkpoint(folder.path())->filename(), "checkpoint-6");
}

TEST(Checkpoint, FlippedBitsAreFound) {
  TemporaryFolder folder("flip");
  two_checkpoints(folder.path());
  const fs::path newest = folder.path() / "checkpoint-6";
  const auto files = contents(newest);
  Rng rng(11);
  for (int i = 0; i < 200; ++i) {
    auto it = files.begin();
    std::advance(it, int64_t(rng.below(files.size())));
    std::string bytes = it->second;
    bytes[rng.below(bytes.size())] ^= char(1 << rng.below(8));
    overwrite(newest / it->first, bytes);
    const auto fault = checkpoint_fault(newest);
    ASSERT_TRUE(fault) << it->first;
    EXPECT_NE(fault->find(it->first), std::string::npos) << *fault;
    overwrite(newest / it->first, it->second);
  }
  EXPECT_FALSE(checkpoint_fault(newest));
}

TEST(Checkpoint, BrokenOneIsPassedOverAndRefused) {
  TemporaryFolder folder("refuse");
  two_checkpoints(folder.path());
  const fs::path newest = folder.path() / "checkpoint-6";
  std::string bytes = read_file(newest / "model.safetensors");
  bytes[bytes.size() / 2] ^= 4;
  overwrite(newest / "model.safetensors", bytes);
  Session run(2);
  try {
    load_checkpoint(newest, *run.trainer);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("model.safetensors"), std::string::npos) << error.what();
  }
  const auto latest = latest_checkpoint(folder.path());
  ASSERT_TRUE(latest);
  EXPECT_EQ(load_checkpoint(*latest, *run.trainer)["cursor"], 30);
  const std::vector<double> whole = uninterrupted();
  EXPECT_EQ(losses_of(train_steps(*run.trainer, kSteps)), std::vector<double>(whole.begin() + 3, whole.end()));
  EXPECT_FALSE(latest_checkpoint(folder.path() / "nowhere"));
}

TEST(Checkpoint, EveryFailingSystemCallLeavesTheOldOneAndARunThatGoesOn) {
  const std::vector<double> whole = uninterrupted();
  for (int code : {ENOSPC, EIO}) {
    TemporaryFolder folder("syscall");
    Session run;
    std::vector<double> losses = losses_of(train_steps(*run.trainer, 3));
    save_checkpoint(folder.path(), *run.trainer, {{"cursor", 3}}, {});
    for (double loss : losses_of(train_steps(*run.trainer, 6))) losses.push_back(loss);
    int failed = 0;
    for (int nth = 1;; ++nth) {
      int calls = 0;
      set_file_fault([&](const char*) { return ++calls == nth ? code : 0; });
      bool threw = false;
      try {
        save_checkpoint(folder.path(), *run.trainer, {{"cursor", 6}}, {});
      } catch (const Error& error) {
        threw = true;
        EXPECT_FALSE(std::string(error.what()).empty());
      }
      set_file_fault(nullptr);
      const bool reached = calls >= nth;
      const auto latest = latest_checkpoint(folder.path());
      ASSERT_TRUE(latest);
      EXPECT_FALSE(checkpoint_fault(folder.path() / "checkpoint-3")) << "call " << nth;
      if (fs::exists(folder.path() / "checkpoint-6")) {
        EXPECT_FALSE(checkpoint_fault(folder.path() / "checkpoint-6")) << "call " << nth;
      }
      failed += threw;
      if (!reached) {
        EXPECT_FALSE(threw);
        break;
      }
      EXPECT_TRUE(threw) << "call " << nth << " failed unseen";
      ASSERT_LT(nth, 500);
    }
    EXPECT_GT(failed, 20);
    EXPECT_EQ(checkpoint_step(*latest_checkpoint(folder.path())), 6);
    for (const auto& entry : fs::directory_iterator(folder.path())) EXPECT_GE(checkpoint_step(entry.path()), 0) << entry.path();
    for (double loss : losses_of(train_steps(*run.trainer, kSteps))) losses.push_back(loss);
    EXPECT_EQ(losses, whole) << "failed saves must not touch the run";
  }
}

TEST(Checkpoint, PoisonIsNotSaved) {
  TemporaryFolder folder("poison");
  Session run;
  train_steps(*run.trainer, 3);
  save_checkpoint(folder.path(), *run.trainer, {}, {});
  train_steps(*run.trainer, 4);
  run.model->weights()[4].tensor->detach().view(-1)[0] = std::nanf("");
  try {
    save_checkpoint(folder.path(), *run.trainer, {}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(run.model->weights()[4].name), std::string::npos) << error.what();
  }
  EXPECT_EQ(latest_checkpoint(folder.path())->filename(), "checkpoint-3");
}

TEST(Checkpoint, OtherModelOrOptimizerIsRefused) {
  TemporaryFolder folder("other");
  two_checkpoints(folder.path());
  TrainerConfig muon = with_dropout();
  muon.optim = "muon";
  Session run(1, muon);
  EXPECT_THROW(load_checkpoint(folder.path() / "checkpoint-6", *run.trainer), Error);
  model::ModelConfig config = tiny_config();
  config.hidden_size = 64;
  model::Transformer big(config, at::kCPU, at::kFloat);
  big.init_weights(1);
  Trainer trainer(big, with_dropout(), kSteps, 1);
  EXPECT_THROW(load_checkpoint(folder.path() / "checkpoint-6", trainer), Error);
}

// ---- beside the training ----

TEST(AsyncCheckpoint, HoldsTheStepItWasBegunAt) {
  for (const char* optim : {"adamw", "muon"}) {
    TrainerConfig config = with_dropout();
    config.optim = optim;
    config.bf16 = true;
    const std::vector<double> whole = uninterrupted(config);
    TemporaryFolder at_once("at_once"), beside("beside");
    Session run(1, config);
    CheckpointWriter writer(beside.path());
    EXPECT_FALSE(writer.under_way());
    std::vector<double> losses = losses_of(train_steps(*run.trainer, 5));
    save_checkpoint(at_once.path(), *run.trainer, {{"cursor", 55}}, {});
    writer.start(*run.trainer, {{"cursor", 55}}, {});
    EXPECT_TRUE(writer.under_way());
    EXPECT_THROW(writer.start(*run.trainer, {}, {}), Error);  // one at a time
    for (double loss : losses_of(train_steps(*run.trainer, 9))) losses.push_back(loss);
    EXPECT_EQ(writer.wait(), beside.path() / "checkpoint-5");
    EXPECT_FALSE(writer.under_way());
    EXPECT_EQ(contents(beside.path() / "checkpoint-5"), contents(at_once.path() / "checkpoint-5")) << optim;  // every byte
    // The memory of the copy is used again.
    writer.start(*run.trainer, {{"cursor", 99}}, {});
    for (double loss : losses_of(train_steps(*run.trainer, kSteps))) losses.push_back(loss);
    writer.wait();
    EXPECT_EQ(losses, whole);
    Session second(2, config);
    EXPECT_EQ(load_checkpoint(*latest_checkpoint(beside.path()), *second.trainer)["cursor"], 99);
    EXPECT_EQ(losses_of(train_steps(*second.trainer, kSteps)), std::vector<double>(whole.begin() + 9, whole.end()));
  }
}

TEST(AsyncCheckpoint, WhatGoesWrongIsSaidByWaitAndLeavesTheOneBefore) {
  TemporaryFolder folder("async_faults");
  Session run;
  CheckpointWriter writer(folder.path());
  train_steps(*run.trainer, 3);
  writer.start(*run.trainer, {}, {});
  writer.wait();
  train_steps(*run.trainer, 6);
  int failed = 0;
  for (int nth = 1;; nth += 3) {
    std::atomic<int> calls = 0;
    set_file_fault([&](const char*) { return ++calls == nth ? ENOSPC : 0; });
    bool threw = false;
    try {
      writer.start(*run.trainer, {}, {});
      writer.wait();
    } catch (const Error& error) {
      threw = true;
      EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
    }
    set_file_fault(nullptr);
    EXPECT_EQ(threw, calls >= nth) << nth;
    EXPECT_FALSE(checkpoint_fault(folder.path() / "checkpoint-3")) << nth;
    failed += threw;
    if (calls < nth) break;
  }
  EXPECT_GT(failed, 5);
  EXPECT_EQ(latest_checkpoint(folder.path())->filename(), "checkpoint-6");
  // A NaN is found in the copy.
  train_steps(*run.trainer, 7);
  run.model->weights()[4].tensor->detach().view(-1)[0] = std::nanf("");
  writer.start(*run.trainer, {}, {});
  try {
    writer.wait();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()), "NaN in " + run.model->weights()[4].hf_name);
  }
  EXPECT_EQ(latest_checkpoint(folder.path())->filename(), "checkpoint-6");
}

TEST(AsyncCheckpoint, IsWholeWhenItsWriterGoes) {
  TemporaryFolder folder("async_end");
  Session run;
  train_steps(*run.trainer, 2);
  { CheckpointWriter(folder.path()).start(*run.trainer, {}, {}); }
  EXPECT_EQ(latest_checkpoint(folder.path())->filename(), "checkpoint-2");
}

// ---- kill -9 ----
// The child (this program again, one test) resumes, trains to the end with a save every step, and writes each loss as hex bits to
// metrics.jsonl.

TEST(CheckpointChild, DISABLED_TrainsToTheEnd) {
  const char* folder = std::getenv("R1_TRAIN_CHILD");
  ASSERT_TRUE(folder) << "runs as the child of KillNineAtAnyMomentOfSaving";
  Session run(1);
  const bool beside = std::getenv("R1_TRAIN_CHILD_BESIDE") != nullptr;
  CheckpointWriter writer(folder);
  const auto latest = latest_checkpoint(folder);
  if (latest) load_checkpoint(*latest, *run.trainer);
  report::MetricsWriter metrics(folder, latest ? run.trainer->global_step() : -1);
  while (run.trainer->global_step() < kSteps) {
    const int64_t step = run.trainer->global_step();
    const StepResult result = run.trainer->step(step_batches(step), cross_entropy_loss());
    metrics.write(step + 1, {{"loss", result.loss}});
    if (writer.under_way()) writer.wait();
    if (beside) writer.start(*run.trainer, {{"cursor", step}}, {});
    for (int again = 0; again < 3 && !beside; ++again)
      save_checkpoint(folder, *run.trainer, {{"cursor", step}}, {});  // most of the time is spent saving
  }
}

pid_t start_child(const fs::path& folder) {
  const pid_t pid = ::fork();
  if (pid == 0) {  // nothing of libtorch may run between fork and exec
    ::setenv("R1_TRAIN_CHILD", folder.c_str(), 1);
    ::close(1), ::close(2);
    ::execl("/proc/self/exe", "test_train", "--gtest_filter=CheckpointChild.*", "--gtest_also_run_disabled_tests", nullptr);
    ::_exit(127);
  }
  return pid;
}

// True if the child ended by itself, well.
bool kill_after(pid_t pid, std::chrono::milliseconds delay) {
  std::this_thread::sleep_for(delay);
  ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void kill_at_any_moment(int most) {
  std::vector<Json> expected;
  for (double loss : uninterrupted()) expected.push_back({{"step", int64_t(expected.size()) + 1}, {"loss", loss}});
  Rng rng(21);
  int kills = 0, leftovers = 0, rounds = 0;
  while (kills < most) {
    TemporaryFolder folder("kill");
    bool done = false;
    for (int attempt = 0; !done; ++attempt) {
      ASSERT_LT(attempt, 200) << "no progress";
      const pid_t pid = start_child(folder.path());
      // Wait until it saves, then a random moment more.
      const int64_t before = latest_checkpoint(folder.path()) ? checkpoint_step(*latest_checkpoint(folder.path())) : 0;
      for (int i = 0;
           i < 2000 && !fs::exists(folder.path() / ("checkpoint-" + std::to_string(before + 1))) && ::waitpid(pid, nullptr, WNOHANG) == 0;
           ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (before == kSteps) break;
      }
      done = kill_after(pid, std::chrono::milliseconds(rng.below(60)));
      kills += !done;
      for (const auto& entry : fs::directory_iterator(folder.path())) {
        if (checkpoint_step(entry.path()) >= 0) {
          EXPECT_FALSE(checkpoint_fault(entry.path())) << "a half checkpoint is visible";
        }
        leftovers += entry.path().filename().string().rfind("tmp-", 0) == 0;
      }
      const auto latest = latest_checkpoint(folder.path());
      ASSERT_TRUE(latest) << "everything lost";
      done = checkpoint_step(*latest) == kSteps;
    }
    // One more child, unkilled, if the last one died after its last save but before its last line of metrics.
    int status = 0;
    ::waitpid(start_child(folder.path()), &status, 0);
    EXPECT_EQ(report::read_metrics(folder.path() / "metrics.jsonl"), expected);
    ++rounds;
  }
  EXPECT_GT(leftovers, 0) << "no kill hit a save: the test has lost its aim";
  std::cout << kills << " kills in " << rounds << " runs, " << leftovers << " of them inside a save\n";
}

TEST(Checkpoint, KillNineAtAnyMomentOfSaving) {
  kill_at_any_moment(30);
}

TEST(AsyncCheckpoint, KillNineAtAnyMomentOfSaving) {
  const EnvironmentVariable beside("R1_TRAIN_CHILD_BESIDE", "1");
  kill_at_any_moment(12);
}

}  // namespace
}  // namespace r1::train
