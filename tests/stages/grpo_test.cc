// GRPO as a run, and its rollouts against the trainer's own numbers.
#include "r1/stages/grpo.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/stages/grpo_batch.h"
#include "r1/tensor/aten.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

const char* const kSmall =
    "{num_generations: 4, per_device_train_batch_size: 8, max_steps: 4, max_completion_length: 12, learning_rate: 1e-3, save_steps: 1}";

// A small run from the tiny model, with more settings.
Json small_run(const fs::path& out, const std::string& more) {
  return run_stage("grpo", out, {"{" + model_setting() + "}", kSmall, more});
}

TEST(Grpo, ARunLearnsLogsAndLeavesAModel) {
  TemporaryFolder folder("grpo");
  const fs::path out = folder.path() / "zero";
  const Json results = small_run(out, "{eval_steps: 2, eval_limit: 6, log_completions: 3}");
  const auto lines = metrics_of(out);
  ASSERT_EQ(lines.size(), 4u);
  double tokens = 0;
  for (size_t i = 0; i < 4; ++i) {
    const Json& line = lines[i];
    EXPECT_EQ(line.at("step"), int(i + 1));
    EXPECT_EQ(line.contains("eval/accuracy"), i % 2 == 1) << i;
    EXPECT_EQ(line.at("sampling/importance_sampling_ratio/mean"), 1)
        << "at the first update the rollout's log-probabilities are the trainer's";
    EXPECT_EQ(line.at("sampling/importance_sampling_ratio/max"), 1);
    EXPECT_EQ(line.at("sampling/sampling_logp_difference/max"), 0);
    EXPECT_DOUBLE_EQ(line.at("verdicts/right").get<double>(), line.at("accuracy").get<double>());
    EXPECT_DOUBLE_EQ(line.at("reward").get<double>(), line.at("accuracy").get<double>()) << "the only reward";
    EXPECT_DOUBLE_EQ(line.at("epoch").get<double>(), double(i) * 2 / 60) << "two prompts a rollout of sixty problems";
    EXPECT_GT(line.at("num_tokens").get<double>(), tokens);
    tokens = line.at("num_tokens");
  }
  EXPECT_EQ(results.at("steps"), 4);
  EXPECT_EQ(results.at("num_tokens").get<double>(), tokens);
  EXPECT_EQ(results.at("eval/accuracy"), lines[3].at("eval/accuracy"));
  EXPECT_FALSE(results.contains("empty_steps"));
  EXPECT_EQ(lines_of(out / "completions.jsonl"), 4 * 3);
  EXPECT_EQ(results.at("watched").at("question"),
            eval::load_task({"arithmetic", "", {{"style", "chain"}, {"steps", "1"}}})->problem("test", 0).question);
  EXPECT_NE(weights_hash(out), weights_hash(tiny_model()));
  EXPECT_TRUE(contains(read_file(out / "report.html"), "grpo zero"));
}

TEST(Grpo, CompletionsThatAreAllCutTeachNothingAndEndNothing) {
  TemporaryFolder folder("grpo_cut");
  for (const char* loss_type : {"dapo", "grpo", "dr_grpo"}) {
    const fs::path out = folder.path() / loss_type;
    const std::string more = std::string("{max_completion_length: 1, mask_truncated_completions: true, loss_type: ") + loss_type + "}";
    const Json results = small_run(out, more);
    EXPECT_EQ(results.at("steps"), 4) << loss_type;
    EXPECT_EQ(results.at("empty_steps"), 4) << loss_type;
    EXPECT_FALSE(results.contains("skipped_steps")) << "nothing was NaN";
    const auto lines = metrics_of(out);
    ASSERT_EQ(lines.size(), 4u);
    for (const auto& line : lines) {
      EXPECT_EQ(line.at("skipped"), "no token to learn from (all loss weights are 0)");
      EXPECT_FALSE(line.contains("loss"));
      EXPECT_EQ(line.at("completions/clipped_ratio"), 1);
    }
    EXPECT_EQ(weights_hash(out), weights_hash(tiny_model())) << "no update, not one by momentum either";
    // A run that is taken up again goes past such steps too, and has counted those before.
    fs::remove(out / "stage.json");
    const Json again = small_run(out, more);
    EXPECT_EQ(again.at("steps"), 4);
    EXPECT_EQ(again.at("empty_steps"), 4);
    EXPECT_EQ(metrics_of(out).size(), 4u);
  }
}

TEST(Grpo, ATestSplitIsNeededByEvaluationsOnly) {
  TemporaryFolder folder("grpo_split");
  const Json results = small_run(folder.path() / "a", "{task_options.test_size: 0}");
  EXPECT_EQ(results.at("steps"), 4);
  EXPECT_FALSE(results.contains("eval/accuracy"));
  const auto refused = [&](const std::string& yaml) {
    return refusal([&] { run_stage("grpo", folder.path() / "b", {kSmall, "{model: /nowhere}", yaml}); });
  };
  EXPECT_TRUE(contains(refused("{task_options.test_size: 0, eval_steps: 2}"), "eval_steps needs the test split of task 'arithmetic'"));
  EXPECT_TRUE(contains(refused("{task_options.train_size: 0}"), "grpo needs the train split of task 'arithmetic'"));
  EXPECT_FALSE(fs::exists(folder.path() / "b")) << "refused before there is a folder";
}

TEST(Grpo, BatchArithmeticIsCheckedBeforeAnyWork) {
  TemporaryFolder folder("grpo_arithmetic");
  const auto refused = [&](const std::string& yaml) {
    return refusal([&] { run_stage("grpo", folder.path() / "x", {kSmall, "{model: /nowhere}", yaml}); });
  };
  EXPECT_TRUE(contains(refused("{num_generations: 3}"), "8 completions, which is not a multiple of num_generations (3)"));
  EXPECT_TRUE(contains(refused("{num_generations: 1}"), "num_generations is 1"));
  EXPECT_TRUE(contains(refused("{engine: {kv_eviction: heavy_hitters, kv_budget: 64}}"), "engine.kv_eviction is heavy_hitters"));
  EXPECT_TRUE(
      contains(refused("{gradient_accumulation_steps: 2, steps_per_generation: 3}"), "not a multiple of gradient_accumulation_steps"));
  EXPECT_TRUE(contains(refused("{reward_funcs: [acuracy]}"), "accuracy"));
}

TEST(Grpo, StepsFollowEpochsAndPasses) {
  TemporaryFolder folder("grpo_steps");
  // 12 problems, 2 prompts a rollout: 6 rollouts, each of 2 updates, twice.
  const Json results =
      small_run(folder.path() / "x",
                "{max_steps: 0, num_train_epochs: 1, task_options.train_size: 12, steps_per_generation: 2, num_generations: 8, "
                "num_iterations: 2, save_steps: 0}");
  EXPECT_EQ(results.at("steps"), 6 * 2 * 2);
}

TEST(Grpo, TheReferenceIsThePolicyItWasCopiedFromInEveryPass) {
  TemporaryFolder folder("grpo_reference");
  const std::string yaml = "{beta: 0.1, num_iterations: 3, steps_per_generation: 2, max_steps: 12, learning_rate: ";
  small_run(folder.path() / "still", yaml + "0}");
  for (const auto& line : metrics_of(folder.path() / "still")) EXPECT_EQ(line.at("kl"), 0) << line.at("step");
  small_run(folder.path() / "moves", yaml + "3e-3, lr_scheduler_type: constant}");
  const auto lines = metrics_of(folder.path() / "moves");
  EXPECT_EQ(lines[0].at("kl"), 0);
  for (size_t i = 1; i < lines.size(); ++i) EXPECT_GT(lines[i].at("kl").get<double>(), 0) << i;
  // Copied after every update: what moves since is the last update alone.
  small_run(folder.path() / "synced", yaml + "3e-3, lr_scheduler_type: constant, ref_model_sync_steps: 6}");
  const auto synced = metrics_of(folder.path() / "synced");
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(synced[i].at("kl"), lines[i].at("kl")) << i;
  EXPECT_EQ(synced[6].at("kl"), 0) << "the first update after the copy";
  EXPECT_GT(lines[6].at("kl").get<double>(), 0);
}

// ---- rollouts ----

struct Sampling {
  LoadedModel loaded = eval::load({tiny_model().string(), "", "float32"}, at::kCPU);
  std::unique_ptr<tasks::Task> task =
      eval::load_task({"arithmetic", "", {{"style", "chain"}, {"steps", "1"}, {"train_size", "60"}, {"test_size", "20"}}});
  data::PromptMaker prompts{*loaded.tokenizer, nullptr, {.prompt_format = "plain"}, loaded.stop_ids};
  engine::Engine engine{*loaded.model, {}};
  tasks::ScoringPool pool{*task, {}, {}};

  Rollout rollout(uint64_t seed, const std::function<bool(int64_t, int64_t)>& on_step = {}) {
    SamplingArgs args;
    args.num_generations = 3;
    args.max_completion_length = 12;
    return sample_rollout(engine, *loaded.tokenizer, prompts, *task, pool, "train", {4, 7}, args, seed, {on_step});
  }
};

std::vector<std::string> texts(const Rollout& rollout) {
  std::vector<std::string> out;
  for (const auto& s : rollout.samples) out.push_back(s.text);
  return out;
}

// What is published as a variant of the loss runs as one, and where the sampler is exact, correcting it changes no bit.
TEST(Grpo, EveryLossTypeAndCorrectionRuns) {
  TemporaryFolder folder("grpo_types");
  const auto run = [&](const std::string& name, const std::string& yaml) {
    small_run(folder.path() / name, "{max_steps: 2, gradient_accumulation_steps: 2, num_iterations: 2, " + yaml + "}");
    return weights_hash(folder.path() / name);
  };
  const std::string plain = run("dapo", "loss_type: dapo");
  for (const char* type : {"bnpo", "sapo", "luspo", "dr_grpo"}) EXPECT_NE(run(type, str("loss_type: ", type)), plain) << type;
  run("cispo", "loss_type: cispo, epsilon_high: 5");  // where nothing is clipped its gradient is dapo's
  for (const char* mode : {"token_truncate", "token_mask", "sequence_truncate", "sequence_mask"})
    EXPECT_EQ(run(mode, str("loss_type: dapo, importance_sampling_correction: ", mode)), plain) << mode;
  const Json line = metrics_of(folder.path() / "token_mask").at(1);
  EXPECT_EQ(line.at("sampling/corrected_ratio"), 0);
  EXPECT_EQ(line.at("sampling/importance_sampling_ratio/min"), 1);
  EXPECT_TRUE(metrics_of(folder.path() / "cispo").at(0).contains("cispo_clip_ratio"));
  EXPECT_FALSE(metrics_of(folder.path() / "sapo").at(0).contains("clip_ratio/low_mean"));
}

TEST(Grpo, TheLengthOfCompletionsChangesAtItsStep) {
  TemporaryFolder folder("grpo_length");
  const fs::path out = folder.path() / "x";
  const std::string yaml = "{max_completion_length: 2, max_completion_length_changes: ['2=5', '3=1']}";
  const auto longest = [&] {
    std::vector<double> all;
    for (const Json& line : metrics_of(out)) all.push_back(line.at("completions/max_length"));
    return all;
  };
  small_run(out, yaml);
  const auto lengths = longest();
  EXPECT_LE(lengths.at(1), 2);
  EXPECT_GT(lengths.at(2), 2);
  EXPECT_EQ(lengths.at(3), 1);
  const std::string hash = weights_hash(out);
  // Taken up again in the middle: the same.
  fs::remove_all(out / "checkpoint-4");
  fs::remove_all(out / "checkpoint-3");
  fs::remove(out / "stage.json");
  small_run(out, yaml);
  EXPECT_EQ(longest(), lengths);
  EXPECT_EQ(weights_hash(out), hash);
  const auto refused = [&](const std::string& changes) {
    return refusal([&] {
      run_stage("grpo", folder.path() / "y", {kSmall, "{model: /nowhere}", "{max_completion_length_changes: [" + changes + "]}"});
    });
  };
  EXPECT_TRUE(contains(refused("'8200:65536'"), "'8200:65536' is not STEP=LENGTH"));
  EXPECT_TRUE(contains(refused("'20=4', '10=8'"), "step 10 comes after step 20"));
}

TEST(Grpo, LossSettingsThatMeanNothingTogetherAreRefused) {
  TemporaryFolder folder("grpo_together");
  const auto refused = [&](const std::string& yaml) {
    return refusal([&] { run_stage("grpo", folder.path() / "x", {kSmall, "{model: /nowhere}", yaml}); });
  };
  EXPECT_TRUE(contains(refused("{loss_type: cispo}"), "loss_type cispo bounds the ratio itself by epsilon_high, and there is none"));
  EXPECT_TRUE(contains(refused("{loss_type: sapo, delta: 4}"), "loss_type sapo clips none"));
  EXPECT_TRUE(contains(refused("{use_bias_correction_kl: true}"), "beta is 0"));
  EXPECT_TRUE(contains(refused("{importance_sampling_correction: token_mask, importance_sampling_clip_min: 4}"), "clip_min (4) is above"));
}

TEST(SamplerCorrection, FollowsItsDefinition) {
  data::Batch batch;
  batch.cu_seqlens = {0, 3, 5};
  batch.document = {0, 1};
  batch.ids = batch.targets = batch.positions = {0, 1, 2, 0, 1};
  batch.loss_weight = {0, 1, 1, 1, 1};
  batch.advantage = {0, 2, 2, -1, -1};
  batch.old_logprob = {0, -1, -2, -3, -1};
  const std::vector<float> trainer = {-9, -1 + std::log(2.f), -2 + std::log(4.f), -3 + std::log(.25f), -1 + std::log(.5f)};
  const auto corrected = [&](const char* mode, double high, double low = 0) {
    data::Batch b = batch;
    CorrectionStatistics s;
    correct_batch({mode, high, low}, trainer, b, s);
    EXPECT_EQ(b.old_logprob[0], 0) << "nothing is learned there";
    for (size_t t = 1; t < 5; ++t) EXPECT_EQ(b.old_logprob[t], trainer[t]);
    EXPECT_NEAR(s.difference / s.tokens, std::log(2.) * (1 + 2 + 2 + 1) / 4, 1e-6);
    EXPECT_NEAR(s.difference_max, std::log(4.), 1e-6);
    for (float& a : b.advantage) a = std::round(a * 1e4f) / 1e4f;
    return b.advantage;
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(corrected("token_truncate", 3), (Floats{0, 4, 6, -.25f, -.5f}));
  EXPECT_EQ(corrected("token_truncate", 3, .3), (Floats{0, 4, 6, -.3f, -.5f}));
  EXPECT_EQ(corrected("token_mask", 3), (Floats{0, 4, 0, -.25f, -.5f}));
  EXPECT_EQ(corrected("sequence_truncate", 3), (Floats{0, 6, 6, -.125f, -.125f}));
  EXPECT_EQ(corrected("sequence_mask", 3), (Floats{0, 0, 0, -.125f, -.125f}));
  EXPECT_EQ(corrected("sequence_mask", 9), (Floats{0, 16, 16, -.125f, -.125f}));
}

TEST(SampleRollout, GroupsAreInOrderScoredAndNamedByTheSeed) {
  Sampling sampling;
  const Rollout a = sampling.rollout(5), b = sampling.rollout(5), c = sampling.rollout(6);
  ASSERT_EQ(a.samples.size(), 6u);
  ASSERT_EQ(a.problems.size(), 2u);
  EXPECT_EQ(a.problems[0].id, "arithmetic/train/4");
  EXPECT_EQ(a.problems[1].id, "arithmetic/train/7");
  EXPECT_EQ(texts(a), texts(b)) << "a pure function of seed and weights";
  EXPECT_NE(texts(a), texts(c));
  for (size_t i = 0; i < a.samples.size(); ++i) {
    const Sample& s = a.samples[i];
    const auto& problem = a.problems[i / 3];
    EXPECT_EQ(s.group, int64_t(i / 3));
    EXPECT_EQ(s.prompt, sampling.prompts.prompt(problem.prompt, problem.messages));
    EXPECT_EQ(s.logprobs.size(), s.completion.size());
    EXPECT_LE(s.completion.size(), 12u);
    EXPECT_TRUE(s.scored);
    EXPECT_EQ(s.score.verdict, sampling.task->score(problem, s.text).verdict);
    EXPECT_EQ(s.finish == engine::FinishReason::kLength,
              s.completion.size() == 12 && s.completion.back() != *sampling.loaded.tokenizer->eos_id());
  }
}

TEST(SampleRollout, LogprobsAreTheTrainersBitForBit) {
  Sampling sampling;
  const Rollout rollout = sampling.rollout(5);
  const auto batch = make_batches(rollout, std::vector<float>(6, 1.0f), {6, 12, "dapo", false}, nullptr).at(0);
  const auto logprobs = train::batch_logprobs(*sampling.loaded.model, batch);
  int64_t compared = 0;
  for (int64_t t = 0; t < batch.tokens(); ++t) {
    if (batch.loss_weight[size_t(t)] == 0) continue;
    EXPECT_EQ(logprobs[size_t(t)], batch.old_logprob[size_t(t)]) << t;
    ++compared;
  }
  int64_t tokens = 0;
  for (const auto& s : rollout.samples) tokens += int64_t(s.completion.size());
  EXPECT_EQ(compared, tokens);
}

TEST(SampleRollout, AStopThrowsItAway) {
  Sampling sampling;
  int64_t calls = 0;
  EXPECT_TRUE(sampling.rollout(5, [&](int64_t, int64_t) { return ++calls < 3; }).samples.empty());
  EXPECT_EQ(calls, 3) << "between two tokens, not at the end";
  EXPECT_TRUE(sampling.rollout(5, [&](int64_t finished, int64_t total) { return finished < total; }).samples.empty()) << "at the last one";
  EXPECT_EQ(texts(sampling.rollout(5)), texts(Sampling().rollout(5))) << "nothing is left of the one thrown away";
}

}  // namespace
}  // namespace r1::stages
