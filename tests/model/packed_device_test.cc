// A quantized checkpoint on a GPU: weights lie there packed, and the network gives what it gives unpacked, within the rounding of bf16.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "gguf_of_model.h"
#include "r1/base/file.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "tests/cuda_device.h"
#include "tests/temporary_folder.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

void expect_packed_is_plain(const fs::path& path) {
  const at::NoGradGuard no_grad;
  const ModelLoad packed_load{.keep_packed = true, .products_only = true};
  const auto kept = load_model(path, at::kCUDA, at::kBFloat16, {}, packed_load), plain = load_model(path, at::kCUDA, at::kBFloat16);
  int64_t on_gpu = 0;
  for (const WeightRow& row : kept->weights()) {
    if (!row.weight || !row.weight->packed()) continue;
    ++on_gpu;
    EXPECT_TRUE(row.weight->on_device()) << row.name;
    EXPECT_TRUE(aten::equal(whole_weight(row), whole_weight(find_weight(plain->weights(), row.name)))) << row.name;
  }
  EXPECT_GT(on_gpu, 0);
  EXPECT_EQ(kept->replayable(), plain->replayable());
  const Tensor ids = random_ids(40, kept->config().vocab_size, 4).to(at::kCUDA);
  const nn::LayerContext context{ops::sequences_of(at::kCUDA, {33, 7})};
  const Tensor x = kept->hidden(ids, context).to(at::kFloat), want = plain->hidden(ids, context).to(at::kFloat);
  EXPECT_LT((x - want).abs().max().item<double>(), 0.06 * want.abs().max().item<double>());
  const Tensor rows = plain->hidden(ids, context), logits = plain->logits(rows);
  EXPECT_LT((kept->logits(rows) - logits).abs().max().item<double>(), 0.01 * logits.abs().max().item<double>());
}

TEST(PackedOnDevice, GgufCuda) {
  SKIP_WITHOUT_CUDA();
  ModelConfig config = preset("tiny-test");
  config.hidden_size = 128, config.intermediate_size = 192, config.num_attention_heads = 4, config.num_key_value_heads = 2,
  config.head_dim = 32;
  Transformer model(config, at::kCPU, at::kFloat);
  model.init_weights(3);
  const TemporaryFolder folder("packed_device");
  write_file_atomic(folder.path() / "m.gguf", gguf_of(model, /*q8_0=*/true).bytes());
  expect_packed_is_plain(folder.path());
}

TEST(PackedOnDevice, Fp8BlocksCuda) {
  SKIP_WITHOUT_CUDA();
  ModelConfig config = preset("tiny-test");
  config.hidden_size = 128, config.intermediate_size = 192, config.num_attention_heads = 4, config.num_key_value_heads = 2,
  config.head_dim = 32;
  Transformer model(config, at::kCPU, at::kFloat);
  model.init_weights(3);
  const TemporaryFolder folder("packed_device");
  save_model(model, folder.path(), at::kFloat8_e4m3fn);
  expect_packed_is_plain(folder.path());
}

}  // namespace
}  // namespace r1::model
