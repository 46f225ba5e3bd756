// Advice about memory: each lever is what the plan says with the option set, ways that are said to fit do, and one more does not.
#include "r1/train/advice.h"

#include <gtest/gtest.h>

#include "r1/model/presets.h"

namespace r1::train {
namespace {

AdviceInput training(const char* preset, int64_t sequences, int64_t length, int64_t memory) {
  AdviceInput in;
  in.plan.model = model::preset(preset);
  in.plan.network = std::make_shared<model::Footprint>(model::footprint(in.plan.model, in.plan.dtype));
  in.plan.micro_batch_tokens = sequences * length;
  in.plan.longest_text = length;
  in.sequences = sequences;
  in.length = length;
  in.memory = memory;
  return in;
}

const Lever* find(const std::vector<Lever>& all, const std::string& option) {
  for (const Lever& lever : all) {
    if (lever.option.find(option) != std::string::npos) return &lever;
  }
  return nullptr;
}

TEST(Advice, LeversAreThePlanWithTheOption) {
  AdviceInput in = training("smollm2-135m", 8, 1024, int64_t{4} << 30);
  in.plan.reference_model = true;
  const int64_t now = make_plan(in.plan).likely;
  const auto all = levers(in);
  for (const Lever& lever : all) {
    EXPECT_EQ(lever.peak + lever.saves, now) << lever.option;
    EXPECT_GT(lever.saves, 0) << lever.option;
    EXPECT_FALSE(lever.effect.empty()) << lever.option;
  }
  for (size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i - 1].saves, all[i].saves);
  PlanInput with = in.plan;
  with.trainer.gradient_checkpointing = true;
  ASSERT_TRUE(find(all, "--gradient_checkpointing"));
  EXPECT_EQ(find(all, "--gradient_checkpointing")->peak, make_plan(with).likely);
  with = in.plan;
  with.reference_model = false;
  ASSERT_TRUE(find(all, "--beta 0"));
  EXPECT_EQ(find(all, "--beta 0")->peak, make_plan(with).likely);
  for (const char* option : {"--bf16", "--per_device_train_batch_size", "--max_length"}) EXPECT_TRUE(find(all, option)) << option;
  // What is set already is no advice.
  in.plan.trainer.gradient_checkpointing = true;
  in.plan.reference_model = false;
  for (const char* option : {"--gradient_checkpointing", "--beta 0", "kv_cache_memory"}) EXPECT_FALSE(find(levers(in), option)) << option;
}

TEST(Advice, TheSmallerBatchMakesTheSameStep) {
  AdviceInput in = training("smollm2-135m", 8, 512, int64_t{100} << 30);
  in.plan.micro_batches = 3;
  const Lever* lever = nullptr;
  const auto all = levers(in);
  ASSERT_TRUE(lever = find(all, "--per_device_train_batch_size"));
  EXPECT_EQ(lever->option, "--per_device_train_batch_size 4 --gradient_accumulation_steps 6");
}

TEST(Advice, TheLargestFitsAndOneMoreDoesNot) {
  AdviceInput in = training("smollm2-135m", 1, 1024, int64_t{8} << 30);
  const auto likely = [&](int64_t sequences, int64_t length) {
    PlanInput plan = in.plan;
    plan.micro_batch_tokens = sequences * length;
    plan.longest_text = length;
    return make_plan(plan).likely;
  };
  const int64_t most = most_sequences(in);
  ASSERT_GT(most, 1);
  EXPECT_LE(likely(most, 1024), in.memory);
  EXPECT_GT(likely(most + 1, 1024), in.memory);
  const int64_t longest = longest_length(in);
  ASSERT_GT(longest, 1024);
  EXPECT_LE(likely(1, longest), in.memory);
  if (longest < in.plan.model.max_position_embeddings) {
    EXPECT_GT(likely(1, longest + 16), in.memory);
  }
  in.memory = 1 << 20;
  EXPECT_EQ(most_sequences(in), 0);
  EXPECT_EQ(longest_length(in), 0);
  in.memory = int64_t{1} << 50;
  EXPECT_EQ(longest_length(in), in.plan.model.max_position_embeddings);
}

TEST(Advice, TheWayToFitFits) {
  AdviceInput in = training("smollm2-135m", 16, 1024, 0);
  const int64_t now = make_plan(in.plan).likely;
  in.memory = now;
  EXPECT_EQ(way_to_fit(in).option, "");
  in.memory = now / 4;
  const Lever way = way_to_fit(in);
  EXPECT_NE(way.option, "");
  EXPECT_LE(way.peak, in.memory);
  EXPECT_EQ(way.peak + way.saves, now);
  in.memory = 100 << 20;  // less than the weights
  EXPECT_EQ(way_to_fit(in).saves, 0);
}

TEST(Advice, StreamsFillTheMemoryThatIsLeft) {
  AdviceInput in;
  in.plan.model = model::preset("qwen2.5-0.5b");
  in.plan.dtype = at::kBFloat16;
  in.plan.cuda = true;
  in.plan.training = false;
  in.plan.engine_tokens = 2048;
  in.plan.engine_sequences = 64;
  in.memory = int64_t{24} << 30;
  const Streams some = most_streams(in, 8192), longer = most_streams(in, 32768);
  const int64_t token = model::footprint(in.plan.model, at::kBFloat16).cache_bytes_per_token;
  EXPECT_EQ(some.cache_bytes, some.number * 8192 * token);
  EXPECT_GT(some.number, 3 * longer.number);
  const auto with = [&](int64_t streams) {
    PlanInput plan = in.plan;
    plan.longest_text = 8192;
    plan.cache_bytes = streams * 8192 * token;
    plan.engine_sequences = streams;
    return make_plan(plan).likely;
  };
  EXPECT_LE(with(some.number), in.memory);
  EXPECT_GT(with(some.number + 1), in.memory);
  in.memory = 1 << 20;
  EXPECT_EQ(most_streams(in, 8192).number, 0);
}

}  // namespace
}  // namespace r1::train
