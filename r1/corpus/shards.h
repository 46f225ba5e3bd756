// What the searches for duplicates have in common. Each works in two steps. Workers look at the documents, each at its own share of the input,
// and leave one file each in a folder: a shard. A merge reads all shards and decides. What it decides is the same, byte for byte, for any number
// of workers and threads: everything is ordered by a document's place, never by when it was seen. A shard that is there is not made again.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "r1/base/file.h"

namespace r1::corpus {

// Where a document stands in the whole input: numbers rise in the order in which one process would read it. A worker that reads only some of the
// files gives place_of(number of the file, number of the document in it).
using Place = uint64_t;
inline Place place_of(uint64_t file, uint64_t document) {
  return file << 40 | document;
}

// "<folder>/<stage>-00002-of-00016.shard", worker from 0.
fs::path shard_path(const fs::path& folder, const std::string& stage, int64_t worker, int64_t of);
// The files of all workers; kUsage that names those missing.
std::vector<fs::path> all_shards(const fs::path& folder, const std::string& stage, int64_t of);

// Removes what processes that were killed left in `folder` and below; of several workers only files of the shards whose number leaves `worker` as rest,
// ".00012.jsonl.zst.<..>.tmp", ".near-00012-of-00040.<..>.tmp": whose the others are cannot be known.
void remove_temporaries(const fs::path& folder, int64_t worker, int64_t of);

// Rows of one size after a header which says what they are: two shards with different options are never merged.
class ShardWriter {
 public:
  ShardWriter(const fs::path& path, const std::string& options, size_t row_bytes);
  void row(const void* bytes);
  void rows(const void* bytes, size_t n);
  void commit();

 private:
  AtomicFile file_;
  size_t row_bytes_;
  std::string buffer_;
};

// A worker's shard while it is made. One that is there already, of the same options, is done and takes nothing.
class WorkerShard {
 public:
  // `stage` opens the errors: "[minhash] ...".
  WorkerShard(std::string stage, const fs::path& path, const std::string& options, size_t row_bytes);
  const fs::path& path() const { return path_; }
  bool done() const { return fs::exists(path_); }
  bool is_open() const { return writer_ != nullptr; }
  // The next document is that of `place`: places rise.
  void begin(Place place);
  void row(const void* bytes) { writer_->row(bytes); }
  // Whole, or not there. What stands in files beside it is to be committed before: the shard says that all is done.
  void finish();

 private:
  std::string stage_;
  fs::path path_;
  std::unique_ptr<ShardWriter> writer_;
  std::optional<Place> last_;
};

class ShardFile {
 public:
  ShardFile(const fs::path& path, const std::string& options, size_t row_bytes);
  size_t size() const { return rows_; }
  const std::byte* row(size_t i) const { return file_.bytes().data() + begin_ + i * row_bytes_; }
  template <class Row>
  Row get(size_t i) const {
    static_assert(std::is_trivially_copyable_v<Row>);
    Row r;
    std::memcpy(&r, row(i), sizeof r);
    return r;
  }
  // The first row, of rows sorted by the key that each begins with, whose key is not less; size() if there is none.
  template <class Key>
  size_t first_from(const Key& key) const {
    size_t low = 0, high = size();
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (get<Key>(middle) < key)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

 private:
  MappedFile file_;
  size_t begin_, row_bytes_, rows_;
};

// Runs work(i) for i in [0, n) on num_threads() threads; the first error is thrown once all have ended. Inside of such
// work it runs one after another on the thread that calls it.
void in_threads(size_t n, const std::function<void(size_t)>& work);

// Records in parts by some bits of their hash, so that equal ones meet, with no more than about `memory_bytes` of them in memory: in one piece if
// they fit, else in files under `folder` which are removed at the end.
template <class Record>
class Parts {
 public:
  Parts(fs::path folder, std::string name, uint64_t expected, int64_t memory_bytes) : folder_(std::move(folder)), name_(std::move(name)) {
    static_assert(std::is_trivially_copyable_v<Record>);
    // Sorting and the caller's own results take as much again.
    const uint64_t fit = std::max<uint64_t>(1024, uint64_t(memory_bytes) / (2 * sizeof(Record)));
    parts_.resize(size_t(std::min<uint64_t>(4096, (expected + fit - 1) / fit + (expected == 0))));
    buffer_ = std::max<size_t>(64, size_t(fit / parts_.size()));
    if (parts_.size() == 1) parts_[0].reserve(size_t(expected));
  }
  ~Parts() {
    for (size_t i = 0; spilled_ && i < parts_.size(); ++i) {
      std::error_code ignored;
      fs::remove(path(i), ignored);
    }
  }
  void add(uint64_t hash, const Record& record) {
    std::vector<Record>& part = parts_[parts_.size() == 1 ? 0 : size_t((hash >> 40) % parts_.size())];
    part.push_back(record);
    if (parts_.size() > 1 && part.size() >= buffer_) spill(size_t(&part - parts_.data()));
  }
  // Each part whole, in no order of its own; then it is gone.
  void each(const std::function<void(std::vector<Record>&)>& use) {
    for (size_t i = 0; i < parts_.size(); ++i) {
      std::vector<Record> part;
      if (spilled_ && fs::exists(path(i))) {
        const std::string bytes = read_file(path(i));
        part.resize(bytes.size() / sizeof(Record));
        std::memcpy(part.data(), bytes.data(), bytes.size());
        fs::remove(path(i));
      }
      if (part.empty())
        part.swap(parts_[i]);
      else
        part.insert(part.end(), parts_[i].begin(), parts_[i].end());
      std::vector<Record>().swap(parts_[i]);
      use(part);
    }
  }

 private:
  fs::path path(size_t i) const { return folder_ / (name_ + "." + std::to_string(i) + ".part"); }
  void spill(size_t i) {
    make_folder(folder_);
    if (!spilled_)
      for (size_t k = 0; k < parts_.size(); ++k) fs::remove(path(k));  // of a run that was stopped
    spilled_ = true;
    append_file(path(i), {reinterpret_cast<const char*>(parts_[i].data()), parts_[i].size() * sizeof(Record)});
    parts_[i].clear();
  }

  fs::path folder_;
  std::string name_;
  std::vector<std::vector<Record>> parts_;
  size_t buffer_;
  bool spilled_ = false;
};

}  // namespace r1::corpus
