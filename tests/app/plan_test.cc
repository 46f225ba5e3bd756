// r1 plan for people: defaults, names, cards, advice that can be typed.
#include <gtest/gtest.h>

#include "r1/model/presets.h"
#include "r1/plan/gpu_cards.h"
#include "tests/app/program.h"

namespace r1::app {
namespace {

using testing::ProgramResult;
using testing::run_r1;

Json plan(Arguments arguments, int code = 0) {
  arguments.insert(arguments.begin(), "plan");
  arguments.push_back("--json");
  const ProgramResult r = run_r1(arguments);
  EXPECT_EQ(r.code, code) << r.err;
  return r.code == code && !r.out.empty() ? parse_json(r.out, "plan") : Json::object();
}

TEST(PlanCommand, ModelAndStageInEitherOrder) {
  const Json one = plan({"tiny-test", "grpo", "--memory=16GB"}), other = plan({"grpo", "tiny-test", "--memory=16GB"});
  // Not the whole: what the program itself takes is measured, and grows between two calls.
  for (const char* part : {"stage", "training", "rollout", "parameters"}) EXPECT_EQ(one[part], other[part]) << part;
  EXPECT_EQ(one["stage"], "grpo");
  EXPECT_EQ(plan({"serve", "--model=tiny-test", "--memory=16GB"})["stage"], "serve");
  EXPECT_EQ(plan({"tiny-test", "--memory=16GB"})["stage"], "sft");
}

TEST(PlanCommand, AGpuIsPlannedInBfloat16) {
  const Json gpu = plan({"sft", "smollm2-135m", "--gpu=h100"}), cpu = plan({"sft", "smollm2-135m", "--memory=80GB"});
  EXPECT_TRUE(gpu["resident"].contains("master weights"));
  EXPECT_FALSE(cpu["resident"].contains("master weights"));
  EXPECT_EQ(gpu["memory"], plan::gpu_card("h100").bytes());
  EXPECT_NE(gpu["memory_of"].get<std::string>().find("sold as 80 GB"), std::string::npos);
  EXPECT_EQ(plan({"serve", "smollm2-135m", "--device=cuda", "--memory=24GB"})["resident"]["weights"], 2 * gpu["parameters"].get<int64_t>());
}

TEST(PlanCommand, CardsByManyNames) {
  EXPECT_STREQ(plan::gpu_card("RTX 4090").name, "rtx4090");
  EXPECT_STREQ(plan::gpu_card("4090").name, "rtx4090");
  EXPECT_STREQ(plan::gpu_card("NVIDIA GeForce RTX 3090").name, "rtx3090");
  EXPECT_STREQ(plan::gpu_card("a100-80gb").name, "a100");
  EXPECT_STREQ(plan::gpu_card("A100-40GB").name, "a100-40gb");
  EXPECT_STREQ(plan::gpu_card("H100 80GB").name, "h100");
  EXPECT_STREQ(plan::gpu_card("Tesla T4").name, "t4");
  for (const plan::GpuCard& card : plan::gpu_cards()) {
    EXPECT_LT(card.reported_gib, card.sold_gb) << card.name;  // a box counts in larger words
    EXPECT_GT(card.reported_gib, 0.88 * card.sold_gb) << card.name;
    EXPECT_STREQ(plan::gpu_card(card.name).name, card.name);
  }
  const ProgramResult r = run_r1({"plan", "tiny-test", "--gpu=h1000"});
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("did you mean 'h100'?"), std::string::npos) << r.err;
}

TEST(PlanCommand, PublishedNamesFindTheirShape) {
  const int64_t parameters = plan({"serve", "qwen2.5-0.5b", "--memory=16GB"})["parameters"];
  for (const char* name : {"Qwen/Qwen2.5-0.5B-Instruct", "Qwen2.5-0.5B", "Qwen/Qwen2.5-Coder-0.5B"})
    EXPECT_EQ(plan({"serve", name, "--memory=16GB"})["parameters"], parameters) << name;
  EXPECT_EQ(plan({"serve", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "--memory=16GB"})["parameters"],
            plan({"serve", "r1-distill-qwen-1.5b", "--memory=16GB"})["parameters"]);
  const ProgramResult near = run_r1({"plan", "qwen2.5-0.6b"});
  EXPECT_EQ(near.code, 2);
  EXPECT_NE(near.err.find("did you mean 'qwen2.5-0.5b'?"), std::string::npos) << near.err;
  const ProgramResult absent = run_r1({"plan", "./nothing.gguf"});  // never a plan for something else
  EXPECT_EQ(absent.code, 2);
  EXPECT_EQ(absent.out, "");
}

// What is said to make it fit, typed, fits.
TEST(PlanCommand, AdviceCanBeTyped) {
  const Json no = plan({"sft", "smollm2-135m", "--memory=6GB", "--per_device_train_batch_size=16", "--max_length=1024"}, 1);
  ASSERT_TRUE(no["advice"]["to_fit"].is_string()) << no.dump();
  Arguments typed = {"sft", "smollm2-135m", "--memory=6GB", "--max_length=1024"};
  bool batch = false;
  std::istringstream words(no["advice"]["to_fit"].get<std::string>());
  for (std::string word; words >> word;) typed.push_back(word), batch = batch || word == "--per_device_train_batch_size";
  if (!batch) typed.push_back("--per_device_train_batch_size=16");
  EXPECT_EQ(plan(typed)["fits"], true);
  // So does the largest batch.
  const int64_t most = plan({"sft", "smollm2-135m", "--memory=12GB", "--max_length=512"}, 0)["advice"]["largest"]["sequences"];
  EXPECT_EQ(plan({"sft", "smollm2-135m", "--memory=12GB", "--max_length=512", str("--per_device_train_batch_size=", most)})["fits"], true);
  EXPECT_EQ(plan({"sft", "smollm2-135m", "--memory=12GB", "--max_length=512", str("--per_device_train_batch_size=", most + 1)}, 1)["fits"],
            false);
}

TEST(PlanCommand, ServingSaysHowManyConversationsFit) {
  const Json one = plan({"serve", "qwen2.5-0.5b", "--gpu=4090", "--context=8192"});
  ASSERT_EQ(one["advice"]["streams"].size(), 1u);
  const int64_t number = one["advice"]["streams"][0]["number"];
  EXPECT_GT(number, 10);
  EXPECT_EQ(plan({"serve", "qwen2.5-0.5b", "--gpu=4090", "--engine.max_model_len=8192", str("--engine.max_num_seqs=", number),
                  str("--engine.kv_cache_memory=", one["advice"]["streams"][0]["cache_bytes"].get<int64_t>())})["fits"],
            true);
  EXPECT_GE(plan({"serve", "qwen2.5-0.5b", "--gpu=4090"})["advice"]["streams"].size(), 3u);
}

// A cache in 8 bits, and one that a window bounds, as the engine has them.
TEST(PlanCommand, CachesOfOtherForms) {
  const Json plain = plan({"serve", "qwen2.5-0.5b", "--gpu=4090", "--context=8192"});
  const Json packed = plan({"serve", "qwen2.5-0.5b", "--gpu=4090", "--context=8192", "--engine.kv_cache_dtype=int8"});
  const int64_t bytes = plain["cache_bytes_per_token"];  // bfloat16, heads of 64
  EXPECT_EQ(packed["cache_bytes_per_token"].get<int64_t>(), bytes * (64 + 4) / 128);
  EXPECT_GT(packed["advice"]["streams"][0]["number"].get<int64_t>(), plain["advice"]["streams"][0]["number"].get<int64_t>() * 3 / 2);
  const Json smaller = plan({"serve", "qwen2.5-0.5b", "--gpu=4090", "--context=8192", "--engine.kv_cache_dtype=int4"});
  EXPECT_EQ(smaller["cache_bytes_per_token"].get<int64_t>(), bytes * (32 + 8) / 128);
  const auto windowed = [&](int64_t context, std::vector<std::string> options = {"--engine.attention_window=1024"}) {
    options.insert(options.begin(), {"serve", "qwen2.5-0.5b", "--gpu=4090", str("--context=", context)});
    return plan(options)["advice"]["streams"][0]["number"].get<int64_t>();
  };
  EXPECT_GT(windowed(8192), plain["advice"]["streams"][0]["number"].get<int64_t>() * 2);
  EXPECT_EQ(windowed(8192), windowed(32768));
  for (const char* who : {"window", "heavy_hitters"}) {
    const std::vector<std::string> options{str("--engine.kv_eviction=", who), "--engine.kv_budget=1024"};
    EXPECT_GT(windowed(8192, options), plain["advice"]["streams"][0]["number"].get<int64_t>() * 2) << who;
    EXPECT_NEAR(double(windowed(8192, options)), double(windowed(32768, options)), 2) << who << ": but for the rotary table's length";
  }
  EXPECT_EQ(windowed(8192, {"--engine.kv_eviction=heavy_hitters", "--engine.kv_budget=32768"}), windowed(8192, {})) << "drops nobody";
  const Json latent = plan({"serve", "deepseek-v3", "--gpu=h100", "--engine.kv_cache_dtype=int8"}, 1);
  EXPECT_EQ(latent["cache_bytes_per_token"], 61 * 9 * (64 + 4));  // 576 values a token and layer, in groups of 64
}

TEST(PlanCommand, WordsForPeople) {
  const std::string text = run_r1({"plan", "sft", "qwen2.5-7b", "--gpu=4090"}).out;
  for (const char* part : {"does not fit", "RTX 4090, sold as 24 GB", "--gradient_checkpointing", "--optim muon", "the largest that fits",
                           "not in r1 yet: LoRA, optimizer states in 8 bit"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  EXPECT_NE(run_r1({"plan", "serve", "qwen2.5-7b", "--gpu=h100"}).out.find("conversations at a time that fit"), std::string::npos);
}

}  // namespace
}  // namespace r1::app
