// Files that people have, tiny: a model of bytes as a Hugging Face folder and as GGUF, data, recipes. For tests that type what documentation
// prints.
#pragma once

#include <string>

#include "tests/app/scripted_model.h"
#include "tests/base/gguf_builder.h"

namespace r1::app::testing {

inline constexpr const char* kTinyTemplate =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
inline constexpr int64_t kTinyEos = 256;

// Bytes and an end of turn; answers "4" to whatever ends in '>' (the template's last character), then ends.
inline ScriptedModel tiny_talker() {
  ScriptedModel m;
  m.vocab_size = 257;
  m.config = {{"max_position_embeddings", 4096}, {"eos_token_id", kTinyEos}};
  m.next['>'] = {{'4', 10}};
  m.next['4'] = {{kTinyEos, 10}};
  return m;
}

inline text::TokenizerParts tiny_parts() {
  text::TokenizerParts parts = byte_parts({{.content = "<|end|>", .special = true}});
  parts.eos = "<|end|>";
  parts.chat_template = kTinyTemplate;
  return parts;
}

inline void write_tiny_folder(const fs::path& folder) {
  tiny_talker().write(folder);
  text::Tokenizer::from_parts(tiny_parts()).save(folder);
}

// The same model of another make: a llama of random weights is all that a GGUF file has to hold here.
inline void write_tiny_gguf(const fs::path& file) {
  constexpr uint32_t kVocabulary = 257, kHidden = 64, kInner = 64, kHeads = 2;
  r1::testing::GgufBuilder b;
  b.add("general.architecture", "llama")
      .add("llama.block_count", uint32_t{1})
      .add("llama.context_length", uint32_t{4096})
      .add("llama.embedding_length", kHidden)
      .add("llama.feed_forward_length", kInner)
      .add("llama.attention.head_count", kHeads)
      .add("llama.attention.head_count_kv", kHeads)
      .add("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .add("llama.rope.freq_base", 10000.0f)
      .add("tokenizer.ggml.model", "gpt2")
      .add("tokenizer.ggml.pre", "smollm")
      .add("tokenizer.ggml.eos_token_id", uint32_t(kTinyEos))
      .add("tokenizer.chat_template", kTinyTemplate);
  std::vector<std::string> tokens;
  std::vector<int32_t> types(kVocabulary, 1);
  for (int byte = 0; byte < 256; ++byte) {
    const char c = char(byte);
    tokens.push_back(text::to_byte_letters({&c, 1}));
  }
  tokens.push_back("<|end|>");
  types.back() = 3;
  b.add_list("tokenizer.ggml.tokens", tokens)
      .add_list("tokenizer.ggml.token_type", types)
      .add_list("tokenizer.ggml.merges", std::vector<std::string>{});
  const auto tensor = [&](const std::string& name, std::vector<uint64_t> shape) {
    uint64_t count = 1;
    for (const uint64_t n : shape) count *= n;
    std::vector<float> values(count);
    for (uint64_t i = 0; i < count; ++i) values[i] = shape.size() == 1 ? 1 : 0.02f * float((i * 2654435761u >> 8) % 201) / 100 - 0.02f;
    b.tensor(name, GgmlType::kF32, shape, {reinterpret_cast<const char*>(values.data()), count * sizeof(float)});
  };
  tensor("token_embd.weight", {kVocabulary, kHidden});
  tensor("output_norm.weight", {kHidden});
  for (const char* name : {"attn_norm", "ffn_norm"}) tensor(str("blk.0.", name, ".weight"), {kHidden});
  for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"}) tensor(str("blk.0.", name, ".weight"), {kHidden, kHidden});
  for (const char* name : {"ffn_gate", "ffn_up"}) tensor(str("blk.0.", name, ".weight"), {kInner, kHidden});
  tensor("blk.0.ffn_down.weight", {kHidden, kInner});
  write_file_atomic(file, b.bytes());
}

// Problems as GSM8K publishes them.
inline std::string tiny_gsm8k(int problems) {
  std::string lines;
  for (int i = 1; i <= problems; ++i)
    lines +=
        dump_json({{"question", str("What is ", i, " + ", i, "?")}, {"answer", str(i, " and ", i, " are ", 2 * i, ".\n#### ", 2 * i)}}) +
        "\n";
  return lines;
}

}  // namespace r1::app::testing
