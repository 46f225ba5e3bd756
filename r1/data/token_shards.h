// A corpus as token ids on disk, so that training holds none of it in memory: files of up to kShardTokens tokens each, mapped when they are
// read, and a manifest that names them (docs/formats.md, "Token shards").
//
// Making them streams too: texts are read a few megabytes at a time, made documents of on all threads and written in the order of the
// files, so document i is the same whatever the number of threads. Each shard is written whole or not at all, the manifest after it: a
// build that was killed goes on after the last whole shard. What was made of the same bytes in the same way is taken as it is.
//
// Trust: sizes are checked before memory is taken; the table of documents has a checksum that is read at opening, each document one that is
// read with it. Damage is an error that names the file and the document.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/data/find_files.h"
#include "r1/data/source.h"
#include "r1/data/text_stream.h"

namespace r1::data {

inline constexpr int64_t kShardTokens = int64_t{32} << 20, kShardDocuments = int64_t{1} << 20;
inline constexpr int64_t kRoundBytes = int64_t{4} << 20;  // of text that is read at once

// One file. A token is 16 bits wide if the vocabulary allows it, else 32. With `masked` the highest bit says that the token is not learned;
// else all are.
class ShardWriter {
 public:
  ShardWriter(const fs::path& path, int64_t vocab_size, bool masked = false);
  void add(const Document& document);
  int64_t documents() const { return int64_t(lengths_.size()); }
  int64_t tokens() const { return tokens_; }
  // Without it nothing is left of the file.
  void commit();

 private:
  AtomicFile file_;
  int64_t vocab_size_, tokens_ = 0;
  bool masked_;
  std::vector<uint32_t> lengths_, checksums_;
};

class Shard {
 public:
  explicit Shard(const fs::path& path);
  int64_t documents() const { return documents_; }
  int64_t tokens() const { return tokens_; }
  Document document(int64_t index) const;

 private:
  MappedFile file_;
  uint32_t id_bytes_ = 0;
  bool masked_ = false;
  int64_t documents_ = 0, tokens_ = 0;
  const std::byte* table_ = nullptr;
};

// A document of a text or row; called from several threads.
using DocumentMaker = std::function<Document(const Text&)>;
// The id of a token by its text; none if there is no such token.
using TokenFunction = std::function<std::optional<int32_t>(std::string_view)>;
// For pretraining: `field` of a row, or the text, as text_document() makes it. All of it is learned. With `token`, stretches of the text that the
// row names as control tokens (extra.control, docs/formats.md) become these.
DocumentMaker text_maker(std::string field, EncodeFunction encode, int32_t end_id = -1, int32_t begin_id = -1, TokenFunction token = {});

struct CorpusSpec {
  std::vector<std::string> files;  // of text or rows (data/text_stream.h)
  std::vector<std::string> keys;   // of rows, if `make` looks at no others
  std::vector<std::string> also;   // but these, where there are any
  DocumentMaker make;
  std::string maker;                                               // tells what `make` depends on: tokenizer, template, options
  std::string tokenizer;                                           // its hash, for whoever trains on the shards later
  int64_t vocab_size = 0;                                          // every id is below it
  bool masked = false;                                             // documents have tokens that are not learned
  int64_t shard_tokens = kShardTokens, round_bytes = kRoundBytes;  // smaller in tests
};

// The shards of a corpus in `folder`: those that are there if they fit, else made with `threads` threads (0: num_threads()). Fails if the
// files hold no text. Ctrl-C ends it (ErrorKind::kInterrupted); the next call goes on.
std::unique_ptr<DocumentSource> token_shards(const fs::path& folder, const CorpusSpec& spec, int threads = 0);

// The same where another process has made them: only reads. kUsage if what is there is not made of these files as this process sees them.
std::unique_ptr<DocumentSource> found_token_shards(const fs::path& folder, const CorpusSpec& spec);

// Shards that were made elsewhere (r1 data run), named tokens-00000.bin and on in `folder`: the manifest that makes a corpus of them.
// `tokenizer`: the hash of the one that made the ids.
void write_token_manifest(const fs::path& folder, const std::vector<fs::path>& shards, const std::string& tokenizer);
// Those of `named` that are folders of such shards, or of such folders by the parts of a split ("tokens" with "train" in it).
std::vector<fs::path> token_shard_folders(const std::vector<std::string>& named, Split split);
// Their documents, folder after folder. kUsage if they were made with another tokenizer, are not whole, or hold nothing.
std::unique_ptr<DocumentSource> made_token_shards(const std::vector<fs::path>& folders, const std::string& tokenizer);

// The same documents in memory, for corpora that stay small (held-out text).
std::vector<Document> corpus_documents(const CorpusSpec& spec, int threads = 0);

}  // namespace r1::data
