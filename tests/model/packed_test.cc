// A checkpoint whose weights stay packed. In 8 bit blocks, 16 bits and 2:4: the logits of the same checkpoint unpacked, bit for bit, in
// training's form and the engine's. In ggml's blocks, which are multiplied as they are: near them, and the engine's rows are the whole forward's, bit for bit.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <fstream>
#include <functional>

#include "engine_form.h"
#include "gguf_of_model.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "tests/temporary_folder.h"
#include "tiny_model.h"

namespace r1::model {
namespace {

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::unique_ptr<Transformer> load(const fs::path& path, at::ScalarType dtype, bool keep_packed) {
  return load_model(path, at::kCPU, dtype, {}, {.keep_packed = keep_packed});
}

std::vector<std::string> packed_weights(const Transformer& model) {
  std::vector<std::string> names;
  for (const WeightRow& row : model.weights()) {
    if (row.weight && row.weight->packed()) names.push_back(row.name);
  }
  return names;
}

// Whole forward, logits and a decoding step after a prompt.
void expect_same_bits(Transformer& packed_model, Transformer& plain) {
  const Tensor ids = random_ids(40, plain.config().vocab_size, 4);
  const auto context = packed({33, 7});
  const Tensor want = plain.hidden(ids, context);
  EXPECT_TRUE(aten::equal(packed_model.hidden(ids, context), want));
  EXPECT_TRUE(aten::equal(packed_model.logits(want), plain.logits(want)));
  const auto rows = [&](Transformer& model) {
    std::vector<nn::LayerCache> caches = new_caches(model, 4);
    Running r{ids, {2, 0, 1}, 0, {}};
    for (const int64_t count : {30, 9, 1}) engine_step(model, caches, {&r}, {count});
    return aten::cat(r.rows, 0);
  };
  EXPECT_TRUE(aten::equal(rows(packed_model), rows(plain)));
}

double distance(const Tensor& a, const Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

ModelConfig wide(const std::string& family) {
  ModelConfig c = tiny(family);
  c.hidden_size = 144;
  c.intermediate_size = 200;
  return c;
}

TEST(PackedModel, Fp8GivesTheBitsOfTheUnpackedModel) {
  const at::NoGradGuard no_grad;
  ModelConfig sparse = wide("llama");
  sparse.ffn = "topk_sparse";
  ModelConfig tied = wide("qwen3");
  tied.tie_word_embeddings = true;
  // The second number: what bf16 may differ by, where a near tie can send a token to another expert or channel.
  const std::vector<std::pair<ModelConfig, double>> cases = {
      {wide("deepseek_v3"), 0.04}, {wide("qwen3_moe"), 0.25}, {sparse, 0.14}, {tied, 0.04}};
  for (const auto& [config, apart] : cases) {
    SCOPED_TRACE(str(config.family, " ", config.ffn));
    const TemporaryFolder folder("packed");
    Transformer model(config, at::kCPU, at::kFloat);
    model.init_weights(3);
    save_model(model, folder.path(), at::kFloat8_e4m3fn);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto kept = load(folder.path(), dtype, true), plain = load(folder.path(), dtype, false);
      EXPECT_TRUE(packed_weights(*plain).empty());
      for (const WeightRow& row : kept->weights()) {
        const bool in_8_bits = row.kind == WeightKind::kMatrix && row.quantizable && !row.transposed_in_hf;
        const bool in_16_bits = dtype == at::kFloat && row.weight && !row.transposed_in_hf;  // embedding and head
        EXPECT_EQ(row.weight && row.weight->packed(), in_8_bits || in_16_bits) << row.name;
        EXPECT_EQ(row.tensor->is_meta(), in_8_bits || in_16_bits) << row.name;  // no second copy
        EXPECT_TRUE(aten::equal(whole_weight(row), whole_weight(find_weight(plain->weights(), row.name)))) << row.name;
      }
      if (dtype == at::kFloat) {
        expect_same_bits(*kept, *plain);
      } else {  // unpacked, weights are rounded to 16 bits before they are multiplied
        const Tensor ids = random_ids(40, config.vocab_size, 4);
        EXPECT_LT(distance(kept->hidden(ids, packed({40})), plain->hidden(ids, packed({40}))), apart);
      }
    }
  }
}

// A model two of four of whose weights are zero, in 16 and in 32 bits, and a plain one in 16 bits where all is asked for.
TEST(PackedModel, FloatsGiveTheBitsOfTheUnpackedModel) {
  const at::NoGradGuard no_grad;
  for (const bool sparse : {true, false})
    for (const auto stored : {at::kBFloat16, at::kFloat}) {
      const TemporaryFolder folder("packed");
      Transformer model(wide("llama"), at::kCPU, at::kFloat);
      model.init_weights(3);
      for (const WeightRow& row : model.weights())
        if (sparse && row.kind == WeightKind::kMatrix && row.quantizable)
          for (int64_t k = 0; k < row.shape[1]; ++k)
            if (k % 4 == 1 || k % 4 == 2) row.tensor->select(1, k).zero_();
      save_model(model, folder.path(), stored);
      const auto plain = load(folder.path(), at::kFloat, false), kept = load(folder.path(), at::kFloat, true),
                 products = load_model(folder.path(), at::kCPU, at::kFloat, {}, {.keep_packed = true, .products_only = true});
      for (const WeightRow& row : products->weights()) {
        const bool is_sparse = sparse && row.kind == WeightKind::kMatrix && row.quantizable;
        EXPECT_EQ(row.weight && row.weight->packed(), is_sparse) << row.name;
        const auto& all = find_weight(kept->weights(), row.name);
        EXPECT_EQ(all.weight && all.weight->packed(), is_sparse || (row.weight && stored == at::kBFloat16)) << row.name;
      }
      expect_same_bits(*kept, *plain);
      expect_same_bits(*products, *plain);
    }
}

// A layer that reads a weight whole has it plain where products are what packing is for.
TEST(PackedModel, WeightsReadWholeStayPlain) {
  const TemporaryFolder folder("packed");
  Transformer model(wide("deepseek_v3"), at::kCPU, at::kFloat);
  model.init_weights(3);
  save_model(model, folder.path(), at::kFloat8_e4m3fn);
  const auto loaded = load_model(folder.path(), at::kCPU, at::kFloat, {}, {.keep_packed = true, .products_only = true});
  EXPECT_FALSE(find_weight(loaded->weights(), "layers.0.attention.kv_b").weight->packed());
  EXPECT_TRUE(find_weight(loaded->weights(), "layers.0.attention.kv_a").weight->packed());
}

TEST(PackedModel, GgufIsMultipliedAsItIs) {
  const at::NoGradGuard no_grad;
  for (const char* name : {"tiny-test", "tiny-test-qwen3-moe"}) {
    SCOPED_TRACE(name);
    ModelConfig config = preset(name);
    config.intermediate_size = 96;
    Transformer model(config, at::kCPU, at::kFloat);
    model.init_weights(3);
    const TemporaryFolder folder("packed");
    write_file_atomic(folder.path() / "m.gguf", gguf_of(model, /*q8_0=*/true).bytes());
    const auto kept = load(folder.path(), at::kFloat, true), plain = load(folder.path(), at::kFloat, false);
    EXPECT_TRUE(packed_weights(*plain).empty());
    for (const WeightRow& row : kept->weights()) {
      EXPECT_EQ(row.weight && row.weight->packed(), row.weight != nullptr) << row.name;
      EXPECT_TRUE(aten::equal(whole_weight(row), whole_weight(find_weight(plain->weights(), row.name)))) << row.name;
    }
    EXPECT_EQ(packed_weights(*kept)[0], "embedding");
    EXPECT_EQ(find_weight(kept->weights(), "layers.0.attention.k").weight->format(), "Q8_0");

    const Tensor ids = random_ids(40, config.vocab_size, 4);
    const auto one = packed({40});
    const Tensor x = kept->hidden(ids, one), y = plain->hidden(ids, one);
    const double apart = distance(x, y);
    EXPECT_GT(apart, 0);  // the inputs are rounded
    EXPECT_LT(apart, 0.05);
    EXPECT_LT(distance(kept->logits(y), plain->logits(y)), 0.01);
    // log-probabilities are those of the logits, in chunks as in one
    const Tensor targets = random_ids(40, config.vocab_size, 5), logits = kept->logits(x);
    const Tensor want = (logits.gather(1, targets.unsqueeze(1)).squeeze(1) - aten::logsumexp(logits, {1}));
    EXPECT_LT((kept->logprob(x, targets) - want).abs().max().item<double>(), 1e-5);

    std::vector<nn::LayerCache> caches = new_caches(*kept, 4);
    Running r{ids, {2, 0, 1}, 0, {}};
    for (const int64_t count : {30, 9, 1}) engine_step(*kept, caches, {&r}, {count});
    EXPECT_TRUE(aten::equal(aten::cat(r.rows, 0), x));
    EXPECT_TRUE(aten::equal(kept->logits(x.narrow(0, 7, 1)), logits.narrow(0, 7, 1)));
  }
}

// The bits of a model's weights lie in memory once: what the process grows by is the file, whatever it maps while it loads.
int64_t resident_bytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(PackedModel, TakesTheMemoryOfItsFile) {
  ModelConfig config = preset("tiny-test");
  config.hidden_size = 512, config.intermediate_size = 1536, config.num_hidden_layers = 1, config.vocab_size = 16384;
  config.num_attention_heads = 8, config.num_key_value_heads = 8, config.head_dim = 64;
  const TemporaryFolder folder("packed");
  {
    Transformer model(config, at::kCPU, at::kFloat);
    for (const WeightRow& row : model.weights()) row.tensor->fill_(0.01);
    write_file_atomic(folder.path() / "m.gguf", gguf_of(model, /*q8_0=*/true).bytes());
  }
  const auto bytes = int64_t(fs::file_size(folder.path() / "m.gguf"));
  ASSERT_GT(bytes, 8 << 20);
  ::malloc_trim(0);
  const int64_t before = resident_bytes();
  const auto kept = load(folder.path(), at::kFloat, true);
  const int64_t grown = resident_bytes() - before;
  EXPECT_GT(grown, bytes * 85 / 100);
  EXPECT_LT(grown, bytes * 115 / 100);
}

TEST(PackedModel, TrainingRefusesPackedWeightsByName) {
  const TemporaryFolder folder("packed");
  Transformer model(wide("llama"), at::kCPU, at::kFloat);
  model.init_weights(3);
  save_model(model, folder.path(), at::kFloat8_e4m3fn);
  const auto kept = load(folder.path(), at::kFloat, true);
  kept->set_requires_grad(false);
  EXPECT_NE(error_of([&] { kept->set_requires_grad(true); }).find("weight embedding lies packed (bfloat16)"), std::string::npos);
  for (const WeightRow& row : kept->weights()) EXPECT_FALSE(row.tensor->requires_grad()) << row.name;
  load_weights(*kept, folder.path());  // the same model, unpacked after all
  EXPECT_TRUE(packed_weights(*kept).empty());
  kept->set_requires_grad(true);
}

// What is saved of a packed model is what is saved of the unpacked one.
TEST(PackedModel, IsSavedUnpacked) {
  const TemporaryFolder folder("packed"), from_packed("packed_from_packed"), from_plain("packed_from_plain");
  Transformer model(tiny_experts(), at::kCPU, at::kFloat);
  model.init_weights(3);
  save_model(model, folder.path(), at::kFloat8_e4m3fn);
  save_model(*load(folder.path(), at::kBFloat16, true), from_packed.path(), at::kBFloat16);
  save_model(*load(folder.path(), at::kBFloat16, false), from_plain.path(), at::kBFloat16);
  for (const char* file : {"model.safetensors", "config.json"})
    EXPECT_EQ(read_file(from_packed.path() / file), read_file(from_plain.path() / file)) << file;
}

}  // namespace
}  // namespace r1::model
