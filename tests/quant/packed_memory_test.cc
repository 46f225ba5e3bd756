// What a quantized model makes a process grow by when it is loaded is its files, whatever is mapped and unpacked on the way.
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>

#include "tests/quant/tiny_folder.h"
#include "tests/temporary_folder.h"

namespace r1::quant {
namespace {

int64_t resident_bytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

int64_t weight_bytes(const fs::path& folder) {
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") bytes += int64_t(entry.file_size());
  return bytes;
}

void expect_memory_of_file(const fs::path& folder, const std::string& what) {
  const int64_t bytes = weight_bytes(folder);
  ASSERT_GT(bytes, 4 << 20) << what;
  ::malloc_trim(0);
  const int64_t before = resident_bytes();
  const auto loaded = model::load_model(folder, at::kCPU, at::kFloat, {}, {.keep_packed = true, .products_only = true});
  const int64_t grown = resident_bytes() - before;
  EXPECT_GT(grown, bytes * 80 / 100) << what;
  EXPECT_LT(grown, bytes * 115 / 100) << what;
}

TEST(PackedMemory, IsThatOfTheFiles) {
  const at::NoGradGuard no_grad;
  const TemporaryFolder folder("packed_memory");
  model::ModelConfig config = tiny_config("llama");
  config.hidden_size = 512, config.intermediate_size = 4096, config.num_hidden_layers = 1, config.head_dim = 128;
  {
    model::Transformer model(config, at::kCPU, at::kFloat);
    model.init_weights(3);
    model::save_model(model, folder.path() / "model", at::kBFloat16);
    for (const model::WeightRow& row : model.weights())
      if (row.kind == model::WeightKind::kMatrix && row.quantizable) {
        const Tensor fours = row.tensor->view({row.shape[0], row.shape[1] / 4, 4});
        fours.narrow(2, 1, 2).zero_();
      }
    model::save_model(model, folder.path() / "sparse", at::kBFloat16);
  }
  tiny_tokenizer().save(folder.path() / "model");
  write_text(folder.path() / "text.jsonl", 4);
  for (const char* scheme : {"rtn-4", "rtn-8", "int8-dynamic", "fp8-block"}) {
    QuantizeConfig run = tiny_run(folder.path(), scheme);
    run.data.clear(), run.group_size = 128;
    expect_memory_of_file(run_quantize(run).output, scheme);
  }
  // of 2:4 half the values and two bits for each of them
  const int64_t file = weight_bytes(folder.path() / "sparse");
  ::malloc_trim(0);
  const int64_t before = resident_bytes();
  const auto loaded = model::load_model(folder.path() / "sparse", at::kCPU, at::kFloat, {}, {.keep_packed = true, .products_only = true});
  EXPECT_LT(resident_bytes() - before, file * 75 / 100);
}

}  // namespace
}  // namespace r1::quant
