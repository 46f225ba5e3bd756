// Models on disk: HF folders (config.json, model.safetensors or shards with index) read and written, GGUF files read. Every size is checked
// against the file before anything is allocated; a broken file gives one error naming the file and the tensor. Pickle files (.bin, .pt,
// .pth, .ckpt) are never read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/transformer.h"

namespace r1::model {

// Told after each tensor how many bytes of the model's weights are done, of how many.
using WeightProgress = std::function<void(int64_t done, int64_t total)>;

// What a user calls a model -> the folder or file that has it: a path as it is (of a run that is not done its newest checkpoint, which is
// said), or a name ("name", "org/name") in $R1_MODELS or the local Hugging Face cache (local_models.h). Nothing is downloaded; the error
// (usage) says where was looked and what is near.
std::filesystem::path find_model(const std::filesystem::path& name);

// The config of a HF folder (or a file in it), or of a .gguf file (also one that is cut short after its header).
ModelConfig read_model_config(const std::filesystem::path& path);

struct ModelLoad {
  // Weights that the file has in a packed form known here stay in it (nn/weight): less memory and no training. Those are ggml's quantized
  // types, integers, 8 bit blocks, and on the CPU 2:4 (of four neighbours at most two are not zero) and in an fp32 model 16 bit floats. The CPU
  // multiplies them as they are (ops/packed_linear), a GPU those of a bf16 model (ops/device_matrix); else, and where a layer reads a weight
  // whole, they are unpacked for each use, the same numbers, slowly. Those that lie otherwise in the file than here are unpacked.
  bool keep_packed = false;
  // Of those, only what is multiplied as it is; 16 bit floats only beside quantized matrices.
  bool products_only = false;
  // Of load_model: who shares the model's layers (model/shard.h). Each reads the rows whole, one after another, and keeps its part; nothing stays
  // packed. Null: nobody.
  dist::Group* ranks = nullptr;
};

// Fills the table's tensors (any stored float dtype, converted to the model's; 8 bit weights with `weight_scale_inv`, tensor/fp8_block).
// Missing, surplus and misshaped tensors are errors that list them; what old checkpoints carry besides weights (rotary inv_freq) and a tied
// head stored again are passed over.
void load_weights(Transformer& model, const std::filesystem::path& path, const WeightProgress& progress = {}, const ModelLoad& how = {});

// read_model_config + allocate + load.
std::unique_ptr<Transformer> load_model(const std::filesystem::path& path, tensor::Device device, tensor::DType dtype,
                                        const WeightProgress& progress = {}, const ModelLoad& how = {});

// A model's stored weights, opened and checked once and read one by one: for work that holds a block of them at a time. The model was made
// with Allocation::kAsLoaded, and must outlive this.
class WeightReader {
 public:
  WeightReader(Transformer& model, const std::filesystem::path& path);
  ~WeightReader();
  // Fills the row's tensor, which gets memory if it has none.
  void read(const WeightRow& row);
  // Its memory is given back; norms and biases, which are small, keep theirs.
  static void let_go(const WeightRow& row);

 private:
  struct Source;
  int64_t head_dim_;
  std::unique_ptr<Source> source_;
};

// Tensors in their order as the weight files of a HF folder: one file, or shards with an index above max_shard_bytes. What weight files the
// folder had besides is removed. Returns the names of the files.
std::vector<std::string> write_weight_files(const std::filesystem::path& folder, std::vector<SafeSource> sources, int64_t max_shard_bytes);

// The weight files that save_model would write, unwritten: for who writes them elsewhere or shares them out. `files`: as many of about one size, or
// more; fewer if a tensor is larger than such a file; the sources read the model's memory when they are asked.
struct WeightFile {
  std::string name;
  std::vector<SafeSource> sources;
};
// Of a model that ranks share, `fetch` gives the whole of a row that is split; asked for one row at a time, in the order of the table.
using FetchRow = std::function<Tensor(const WeightRow& row)>;
std::vector<WeightFile> weight_files(const Transformer& model, tensor::DType dtype, int64_t max_shard_bytes, int64_t files = 1,
                                     const FetchRow& fetch = {});
// Which of several files has which tensor, model.safetensors.index.json in the folder; of a single file nothing.
void write_weight_index(const std::vector<WeightFile>& files, const std::filesystem::path& folder);
// config.json and generation_config.json of a model whose weights are saved as `dtype`.
void write_config_of_save(const ModelConfig& config, tensor::DType dtype, const std::filesystem::path& folder);

// config.json (with quantization_config unless it is null) and generation_config.json, the former last.
void write_model_config(const ModelConfig& config, const Json& quantization, const std::filesystem::path& folder);

// `dtype` float8_e4m3fn: matrices in 8 bit blocks with `weight_scale_inv`, the rest in bfloat16, as DeepSeek-V3 is published.
// config.json, generation_config.json, model.safetensors (sharded with index above max_shard_bytes); each file is written whole, fsynced
// and renamed. Weight files of an earlier save into the same folder that are not part of this one are removed last. Tokenizer files are the
// caller's. Returns the names of the weight files, the index among them, in order.
inline constexpr int64_t kMaxShardBytes = 5'000'000'000;
std::vector<std::string> save_model(const Transformer& model, const std::filesystem::path& folder, tensor::DType dtype,
                                    int64_t max_shard_bytes = kMaxShardBytes, const WeightProgress& progress = {},
                                    const FetchRow& fetch = {});

}  // namespace r1::model
