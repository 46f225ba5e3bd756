// A vocabulary as the metadata of a GGUF file: the other direction of tokenizer_gguf.cc, with the same names.
//
// A vocabulary of whole words has no kind of its own there. Its words become tokens of the user's, which llama.cpp cuts out of a text before
// anything else, the longest first; it may cut otherwise than we do where words overlap (98765 by words of two digits). What is exact, and read
// here, is the tokenizer.json itself, for which GGUF has a key.
#include <algorithm>
#include <limits>

#include "r1/base/error.h"
#include "r1/base/gguf_write.h"
#include "r1/text/tokenizer_impl.h"

namespace r1::text {

namespace {

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// What stands for a chain of patterns in tokenizer.ggml.pre.
std::string pre_name(const PreTokenizer& pre, const std::string& where) {
  switch (pre.kind()) {
    case PreTokenizer::Kind::kGpt2:
      return "gpt-2";
    case PreTokenizer::Kind::kQwen2:
      return "qwen2";
    case PreTokenizer::Kind::kQwen35:
      return "qwen35";
    case PreTokenizer::Kind::kLlama3:
      return "llama-bpe";
    case PreTokenizer::Kind::kDeepSeek:
      return "deepseek-v3";
    case PreTokenizer::Kind::kSmolLm:
      return "smollm";
    default:
      fail_usage(
          where,
          ": GGUF has no name for how this tokenizer cuts a text (gpt-2, qwen2, qwen35, llama-bpe, deepseek-v3 and smollm are written);"
          " quantize to a folder (--output_dir with another scheme) instead");
  }
}

bool is_byte(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

bool mentions(const Json& section, const char* type) {
  return section.dump().find(type) != std::string::npos;
}

// A piece's score is the rank of the merge that makes it, negated: the best merge is the one with the highest score, and what
// tokenizer_gguf.cc reads back has the same order. Pieces that no merge makes stand below all others.
std::vector<float> scores_of(const TokenizerParts& parts, size_t tokens) {
  std::vector<float> scores(tokens, -float(parts.merges.size() + 1));
  for (size_t i = parts.merges.size(); i-- > 0;) {
    const size_t rank = parts.merge_ranks.empty() ? i : parts.merge_ranks[i];
    scores[size_t(parts.merges[i].result)] = -float(rank);
  }
  return scores;
}

struct Tokens {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
};

Tokens list_tokens(const Tokenizer& tokenizer, const TokenizerParts& parts, bool sentence_piece, int64_t rows) {
  check(rows >= tokenizer.vocab_size(), "[tokenizer] ", parts.where, " has ", tokenizer.vocab_size(), " tokens, the embedding ", rows,
        " rows");
  const bool words = parts.kind != ModelOptions::Kind::kBpe;
  Tokens tokens{std::vector<std::string>(size_t(rows)), std::vector<int32_t>(size_t(rows), kUnused)};
  for (size_t id = 0; id < size_t(rows); ++id) tokens.texts[id] = str("[PAD", id, "]");
  for (const auto& [text, id] : parts.vocabulary) {
    tokens.texts[size_t(id)] = text;
    tokens.types[size_t(id)] = words ? kUserDefined : sentence_piece && is_byte(text) ? kByte : kNormal;
  }
  for (const AddedToken& added : parts.added) {
    const bool unknown = (sentence_piece || words) && parts.unk_token == added.content;
    tokens.texts[size_t(added.id)] = added.content;
    tokens.types[size_t(added.id)] = unknown ? kUnknown : added.special ? kControl : kUserDefined;
  }
  return tokens;
}

}  // namespace

void Tokenizer::to_gguf(GgufMetadata& metadata, int64_t rows) const {
  const TokenizerParts& parts = impl_->parts;
  const bool words = parts.kind != ModelOptions::Kind::kBpe,
             sentence_piece = !words && !impl_->pre_tokenizer.byte_level() && parts.byte_fallback;
  const Tokens tokens = list_tokens(*this, parts, sentence_piece, rows);
  metadata.add_string("tokenizer.ggml.model", sentence_piece ? "llama" : "gpt2");
  metadata.add_string("tokenizer.ggml.pre", sentence_piece ? "default" : words ? "gpt-2" : pre_name(impl_->pre_tokenizer, parts.where));
  metadata.add_strings("tokenizer.ggml.tokens", tokens.texts);
  if (sentence_piece) {
    metadata.add_f32s("tokenizer.ggml.scores", scores_of(parts, tokens.texts.size()));
    metadata.add_bool("tokenizer.ggml.add_space_prefix", mentions(parts.normalizer, "Prepend"));
  }
  metadata.add_i32s("tokenizer.ggml.token_type", tokens.types);
  if (!sentence_piece) {
    std::vector<std::string> merges;
    merges.reserve(parts.merges.size());
    for (const Model::MergeRule& merge : parts.merges)
      merges.push_back(tokens.texts[size_t(merge.left)] + " " + tokens.texts[size_t(merge.right)]);
    metadata.add_strings("tokenizer.ggml.merges", merges);
  }
  if (words) metadata.add_string(kTokenizerJsonKey, write_tokenizer_json(parts));
  const auto add_id = [&](const char* key, std::optional<TokenId> id) {
    if (id) metadata.add_u32(key, *id);
  };
  add_id("tokenizer.ggml.bos_token_id", bos_id());
  add_id("tokenizer.ggml.eos_token_id", eos_id());
  add_id("tokenizer.ggml.padding_token_id", pad_id());
  if ((sentence_piece || words) && parts.unk_token) add_id("tokenizer.ggml.unknown_token_id", token_id(*parts.unk_token));
  // A second id that ends a turn; GGUF has a name for two more.
  const char* const kEndKeys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
  size_t next = 0;
  for (const TokenId id : end_ids())
    if (id != eos_id() && next < std::size(kEndKeys)) metadata.add_u32(kEndKeys[next++], id);
  metadata.add_bool("tokenizer.ggml.add_bos_token", add_bos());
  if (parts.add_eos) metadata.add_bool("tokenizer.ggml.add_eos_token", *parts.add_eos);
  if (!chat_template().empty()) metadata.add_string("tokenizer.chat_template", chat_template());
}

}  // namespace r1::text
