// A model as a Hugging Face folder.
#include <ATen/core/grad_mode.h>

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/footprint.h"
#include "r1/model/quantization.h"
#include "r1/model/shard.h"
#include "r1/model/weights_files.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/safetensors.h"

namespace r1::model {
namespace {

struct Shard {
  std::vector<SafeSource> sources;
  uint64_t bytes = 0;
};

bool is_fp8(tensor::DType dtype) {
  return dtype == at::kFloat8_e4m3fn;
}
// What stays in 16 bits beside 8 bit weights, as published: embedding, head, norms, biases, routers.
bool stored_as_fp8(const WeightRow& row) {
  return row.kind == WeightKind::kMatrix && row.quantizable;
}
tensor::DType wide_dtype(tensor::DType dtype) {
  return is_fp8(dtype) ? at::kBFloat16 : dtype;
}

// A weight's two tensors of the 8 bit form. They are made together when the first is asked for, and let go with the second.
std::array<SafeSource, 2> fp8_sources(const StoredWeight& part) {
  const auto made = std::make_shared<std::optional<tensor::Fp8Blocks>>();
  const auto blocks = [made, weight = part.tensor]() -> const tensor::Fp8Blocks& {
    if (!*made) *made = tensor::to_fp8_blocks(weight);
    return **made;
  };
  const auto bytes_of = [](const Tensor& t) { return std::span(static_cast<const std::byte*>(t.const_data_ptr()), t.nbytes()); };
  SafeSource values{part.name, SafeType::kF8E4M3, part.tensor.sizes().vec(), [blocks, bytes_of] { return bytes_of(blocks().values_OI); }};
  SafeSource scales{scale_name(part.name), SafeType::kF32, tensor::fp8_scale_shape(part.tensor.size(0), part.tensor.size(1)),
                    [blocks, bytes_of, made, last = Tensor()]() mutable {
                      last = blocks().scale_inv_RC;
                      made->reset();
                      return bytes_of(last);
                    }};
  return {std::move(values), std::move(scales)};
}

// Published files with multi-token prediction keep the embedding and the head once more in each module; readers of them expect that. Rows with
// the names of these copies.
WeightTable mtp_copies(const Transformer& model) {
  WeightTable copies;
  const auto add = [&](const std::string& name, const char* of) {
    copies.push_back(find_weight(model.weights(), of));
    copies.back().hf_name = name;
  };
  for (int depth = 0; depth < model.mtp_depth(); ++depth) {
    const std::string layer = str("model.layers.", model.num_layers() + depth);
    add(layer + ".embed_tokens.weight", "embedding");
    add(layer + ".shared_head.head.weight", model.config().tie_word_embeddings ? "embedding" : "head");
  }
  return copies;
}

// The stored tensors of a row that ranks share: the whole is fetched when the first one's turn comes, and let go with the last one's.
std::vector<SafeSource> fetched_sources(const WeightRow& row, tensor::DType dtype, const FetchRow& fetch) {
  Tensor shape;
  const std::vector<StoredWeight> parts = stored_weights(whole_row_without_memory(row, shape));
  const auto held = std::make_shared<std::vector<StoredWeight>>();
  const auto part_of_whole = [held, row, fetch](size_t i) {
    Tensor whole;
    if (held->empty()) whole = fetch(row), *held = stored_weights(whole_row(row, whole));
    const Tensor part = (*held)[i].tensor;
    if (i + 1 == held->size()) held->clear();
    return part;
  };
  std::vector<SafeSource> sources;
  for (size_t i = 0; i < parts.size(); ++i) {
    sources.push_back({parts[i].name, tensor::safe_type_of(dtype), parts[i].tensor.sizes().vec(), {}});
    sources.back().bytes = [part_of_whole, i, dtype, copy = Tensor()]() mutable {
      copy = part_of_whole(i).to(at::Device(at::kCPU), dtype).contiguous();
      return std::span(static_cast<const std::byte*>(copy.const_data_ptr()), copy.nbytes());
    };
  }
  return sources;
}

// In order, a new shard when the next tensor would not fit, and with the first one that begins in another of `parts` even parts of all bytes; one
// that is larger than a shard stands alone.
std::vector<Shard> in_shards(std::vector<SafeSource> sources, uint64_t max_shard_bytes, uint64_t parts) {
  uint64_t all = 0, before = 0, part = 0;
  for (const SafeSource& source : sources) all += safe_source_bytes(source);
  std::vector<Shard> shards(1);
  for (SafeSource& source : sources) {
    const uint64_t bytes = safe_source_bytes(source), own_part = all > 0 ? before * parts / all : 0;
    const bool fits = shards.back().bytes + bytes <= max_shard_bytes && own_part == part;
    if (!shards.back().sources.empty() && !fits) shards.emplace_back();
    shards.back().sources.push_back(std::move(source));
    shards.back().bytes += bytes;
    before += bytes;
    part = own_part;
  }
  return shards;
}

// Tensors in table order.
std::vector<SafeSource> sources_of(const Transformer& model, tensor::DType dtype, const FetchRow& fetch) {
  check(!model.ranks() || (fetch && !is_fp8(dtype)), "[save_model] expected a way to the other ranks' rows, and no 8 bit blocks");
  std::vector<SafeSource> sources;
  const auto add = [&](SafeSource source) { sources.push_back(std::move(source)); };
  const auto add_row = [&](const WeightRow& row) {
    const tensor::DType wide = row.kind == WeightKind::kBuffer ? at::kFloat : wide_dtype(dtype);
    if (is_split(row)) {
      for (SafeSource& source : fetched_sources(row, wide, fetch)) add(std::move(source));
      return;
    }
    for (const StoredWeight& part : stored_weights(row)) {
      if (is_fp8(dtype) && stored_as_fp8(row)) {
        for (SafeSource& source : fp8_sources(part)) add(std::move(source));
      } else {
        add(tensor::safe_source(part.name, part.tensor, wide));
      }
    }
  };
  for (const WeightRow& row : model.weights()) add_row(row);
  for (const WeightRow& row : mtp_copies(model)) add_row(row);
  return sources;
}

std::string shard_name(size_t i, size_t count) {
  char text[64];
  std::snprintf(text, sizeof(text), "model-%05zu-of-%05zu.safetensors", i + 1, count);
  return text;
}

void count(std::vector<SafeSource>& sources, ProgressCounter& done) {
  for (SafeSource& source : sources) {
    source.bytes = [read = source.bytes, bytes = safe_source_bytes(source), &done]() mutable {
      const auto span = read();
      done(int64_t(bytes));
      return span;
    };
  }
}

std::vector<WeightFile> in_files(std::vector<SafeSource> sources, int64_t max_shard_bytes, int64_t parts = 1) {
  std::vector<Shard> shards = in_shards(std::move(sources), uint64_t(max_shard_bytes), uint64_t(parts));
  std::vector<WeightFile> files;
  for (size_t i = 0; i < shards.size(); ++i)
    files.push_back({shards.size() == 1 ? kSafetensorsSingle : shard_name(i, shards.size()), std::move(shards[i].sources)});
  return files;
}

// Writes the weight files; returns their names.
std::set<std::string> write_files(const std::vector<WeightFile>& files, const fs::path& folder) {
  std::set<std::string> written;
  for (const WeightFile& file : files) {
    write_safetensors(folder / file.name, file.sources);
    written.insert(file.name);
  }
  write_weight_index(files, folder);
  if (files.size() > 1) written.insert(kSafetensorsIndex);
  return written;
}

bool is_weight_file(const std::string& name) {
  if (name == kSafetensorsSingle || name == kSafetensorsIndex) return true;
  size_t i, count;
  int end = 0;
  return std::sscanf(name.c_str(), "model-%zu-of-%zu.safetensors%n", &i, &count, &end) == 2 && size_t(end) == name.size();
}

// An index or shards of an earlier save would be taken for this model's.
void remove_stale(const fs::path& folder, const std::set<std::string>& written) {
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_weight_file(name) && !written.count(name)) stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) fs::remove(path);
}

Json generation_config(const ModelConfig& config) {
  Json json = {{"_from_model_config", true}};
  if (config.bos_token_id >= 0) json["bos_token_id"] = config.bos_token_id;
  const std::vector<int64_t> eos = eos_token_ids(config);
  if (!eos.empty()) json["eos_token_id"] = eos.size() == 1 ? Json(eos[0]) : Json(eos);
  if (config.pad_token_id >= 0) json["pad_token_id"] = config.pad_token_id;
  return json;
}

}  // namespace

std::vector<std::string> write_weight_files(const fs::path& folder, std::vector<SafeSource> sources, int64_t max_shard_bytes) {
  make_folder(folder);
  const std::set<std::string> written = write_files(in_files(std::move(sources), max_shard_bytes), folder);
  remove_stale(folder, written);
  return {written.begin(), written.end()};
}

std::vector<WeightFile> weight_files(const Transformer& model, tensor::DType dtype, int64_t max_shard_bytes, int64_t files,
                                     const FetchRow& fetch) {
  const at::NoGradGuard no_grad;
  if (max_shard_bytes <= 0) fail_usage("[weight_files] expected a positive shard size, got ", max_shard_bytes);
  check(files > 0, "[weight_files] expected at least one file, got ", files);
  return in_files(sources_of(model, dtype, fetch), max_shard_bytes, files);
}

void write_weight_index(const std::vector<WeightFile>& files, const fs::path& folder) {
  if (files.size() < 2) return;
  SafetensorsIndex index;
  for (const WeightFile& file : files) {
    for (const SafeSource& source : file.sources) {
      index.weight_map[source.name] = file.name;
      index.total_size += safe_source_bytes(source);
    }
  }
  write_safetensors_index(folder / kSafetensorsIndex, index);
}

void write_config_of_save(const ModelConfig& model, tensor::DType dtype, const fs::path& folder) {
  ModelConfig config = model;
  config.torch_dtype = tensor::dtype_name(wide_dtype(dtype));
  write_model_config(config, is_fp8(dtype) ? quantization_to_json({.layout = Quantization::Layout::kFp8Block}) : Json(nullptr), folder);
}

void write_model_config(const ModelConfig& config, const Json& quantization, const fs::path& folder) {
  Json json = config_to_hf(config);
  if (!quantization.is_null()) json["quantization_config"] = quantization;
  write_file_atomic(folder / "generation_config.json", dump_json(generation_config(config), 2) + "\n");
  write_file_atomic(folder / kConfigFile, dump_json(json, 2) + "\n");
}

std::vector<std::string> save_model(const Transformer& model, const fs::path& folder, tensor::DType dtype, int64_t max_shard_bytes,
                                    const WeightProgress& progress, const FetchRow& fetch) {
  const at::NoGradGuard no_grad;
  if (max_shard_bytes <= 0) fail_usage("[save_model] expected a positive shard size, got ", max_shard_bytes);
  make_folder(folder);
  ProgressCounter done(progress, parameter_count(model.config()) * int64_t(c10::elementSize(dtype)));
  std::vector<SafeSource> sources = sources_of(model, dtype, fetch);
  count(sources, done);
  const std::set<std::string> written = write_files(in_files(std::move(sources), max_shard_bytes), folder);
  write_config_of_save(model.config(), dtype, folder);
  remove_stale(folder, written);
  return {written.begin(), written.end()};
}

}  // namespace r1::model
