// A file while it is fetched: DIR/.fetch/<key>.part has the bytes that came, <key>.json what they are the beginning of. At any moment, a kill
// included, the second describes the first: a new beginning empties the bytes first and is written before the first new byte. A file that is
// whole is noted as such, then moved to its place; whoever is killed in between finds it by that note (finish_noted).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "r1/base/file.h"
#include "r1/base/json.h"

namespace r1::corpus {

// What the bytes are a part of, as the server said with the first of them.
struct PartOrigin {
  std::string url, etag, last_modified;
  int64_t size = -1;  // of the whole; -1: not said

  bool operator==(const PartOrigin&) const = default;
};

class FetchPart {
 public:
  // Opens or makes it. Bytes without a readable origin, or of another URL, are dropped.
  FetchPart(const fs::path& folder, const std::string& url, bool with_md5);
  ~FetchPart();
  FetchPart(const FetchPart&) = delete;
  FetchPart& operator=(const FetchPart&) = delete;

  static std::string key_of(const std::string& url);

  int64_t size() const { return size_; }
  const PartOrigin& origin() const { return origin_; }
  void restart(const PartOrigin& origin);  // from nothing
  void cut(int64_t size);                  // the first bytes of it stay
  void append(std::string_view bytes);
  struct Digests {
    std::string sha256, md5;
  };
  Digests digests();        // of all its bytes
  void begin_sync() const;  // its bytes are on their way to the disk
  // To its place, with `row` (a line of the ledger) kept until done() says that the ledger has it.
  void finish(const fs::path& file, const Json& row);
  void done();
  void drop();  // nothing of it is left

 private:
  void hash_up_to(int64_t size);
  void write_note(const Json& note) const;

  fs::path bytes_, note_;
  std::string url_;
  PartOrigin origin_;
  int fd_ = -1;
  bool with_md5_;
  int64_t size_ = 0, hashed_ = 0, flushed_ = 0;
  std::unique_ptr<Digest> sha256_, md5_;
};

// Files that were whole when a process was killed: moves them to their places below `root` and hands their rows to `record`.
void finish_noted(const fs::path& folder, const fs::path& root, const std::function<void(const Json&)>& record);

}  // namespace r1::corpus
