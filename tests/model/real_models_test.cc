// The real SmolLM2-135M, Qwen2.5-Coder-0.5B and Gemma 3 270M GGUF files: the logits and the greedy text that transformers gets from the
// same file in fp32 (tests/oracles/gguf_golden.py). Runs where the files are (R1_MODELS, default ~/.cache/r1/models). Greedy decoding goes
// through the engine form.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

fs::path models_folder() {
  if (const char* folder = std::getenv("R1_MODELS")) return folder;
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "") / ".cache/r1/models";
}

// Prompt in one chunk, then token by token over the cache; stops when the golden text is through.
std::vector<int64_t> greedy(Transformer& model, const std::vector<int64_t>& prompt, int64_t count) {
  std::vector<nn::LayerCache> caches;
  const int64_t blocks = (int64_t(prompt.size()) + count) / 16 + 1;
  for (int i = 0; i < model.num_caches(); ++i) caches.push_back(aten::zeros({blocks, model.cache_bytes(i, 16)}, at::kByte));
  std::vector<int32_t> table;
  for (int64_t b = blocks; b-- > 0;) table.push_back(int32_t(b));
  std::vector<int64_t> out, next = prompt;
  int32_t fed = 0;
  while (int64_t(out.size()) < count) {
    const nn::LayerContext context{
        ops::sequences_on(at::kCPU, {.cu_seqlens = {0, int32_t(next.size())}, .context_lens = {fed}, .block_tables = {table}})};
    const Tensor x = model.hidden(aten::tensor(next, at::kLong), context, &caches);
    fed += int32_t(next.size());
    next = {model.logits(x.narrow(0, x.size(0) - 1, 1)).argmax().item<int64_t>()};
    out.push_back(next[0]);
  }
  return out;
}

class RealModel : public ::testing::TestWithParam<const char*> {};

TEST_P(RealModel, GreedyTextAndLogitsEqualTransformers) {
  const Json golden = parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden/models" / (std::string(GetParam()) + ".json"));
  const fs::path file = models_folder() / golden["file"].get<std::string>();
  if (!fs::exists(file)) GTEST_SKIP() << file << " is not there (R1_MODELS)";
  const at::NoGradGuard no_grad;
  const auto model = load_model(file, at::kCPU, at::kFloat);
  const auto prompt = golden["prompt_ids"].get<std::vector<int64_t>>(), want = golden["greedy_ids"].get<std::vector<int64_t>>();
  EXPECT_EQ(greedy(*model, prompt, int64_t(want.size())), want);

  std::vector<int64_t> all = prompt;
  all.insert(all.end(), want.begin(), want.end());
  const Tensor x = model->hidden(aten::tensor(all, at::kLong), packed({int32_t(all.size())}));
  for (const auto& [position, row] : golden["logits"].items()) {
    const Tensor logits = model->logits(x.narrow(0, std::stoll(position), 1))[0];
    const auto first = row["first"].get<std::vector<double>>();
    for (size_t i = 0; i < first.size(); ++i)
      EXPECT_NEAR(logits[int64_t(i)].item<double>(), first[i], 2e-3) << "position " << position << " id " << i;
    EXPECT_NEAR(logits.max().item<double>(), row["max"].get<double>(), 2e-3) << position;
    EXPECT_EQ(logits.argmax().item<int64_t>(), row["argmax"].get<int64_t>()) << position;
    EXPECT_NEAR(logits.to(at::kDouble).mean().item<double>(), row["sum"].get<double>() / double(logits.numel()), 1e-3) << position;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, RealModel, ::testing::Values("smollm2-135m", "qwen2.5-coder-0.5b", "gemma-3-270m"), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace r1::model
