#include "r1/model/config_gguf.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>

#include "r1/base/error.h"
#include "r1/model/config_hf.h"
#include "r1/model/families.h"

namespace r1::model {
namespace {

constexpr const char* kEmbedding = "token_embd.weight";
constexpr const char* kHead = "output.weight";
constexpr const char* kRopeFactors = "rope_freqs.weight";

// The file's floats are fp32: 1e-05 is stored as 9.99999975e-06. The shortest decimal that rounds to it is what its author wrote.
double shortest_decimal(double stored) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text) - 1, float(stored)).ptr;
  *end = '\0';
  return std::strtod(text, nullptr);
}

// Metadata under "<architecture>.".
struct Keys {
  const GgufFile& file;
  std::string prefix;

  bool has(const char* key) const { return file.has(prefix + key); }
  int64_t integer(const char* key) const { return file.integer(prefix + key); }
  int64_t integer_or(const char* key, int64_t fallback) const { return file.integer_or(prefix + key, fallback); }
  double number_or(const char* key, double fallback) const { return has(key) ? shortest_decimal(file.number(prefix + key)) : fallback; }
  template <class... Args>
  [[noreturn]] void refuse(const char* key, const Args&... args) const {
    fail(file.name(), ": key '", prefix, key, "': ", args...);
  }
};

void refuse_unsupported(const Keys& keys, const ModelConfig& c) {
  if (keys.integer_or("expert_count", 0) > 0 && c.moe.n_routed_experts == 0)
    keys.refuse("expert_count", "mixtures of experts are not supported for this architecture");
  const int64_t window = c.attn.window > 0 ? 0 : keys.integer_or("attention.sliding_window", 0);
  if (window > 0 && window < c.max_position_embeddings)
    keys.refuse("attention.sliding_window", "a window of ", window, " tokens is not supported");
  const int64_t value_dim = keys.integer_or("attention.value_length", c.head_dim);
  if (value_dim != c.head_dim) keys.refuse("attention.value_length", "expected the head size ", c.head_dim, ", got ", value_dim);
  const int64_t rotated = keys.integer_or("rope.dimension_count", c.head_dim);
  if (rotated != c.head_dim) keys.refuse("rope.dimension_count", "rotating ", rotated, " of ", c.head_dim, " dimensions is not supported");
}

// What llama3 scaling divides each frequency by (Llama 3.1: wavelengths above original/low by `factor`, below original/high by 1, a ramp
// between).
double llama3_divisor(const ModelConfig& c, int64_t i) {
  const double frequency = std::pow(c.rope_theta, -2.0 * double(i) / double(c.head_dim));
  const double wavelength = 2 * M_PI / frequency, original = double(c.rope.original_max_position_embeddings);
  if (wavelength < original / c.rope.high_freq_factor) return 1;
  if (wavelength > original / c.rope.low_freq_factor) return c.rope.factor;
  const double ramp = (original / wavelength - c.rope.low_freq_factor) / (c.rope.high_freq_factor - c.rope.low_freq_factor);
  return 1 / ((1 - ramp) / c.rope.factor + ramp);
}

// rope_freqs.weight holds the divisors themselves. The published llama3 settings differ in `factor` only; whether they explain the tensor
// is checked.
void read_rope_factors(const GgufFile& file, const GgufTensor& tensor, ModelConfig& c) {
  const auto refuse = [&](const auto&... args) { fail(file.name(), ": tensor '", kRopeFactors, "': ", args...); };
  if (tensor.type != GgmlType::kF32 || int64_t(tensor.elements) != c.head_dim / 2) refuse("expected ", c.head_dim / 2, " fp32 values");
  std::vector<float> divisors(tensor.elements);
  std::memcpy(divisors.data(), file.data(tensor).data(), tensor.bytes);
  if (std::all_of(divisors.begin(), divisors.end(), [](float d) { return d == 1; })) return;
  c.rope.type = "llama3";
  c.rope.factor = shortest_decimal(*std::max_element(divisors.begin(), divisors.end()));
  c.rope.low_freq_factor = 1;
  c.rope.high_freq_factor = 4;
  c.rope.original_max_position_embeddings = 8192;
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double expected = llama3_divisor(c, int64_t(i));
    if (!(std::abs(divisors[i] - expected) <= 1e-4 * expected))
      refuse("is not llama3 scaling with a context of 8192: value ", i, " is ", divisors[i], ", expected ", expected);
  }
}

void read_rope(const Keys& keys, ModelConfig& c) {
  c.rope_theta = keys.number_or("rope.freq_base", 10000);
  const std::string type = keys.file.string_or(keys.prefix + "rope.scaling.type", "none");
  if (type == "linear") {
    c.rope.type = "linear";
    c.rope.factor = keys.number_or("rope.scaling.factor", 1);
    if (!(c.rope.factor >= 1)) keys.refuse("rope.scaling.factor", "expected at least 1, got ", c.rope.factor);
  } else if (type != "none") {
    keys.refuse("rope.scaling.type", "'", type, "' is not supported (none and linear are)");
  }
  if (const GgufTensor* factors = keys.file.find(kRopeFactors)) read_rope_factors(keys.file, *factors, c);
}

// The dtype that holds most of the weights without loss worth speaking of; quantized files have no more than bfloat16's digits.
std::string stored_dtype(const GgufFile& file) {
  std::map<GgmlType, uint64_t> bytes;
  for (const GgufTensor& tensor : file.tensors()) bytes[tensor.type] += tensor.bytes;
  const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == bytes.end() || most->first == GgmlType::kF32) return "float32";
  return most->first == GgmlType::kF16 ? "float16" : "bfloat16";
}

const Family& family_of_architecture(const GgufFile& file, const std::string& architecture) {
  std::vector<std::string> known;
  for (const Family* family : families()) {
    if (!family->gguf) continue;
    if (architecture == family->gguf) return *family;
    known.push_back(family->gguf);
  }
  fail(file.name(), ": architecture '", printable(architecture), "' is not supported (", listed(known), " are)");
}

}  // namespace

void config_to_gguf(const ModelConfig& c, GgufMetadata& metadata) {
  const Family& family = family_of(c.family);
  if (!family.gguf) fail_usage("GGUF files of family ", c.family, " are not written here");
  if (c.attention != "full") fail_usage("GGUF has no form of attention '", c.attention, "'");
  if (c.rope.type == "yarn") fail_usage("rope type 'yarn' is not written to GGUF");
  if (!family.set && (c.norm != "rms" || c.ffn != "swiglu" || c.positions != "rope"))
    fail_usage("GGUF has no form of a ", c.family, " network with norm '", c.norm, "', ffn '", c.ffn, "', positions '", c.positions, "'");
  const std::string p = std::string(family.gguf) + ".";
  metadata.add_string("general.architecture", family.gguf);
  metadata.add_u32(p + "block_count", c.num_hidden_layers);
  metadata.add_u32(p + "context_length", c.max_position_embeddings);
  metadata.add_u32(p + "embedding_length", c.hidden_size);
  metadata.add_u32(p + "feed_forward_length", c.intermediate_size);
  metadata.add_u32(p + "attention.head_count", c.num_attention_heads);
  metadata.add_u32(p + "attention.head_count_kv", c.num_key_value_heads);
  metadata.add_u32(p + "attention.key_length", c.head_dim);
  metadata.add_u32(p + "attention.value_length", c.head_dim);
  if (c.norm == "rms") metadata.add_f32(p + "attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  if (c.positions == "rope") {
    metadata.add_u32(p + "rope.dimension_count", c.head_dim);
    metadata.add_f32(p + "rope.freq_base", c.rope_theta);
  }
  if (c.rope.type == "linear") {
    metadata.add_string(p + "rope.scaling.type", "linear");
    metadata.add_f32(p + "rope.scaling.factor", c.rope.factor);
  }
  metadata.add_u32(p + "vocab_size", c.vocab_size);
  if (family.to_gguf) family.to_gguf(c, metadata);
}

std::vector<float> gguf_rope_factors(const ModelConfig& c) {
  std::vector<float> factors;
  if (c.rope.type != "llama3") return factors;
  for (int64_t i = 0; i < c.head_dim / 2; ++i) factors.push_back(float(llama3_divisor(c, i)));
  return factors;
}

bool gguf_head_is_embedding(const GgufFile& file) {
  const GgufTensor *head = file.find(kHead), *embedding = file.find(kEmbedding);
  if (!head || !embedding || head->type != embedding->type || head->shape != embedding->shape) return false;
  return std::memcmp(file.data(*head).data(), file.data(*embedding).data(), head->bytes) == 0;
}

ModelConfig config_from_gguf(const GgufFile& file) {
  ModelConfig c;
  const std::string architecture = file.string("general.architecture");
  const Family& family = family_of_architecture(file, architecture);
  c.family = family.name;
  const GgufTensor* embedding = file.find(kEmbedding);
  if (!embedding || embedding->shape.size() != 2)
    fail(file.name(), ": tensor '", kEmbedding, "' is missing or no matrix; this file holds no model");
  const Keys keys{file, architecture + "."};
  c.vocab_size = embedding->shape[0];
  c.hidden_size = keys.integer("embedding_length");
  c.intermediate_size = keys.integer("feed_forward_length");
  c.num_hidden_layers = keys.integer("block_count");
  c.num_attention_heads = keys.integer("attention.head_count");
  c.num_key_value_heads = keys.integer_or("attention.head_count_kv", c.num_attention_heads);
  c.head_dim = keys.integer_or("attention.key_length", 0);
  c.max_position_embeddings = keys.integer_or("context_length", c.max_position_embeddings);
  c.rms_norm_eps = keys.number_or("attention.layer_norm_rms_epsilon", 1e-6);
  c.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  c.tie_word_embeddings = !file.find(kHead) || gguf_head_is_embedding(file);
  c.bos_token_id = file.integer_or("tokenizer.ggml.bos_token_id", -1);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    add_eos_token_id(c, file.integer_or(key, -1));
  c.pad_token_id = file.integer_or("tokenizer.ggml.padding_token_id", -1);
  c.torch_dtype = stored_dtype(file);
  if (family.from_gguf) family.from_gguf(file, c);
  finish_config_of(file.name(), c);
  refuse_unsupported(keys, c);
  read_rope(keys, c);
  return c;
}

}  // namespace r1::model
