// Text to ids and back, as the published vocabularies do it: byte-level BPE from a HF tokenizer.json (+ tokenizer_config.json), from the
// vocabulary inside a GGUF file, or from a .tiktoken rank file; SentencePiece's BPE from a GGUF file (Gemma). Ids equal HF `tokenizers`,
// or sentencepiece, for every input. SentencePiece's own .model files are not read here.
//
// User text never becomes a special token unless `parse_special` is asked for. Thread-safe once loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace r1 {
class GgufMetadata;
}

namespace r1::text {

using TokenId = int32_t;
struct TokenizerParts;

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false, lstrip = false, rstrip = false, single_word = false, normalized = false;
};

struct Encoding {
  std::vector<TokenId> ids;
  std::vector<std::pair<uint32_t, uint32_t>> offsets;  // byte range [begin, end) of each id in the input
};

class Tokenizer {
 public:
  // A tokenizer.json, a HF folder, a .gguf file (of a split model the first part), a folder that holds one, or a .tiktoken file. Errors name file
  // and key.
  static Tokenizer load(const std::filesystem::path& path);
  // A vocabulary of whole words, for small recipes: ids in the order given, the longest word at each place wins, everything else is `unk`
  // (a word too). Words of `special` are control tokens. HF loads what save() writes.
  struct WordOptions {
    std::string unk = "<unk>";
    std::vector<std::string> special;
    std::optional<std::string> bos, eos, pad;
    std::string chat_template;
  };
  static Tokenizer from_words(const std::vector<std::string>& words, const WordOptions& options);
  static Tokenizer from_parts(TokenizerParts parts);  // tokenizer_parts.h
  // For who has ids only: knows no token, so every id decodes to nothing and encoding a text is an error.
  static Tokenizer without_tokens();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  struct EncodeOptions {
    bool parse_special = false;       // special (control) tokens in the text become their ids; non-special added tokens always do, as in HF
    bool add_special_tokens = false;  // the post-processor's bos/eos
    // Sorted byte positions of the text that no added token begins at or reaches over, special or not: there stands somebody's ordinary
    // text that only looks like one. data::PromptMaker says where.
    std::span<const size_t> plain_at = {};
  };
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const;
  std::vector<TokenId> encode(std::string_view text) const { return encode(text, EncodeOptions{}); }
  Encoding encode_with_offsets(std::string_view text, EncodeOptions options) const;

  // Bytes of the ids joined; invalid UTF-8 is kept as it is (see StreamDecoder for text that is shown).
  std::string decode_bytes(const std::vector<TokenId>& ids, bool skip_special = false) const;
  // As HF decode: invalid UTF-8 becomes U+FFFD.
  std::string decode(const std::vector<TokenId>& ids, bool skip_special = false) const;
  const std::string& token_bytes(TokenId id) const;  // raw bytes of one token; fails on an unknown id

  int64_t vocab_size() const;    // highest id + 1
  bool known(TokenId id) const;  // a model may have more rows than the vocabulary: such an id can be drawn and decodes to nothing
  std::optional<TokenId> token_id(std::string_view content) const;  // a vocabulary or added token by its text
  bool is_special(TokenId id) const;
  const std::vector<AddedToken>& added_tokens() const;

  std::optional<TokenId> bos_id() const;
  std::optional<TokenId> eos_id() const;
  std::optional<TokenId> pad_id() const;
  std::vector<TokenId> end_ids() const;            // eos and, where the file names them, the other ids that end a turn
  bool add_bos() const;                            // the vocabulary wants bos in front of every prompt
  const std::string& chat_template() const;        // Jinja source, empty if there is none
  const std::string& chat_template_where() const;  // its file and key, for error messages
  std::string hash() const;                        // of vocabulary, merges and rules: two equal hashes tokenize equally

  // Writes tokenizer.json and tokenizer_config.json that HF loads.
  void save(const std::filesystem::path& folder) const;
  // Adds the vocabulary as a GGUF file has it (tokenizer.ggml.*, tokenizer.chat_template), filled up to `rows` of the embedding with tokens
  // that stand for nothing. Fails where GGUF has no name for the pre-tokenizer, and for vocabularies of whole words.
  void to_gguf(GgufMetadata& metadata, int64_t rows) const;

 private:
  friend class StreamDecoder;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::text
