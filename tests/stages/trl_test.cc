// GRPO and SFT against TRL's own code: advantages, loss, gradient, KL and clip ratios on the same numbers (tests/oracles/trl_grpo.py), ids and
// learned tokens of the same conversations (tests/oracles/trl_sft.py).
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "r1/base/json.h"
#include "r1/data/prompt.h"
#include "r1/stages/grpo_batch.h"
#include "r1/stages/grpo_loss.h"
#include "r1/tensor/aten.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

Json golden(const char* name = "trl_grpo.json") {
  return parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden" / name);
}

TEST(Trl, Advantages) {
  const Json cases = golden().at("advantages");
  ASSERT_GE(cases.size(), 20u);
  for (const Json& c : cases) {
    std::vector<double> rewards;
    for (const Json& r : c.at("rewards")) rewards.push_back(r.is_null() ? std::nan("") : r.get<double>());
    const auto ours = group_advantages(rewards, c.at("group"), c.at("scale"));
    for (size_t i = 0; i < rewards.size(); ++i) EXPECT_NEAR(ours.values[i], c.at("advantages")[i].get<double>(), 1e-6) << c << " " << i;
    if (c.at("frac_zero_std").is_null()) continue;
    EXPECT_NEAR(ours.frac_zero_std, c.at("frac_zero_std").get<double>(), 1e-12) << c;
  }
}

TEST(Trl, LossGradientAndMetrics) {
  const Json cases = golden().at("losses");
  ASSERT_GE(cases.size(), 90u);
  for (const Json& c : cases) {
    Rollout rollout;
    rollout.problems.resize(1);
    const auto rows = [&](const char* key) { return c.at(key).get<std::vector<std::vector<float>>>(); };
    const auto old = rows("old"), logp = rows("logp"), ref = rows("ref"), entropy = rows("entropy"), gradient = rows("gradient");
    for (size_t i = 0; i < old.size(); ++i) {
      Sample s;
      s.prompt = {1, 2, 3};
      s.completion.assign(old[i].size(), 4);
      s.logprobs = old[i];
      s.finish = c.at("truncated").get<bool>() && i + 1 == old.size() ? engine::FinishReason::kLength : engine::FinishReason::kStop;
      rollout.samples.push_back(s);
    }
    GrpoLossArgs args;
    args.loss_type = c.at("loss_type");
    args.importance_sampling_level = c.at("importance_sampling_level");
    args.beta = c.at("beta");
    args.epsilon = c.at("epsilon");
    args.epsilon_high = c.at("epsilon_high");
    const Json& options = c.at("options");
    args.delta = options.value("delta", args.delta);
    args.use_bias_correction_kl = options.value("use_bias_correction_kl", false);
    args.off_policy_mask_threshold = options.value("off_policy_mask_threshold", 0.0);
    args.top_entropy_quantile = options.value("top_entropy_quantile", 1.0);
    args.sapo_temperature_pos = options.value("sapo_temperature_pos", args.sapo_temperature_pos);
    args.sapo_temperature_neg = options.value("sapo_temperature_neg", args.sapo_temperature_neg);
    auto batch = make_batches(rollout, c.at("advantages").get<std::vector<float>>(),
                              {int64_t(old.size()), c.at("max_completion_length"), args.loss_type, true}, nullptr)
                     .at(0);
    // Everything outside the completions is garbage that must not matter.
    std::vector<float> logp_T(size_t(batch.tokens()), -3.0f), entropy_T(size_t(batch.tokens()), 9.0f);
    batch.ref_logprob.assign(size_t(batch.tokens()), -7.0f);
    std::vector<std::pair<size_t, double>> expected;  // token, gradient
    for (size_t i = 0; i < old.size(); ++i) {
      const size_t first = size_t(batch.cu_seqlens[i + 1]) - old[i].size();
      for (size_t t = 0; t < old[i].size(); ++t) {
        logp_T[first + t] = logp[i][t], entropy_T[first + t] = entropy[i][t], batch.ref_logprob[first + t] = ref[i][t];
        expected.emplace_back(first + t, gradient[i][t]);
      }
    }
    const auto spec = grpo_loss(args, 1.0);
    double denominator = 0;
    if (spec.weight) denominator = spec.weight(batch);
    if (!spec.weight)
      for (float w : batch.loss_weight) denominator += w;
    const auto x = aten::tensor(logp_T).requires_grad_(true);
    train::LossMetrics metrics;
    const auto loss = spec.loss({&batch, x, aten::tensor(entropy_T), aten::tensor(batch.loss_weight)}, denominator, metrics);
    const std::string name = str(args.loss_type, " ", args.importance_sampling_level, " beta ", args.beta, " epsilon ", args.epsilon, " ",
                                 args.epsilon_high, c.at("truncated").get<bool>() ? " truncated " : " ", options.dump());
    EXPECT_NEAR(loss.item<double>(), c.at("loss").get<double>(), 1e-6) << name;
    loss.backward();
    const Tensor given = x.grad();
    for (const auto& [token, value] : expected) EXPECT_NEAR(given.const_data_ptr<float>()[token], value, 1e-6) << name << " " << token;
    const double tokens = metrics.sums.at("tokens");
    const auto compare = [&](const char* theirs, double ours) {
      if (!c.at("metrics").contains(theirs)) return;
      EXPECT_NEAR(ours, c.at("metrics").at(theirs).get<double>(), 1e-6) << name << " " << theirs;
    };
    compare("kl", metrics.sums.at("kl") / tokens);
    compare("entropy", metrics.sums.at("entropy") / tokens);
    if (args.importance_sampling_level == "token") {  // per completion, TRL means it over completions
      if (metrics.sums.contains("clip_low")) compare("clip_ratio/low_mean", metrics.sums.at("clip_low") / tokens);
      if (metrics.sums.contains("clip_high")) compare("clip_ratio/high_mean", metrics.sums.at("clip_high") / tokens);
      if (args.loss_type == "cispo") compare("cispo_clip_ratio", metrics.sums.at("cispo_clipped") / tokens);
    }
  }
}

// assistant_only_loss where the template marks what is generated, completion_only_loss where it does not: one rule here.
TEST(Trl, SftMasks) {
  const Json sft = golden("trl_sft.json");
  TemporaryFolder folder("trl_sft");
  write_file_atomic(folder.path() / "tokenizer.json", dump_json(sft.at("tokenizer")));
  std::map<std::string, int> kinds;
  for (const Json& c : sft.at("cases")) {
    const std::string name = c.at("template");
    write_file_atomic(folder.path() / "tokenizer_config.json",
                      dump_json(Json{{"eos_token", sft.at("eos")}, {"chat_template", sft.at("templates").at(name)}}));
    const auto tokenizer = eval::load_tokenizer(folder.path());
    const auto chat = eval::load_chat_template(*tokenizer);
    const data::PromptMaker prompts(*tokenizer, chat.get(), {});
    const auto document = prompts.conversation(data::conversation_from_json(c.at("row"), "row"), "row");
    EXPECT_EQ(document.ids, c.at("ids").get<std::vector<int32_t>>()) << name << " " << c.at("row");
    EXPECT_EQ(Json(document.learned), c.at("learned")) << name << " " << c.at("row") << "\n" << tokenizer->decode(document.ids);
    ++kinds[c.at("loss")];
  }
  EXPECT_GE(kinds["assistant_only"], 10);
  EXPECT_GE(kinds["completion_only"], 4);
}

}  // namespace
}  // namespace r1::stages
