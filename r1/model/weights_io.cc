#include "r1/model/weights_io.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <set>

#include "r1/base/checked.h"
#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/base/log.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/config_gguf.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/gguf.h"
#include "r1/tensor/safetensors.h"

namespace r1::model {
namespace {

constexpr const char* kConfigFile = "config.json";
constexpr const char* kHeadHf = "lm_head.weight";
constexpr const char* kGpt2Prefix = "transformer.";  // the first GPT-2 files' names lack it

bool is_pickle(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt" || extension == ".pkl";
}

[[noreturn]] void refuse_pickle(const fs::path& path) {
  fail(path.string(),
       ": pickle checkpoints are not read, since loading one runs the code inside it. Convert it where you trust it, with Python:"
       " AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(OUT, safe_serialization=True)");
}

// The one .gguf file of a folder that has no safetensors; empty if there is none.
fs::path gguf_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  }
  if (found.size() > 1) fail(folder.string(), ": ", found.size(), " GGUF files in this folder; name one of them");
  return found.empty() ? fs::path() : found[0];
}

bool has_safetensors(const fs::path& folder) {
  return fs::exists(folder / kSafetensorsIndex) || fs::exists(folder / kSafetensorsSingle);
}

// The file or folder that holds the weights at `path`, GGUF or safetensors.
fs::path weights_at(const fs::path& path) {
  if (!fs::is_directory(path)) {
    if (is_pickle(path)) refuse_pickle(path);
    return path;
  }
  if (has_safetensors(path)) return path;
  if (const fs::path gguf = gguf_in(path); !gguf.empty()) return gguf;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (is_pickle(entry.path()) && entry.path().filename().string().rfind("training_args", 0) != 0) refuse_pickle(entry.path());
  }
  fail(path.string(), ": no weights in this folder (", kSafetensorsSingle, ", ", kSafetensorsIndex, " or a .gguf file)");
}

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf";
}

fs::path hub_cache() {
  if (const char* cache = std::getenv("HF_HUB_CACHE")) return cache;
  if (const char* home = std::getenv("HF_HOME")) return fs::path(home) / "hub";
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : "/") / ".cache/huggingface/hub";
}

// Holds a config that came from a file against the ranges that its fields declare, before anything is allocated by it.
ModelConfig in_range(ModelConfig config, const std::string& where) {
  const Fields fields(config);
  for (const Field& field : fields.list()) {
    const auto value = std::visit(
        [](const auto* p) -> std::optional<double> {
          if constexpr (std::is_arithmetic_v<std::remove_reference_t<decltype(*p)>>) return double(*p);
          return std::nullopt;
        },
        field.value);
    if (value && field.range && !(*value >= field.range->lo && *value <= field.range->hi))
      fail(where, ": ", field.key, " = ", *value, " is not in [", field.range->lo, ", ", field.range->hi, "]");
  }
  return config;
}

// Elements that the files hold, by their directories.
int64_t stored_elements(const fs::path& path) {
  uint64_t elements = 0;
  if (is_gguf(path)) {
    const GgufFile file = GgufFile::open(path);
    for (const GgufTensor& tensor : file.tensors()) elements += tensor.elements;
  } else {
    const std::vector<SafetensorsFile> files = open_safetensors_model(path);
    for (const SafetensorsFile& file : files) {
      for (const SafeTensor& tensor : file.tensors()) elements += tensor.bytes / safe_type_bytes(tensor.type);
    }
  }
  return int64_t(elements);
}

// Other programs keep the config's word of multi-token prediction but drop its weights when they save.
bool has_mtp(const fs::path& path, int64_t layers) {
  const std::string name = str("model.layers.", layers, ".eh_proj.weight");
  if (is_gguf(path)) return GgufFile::open(path).find(str("blk.", layers, ".nextn.eh_proj.weight")) != nullptr;
  const std::vector<SafetensorsFile> files = open_safetensors_model(path);
  return std::any_of(files.begin(), files.end(), [&](const SafetensorsFile& file) { return file.find(name) != nullptr; });
}

// "[3, 4]"
std::string text_of(const std::vector<int64_t>& shape) {
  return r1::str(c10::IntArrayRef(shape));
}

int64_t weight_bytes(const WeightTable& weights) {
  int64_t bytes = 0;
  for (const WeightRow& row : weights) bytes += row.tensor->nbytes();
  return bytes;
}

// Counts rows that are done and tells the caller.
class Told {
 public:
  Told(const WeightProgress& progress, int64_t total) : progress_(progress), total_(total) {}
  void operator()(int64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_, total_);
  }

 private:
  const WeightProgress& progress_;
  int64_t done_ = 0, total_;
};

// What a load found wrong, gathered so that one error tells all.
struct Faults {
  std::vector<std::string> missing, surplus, misshaped;

  static std::string list(const char* title, const std::vector<std::string>& names) {
    constexpr size_t kShown = 8;
    if (names.empty()) return "";
    std::string text = str("; ", names.size(), " ", title, ": ");
    for (size_t i = 0; i < std::min(kShown, names.size()); ++i) text += (i ? ", " : "") + names[i];
    return names.size() > kShown ? text + ", ..." : text;
  }
  void raise(const std::string& where) const {
    if (missing.empty() && surplus.empty() && misshaped.empty()) return;
    fail(where, ": the weights do not fit the config", list("missing", missing), list("of another shape", misshaped),
         list("not known", surplus));
  }
  void compare(const std::string& name, const std::vector<int64_t>& expected, const std::vector<int64_t>& got) {
    if (expected != got) misshaped.push_back(str("'", printable(name), "' (expected ", text_of(expected), ", got ", text_of(got), ")"));
  }
};

// The shape that a GGUF file has for a row.
std::vector<int64_t> gguf_shape(const WeightRow& row) {
  return row.transposed_in_gguf ? std::vector<int64_t>{row.shape.rbegin(), row.shape.rend()} : row.shape;
}

// Frequencies of the rotary embedding and causal masks are no weights; old checkpoints have them as buffers.
bool is_harmless(const std::string& name) {
  const auto ends = [&](std::string_view tail) {
    return name.size() >= tail.size() && name.compare(name.size() - tail.size(), tail.size(), tail) == 0;
  };
  // Copies of the network's own embedding and head that published files keep with multi-token prediction.
  if (name.rfind("model.layers.", 0) == 0 && (ends(".embed_tokens.weight") || ends(".shared_head.head.weight"))) return true;
  if (ends(".attn.bias") || ends(".attn.masked_bias")) return true;  // GPT-2's causal masks
  return ends("rotary_emb.inv_freq") || ends("rotary_emb.cos_cached") || ends("rotary_emb.sin_cached") || name == "rope_freqs.weight";
}

// ---- safetensors

struct Stored {
  const SafetensorsFile* file = nullptr;
  const SafeTensor* tensor = nullptr;
};

class SafetensorsModel {
 public:
  explicit SafetensorsModel(const fs::path& path) : files_(open_safetensors_model(path)) {}

  Stored find(const std::string& name) const {
    for (const SafetensorsFile& file : files_) {
      if (const SafeTensor* tensor = file.find(name)) return {&file, tensor};
    }
    return name.starts_with(kGpt2Prefix) ? find(name.substr(std::string_view(kGpt2Prefix).size())) : Stored{};
  }
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  std::vector<SafetensorsFile> files_;
};

// transformers ties whatever is stored; so do we, but a head that differs deserves a word.
void check_tied_head(const SafetensorsModel& stored, const std::string& embedding_name) {
  const Stored head = stored.find(kHeadHf), embedding = stored.find(embedding_name);
  if (!head.tensor || !embedding.tensor) return;
  const auto a = head.file->data(*head.tensor), b = embedding.file->data(*embedding.tensor);
  if (head.tensor->type == embedding.tensor->type && std::equal(a.begin(), a.end(), b.begin(), b.end())) return;
  log_warning(head.file->name(), ": tie_word_embeddings is set, but a different '", kHeadHf, "' is stored; it is not used");
}

// DeepSeek's 8 bit form of a weight (tensor/fp8_block) stands as two tensors.
std::string scale_name(const std::string& hf_name) {
  return hf_name + "_scale_inv";
}
bool is_fp8(const SafeTensor& tensor) {
  return tensor.type == SafeType::kF8E4M3 && tensor.shape.size() == 2;
}

// Is it there and does it fit? `known` gets the names that belong to it.
void check_part(const SafetensorsModel& stored, const StoredWeight& part, std::set<std::string>& known, Faults& faults) {
  known.insert(part.name);
  const Stored found = stored.find(part.name);
  if (!found.tensor) {
    faults.missing.push_back("'" + part.name + "'");
    return;
  }
  known.insert(found.tensor->name);
  faults.compare(part.name, part.tensor.sizes().vec(), found.tensor->shape);
  if (!is_fp8(*found.tensor)) return;
  const std::string name = scale_name(part.name);
  const Stored scale = stored.find(name);
  known.insert(name);
  if (!scale.tensor) {
    faults.missing.push_back("'" + name + "'");
  } else {
    faults.compare(name, tensor::fp8_scale_shape(found.tensor->shape[0], found.tensor->shape[1]), scale.tensor->shape);
  }
}

void read_part(const SafetensorsModel& stored, const StoredWeight& part) {
  const Stored found = stored.find(part.name);
  if (!is_fp8(*found.tensor)) return tensor::read_safetensor_into(*found.file, *found.tensor, part.tensor);
  const Stored scale = stored.find(scale_name(part.name));
  tensor::from_fp8_blocks(
      {tensor::read_safetensor(*found.file, *found.tensor), tensor::read_safetensor(*scale.file, *scale.tensor, at::kFloat)}, part.tensor);
}

// Of a published model's layers of multi-token prediction, which stand behind the last layer, where this model has none.
bool is_layer_behind(const std::string& name, int64_t layers) {
  const std::string_view prefix = "model.layers.";
  if (name.compare(0, prefix.size(), prefix) != 0) return false;
  char* end = nullptr;
  const int64_t layer = std::strtoll(name.c_str() + prefix.size(), &end, 10);
  return *end == '.' && end != name.c_str() + prefix.size() && layer >= layers;
}

void load_safetensors(Transformer& model, const fs::path& path, const WeightProgress& progress) {
  const SafetensorsModel stored(path);
  Faults faults;
  std::set<std::string> known;
  for (const WeightRow& row : model.weights()) {
    for (const StoredWeight& part : stored_weights(row)) check_part(stored, part, known, faults);
  }
  const bool tied = !known.count(kHeadHf);
  int64_t behind = 0;
  for (const SafetensorsFile& file : stored.files()) {
    for (const SafeTensor& tensor : file.tensors()) {
      if (known.count(tensor.name) || is_harmless(tensor.name) || (tied && tensor.name == kHeadHf)) continue;
      if (is_layer_behind(tensor.name, model.num_layers() + model.mtp_depth())) {
        ++behind;
        continue;
      }
      faults.surplus.push_back("'" + printable(tensor.name) + "'");
    }
  }
  faults.raise(path.string());
  if (behind) log_info(path.string(), ": ", behind, " tensors of multi-token prediction are left out");
  if (tied) check_tied_head(stored, find_weight(model.weights(), "embedding").hf_name);
  Told told(progress, weight_bytes(model.weights()));
  for (const WeightRow& row : model.weights()) {
    for (const StoredWeight& part : stored_weights(row)) {
      read_part(stored, part);
      told(part.tensor.nbytes());
    }
  }
}

// ---- GGUF

// llama's GGUF files hold the rows of q and k for a rotary embedding that pairs neighbours; HF's (and ours) pairs row i with row i +
// head_dim / 2 of a head. Their row order within a head is 0, half, 1, half + 1, ...
tensor::RowOrder rope_order(int64_t head_dim) {
  return [head_dim, half = head_dim / 2](int64_t row) {
    const int64_t head = row / head_dim, in_head = row % head_dim;
    return head * head_dim + (in_head % half) * 2 + in_head / half;
  };
}

void load_gguf_row(const GgufFile& file, const GgufTensor& stored, const WeightRow& row, int64_t head_dim) {
  const tensor::RowOrder order = row.rope_permuted_in_gguf ? rope_order(head_dim) : tensor::RowOrder();
  const Tensor weight = row.transposed_in_gguf ? row.tensor->t() : *row.tensor;
  if (row.gguf_plus != 0) {
    weight.copy_(tensor::read_gguf_tensor(file, stored, at::kFloat, order) - row.gguf_plus);
  } else if (weight.device().is_cpu() && weight.is_contiguous()) {
    tensor::read_gguf_tensor_into(file, stored, weight, order);
  } else {
    weight.copy_(tensor::read_gguf_tensor(file, stored, weight.scalar_type(), order));
  }
}

void load_gguf(Transformer& model, const fs::path& path, const WeightProgress& progress) {
  const GgufFile file = GgufFile::open(path);
  Faults faults;
  std::set<std::string> known;
  for (const WeightRow& row : model.weights()) {
    known.insert(row.gguf_name);
    const GgufTensor* found = file.find(row.gguf_name);
    if (!found) {
      faults.missing.push_back("'" + row.gguf_name + "'");
    } else {
      faults.compare(row.gguf_name, gguf_shape(row), found->shape);
    }
  }
  const bool head_again = !known.count("output.weight") && gguf_head_is_embedding(file);
  for (const GgufTensor& tensor : file.tensors()) {
    if (known.count(tensor.name) || is_harmless(tensor.name) || (head_again && tensor.name == "output.weight")) continue;
    faults.surplus.push_back("'" + printable(tensor.name) + "'");
  }
  faults.raise(file.name());
  Told told(progress, weight_bytes(model.weights()));
  for (const WeightRow& row : model.weights()) {
    load_gguf_row(file, *file.find(row.gguf_name), row, model.config().head_dim);
    told(row.tensor->nbytes());
  }
}

// ---- saving

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

// Published files with multi-token prediction keep the embedding and the head once more in each module; readers of them expect that.
std::vector<std::pair<std::string, Tensor>> mtp_copies(const Transformer& model) {
  std::vector<std::pair<std::string, Tensor>> copies;
  for (int depth = 0; depth < model.mtp_depth(); ++depth) {
    const std::string layer = str("model.layers.", model.num_layers() + depth);
    copies.emplace_back(layer + ".embed_tokens.weight", *model.weights()[0].tensor);
    copies.emplace_back(layer + ".shared_head.head.weight", model.head());
  }
  return copies;
}

// Tensors in table order, a new shard when the next one would not fit; one that is larger than a shard stands alone.
std::vector<Shard> share_out(const Transformer& model, tensor::DType dtype, uint64_t max_shard_bytes, Told& told) {
  std::vector<Shard> shards(1);
  const auto add = [&](SafeSource source) {
    const uint64_t bytes = safe_source_bytes(source);
    source.bytes = [read = source.bytes, bytes, &told]() mutable {
      const auto span = read();
      told(int64_t(bytes));
      return span;
    };
    if (!shards.back().sources.empty() && shards.back().bytes + bytes > max_shard_bytes) shards.emplace_back();
    shards.back().sources.push_back(std::move(source));
    shards.back().bytes += bytes;
  };
  for (const WeightRow& row : model.weights()) {
    for (const StoredWeight& part : stored_weights(row)) {
      if (is_fp8(dtype) && stored_as_fp8(row)) {
        for (SafeSource& source : fp8_sources(part)) add(std::move(source));
      } else {
        add(tensor::safe_source(part.name, part.tensor, row.kind == WeightKind::kBuffer ? at::kFloat : wide_dtype(dtype)));
      }
    }
  }
  for (const auto& [name, weight] : mtp_copies(model)) add(tensor::safe_source(name, weight, wide_dtype(dtype)));
  return shards;
}

Json fp8_config() {
  return {{"activation_scheme", "dynamic"},
          {"fmt", "e4m3"},
          {"quant_method", "fp8"},
          {"weight_block_size", {tensor::kFp8Block, tensor::kFp8Block}}};
}

std::string shard_name(size_t i, size_t count) {
  char text[64];
  std::snprintf(text, sizeof(text), "model-%05zu-of-%05zu.safetensors", i + 1, count);
  return text;
}

// Writes the weight files; returns their names.
std::set<std::string> write_shards(const std::vector<Shard>& shards, const fs::path& folder) {
  if (shards.size() == 1) {
    write_safetensors(folder / kSafetensorsSingle, shards[0].sources);
    return {kSafetensorsSingle};
  }
  SafetensorsIndex index;
  std::set<std::string> written = {kSafetensorsIndex};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    write_safetensors(folder / name, shards[i].sources);
    written.insert(name);
    index.total_size += shards[i].bytes;
    for (const SafeSource& source : shards[i].sources) index.weight_map[source.name] = name;
  }
  write_safetensors_index(folder / kSafetensorsIndex, index);
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
  const std::pair<const char*, int64_t> ids[] = {
      {"bos_token_id", config.bos_token_id}, {"eos_token_id", config.eos_token_id}, {"pad_token_id", config.pad_token_id}};
  for (const auto& [key, id] : ids) {
    if (id >= 0) json[key] = id;
  }
  return json;
}

}  // namespace

fs::path find_model(const fs::path& name) {
  std::error_code ignored;
  if (fs::exists(name, ignored)) return name;
  const std::string text = name.string();
  const size_t slash = text.find('/');
  const bool repository = slash != std::string::npos && slash > 0 && text.find('/', slash + 1) == std::string::npos &&
                          slash + 1 < text.size() && text[0] != '.' && text[0] != '~' && !is_gguf(name);
  if (!repository) fail("model ", text, " does not exist");
  const fs::path folder = hub_cache() / ("models--" + text.substr(0, slash) + "--" + text.substr(slash + 1));
  if (!fs::exists(folder / "refs/main", ignored)) {
    fail("model ", text, " does not exist, and ", folder.string(), " has no downloaded copy (r1 downloads nothing: `hf download ", text,
         "` does)");
  }
  std::string revision = read_file(folder / "refs/main");
  revision.erase(revision.find_last_not_of(" \n\r\t") + 1);
  if (revision.empty() || revision.find_first_not_of("0123456789abcdef") != std::string::npos)
    fail(folder.string(), "/refs/main: not a revision");
  return folder / "snapshots" / revision;
}

ModelConfig read_model_config(const fs::path& name) {
  fs::path path = find_model(name);
  if (!fs::is_directory(path) && !is_gguf(path)) {
    if (is_pickle(path)) refuse_pickle(path);
    path = path.parent_path();  // a weight file of a HF folder
  }
  if (fs::is_directory(path)) {
    const fs::path file = path / kConfigFile;
    if (fs::exists(file)) return in_range(config_from_hf(parse_json_file(file), file.string()), file.string());
    path = has_safetensors(path) ? fs::path() : gguf_in(path);
    if (path.empty()) fail(name.string(), ": no ", kConfigFile, " and no .gguf file here; this is not a model folder");
  }
  return in_range(config_from_gguf(GgufFile::open(path, {.allow_truncated = true})), path.string());
}

void load_weights(Transformer& model, const fs::path& name, const WeightProgress& progress) {
  const at::NoGradGuard no_grad;
  const fs::path path = weights_at(find_model(name));
  is_gguf(path) ? load_gguf(model, path, progress) : load_safetensors(model, path, progress);
  model.bump_version();
}

std::unique_ptr<Transformer> load_model(const fs::path& path, tensor::Device device, tensor::DType dtype, const WeightProgress& progress) {
  const fs::path weights = weights_at(find_model(path));
  ModelConfig config = read_model_config(path);
  if (config.num_nextn_predict_layers > 0 && !has_mtp(weights, config.num_hidden_layers)) {
    log_info(weights.string(), ": no weights of multi-token prediction here; going on without");
    config.num_nextn_predict_layers = 0;
  }
  const int64_t wanted = parameter_count(config), stored = stored_elements(weights);
  // A few missing tensors are listed by name further on; a config that is beyond all measure must not have its memory.
  if (stored < wanted / 2) fail(weights.string(), ": the config describes ", wanted, " parameters, but only ", stored, " are stored");
  auto model = std::make_unique<Transformer>(config, device, dtype);
  load_weights(*model, path, progress);
  return model;
}

std::vector<std::string> save_model(const Transformer& model, const fs::path& folder, tensor::DType dtype, int64_t max_shard_bytes,
                                    const WeightProgress& progress) {
  const at::NoGradGuard no_grad;
  if (max_shard_bytes <= 0) fail_usage("[save_model] expected a positive shard size, got ", max_shard_bytes);
  make_folder(folder);
  ModelConfig config = model.config();
  config.torch_dtype = tensor::dtype_name(wide_dtype(dtype));
  Told told(progress, parameter_count(config) * int64_t(c10::elementSize(dtype)));
  const std::set<std::string> written = write_shards(share_out(model, dtype, uint64_t(max_shard_bytes), told), folder);
  Json json = config_to_hf(config);
  if (is_fp8(dtype)) json["quantization_config"] = fp8_config();
  write_file_atomic(folder / kConfigFile, dump_json(json, 2) + "\n");
  write_file_atomic(folder / "generation_config.json", dump_json(generation_config(config), 2) + "\n");
  remove_stale(folder, written);
  return {written.begin(), written.end()};
}

}  // namespace r1::model
