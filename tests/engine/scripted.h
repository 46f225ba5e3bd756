// Single bytes as tokens, and models that say what a test wants: the logits of the next token are a chosen function of the last one.
#pragma once

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>

#include "r1/base/json.h"
#include "r1/text/tokenizer.h"
#include "tests/engine/fixture.h"

namespace r1::engine {

inline namespace fixture {

inline std::string utf8(int code) {
  if (code < 0x80) return {char(code)};
  return {char(0xC0 | code >> 6), char(0x80 | (code & 0x3F))};
}

// GPT-2's letters for bytes: printable ones stand for themselves, the others follow from U+0100 on.
inline std::string byte_letter(int byte) {
  const auto printable = [](int b) { return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; };
  if (printable(byte)) return utf8(byte);
  int rank = 0;
  for (int b = 0; b < byte; ++b) rank += !printable(b);
  return utf8(0x100 + rank);
}

inline constexpr TokenId kEos = 256;

inline text::Tokenizer byte_tokenizer() {
  Json vocab = Json::object();
  for (int b = 0; b < 256; ++b) vocab[byte_letter(b)] = b;
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json tokenizer = {{"version", "1.0"},
                          {"added_tokens", Json::array({{{"id", kEos},
                                                         {"content", "<eos>"},
                                                         {"special", true},
                                                         {"lstrip", false},
                                                         {"rstrip", false},
                                                         {"single_word", false},
                                                         {"normalized", false}}})},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", byte_level},
                          {"post_processor", nullptr},
                          {"decoder", byte_level},
                          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  const auto folder = std::filesystem::temp_directory_path() / str("r1_completion_test_", ::getpid());
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.json") << tokenizer.dump();
  text::Tokenizer loaded = text::Tokenizer::load(folder / "tokenizer.json");
  std::filesystem::remove_all(folder);
  return loaded;
}

// Last token -> next tokens with their logits; what is not named has none of the probability.
using Script = std::map<int, std::map<int, double>>;

// Over the bytes and kEos. One-hot embeddings; the layers add nothing.
inline std::unique_ptr<model::Transformer> scripted_model(const Script& script) {
  model::ModelConfig c = tiny_config();
  c.vocab_size = 257;
  c.hidden_size = 272;
  c.tie_word_embeddings = false;
  auto m = std::make_unique<model::Transformer>(c, at::kCPU, at::kFloat);
  m->init_weights(3);
  const at::NoGradGuard no_grad;
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    weight(*m, layer + "attention.o").zero_();
    weight(*m, layer + "mlp.down").zero_();
  }
  // The norm makes a one-hot row sqrt(hidden_size) long.
  const double unit = 1 / std::sqrt(double(c.hidden_size));
  Tensor &embedding = weight(*m, "embedding"), &head = weight(*m, "head");
  embedding.zero_();
  head.fill_(-100 * unit);
  for (int64_t i = 0; i < c.vocab_size; ++i) embedding[i][i].fill_(1);
  for (const auto& [last, nexts] : script)
    for (const auto& [next, logit] : nexts) head[next][last].fill_(logit * unit);
  return m;
}

}  // namespace fixture

}  // namespace r1::engine
