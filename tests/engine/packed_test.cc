// A model whose weights stay in ggml's blocks, in the engine: the same greedy text on every instruction set, with any number of threads and
// in any company, and it is what the whole forward says.
#include <malloc.h>
#include <unistd.h>

#include "fixture.h"
#include "r1/base/file.h"
#include "r1/engine/plain_forward.h"
#include "r1/kernels/cpu/isa.h"
#include "r1/model/weights_io.h"
#include "tests/model/gguf_of_model.h"

namespace r1::engine {
namespace {

class PackedEngine : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const fs::path file = fs::temp_directory_path() / str("r1_packed_engine_", ::getpid(), ".gguf");
    model::ModelConfig config = tiny_config();
    config.hidden_size = 64, config.intermediate_size = 96;
    const auto whole = model_of(config, 5);
    write_file_atomic(file, model::gguf_of(*whole, /*q8_0=*/true).bytes());
    packed_ = model::load_model(file, at::kCPU, at::kFloat, {}, {.keep_packed = true, .products_only = true}).release();
    plain_ = model::load_model(file, at::kCPU, at::kFloat).release();
    fs::remove(file);
  }
  static void TearDownTestSuite() { delete packed_, delete plain_; }
  static inline model::Transformer *packed_ = nullptr, *plain_ = nullptr;
};

std::vector<TokenId> prompt_of(int i) {
  std::vector<TokenId> prompt;
  for (int k = 0; k < 5 + 9 * i; ++k) prompt.push_back(TokenId((k * 37 + i * 11 + 3) % kVocab));
  return prompt;
}

// Greedy answers of 24 tokens to `count` prompts that run together.
std::vector<std::vector<TokenId>> answers(model::Transformer& model, int count, int64_t tokens_a_step) {
  EngineConfig config;
  config.max_num_batched_tokens = tokens_a_step;
  Engine engine(model, config);
  std::map<RequestId, size_t> index;
  std::vector<std::vector<TokenId>> out;
  for (int i = 0; i < count; ++i) {
    Request request;
    request.prompt = prompt_of(i);
    request.sampling = {.temperature = 0, .max_new_tokens = 24};
    index[engine.add(request)] = out.size();
    out.emplace_back();
  }
  while (!engine.idle())
    for (const TokenEvent& event : engine.step()) out[index.at(event.request)].push_back(event.token);
  return out;
}

TEST_F(PackedEngine, GreedyTextIsTheDefinitionsOnEveryIsa) {
  const at::NoGradGuard no_grad;
  kernels::set_isa(kernels::Isa::kScalar);
  std::vector<std::vector<TokenId>> want;
  for (int i = 0; i < 4; ++i) {
    std::vector<TokenId> ids = prompt_of(i);
    const size_t before = ids.size();
    for (int k = 0; k < 24; ++k) {
      const std::vector<float> logits = all_logits(*packed_, ids), last(logits.end() - kVocab, logits.end());
      ids.push_back(TokenId(std::max_element(last.begin(), last.end()) - last.begin()));
    }
    want.emplace_back(ids.begin() + std::ptrdiff_t(before), ids.end());
  }
  for (const kernels::Isa isa : {kernels::Isa::kScalar, kernels::Isa::kAvx2, kernels::Isa::kAvx512}) {
    if (!kernels::isa_available(isa)) continue;
    kernels::set_isa(isa);
    for (const int64_t tokens_a_step : {7, 2048}) EXPECT_EQ(answers(*packed_, 4, tokens_a_step), want) << kernels::isa_name(isa);
    EXPECT_EQ(answers(*packed_, 1, 2048)[0], want[0]);
  }
  kernels::set_isa(kernels::best_isa());
}

// The rounding of the inputs to 8 bits costs little: perplexity within 2 % (of an untrained model, where nothing averages out).
TEST_F(PackedEngine, PerplexityIsNearTheUnpackedModels) {
  std::vector<TokenId> ids;
  for (int k = 0; k < 400; ++k) ids.push_back(TokenId(k * k * 7 % kVocab));
  const double packed = perplexity(*packed_, ids), plain = perplexity(*plain_, ids);
  EXPECT_NE(packed, plain);
  EXPECT_NEAR(packed / plain, 1, 0.02);
}

}  // namespace
}  // namespace r1::engine
