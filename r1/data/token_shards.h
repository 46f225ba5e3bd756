// A corpus as token ids on disk, so that training holds none of it in memory: files of up to kShardTokens tokens each, mapped when they are
// read, and a manifest that names them (docs/formats.md, "Token shards").
//
// Making them streams too: texts are read a few megabytes at a time, tokenized on all threads and written in the order of the files, so
// document i is the same whatever the number of threads. Each shard is written whole or not at all, the manifest after it: a build that was
// killed goes on after the last whole shard. What was made for the same texts and the same tokenizer is taken as it is.
//
// Trust: sizes are checked before memory is taken; the table of documents has a checksum that is read at opening, each document one that is
// read with it. Damage is an error that names the file and the document.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "r1/base/file.h"
#include "r1/data/source.h"

namespace r1::data {

inline constexpr int64_t kShardTokens = int64_t{32} << 20, kShardDocuments = int64_t{1} << 20;

// One file. Ids are 16 bits wide if all of them are below 65,536, else 32.
class ShardWriter {
 public:
  ShardWriter(const fs::path& path, int64_t vocab_size);
  void add(std::span<const int32_t> ids);
  int64_t documents() const { return int64_t(lengths_.size()); }
  int64_t tokens() const { return tokens_; }
  // Without it nothing is left of the file.
  void commit();

 private:
  AtomicFile file_;
  int64_t vocab_size_, tokens_ = 0;
  std::vector<uint32_t> lengths_, checksums_;
};

class Shard {
 public:
  explicit Shard(const fs::path& path);
  int64_t documents() const { return documents_; }
  int64_t tokens() const { return tokens_; }
  std::vector<int32_t> document(int64_t index) const;

 private:
  MappedFile file_;
  uint32_t id_bytes_ = 0;
  int64_t documents_ = 0, tokens_ = 0;
  const std::byte* table_ = nullptr;
};

// What the ids of a corpus depend on.
struct CorpusSpec {
  std::vector<std::string> files;  // text files, .jsonl, .jsonl.gz (data/text_stream.h)
  std::string field = "text";
  std::string tokenizer;                // hash of the tokenizer
  int64_t vocab_size = 0;               // every id is below it
  int32_t end_id = -1, begin_id = -1;   // as in text_document()
  int64_t shard_tokens = kShardTokens;  // smaller in tests
};

// The shards of a corpus in `folder`: those that are there if they fit, else made with `threads` threads (0: num_threads()). `encode` is
// called from all of them. Fails if the files hold no text. Ctrl-C ends it (ErrorKind::kInterrupted); the next call goes on.
std::unique_ptr<DocumentSource> token_shards(const fs::path& folder, const CorpusSpec& spec, const EncodeFunction& encode, int threads = 0);

// The same documents in memory, for corpora that stay small (held-out text).
std::vector<Document> corpus_documents(const CorpusSpec& spec, const EncodeFunction& encode, int threads = 0);

}  // namespace r1::data
