#include "r1/corpus/minhash.h"

#include <openssl/evp.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <numeric>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"

namespace r1::corpus {
namespace {

// A document of a shard; the signature follows it in the row.
struct Head {
  Place place;
  uint64_t bytes, text_hash;
  uint64_t shingles_begin, shingle_count;  // in the second file; a count of 0: no signature
};

// With verify = "shingles": sorted, different hashes of each document, one after another.
fs::path shingle_path(fs::path shard) {
  return shard.replace_extension(".shingles");
}

uint64_t sha1_front(std::string_view text, size_t n) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  check(EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha1(), nullptr) == 1, "[minhash] SHA-1 is not available");
  uint64_t v = 0;
  for (size_t i = n; i-- > 0;) v = v << 8 | digest[i];
  return v;
}

using Hash = uint64_t (*)(std::string_view);
Hash hash_of(const std::string& name) {
  if (name == "xxhash64") return [](std::string_view t) -> uint64_t { return XXH64(t.data(), t.size(), 0); };
  if (name == "xxhash32") return [](std::string_view t) -> uint64_t { return XXH32(t.data(), t.size(), 0); };
  if (name == "sha1_64") return [](std::string_view t) { return sha1_front(t, 8); };
  if (name == "sha1_32") return [](std::string_view t) { return sha1_front(t, 4); };
  fail_usage("[minhash] hash is xxhash64, xxhash32, sha1_64 or sha1_32, not ", printable(name));
}

struct Signed {
  Head head;
  std::vector<uint64_t> signature, shingles;
};

}  // namespace

void MinhashOptions::visit(Fields& v) {
  v("ngram", ngram, "words of a shingle", Range{1, 64});
  v("buckets", buckets, "buckets of the locality-sensitive hashing", Range{1, 512});
  v("hashes", hashes, "hashes of each bucket", Range{1, 512});
  v("seed", seed, "of the permutations", Range{0, 4294967295.0});
  v("hash", hash, "hash function of a shingle", OneOf{"xxhash64", "xxhash32", "sha1_64", "sha1_32"});
  v("characters", characters, "characters are the words of scripts that write no blanks");
  v("similarity", similarity, "a document more alike one that stays is dropped; 0: all of a cluster but one", Range{0.0, 1.0});
  v("verify", verify, "similarity by the signatures' equal hashes, or exact", OneOf{"signature", "shingles"});
  v("keep", keep, "which document of a cluster stays", OneOf{"longest", "first"});
  v("memory_bytes", memory_bytes, "memory for the merge's tables", Range{1 << 20, 1e15});
}

std::string MinhashOptions::signature_text() const {
  return str("minhash ngram=", ngram, " buckets=", buckets, " hashes=", hashes, " seed=", seed, " hash=", hash, " characters=", characters,
             verify == "shingles" ? " with shingles" : "");
}

MinhashText::MinhashText(const MinhashOptions& options)
    : options_(options),
      signer_(options.buckets * options.hashes, options.seed, options.hash.ends_with("32") ? 32 : 64),
      hash_(hash_of(options.hash)) {
  if (options.ngram < 1) fail_usage("[minhash] ngram is the number of words of a shingle, at least 1, not ", options.ngram);
}

void MinhashText::shingles(std::string_view text, Words& words, std::vector<uint64_t>& out) const {
  words.assign(text, {.characters = options_.characters});
  hash(words, out);
}

void MinhashText::hash(const Words& words, std::vector<uint64_t>& out) const {
  out.clear();
  const auto n = size_t(options_.ngram);
  if (words.size() < n) return;
  out.reserve(words.size() - n + 1);
  if (options_.hash == "xxhash64") {  // inlined
    for (size_t i = 0; i + n <= words.size(); ++i) {
      const std::string_view s = words.stretch(i, n);
      out.push_back(XXH64(s.data(), s.size(), 0));
    }
  } else {
    for (size_t i = 0; i + n <= words.size(); ++i) out.push_back(hash_(words.stretch(i, n)));
  }
}

int64_t equal_hashes(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  int64_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i];
  return equal;
}

// ---- a worker's share

struct MinhashShard::State {
  MinhashText text;
  WorkerShard shard;
  std::unique_ptr<AtomicFile> shingles;
  uint64_t shingles_written = 0;
  std::vector<std::pair<Place, std::string>> batch;
  size_t batch_bytes = 0;

  static constexpr size_t kPiece = 64;  // documents a thread takes at a time

  State(const MinhashOptions& options, const fs::path& path)
      : text(options), shard("minhash", path, options.signature_text(), row_bytes()) {
    if (shard.is_open() && options.verify == "shingles") shingles = std::make_unique<AtomicFile>(shingle_path(path));
  }

  size_t row_bytes() const { return sizeof(Head) + 8 * size_t(text.signer().permutations()); }

  void flush() {
    std::vector<Signed> done(batch.size());
    const bool with_shingles = shingles != nullptr;
    in_threads((batch.size() + kPiece - 1) / kPiece, [&](size_t piece) {
      thread_local Words words;  // working space
      std::vector<uint64_t> hashes;
      for (size_t i = piece * kPiece; i < std::min(batch.size(), (piece + 1) * kPiece); ++i) {
        const std::string& t = batch[i].second;
        Signed& s = done[i];
        text.shingles(t, words, hashes);
        s.head = {batch[i].first, t.size(), XXH3_64bits(t.data(), t.size()), 0, hashes.size()};
        s.signature.resize(size_t(text.signer().permutations()));
        if (!hashes.empty()) text.signer().sign(hashes, s.signature.data());
        if (!with_shingles) continue;
        std::sort(hashes.begin(), hashes.end());
        hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
        s.head.shingle_count = hashes.size();
        s.shingles = std::move(hashes);
        hashes = {};
      }
    });
    std::string row(row_bytes(), '\0');
    for (Signed& s : done) {
      s.head.shingles_begin = shingles_written;
      if (with_shingles) {
        shingles->write({reinterpret_cast<const char*>(s.shingles.data()), 8 * s.shingles.size()});
        shingles_written += s.shingles.size();
      }
      std::memcpy(row.data(), &s.head, sizeof s.head);
      std::memcpy(row.data() + sizeof s.head, s.signature.data(), 8 * s.signature.size());
      shard.row(row.data());
    }
    batch.clear();
    batch_bytes = 0;
  }
};

MinhashShard::MinhashShard(const MinhashOptions& options, const fs::path& folder, int64_t worker, int64_t of)
    : state_(new State(options, shard_path(folder, "minhash", worker, of))) {}
MinhashShard::~MinhashShard() = default;

bool MinhashShard::done() const {
  return state_->shard.done();
}

void MinhashShard::add(Place place, std::string_view text) {
  State& s = *state_;
  s.shard.begin(place);
  s.batch.emplace_back(place, text);
  s.batch_bytes += text.size();
  if (s.batch.size() >= 4096 || s.batch_bytes >= size_t{16} << 20) s.flush();
}

void MinhashShard::finish() {
  State& s = *state_;
  if (!s.shard.is_open()) return;
  s.flush();
  if (s.shingles) s.shingles->commit();
  s.shard.finish();
}

// ---- the merge

namespace {

constexpr const char *kRowsText = "minhash rows", *kWindowText = "window rows";

class UnionFind {
 public:
  explicit UnionFind(size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), uint64_t{0}); }
  uint64_t find(uint64_t x) {
    while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
    return x;
  }
  // The smaller one leads, so the leader does not depend on the order of unions.
  void unite(uint64_t a, uint64_t b) {
    a = find(a);
    b = find(b);
    if (a != b) parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<uint64_t> parent_;
};

// All documents of all shards, in order of places.
class Documents {
 public:
  Documents(const MinhashOptions& options, const fs::path& folder, int64_t of)
      : permutations_(size_t(options.buckets * options.hashes)), row_bytes_(sizeof(Head) + 8 * permutations_) {
    for (const fs::path& path : all_shards(folder, "minhash", of)) {
      files_.emplace_back(path, options.signature_text(), row_bytes_);
      if (options.verify == "shingles") shingles_.emplace_back(shingle_path(path));
      for (size_t i = 0; i < files_.back().size(); ++i)
        order_.push_back({files_.back().get<Place>(i), uint32_t(files_.size() - 1), uint32_t(i)});
      check(files_.back().size() < UINT32_MAX, path.string(), ": too many documents for one shard");
    }
    if (!std::is_sorted(order_.begin(), order_.end())) std::sort(order_.begin(), order_.end());
    for (size_t i = 1; i < order_.size(); ++i)
      if (order_[i].place == order_[i - 1].place)
        fail("[minhash] two documents of the shards in ", folder.string(), " have the place ", order_[i].place);
  }
  size_t size() const { return order_.size(); }
  Head head(size_t i) const { return files_[order_[i].file].get<Head>(order_[i].row); }
  const uint64_t* signature(size_t i) const {  // rows are multiples of 8 bytes long and begin at one
    return reinterpret_cast<const uint64_t*>(files_[order_[i].file].row(order_[i].row) + sizeof(Head));
  }
  std::span<const uint64_t> signature_of(size_t i) const { return {signature(i), permutations_}; }
  std::span<const uint64_t> shingles(size_t i) const {
    const Head h = head(i);
    return {reinterpret_cast<const uint64_t*>(shingles_[order_[i].file].bytes().data()) + h.shingles_begin, h.shingle_count};
  }

 private:
  struct Row {
    Place place;
    uint32_t file, row;
    bool operator<(const Row& o) const { return place < o.place; }
  };
  size_t permutations_, row_bytes_;
  std::vector<ShardFile> files_;
  std::vector<MappedFile> shingles_;
  std::vector<Row> order_;
};

struct Key {
  uint64_t hash, document;
  bool operator<(const Key& o) const { return hash != o.hash ? hash < o.hash : document < o.document; }
};

// Documents whose hashes of one bucket are all the same: pairs that connect them.
void bucket_pairs(const Documents& documents, std::vector<Key>& keys, size_t first, size_t hashes,
                  std::vector<std::pair<uint64_t, uint64_t>>& pairs) {
  std::sort(keys.begin(), keys.end());
  const auto same = [&](uint64_t a, uint64_t b) {
    return std::memcmp(documents.signature(a) + first, documents.signature(b) + first, 8 * hashes) == 0;
  };
  std::vector<uint64_t> firsts;  // of the different contents under one hash; there is hardly ever more than one
  for (size_t i = 0; i < keys.size();) {
    size_t end = i + 1;
    while (end < keys.size() && keys[end].hash == keys[i].hash) ++end;
    firsts.clear();
    for (size_t k = i; end - i > 1 && k < end; ++k) {
      const auto it = std::find_if(firsts.begin(), firsts.end(), [&](uint64_t f) { return same(f, keys[k].document); });
      if (it == firsts.end())
        firsts.push_back(keys[k].document);
      else
        pairs.emplace_back(*it, keys[k].document);
    }
    i = end;
  }
}

UnionFind clusters_of(const Documents& documents, const MinhashOptions& options, const fs::path& folder) {
  UnionFind clusters(documents.size());
  const auto hashes = size_t(options.hashes);
  std::vector<std::vector<std::pair<uint64_t, uint64_t>>> pairs(size_t(options.buckets));
  const auto bucket = [&](size_t b, int64_t memory) {
    Parts<Key> parts(folder, "minhash.bucket" + std::to_string(b), documents.size(), memory);
    for (size_t i = 0; i < documents.size(); ++i) {
      if (documents.head(i).shingle_count == 0) continue;
      const uint64_t h = XXH3_64bits(documents.signature(i) + b * hashes, 8 * hashes);
      parts.add(h, {h, i});
    }
    parts.each([&](std::vector<Key>& keys) { bucket_pairs(documents, keys, b * hashes, hashes, pairs[b]); });
  };
  // Buckets side by side where their keys fit in together, else one after another.
  const bool fit = int64_t(documents.size() * 4 * sizeof(Key)) * options.buckets < options.memory_bytes;
  if (fit) {
    in_threads(pairs.size(), [&](size_t b) { bucket(b, options.memory_bytes); });
  }
  for (size_t b = 0; b < pairs.size(); ++b) {
    if (!fit) bucket(b, options.memory_bytes);
    for (const auto& [x, y] : pairs[b]) clusters.unite(x, y);
    std::vector<std::pair<uint64_t, uint64_t>>().swap(pairs[b]);
  }
  return clusters;
}

double jaccard(std::span<const uint64_t> a, std::span<const uint64_t> b) {
  size_t both = 0;
  for (size_t i = 0, k = 0; i < a.size() && k < b.size();) {
    if (a[i] == b[k])
      ++both, ++i, ++k;
    else if (a[i] < b[k])
      ++i;
    else
      ++k;
  }
  return double(both) / double(a.size() + b.size() - both);
}

}  // namespace

fs::path merge_minhash(const MinhashOptions& options, const fs::path& folder, int64_t of) {
  const Documents documents(options, folder, of);
  UnionFind clusters = clusters_of(documents, options, folder);

  std::vector<MinhashRow> rows(documents.size());
  std::vector<std::pair<uint64_t, uint64_t>> members;  // leader, document
  for (size_t i = 0; i < documents.size(); ++i) {
    const Head h = documents.head(i);
    rows[i] = {h.place, h.place, h.text_hash, 0, 1};
    const uint64_t leader = clusters.find(i);
    if (leader == i) continue;
    members.emplace_back(leader, leader);
    members.emplace_back(leader, i);
  }
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::vector<size_t> begins;
  for (size_t i = 0; i < members.size(); ++i)
    if (i == 0 || members[i].first != members[i - 1].first) begins.push_back(i);
  begins.push_back(members.size());

  const auto alike = [&](uint64_t a, uint64_t b) {
    if (options.similarity == 0) return true;
    if (options.verify == "shingles") return jaccard(documents.shingles(a), documents.shingles(b)) > options.similarity;
    const std::span<const uint64_t> x = documents.signature_of(a);
    return double(equal_hashes(x, documents.signature_of(b))) > options.similarity * double(x.size());
  };
  in_threads(begins.size() - 1, [&](size_t c) {
    std::vector<uint64_t> cluster;
    uint64_t name = UINT64_MAX;
    for (size_t i = begins[c]; i < begins[c + 1]; ++i) {
      cluster.push_back(members[i].second);
      name = std::min(name, rows[members[i].second].cluster);
    }
    if (options.keep == "longest")
      std::stable_sort(cluster.begin(), cluster.end(),
                       [&](uint64_t a, uint64_t b) { return documents.head(a).bytes > documents.head(b).bytes; });
    std::vector<uint64_t> stay;
    for (const uint64_t d : cluster) {
      rows[d].cluster = name;
      rows[d].cluster_size = uint32_t(cluster.size());
      const auto it = std::find_if(stay.begin(), stay.end(), [&](uint64_t k) { return alike(k, d); });
      if (it == stay.end()) {
        stay.push_back(d);
      } else {
        rows[d].dropped = 1;
        rows[d].stays = rows[*it].place;
      }
    }
  });

  const fs::path path = folder / "minhash.rows";
  ShardWriter out(path, kRowsText, sizeof(MinhashRow));
  out.rows(rows.data(), rows.size());
  out.commit();
  return path;
}

MinhashRows::MinhashRows(const fs::path& path) : file_(path, kRowsText, sizeof(MinhashRow)) {}
size_t MinhashRows::size() const {
  return file_.size();
}
MinhashRow MinhashRows::operator[](size_t i) const {
  return file_.get<MinhashRow>(i);
}
MinhashRow MinhashRows::at(Place place) const {
  const size_t low = file_.first_from(place);
  check(low < size() && file_.get<Place>(low) == place, "[minhash] the document at place ", place,
        " was in no shard: the input has changed since");
  return (*this)[low];
}

MinhashWindow::MinhashWindow(const MinhashOptions& options, int64_t window)
    : text_(options), similarity_(options.similarity), window_(size_t(window)) {
  if (window < 1) fail_usage("[minhash] a window of ", window, " documents: at least 1");
}

int64_t MinhashWindow::seen(std::string_view text) {
  text_.shingles(text, words_, shingles_);
  std::vector<uint64_t> signature(shingles_.empty() ? 0 : size_t(text_.signer().permutations()));
  if (!signature.empty()) text_.signer().sign(shingles_, signature.data());
  return seen(std::span<const uint64_t>(signature));
}

int64_t MinhashWindow::seen(std::span<const uint64_t> signature) {
  const int64_t number = count_++;
  if (signature.empty()) return -1;
  for (const Kept& k : kept_)
    if (double(equal_hashes(k.signature, signature)) > similarity_ * double(signature.size())) return k.number;
  Kept kept{number, {signature.begin(), signature.end()}};
  if (kept_.size() < window_) {
    kept_.push_back(std::move(kept));
  } else {
    kept_[oldest_] = std::move(kept);
    oldest_ = (oldest_ + 1) % window_;
  }
  return -1;
}

fs::path merge_window(const MinhashOptions& options, int64_t window, const fs::path& folder, int64_t of) {
  const Documents documents(options, folder, of);
  MinhashWindow last(options, window);
  const fs::path path = folder / "window.rows";
  ShardWriter out(path, kWindowText, sizeof(WindowRow));
  for (size_t i = 0; i < documents.size(); ++i) {
    if (i % 4096 == 0) throw_if_interrupted();
    const Head head = documents.head(i);
    const int64_t stays = last.seen(head.shingle_count > 0 ? documents.signature_of(i) : std::span<const uint64_t>());
    if (stays < 0) continue;
    const WindowRow row{head.place, documents.head(size_t(stays)).place};
    out.row(&row);
  }
  out.commit();
  return path;
}

WindowRows::WindowRows(const fs::path& path) : file_(path, kWindowText, sizeof(WindowRow)) {}

bool WindowRows::drops(Place place) const {
  const size_t low = file_.first_from(place);
  return low < size() && file_.get<Place>(low) == place;
}

}  // namespace r1::corpus
