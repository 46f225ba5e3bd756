// What a tokenizer is made of, in the terms of HF's tokenizer.json: the one form that every reader (JSON, GGUF, tiktoken, trainer, word
// lists) fills and that Tokenizer is built from and saved as.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/json.h"
#include "r1/text/bpe.h"
#include "r1/text/tokenizer.h"

namespace r1 {
class GgufFile;
}

namespace r1::text {

struct TokenizerParts {
  std::string where;  // file name, for error messages

  // Sections of tokenizer.json, null where absent.
  Json normalizer, pre_tokenizer, post_processor, decoder;

  ModelOptions::Kind kind = ModelOptions::Kind::kBpe;
  bool byte_fallback = false, ignore_merges = false, fuse_unk = false;
  bool sentence_piece = false;  // added tokens that are normalized stand anywhere in the text, whatever is put before a text
  std::optional<std::string> unk_token;
  std::vector<std::pair<std::string, TokenId>> vocabulary;  // spelled as in the file (ByteLevel letters)
  std::vector<Model::MergeRule> merges;                     // by rank
  std::vector<uint32_t> merge_ranks;                        // of a SentencePiece vocabulary, where several have one; else empty
  std::vector<AddedToken> added;

  // Of tokenizer_config.json and its neighbours.
  std::optional<std::string> bos, eos, pad;
  std::optional<bool> add_bos, add_eos;
  std::vector<TokenId> more_eos;                   // ids beside eos that end a text or a turn (GGUF: eot, eom)
  std::string chat_template, chat_template_where;  // where: file and key, for error messages
};

// Merges given as pairs of spelled tokens, resolved against a vocabulary; an unknown token is an error that names it.
class MergeResolver {
 public:
  MergeResolver(const std::vector<std::pair<std::string, TokenId>>& vocabulary, std::string where);
  Model::MergeRule resolve(std::string_view left, std::string_view right);
  Model::MergeRule resolve(std::string_view pair);  // "left right"

 private:
  TokenId id_of(std::string_view spelled) const;
  StringTable table_;
  std::string where_, joined_;
};

// The sections that byte-level vocabularies share.
Json byte_level_section(bool add_prefix_space, bool use_regex, bool trim_offsets = true);
Json split_section(std::string_view regex);
Json sequence_section(const char* key, std::vector<Json> members);
// A TemplateProcessing that puts bos in front of a text and eos after it, each if given.
Json template_section(const std::optional<std::pair<std::string, TokenId>>& bos, const std::optional<std::pair<std::string, TokenId>>& eos);

// Readers. The JSON one takes the config's text too ("" if there is none).
TokenizerParts read_tokenizer_json(std::string_view json, const std::string& where);
void read_tokenizer_config(const Json& config, const std::string& where, TokenizerParts& parts);
// special_tokens_map.json: bos, eos and pad, as far as the config beside it does not name them.
void read_special_tokens_map(const Json& map, const std::string& where, TokenizerParts& parts);
TokenizerParts read_tiktoken(std::string_view text, const std::string& where);
TokenizerParts read_gguf_vocabulary(const std::filesystem::path& path);
TokenizerParts gguf_vocabulary(const GgufFile& file);
// A GGUF file's key for a whole tokenizer.json: read and written where a vocabulary has no other form there.
inline constexpr const char* kTokenizerJsonKey = "tokenizer.huggingface.json";

std::string write_tokenizer_json(const TokenizerParts& parts);
std::string write_tokenizer_config(const TokenizerParts& parts);

}  // namespace r1::text
