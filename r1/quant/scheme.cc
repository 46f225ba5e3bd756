#include "r1/quant/scheme.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "r1/base/error.h"
#include "r1/model/weights_gguf.h"

namespace r1::quant {

namespace {

using Kind = Scheme::Kind;
using Mix = Scheme::Mix;

const std::vector<Scheme>& all_schemes() {
  static const std::vector<Scheme> all = {
      {.kind = Kind::kRtn, .name = "rtn-4", .bits = 4},
      {.kind = Kind::kRtn, .name = "rtn-8", .bits = 8},
      {.kind = Kind::kInt8Dynamic, .name = "int8-dynamic", .bits = 8},
      {.kind = Kind::kInt8Static, .name = "int8-static", .bits = 8},
      {.kind = Kind::kGptq, .name = "gptq-4", .bits = 4},
      {.kind = Kind::kGptq, .name = "gptq-8", .bits = 8},
      {.kind = Kind::kAwq, .name = "awq-4", .bits = 4},
      {.kind = Kind::kFp8Block, .name = "fp8-block", .bits = 8},
      {.name = "f32", .type = GgmlType::kF32, .file_type = 0},
      {.name = "f16", .type = GgmlType::kF16, .file_type = 1},
      {.name = "bf16", .type = GgmlType::kBF16, .file_type = 32},
      {.name = "q8_0", .type = GgmlType::kQ8_0, .file_type = 7},
      {.name = "q4_0", .type = GgmlType::kQ4_0, .file_type = 2},
      {.name = "q4_1", .type = GgmlType::kQ4_1, .file_type = 3},
      {.name = "q5_0", .type = GgmlType::kQ5_0, .file_type = 8},
      {.name = "q5_1", .type = GgmlType::kQ5_1, .file_type = 9},
      {.name = "q4_k", .type = GgmlType::kQ4_K, .file_type = 14},
      {.name = "q5_k", .type = GgmlType::kQ5_K, .file_type = 16},
      {.name = "q6_k", .type = GgmlType::kQ6_K, .file_type = 18},
      {.name = "q4_k_s", .type = GgmlType::kQ4_K, .file_type = 14, .mix = Mix::kSmall},
      {.name = "q4_k_m", .type = GgmlType::kQ4_K, .file_type = 15, .mix = Mix::kMedium},
      {.name = "q5_k_s", .type = GgmlType::kQ5_K, .file_type = 16, .mix = Mix::kSmall},
      {.name = "q5_k_m", .type = GgmlType::kQ5_K, .file_type = 17, .mix = Mix::kMedium},
  };
  return all;
}

bool is_plain(GgmlType type) {
  return type == GgmlType::kF32 || type == GgmlType::kF16 || type == GgmlType::kBF16;
}

GgmlType one_up(GgmlType type) {
  return type == GgmlType::kQ4_K ? GgmlType::kQ5_K : GgmlType::kQ6_K;
}

GgmlType in_blocks_of_32(GgmlType type) {
  switch (type) {
    case GgmlType::kQ4_K:
      return GgmlType::kQ5_0;
    case GgmlType::kQ5_K:
      return GgmlType::kQ5_1;
    default:
      return GgmlType::kQ8_0;
  }
}

int64_t layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "layers.";
  return name.starts_with(kPrefix) ? std::strtoll(name.c_str() + kPrefix.size(), nullptr, 10) : -1;
}

GgmlType mixed(const Scheme& s, const model::WeightRow& row, int64_t layer, int64_t layers) {
  const bool values = row.name.ends_with("attention.v"), down = row.name.ends_with("mlp.down") || row.name.ends_with("experts.down");
  const bool early = layer < layers / 8;
  if (s.mix == Mix::kSmall) return (values && layer < 4) || (down && early) ? one_up(s.type) : s.type;
  if (row.name.ends_with("attention.qkv")) return one_up(s.type);
  const bool more = early || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
  return (values || down) && more ? GgmlType::kQ6_K : s.type;
}

}  // namespace

std::vector<std::string> scheme_names() {
  std::vector<std::string> names;
  for (const Scheme& s : all_schemes()) names.push_back(s.name);
  return names;
}

Scheme scheme_named(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  for (const Scheme& s : all_schemes())
    if (s.name == lower) return s;
  std::string known;
  for (const std::string& other : scheme_names()) known += (known.empty() ? "" : ", ") + other;
  fail_usage("--scheme: '", printable(name), "' is not known (", known, " are)");
}

GgmlType gguf_type_of(const Scheme& s, const model::WeightRow& row, const model::ModelConfig& config) {
  using model::WeightKind;
  const std::vector<int64_t> shape = model::gguf_shape(row);
  const bool router = row.name.ends_with("mlp.router"), positions = row.name == "positions";
  if (shape.size() < 2 || router || positions || row.kind == WeightKind::kNorm || row.kind == WeightKind::kBias ||
      row.kind == WeightKind::kBuffer)
    return GgmlType::kF32;
  if (is_plain(s.type)) return s.type;
  GgmlType type = s.type;
  const bool head = row.kind == WeightKind::kHead || (row.kind == WeightKind::kEmbedding && config.tie_word_embeddings);
  if (head) {
    type = type == GgmlType::kQ8_0 ? type : GgmlType::kQ6_K;
  } else if (s.mix != Mix::kNone && layer_of(row.name) >= 0) {
    type = mixed(s, row, layer_of(row.name), config.num_hidden_layers);
  }
  if (shape.back() % ggml_type_info(type)->block_elements != 0) type = in_blocks_of_32(type);
  return shape.back() % ggml_type_info(type)->block_elements == 0 ? type : GgmlType::kF16;
}

}  // namespace r1::quant
