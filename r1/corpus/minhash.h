// Near duplicates by MinHash and locality-sensitive hashing: signatures of word shingles (datatrove's, bit for bit), buckets, clusters, and in
// each cluster the documents that resemble one that stays too closely. (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3.)
//
// With b buckets of r hashes two documents of Jaccard similarity s meet with probability 1 - (1 - s^r)^b: half of those at (1/b)^(1/r), 0.72 by
// default. Documents with fewer words than a shingle has no signature and no near duplicate, as in datatrove; exact_dedup.h sees those.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/compared_words.h"
#include "r1/corpus/minhash_sign.h"
#include "r1/corpus/shards.h"

namespace r1::corpus {

struct MinhashOptions {
  int64_t ngram = 5;                 // words of a shingle
  int64_t buckets = 14, hashes = 8;  // hashes of each bucket
  uint64_t seed = 1;
  std::string hash = "xxhash64";  // or "xxhash32", "sha1_64", "sha1_32"
  bool characters = true;         // words.h; false: datatrove's English words for every script
  // What becomes of a cluster: a document goes if its similarity to one that stays is more than this. 0: all but one go, as in datatrove.
  double similarity = 0.95;
  std::string verify = "signature";  // the share of equal hashes; or "shingles": the exact Jaccard similarity, for 8 bytes a word on disk
  std::string keep = "longest";      // of a cluster; equally long ones and "first": what comes first in the input
  int64_t memory_bytes = int64_t{1} << 30;

  void visit(Fields& v);
  // Of what the signatures depend on.
  std::string signature_text() const;
};

// Shingles and signature of one text. Threads share it; each has its own Words.
class MinhashText {
 public:
  explicit MinhashText(const MinhashOptions& options);
  // Hashes of all shingles in their order; none if there are too few words.
  void shingles(std::string_view text, Words& words, std::vector<uint64_t>& out) const;
  // The same of words that are there already.
  void hash(const Words& words, std::vector<uint64_t>& out) const;
  const MinhashSigner& signer() const { return signer_; }

 private:
  MinhashOptions options_;
  MinhashSigner signer_;
  uint64_t (*hash_)(std::string_view);
};

// One worker's share. add() in rising order of places; finish() leaves the shard. If done(), the shard is there and nothing need be added.
class MinhashShard {
 public:
  MinhashShard(const MinhashOptions& options, const fs::path& folder, int64_t worker, int64_t of);
  ~MinhashShard();
  bool done() const;
  void add(Place place, std::string_view text);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What the merge says of every document, in rising order of places.
struct MinhashRow {
  Place place, stays;  // `stays`: the first member of its cluster that is kept; its own place where there is no other
  uint64_t cluster;    // the same for all members and for no other cluster: the least text hash of its members. For split.h
  uint32_t dropped;    // 1: a near duplicate
  uint32_t cluster_size;
};

// Reads the shards, writes "<folder>/minhash.rows" and returns its path.
fs::path merge_minhash(const MinhashOptions& options, const fs::path& folder, int64_t of);

class MinhashRows {
 public:
  explicit MinhashRows(const fs::path& path);
  size_t size() const;
  MinhashRow operator[](size_t i) const;
  // kFailed if the place was in no shard.
  MinhashRow at(Place place) const;

 private:
  ShardFile file_;
};

// For streams: each document against the last `window` that were kept, by their signatures. What a stream forgets it does not find.
class MinhashWindow {
 public:
  MinhashWindow(const MinhashOptions& options, int64_t window = 100);
  // The number of the document seen before (from 0, in calls) that this one is too close to, and it is not remembered; else -1.
  int64_t seen(std::string_view text);
  // The same by its signature; empty: it has none.
  int64_t seen(std::span<const uint64_t> signature);

 private:
  struct Kept {
    int64_t number;
    std::vector<uint64_t> signature;
  };
  MinhashText text_;
  double similarity_;
  size_t window_;
  int64_t count_ = 0;
  size_t oldest_ = 0;
  std::vector<Kept> kept_;
  Words words_;
  std::vector<uint64_t> shingles_;
};

// The window over all documents of the shards (MinhashShard), in order of places: what goes, in "<folder>/window.rows". One document after another, as
// what stays depends on what stayed before; a window is compared in microseconds.
struct WindowRow {
  Place place, stays;  // what goes, and the kept one that it is too close to
};
fs::path merge_window(const MinhashOptions& options, int64_t window, const fs::path& folder, int64_t of);

class WindowRows {
 public:
  explicit WindowRows(const fs::path& path);
  size_t size() const { return file_.size(); }
  WindowRow operator[](size_t i) const { return file_.get<WindowRow>(i); }
  bool drops(Place place) const;

 private:
  ShardFile file_;
};

// Equal values of two signatures.
int64_t equal_hashes(std::span<const uint64_t> a, std::span<const uint64_t> b);

}  // namespace r1::corpus
