#include "r1/model/weights_check.h"

#include <algorithm>
#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/model/config_gguf.h"
#include "r1/model/shard.h"
#include "r1/model/weights_files.h"
#include "r1/model/weights_gguf.h"
#include "r1/model/weights_integers.h"
#include "r1/tensor/fp8_block.h"

namespace r1::model {
namespace {

constexpr const char* kHeadHf = "lm_head.weight";
constexpr const char* kGpt2Prefix = "transformer.";  // the first GPT-2 files' names lack it

// "[3, 4]"
std::string text_of(const std::vector<int64_t>& shape) {
  return r1::str(c10::IntArrayRef(shape));
}

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

// transformers ties whatever is stored; so do we, but a head that differs deserves a word.
void check_tied_head(const SafetensorsModel& stored, const std::string& embedding_name) {
  const Stored head = stored.find(kHeadHf), embedding = stored.find(embedding_name);
  if (!head.tensor || !embedding.tensor) return;
  const auto a = head.file->data(*head.tensor), b = embedding.file->data(*embedding.tensor);
  if (head.tensor->type == embedding.tensor->type && std::equal(a.begin(), a.end(), b.begin(), b.end())) return;
  log_warning(head.file->name(), ": tie_word_embeddings is set, but a different '", kHeadHf, "' is stored; it is not used");
}

// Is it there and does it fit? `known` gets the names that belong to it.
void check_part(const SafetensorsModel& stored, const StoredWeight& part, bool transposed, std::set<std::string>& known, Faults& faults) {
  if (stored_in_integers(stored, part.name)) {
    std::vector<int64_t> shape = part.tensor.sizes().vec();
    if (transposed) std::reverse(shape.begin(), shape.end());
    return check_stored_integers(stored, part.name, shape, known, faults.missing,
                                 [&](const auto& name, const auto& expected, const auto& got) { faults.compare(name, expected, got); });
  }
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

// AutoGPTQ writes a bias of zeros for each layer that has none.
bool is_zero_bias(const SafetensorsFile& file, const SafeTensor& tensor) {
  const auto bytes = file.data(tensor);
  return tensor.name.ends_with(".bias") && std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Of a published model's layers of multi-token prediction, which stand after the last layer, where this model has none.
bool is_layer_behind(const std::string& name, int64_t layers) {
  const std::string_view prefix = "model.layers.";
  if (name.compare(0, prefix.size(), prefix) != 0) return false;
  char* end = nullptr;
  const int64_t layer = std::strtoll(name.c_str() + prefix.size(), &end, 10);
  return *end == '.' && end != name.c_str() + prefix.size() && layer >= layers;
}

}  // namespace

Stored SafetensorsModel::find(const std::string& name) const {
  for (const SafetensorsFile& file : files_) {
    if (const SafeTensor* tensor = file.find(name)) return {&file, tensor};
  }
  return name.starts_with(kGpt2Prefix) ? find(name.substr(std::string_view(kGpt2Prefix).size())) : Stored{};
}

bool is_fp8(const SafeTensor& tensor) {
  return tensor.type == SafeType::kF8E4M3 && tensor.shape.size() == 2;
}

void check_weights(Transformer& model, const SafetensorsModel& stored, const fs::path& path) {
  Faults faults;
  std::set<std::string> known;
  for (const WeightRow& own : model.weights()) {
    Tensor shape;
    const WeightRow row = whole_row_without_memory(own, shape);
    for (const StoredWeight& part : stored_weights(row)) check_part(stored, part, row.transposed_in_hf, known, faults);
  }
  const bool tied = !known.count(kHeadHf);
  int64_t behind = 0;
  for (const SafetensorsFile& file : stored.files()) {
    for (const SafeTensor& tensor : file.tensors()) {
      if (known.count(tensor.name) || is_harmless(tensor.name) || (tied && tensor.name == kHeadHf)) continue;
      if (stored.quantization() && is_zero_bias(file, tensor)) continue;
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
}

void check_weights(Transformer& model, const GgufFile& file) {
  Faults faults;
  std::set<std::string> known;
  for (const WeightRow& own : model.weights()) {
    Tensor shape;
    const WeightRow row = whole_row_without_memory(own, shape);
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
}

}  // namespace r1::model
