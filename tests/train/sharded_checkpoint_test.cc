// Checkpoints that ranks write together: any number of them goes on from any, whatever they share; a fault anywhere leaves the one before.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <sstream>

#include "r1/base/file.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "r1/train/checkpoint.h"
#include "r1/train/state_parts.h"
#include "tests/dist/processes.h"
#include "tests/message_of.h"
#include "tests/train/train_testing.h"

namespace r1::train {
namespace {

using dist::AddScenario;
using dist::Group;
using dist::in_group;
using dist::Outcome;
using dist::Ranks;

constexpr int64_t kAllSteps = 12;

TrainerConfig sharded_training(const std::string& optim) {
  TrainerConfig config = tiny_training();
  config.dropout = 0.1;
  config.optim = optim;
  config.adam_epsilon = 1e-4;
  config.muon_learning_rate = 2e-3;
  return config;
}

struct RankSession {
  std::unique_ptr<model::Transformer> model;
  Trainer trainer;
  Group& group;
  RankSession(Group& ranks, int64_t zero, uint64_t seed = 1, const std::string& optim = "adamw")
      : model(tiny_model(seed)),
        trainer(*model, sharded_training(optim), kAllSteps, seed, nullptr, {}, {&ranks, "plain", zero}),
        group(ranks) {}

  std::vector<double> train(int64_t until) {
    std::vector<double> losses;
    while (trainer.global_step() < until) {
      const int64_t step = trainer.global_step();
      const auto all = step_batches(step, 1 + int(step % 5));
      std::vector<data::Batch> mine;
      for (size_t i = size_t(group.rank()); i < all.size(); i += size_t(group.size())) mine.push_back(all[i]);
      losses.push_back(trainer.step(mine, cross_entropy_loss()).loss);
    }
    return losses;
  }
};

fs::path folder_of_test() {
  return std::getenv("R1_TEST_FOLDER");
}

// Goes on from the newest checkpoint, if there is one, and leaves another.
std::vector<double> go_on(Group& group, const std::string& optim, int64_t zero, int64_t until, const fs::path& folder) {
  const auto latest = latest_checkpoint(folder);
  group.barrier();
  RankSession run(group, zero, latest ? 9 : 1, optim);  // other weights, another seed: all of it must come from the checkpoint
  if (latest) load_checkpoint(*latest, run.trainer);
  const auto losses = run.train(until);
  CheckpointWriter(folder, &group).save(run.trainer, {{"until", until}}, {});
  return losses;
}

// "adamw 2 6": optimizer, zero, until which step.
SCENARIO(go_on) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    std::istringstream words(argument);
    std::string optim;
    int64_t zero = 0, until = 0;
    words >> optim >> zero >> until;
    const auto losses = go_on(group, optim, zero, until, folder_of_test());
    if (group.rank() == 0) write_file_atomic(folder_of_test() / "losses.json", Json(losses).dump());
  });
}

std::vector<double> ranks_go_on(int64_t size, const std::string& argument, const fs::path& folder) {
  const EnvironmentVariable place("R1_TEST_FOLDER", folder.string());
  const Outcome outcome = dist::run_ranks("go_on", size, {}, argument);
  EXPECT_EQ(outcome.code, 0) << outcome.said;
  return outcome.code ? std::vector<double>() : parse_json_file(folder / "losses.json").get<std::vector<double>>();
}

// One leg of a run: so many ranks, what they share, until which step.
struct Leg {
  int64_t ranks, zero, until;
};

void expect_the_run_of_one(const std::string& optim, const std::vector<Leg>& legs) {
  Group alone;
  TemporaryFolder whole("whole"), folder("parts");
  const auto want = go_on(alone, optim, 0, kAllSteps, whole.path());
  std::vector<double> got;
  for (const Leg& leg : legs) {
    const auto more = leg.ranks == 1 ? go_on(alone, optim, leg.zero, leg.until, folder.path())
                                     : ranks_go_on(leg.ranks, str(optim, " ", leg.zero, " ", leg.until), folder.path());
    got.insert(got.end(), more.begin(), more.end());
    const fs::path checkpoint = folder.path() / str("checkpoint-", leg.until);
    EXPECT_TRUE(fs::exists(checkpoint / (leg.ranks == 1 ? kOptimizerFile : optimizer_part(leg.ranks - 1, leg.ranks)))) << checkpoint;
    // What lies there is a model like any other.
    const auto loaded = model::load_model(checkpoint, at::kCPU, at::kFloat);
    RankSession last(alone, 0, 9, optim);
    load_checkpoint(checkpoint, last.trainer);
    for (size_t i = 0; i < loaded->weights().size(); ++i)
      EXPECT_TRUE(loaded->weights()[i].tensor->equal(*last.model->weights()[i].tensor)) << loaded->weights()[i].name;
  }
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5 * want[i]) << optim << " step " << i;
}

TEST(ShardedCheckpoint, AnyNumberOfRanksGoesOnFromAnyWhateverTheyShare) {
  expect_the_run_of_one("adamw", {{2, 2, 3}, {1, 0, 6}, {4, 1, 8}, {2, 0, kAllSteps}});
  expect_the_run_of_one("muon", {{2, 2, 4}, {3, 1, 8}, {1, 0, kAllSteps}});
}

// ---- what may be wrong with one ----

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) out[entry.path().filename().string()] = read_file(entry.path());
  return out;
}

void put(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// The manifest made anew over what is there.
void seal_again(const fs::path& checkpoint) {
  const fs::path path = checkpoint / "manifest.json";
  Json manifest = parse_json_file(path);
  Json files = Json::object();
  for (const auto& [name, entry] : manifest["files"].items())
    if (fs::exists(checkpoint / name))
      files[name] = {{"size", fs::file_size(checkpoint / name)}, {"sha256", sha256_file(checkpoint / name)}};
  manifest["files"] = files;
  manifest["sha256_of_files"] = sha256(std::string_view(dump_json(files)));
  put(path, dump_json(manifest, 2) + "\n");
}

TEST(ShardedCheckpoint, EveryFaultOfAPartIsFoundAndTheOneBeforeUsed) {
  TemporaryFolder folder("faults");
  ranks_go_on(2, "adamw 2 3", folder.path());
  ranks_go_on(2, "adamw 2 6", folder.path());
  const fs::path before = folder.path() / "checkpoint-3", newest = folder.path() / "checkpoint-6";
  ASSERT_EQ(latest_checkpoint(folder.path()), newest);
  const auto files = files_of(newest);
  for (const char* name : {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                           "optimizer-00001-of-00002.safetensors", "optimizer-00002-of-00002.safetensors", "trainer_state.json"})
    EXPECT_TRUE(files.count(name)) << name;
  const auto expect_fault = [&](const std::string& name, const std::string& what) {
    const auto fault = checkpoint_fault(newest);
    ASSERT_TRUE(fault) << name << " " << what;
    EXPECT_NE(fault->find(name), std::string::npos) << what << ": " << *fault;
    EXPECT_EQ(latest_checkpoint(folder.path()), before) << name << " " << what;
  };
  for (const auto& [name, bytes] : files) {
    for (const size_t cut : {size_t(0), bytes.size() / 2, bytes.size() - 1}) {
      fs::resize_file(newest / name, cut);
      expect_fault(name, "cut");
      put(newest / name, bytes);
    }
    std::string flipped = bytes;
    flipped[bytes.size() / 3] ^= 16;
    put(newest / name, flipped);
    expect_fault(name, "flipped");
    put(newest / name, bytes);
    fs::remove(newest / name);
    expect_fault(name, "missing");
    if (name != "manifest.json") {
      seal_again(newest);
      expect_fault(name, "missing from the manifest too");
      put(newest / "manifest.json", files.at("manifest.json"));
    }
    put(newest / name, bytes);
  }
  EXPECT_FALSE(checkpoint_fault(newest));
  // A part of another step, with a manifest that says it is right.
  const std::string part = optimizer_part(1, 2);
  put(newest / part, read_file(before / part));
  expect_fault(part, "of another step");
  seal_again(newest);
  expect_fault(part, "of another step, sealed");
  EXPECT_NE(checkpoint_fault(newest)->find("belongs to another checkpoint: its step is 3, expected 6"), std::string::npos);
  // One that is another rank's.
  put(newest / part, files.at(optimizer_part(0, 2)));
  seal_again(newest);
  expect_fault(part, "of another rank");
}

// Each system call of each rank's save fails once: all ranks say the same, the one before stands, and the next save is whole.
SCENARIO(failing_calls) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    RankSession run(group, 2);
    CheckpointWriter writer(folder_of_test(), &group);
    const bool beside = argument == "beside";
    const std::string kGood = "no error";
    const auto save = [&] {
      return message_of([&] {
        if (!beside) return (void)writer.save(run.trainer, {}, {});
        writer.start(run.trainer, {}, {});
        writer.wait();
      });
    };
    run.train(2);
    EXPECT_EQ(save(), kGood);
    run.train(3);
    int failed = 0;
    for (int64_t who = 0; who < group.size(); ++who) {
      for (int nth = 1, reached = 1; reached; nth += 1 + nth / 8) {
        std::atomic<int> calls = 0;
        if (group.rank() == who) set_file_fault([&](const char*) { return ++calls == nth ? ENOSPC : 0; });
        const std::string said = save();
        set_file_fault(nullptr);
        double numbers[1] = {calls >= nth ? 1.0 : 0.0};
        group.all_reduce(numbers, dist::Reduce::kMax);
        reached = int(numbers[0]);
        failed += reached;
        for (const std::string& other : group.all_gather(said)) EXPECT_EQ(other, said);
        EXPECT_EQ(said == kGood, !reached) << "rank " << who << ", call " << nth << ": " << said;
        EXPECT_TRUE(!reached || who == 0 || said.starts_with("rank 1: ")) << said;
        group.first("the look at the folder", [&] {
          EXPECT_FALSE(checkpoint_fault(folder_of_test() / "checkpoint-2")) << nth;
          const fs::path newest = folder_of_test() / "checkpoint-3";
          EXPECT_TRUE(!fs::exists(newest) || !checkpoint_fault(newest)) << nth;
        });
        ASSERT_LT(nth, 1000);
      }
    }
    EXPECT_GT(failed, 15);
    EXPECT_EQ(checkpoint_step(*latest_checkpoint(folder_of_test())), 3);
  });
}

TEST(ShardedCheckpoint, AFullDiskOnAnyRankLeavesTheOneBefore) {
  for (const char* how : {"at once", "beside"}) {
    TemporaryFolder folder("full");
    const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
    const Outcome outcome = dist::run_ranks("failing_calls", 2, {}, how);
    EXPECT_EQ(outcome.code, 0) << how << ": " << outcome.said;
  }
}

// "1 7": rank 1 is killed at its 7th system call of the second save.
SCENARIO(killed_while_saving) {
  in_group(ranks, {.timeout = 60}, [&](Group& group) {
    RankSession run(group, 2);
    CheckpointWriter writer(folder_of_test(), &group);
    run.train(2);
    writer.save(run.trainer, {}, {});
    run.train(4);
    int64_t who = 0, nth = 0;
    std::istringstream(argument) >> who >> nth;
    std::atomic<int64_t> calls = 0;
    if (group.rank() == who) set_file_fault([&](const char*) { return ++calls == nth ? raise(SIGKILL) : 0; });
    writer.start(run.trainer, {}, {});
    run.train(6);
    writer.wait();
  });
}

TEST(ShardedCheckpoint, KillNineOfARankWhileItWrites) {
  for (const char* when : {"0 3", "0 30", "1 9"}) {
    TemporaryFolder folder("killed");
    const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
    const Outcome outcome = dist::run_ranks("killed_while_saving", 2, {.grace = 1}, when);
    EXPECT_EQ(outcome.code, 128 + SIGKILL) << when << ": " << outcome.said;
    EXPECT_FALSE(outcome.left_behind);
    const auto latest = latest_checkpoint(folder.path());
    ASSERT_TRUE(latest) << when;
    EXPECT_EQ(latest->filename(), "checkpoint-2") << when;
    // What is left is no checkpoint to anybody, and is gone after the next save.
    Group alone;
    const auto more = go_on(alone, "adamw", 0, 5, folder.path());
    EXPECT_EQ(more.size(), 3u);
    for (const auto& entry : fs::directory_iterator(folder.path()))
      EXPECT_TRUE(!entry.is_directory() || !checkpoint_fault(entry.path())) << when << ": " << entry.path();
  }
}

}  // namespace
}  // namespace r1::train
