// A small model with a tokenizer as a Hugging Face folder, and text to calibrate it on. Inputs of very different sizes, so that calibration has
// something to see: a few channels of the norms are large.
#pragma once

#include <ATen/core/grad_mode.h>

#include <string>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/model/families.h"
#include "r1/model/weights_io.h"
#include "r1/quant/quantize.h"
#include "r1/tensor/aten.h"
#include "r1/text/bpe_train.h"

namespace r1::quant {

inline std::string some_text(int sentences) {
  const char* const kWho[] = {"the cat", "a dog", "my friend", "the old man", "she", "a bird"};
  const char* const kDoes[] = {"sees", "finds", "likes", "draws", "hears"};
  const char* const kWhat[] = {"a red house", "the sea", "two apples", "an answer", "no one", "the number 42", "a song"};
  std::string text;
  for (int i = 0; i < sentences; ++i) text += str(kWho[i * 7 % 6], " ", kDoes[i * 3 % 5], " ", kWhat[i * 11 % 7], i % 4 ? ", and " : ".\n");
  return text;
}

inline text::Tokenizer tiny_tokenizer() {
  text::BpeTrainOptions options;
  options.vocab_size = 320;
  options.special_tokens = {"<|end|>"};
  options.eos = "<|end|>";
  options.pre_tokenizer = text::pre_tokenizer_of("qwen2");
  options.threads = 1;
  const std::vector<std::string> texts = {some_text(200)};
  return text::train_bpe_texts(texts, options).tokenizer;
}

inline model::ModelConfig tiny_config(const std::string& family) {
  model::ModelConfig c;
  c.family = family;
  c.vocab_size = 328;  // a few rows more than tokens
  c.hidden_size = 64;
  c.intermediate_size = 128;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.head_dim = 16;
  c.max_position_embeddings = 256;
  c.initializer_range = 0.08;
  c.eos_token_id = 0;
  if (family == "qwen3_moe") {
    c.moe = {.n_routed_experts = 4, .num_experts_per_tok = 2, .moe_intermediate_size = 64};
    c.moe.gate = "softmax";
    c.moe.bias = false;
    c.moe.norm_topk_prob = true;
    c.moe.aux_loss = "batch";
  }
  if (family == "gpt2" || family == "gemma3_text") model::set_family(c, family);
  if (family == "gpt2") c.num_key_value_heads = c.num_attention_heads;
  if (family == "gemma3_text") c.attn.window = 32, c.attn.window_pattern = 6;
  if (family == "gpt2" || family == "gemma3_text") c.tie_word_embeddings = true;
  return c;
}

inline void write_tiny_model(const fs::path& folder, const std::string& family = "llama") {
  const at::NoGradGuard no_grad;
  model::Transformer model(tiny_config(family), at::kCPU, at::kFloat);
  model.init_weights(3);
  for (model::WeightRow& row : model.weights()) {
    if (row.kind != model::WeightKind::kNorm || row.shape[0] != 64) continue;
    for (int64_t i = 0; i < 64; i += 9) row.tensor->narrow(0, i, 1).fill_(6 - row.gguf_plus);
  }
  model::save_model(model, folder, at::kBFloat16);
  tiny_tokenizer().save(folder);
}

inline void write_text(const fs::path& file, int rows = 60) {
  std::string lines;
  for (int i = 0; i < rows; ++i) lines += Json{{"text", some_text(7 + i % 5)}}.dump() + "\n";
  write_file_atomic(file, lines);
}

// `r1 quantize` without the program around it.
inline QuantizeResult run_quantize(const QuantizeConfig& config) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(config.model);
  QuantizeInputs inputs;
  inputs.source = config.model;
  if (inputs.source.extension() == ".gguf") inputs.gguf = inputs.source;
  inputs.tokenizer = &tokenizer;
  inputs.carry = [&](const fs::path& folder) { tokenizer.save(folder); };
  return quantize(config, inputs);
}

inline QuantizeConfig tiny_run(const fs::path& folder, const std::string& scheme) {
  QuantizeConfig config;
  config.model = (folder / "model").string();
  config.scheme = scheme;
  config.output_dir = (folder / scheme).string();
  config.data = {(folder / "text.jsonl").string()};
  config.calibration_samples = 10;
  config.calibration_length = 48;
  config.eval_samples = 4;
  config.group_size = 32;
  return config;
}

inline QuantizeConfig tiny_gguf_run(const fs::path& folder, const std::string& scheme) {
  QuantizeConfig config = tiny_run(folder, scheme);
  config.output_dir = "";
  config.output = (folder / (scheme + ".gguf")).string();
  return config;
}

// All logits of a text through a stored model, fp32.
inline Tensor logits_of(const fs::path& model, bool packed = false) {
  const at::NoGradGuard no_grad;
  const auto loaded = model::load_model(model, at::kCPU, at::kFloat, {}, {.keep_packed = packed});
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 40; ++i) ids.push_back(1 + i * 37 % 300);
  return loaded->logits(loaded->hidden(aten::tensor(ids), {ops::sequences_of(at::kCPU, {40})}));
}

}  // namespace r1::quant
