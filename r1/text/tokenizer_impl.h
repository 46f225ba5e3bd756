// The inside of Tokenizer, shared by its two halves: building (tokenizer.cc) and encoding (tokenizer_encode.cc).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "r1/text/added_tokens.h"
#include "r1/text/bpe.h"
#include "r1/text/piece_cache.h"
#include "r1/text/pretokenize.h"
#include "r1/text/tokenizer.h"
#include "r1/text/tokenizer_parts.h"
#include "r1/text/unicode.h"

namespace r1::text {

// The normalizer section: any sequence of NFC, NFD, Replace (of a string) and Prepend.
class Normalizer {
 public:
  Normalizer() = default;
  Normalizer(const Json& spec, const std::string& where) { add(spec, where); }
  bool may_change(std::string_view text) const;
  Normalized run(std::string_view text, bool with_source) const;
  // `piece` as it stands inside of a normalized text: nothing is put before it.
  std::string inside(std::string_view piece) const;

 private:
  struct Form {
    enum Kind { kNfc, kNfd, kReplace, kPrepend } kind;
    std::string from, to;
  };
  void add(const Json& spec, const std::string& where);
  static Normalized apply(const Form& form, std::string_view text, bool with_source);
  std::vector<Form> forms_;
};

// What one thread works with while it encodes.
struct Workspace {
  PieceCache cache;
  PieceBatch batch;
  std::vector<TokenId> ids;
  Model::Scratch model;
  PreTokenizer::Scratch steps;
  std::vector<AddedTokenMatcher::Part> parts, inner_parts;
};

// Workspaces wait here between calls, so that their caches stay warm; there are as many as threads ever encoded at once.
class WorkspacePool {
 public:
  class Lease {
   public:
    explicit Lease(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Lease() { pool_.give(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() const { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

 private:
  std::unique_ptr<Workspace> take();
  void give(std::unique_ptr<Workspace> workspace);
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts source);

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const;
  Encoding encode_with_offsets(std::string_view text, const EncodeOptions& options) const;
  // The bytes token `id` adds to a decoded text; `first`: nothing has been decoded before it.
  void append_bytes(std::string& out, TokenId id, bool first) const;
  bool known(TokenId id) const { return id >= 0 && size_t(id) < state.size() && state[size_t(id)] != State::kAbsent; }

  TokenizerParts parts;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Model model;
  AddedTokenMatcher raw_matcher, normalized_matcher;
  std::vector<TokenId> before, after;  // what the post-processor puts around a text

  enum class State : uint8_t { kAbsent, kNormal, kSpecial };
  std::vector<State> state;
  std::vector<std::string> bytes;  // of every id
  StringTable by_content;
  bool join_with_space = false;  // no decoder: HF puts a space between tokens
  std::string strip_start;       // decoder Strip: this character, up to strip_count times, at the start of the text
  size_t strip_count = 0;
  std::optional<TokenId> bos, eos, pad;
  bool wants_bos = false;

  mutable WorkspacePool workspaces;

 private:
  void build_vocabulary();
  void build_added();
  void build_post_processor(const Json& spec);
  void build_template(const Json& spec);
  void build_decoder();
  void build_special();
  void check_text(std::string_view text) const;
  std::string decoded_token(const std::string& content, const std::vector<Json>& decoders) const;
  std::optional<TokenId> id_of(const std::optional<std::string>& content) const;
  template <bool kOffsets, class Emit>
  void encode_text(std::string_view text, const EncodeOptions& options, Workspace& work, Emit emit) const;
  template <bool kOffsets, class Emit>
  void encode_plain(std::string_view text, Workspace& work, Emit emit) const;
  template <class Emit>
  void encode_batch(Workspace& work, Emit emit) const;
};

}  // namespace r1::text
