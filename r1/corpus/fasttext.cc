#include "r1/corpus/fasttext.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1::corpus {
namespace {

constexpr int32_t kMagic = 793712314, kVersion = 12;
constexpr std::string_view kEndOfText = "</s>", kLabelPrefix = "__label__";
constexpr int32_t kCentroids = 256;
// Rows that are computed once (quantized rows, sums of a word's rows) may take this much memory; a model of more is read as it stands.
constexpr int64_t kMaxUnpackedBytes = int64_t{128} << 20;

// FNV-1a with fastText's quirk: a byte is taken as a signed number.
constexpr uint32_t kHashStart = 2166136261u;
inline uint32_t hash_byte(uint32_t h, char c) {
  return (h ^ uint32_t(int8_t(c))) * 16777619u;
}
uint32_t hash_of(std::string_view text) {
  uint32_t h = kHashStart;
  for (const char c : text) h = hash_byte(h, c);
  return h;
}

inline bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}
inline bool is_tail(char c) {
  return (c & 0xC0) == 0x80;
}

// a % d by two multiplications (Lemire, Kaser, Kurz, "Faster Remainder by Direct Computation", 2019).
class Remainder {
 public:
  explicit Remainder(uint32_t d = 1) : d_(d), m_(d > 1 ? UINT64_MAX / d + 1 : 0) {}
  uint32_t of(uint32_t a) const { return uint32_t((unsigned __int128)(m_ * a) * d_ >> 64); }
  uint32_t divisor() const { return d_; }

 private:
  uint32_t d_;
  uint64_t m_;
};

class Bytes {
 public:
  Bytes(std::span<const std::byte> all, const std::string& where) : all_(all), where_(where) {}

  template <class T>
  T value(const char* what) {
    T v;
    std::memcpy(&v, take(sizeof v, what), sizeof v);
    return v;
  }
  bool flag(const char* what) {
    const auto v = value<uint8_t>(what);
    check(v <= 1, where_, ": ", what, " at byte ", at_ - 1, " is ", int(v), ", not 0 or 1");
    return v == 1;
  }
  const std::byte* take(uint64_t n, const char* what) {
    check(n <= all_.size() - at_, where_, ": ends within ", what, " (", n, " bytes wanted at byte ", at_, " of ", all_.size(), ")");
    const std::byte* p = all_.data() + at_;
    at_ += n;
    return p;
  }
  // rows * cols * size, if the file can hold it at all.
  uint64_t area(int64_t rows, int64_t cols, uint64_t size, const char* what) const {
    const uint64_t most = all_.size() - at_;
    check(rows >= 0 && cols > 0 && (rows == 0 || uint64_t(rows) <= most / size / uint64_t(cols)), where_, ": ", what, " of ", rows, " x ",
          cols, " does not fit into the file");
    return uint64_t(rows) * uint64_t(cols) * size;
  }
  std::string_view word() {
    const char* start = reinterpret_cast<const char*>(all_.data()) + at_;
    const void* end = std::memchr(start, 0, all_.size() - at_);
    check(end, where_, ": the vocabulary's word at byte ", at_, " has no end");
    const std::string_view text(start, size_t(static_cast<const char*>(end) - start));
    at_ += text.size() + 1;
    return text;
  }
  size_t at() const { return at_; }

 private:
  std::span<const std::byte> all_;
  const std::string& where_;
  size_t at_ = 0;
};

// Centroids of the pieces of a row.
struct Quantizer {
  int32_t dim = 0, pieces = 0, width = 0, last_width = 0;
  std::vector<float> centroids;

  static Quantizer read(Bytes& in, int64_t dim, const std::string& where) {
    Quantizer q;
    q.dim = in.value<int32_t>("a quantizer");
    q.pieces = in.value<int32_t>("a quantizer");
    q.width = in.value<int32_t>("a quantizer");
    q.last_width = in.value<int32_t>("a quantizer");
    const bool fits = q.dim == dim && q.pieces > 0 && q.width > 0 && q.last_width > 0 && q.last_width <= q.width &&
                      int64_t{q.pieces - 1} * q.width + q.last_width == dim;
    check(fits, where, ": a quantizer of ", q.pieces, " pieces of ", q.width, " (the last ", q.last_width, ") does not make rows of ", dim);
    const std::byte* from = in.take(in.area(q.dim, kCentroids, sizeof(float), "centroids"), "centroids");
    q.centroids.resize(size_t(q.dim) * kCentroids);
    std::memcpy(q.centroids.data(), from, q.centroids.size() * sizeof(float));
    return q;
  }
  const float* centroid(int32_t piece, uint8_t code) const {
    return piece == pieces - 1 ? &centroids[size_t(piece) * kCentroids * size_t(width) + code * size_t(last_width)]
                               : &centroids[(size_t(piece) * kCentroids + code) * size_t(width)];
  }
};

// A matrix as the file has it: floats, or codes of centroids with a code of each row's length.
struct Matrix {
  int64_t rows = 0;
  int32_t cols = 0;
  const std::byte* floats = nullptr;
  const std::byte *codes = nullptr, *norms = nullptr;
  Quantizer row_quantizer, norm_quantizer;
  std::vector<float> unpacked;  // all rows, if they are few enough

  static Matrix read(Bytes& in, bool quantized, int32_t dim, const char* what, const std::string& where) {
    Matrix m;
    const bool with_norms = quantized && in.flag(what);
    m.rows = in.value<int64_t>(what);
    const auto cols = in.value<int64_t>(what);
    check(cols == dim, where, ": ", what, " has rows of ", cols, " numbers; the model's dimension is ", dim);
    m.cols = dim;
    if (!quantized) {
      m.floats = in.take(in.area(m.rows, cols, sizeof(float), what), what);
      return m;
    }
    const auto code_bytes = in.value<int32_t>(what);
    check(code_bytes >= 0 && m.rows >= 0, where, ": ", what, " has ", m.rows, " rows and ", code_bytes, " bytes of codes");
    m.codes = in.take(uint64_t(code_bytes), what);
    m.row_quantizer = Quantizer::read(in, cols, where);
    check(m.rows <= code_bytes && m.rows * m.row_quantizer.pieces == code_bytes, where, ": ", what, " of ", m.rows, " rows of ",
          m.row_quantizer.pieces, " codes has ", code_bytes, " codes");
    if (with_norms) {
      m.norms = in.take(uint64_t(m.rows), what);
      m.norm_quantizer = Quantizer::read(in, 1, where);
    }
    if (m.rows * cols * int64_t{sizeof(float)} <= kMaxUnpackedBytes) {
      m.unpacked.resize(size_t(m.rows * cols));
      for (int64_t i = 0; i < m.rows; ++i) m.unpack(i, &m.unpacked[size_t(i * cols)]);
    }
    return m;
  }

  void unpack(int64_t row, float* out) const {
    const Quantizer& q = row_quantizer;
    const auto* code = reinterpret_cast<const uint8_t*>(codes) + row * q.pieces;
    const float norm = norms ? norm_quantizer.centroid(0, uint8_t(norms[row]))[0] : 1.0f;
    for (int32_t piece = 0; piece < q.pieces; ++piece) {
      const float* c = q.centroid(piece, code[piece]);
      const int32_t n = piece == q.pieces - 1 ? q.last_width : q.width;
      for (int32_t i = 0; i < n; ++i) *out++ = norm * c[i];
    }
  }

  // sum += row, in fours: cols is rounded up for `sum`, not for the row.
  void add_to(float* sum, int64_t row, float* scratch) const {
    const char* from;
    if (floats) {
      from = reinterpret_cast<const char*>(floats) + size_t(row) * size_t(cols) * sizeof(float);
    } else if (!unpacked.empty()) {
      from = reinterpret_cast<const char*>(&unpacked[size_t(row) * size_t(cols)]);
    } else {
      unpack(row, scratch);
      from = reinterpret_cast<const char*>(scratch);
    }
    add(sum, from, cols);
  }

  static void add(float* sum, const char* row, int32_t n) {
    using Four = float __attribute__((vector_size(16)));
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
      Four a, b;
      std::memcpy(&a, sum + i, sizeof a);
      std::memcpy(&b, row + size_t(i) * sizeof(float), sizeof b);
      a += b;
      std::memcpy(sum + i, &a, sizeof a);
    }
    for (; i < n; ++i) {
      float b;
      std::memcpy(&b, row + size_t(i) * sizeof(float), sizeof b);
      sum[i] += b;
    }
  }

  float dot(const float* x, int64_t row, float* scratch) const {
    const float* r = scratch;
    if (floats)
      std::memcpy(scratch, floats + size_t(row) * size_t(cols) * sizeof(float), size_t(cols) * sizeof(float));
    else if (!unpacked.empty())
      r = &unpacked[size_t(row) * size_t(cols)];
    else
      unpack(row, scratch);
    float sum = 0;
    for (int32_t i = 0; i < cols; ++i) sum += x[i] * r[i];
    return sum;
  }
};

// Which buckets of hashed n-grams have a row, and which: a pruned model keeps few of them, and what is asked for is mostly not there, so a bit
// says so without a look into the rows. A bucket's row is found by the rank of its bit.
class Buckets {
 public:
  // By bucket, rising.
  void build(const std::vector<std::pair<int32_t, int32_t>>& rows) {
    for (const auto& [bucket, row] : rows) row_of_rank_.push_back(row);
    const size_t blocks = size_t(rows.back().first) / 64 + 1;
    if (blocks > (size_t{1} << 20) + 64 * rows.size()) {  // no model that anyone trained: bits would take too much memory
      for (const auto& [bucket, row] : rows) buckets_.push_back(uint32_t(bucket));
      return;
    }
    blocks_.resize(blocks);
    for (const auto& [bucket, row] : rows) blocks_[size_t(bucket) / 64].bits |= uint64_t{1} << (bucket % 64);
    uint32_t rank = 0;
    for (Block& block : blocks_) {
      block.rank = rank;
      rank += uint32_t(std::popcount(block.bits));
    }
  }
  int32_t find(uint32_t bucket) const {
    if (bucket / 64 >= blocks_.size()) {
      const auto at = std::lower_bound(buckets_.begin(), buckets_.end(), bucket);
      return at == buckets_.end() || *at != bucket ? -1 : row_of_rank_[size_t(at - buckets_.begin())];
    }
    const Block& block = blocks_[bucket / 64];
    const uint64_t bit = uint64_t{1} << (bucket % 64);
    if (!(block.bits & bit)) return -1;
    return row_of_rank_[block.rank + uint32_t(std::popcount(block.bits & (bit - 1)))];
  }

 private:
  struct Block {
    uint64_t bits = 0;
    uint32_t rank = 0;
  };
  std::vector<Block> blocks_;
  std::vector<int32_t> row_of_rank_;
  std::vector<uint32_t> buckets_;
};

// A node of the Huffman tree; leaves are 0 .. labels - 1.
struct Node {
  int64_t count;
  int32_t left = -1, right = -1;
};

float log_of(float x) {
  return std::log(x + 1e-5f);  // fastText's guard against log(0)
}

}  // namespace

struct FastText::Model {
  enum Loss : int32_t { kTree = 1, kNegativeSampling, kSoftmax, kOneVsAll };
  enum Pruning { kNone, kAll, kSome };

  std::string where;
  MappedFile file;
  int32_t dim = 0, word_ngrams = 0, loss = 0, min_chars = 0, max_chars = 0;
  Remainder buckets;
  bool is_quantized = false;
  // Words and labels, in one table by their hash.
  int32_t word_count = 0;
  std::vector<std::string_view> entries;  // words first, then labels
  std::vector<std::pair<uint32_t, int32_t>> table;
  std::vector<std::string> labels;
  std::vector<int64_t> label_counts;
  Pruning pruning = kNone;
  Buckets kept;
  Matrix input, output;
  std::vector<Node> tree;
  // The sum of a word's rows (its own and its n-grams') and how many they are.
  std::vector<float> word_sums;
  std::vector<int32_t> word_rows;

  // What reading a text makes: the sum of rows, how many, and hashes of the words for word n-grams.
  struct Sum {
    std::vector<float> total, scratch;
    int64_t rows = 0;
    std::vector<int32_t> hashes;
    std::vector<uint32_t> starts;
    std::string marked;
  };

  void read(std::span<const std::byte> bytes);
  void read_entries(Bytes& in);
  void build_tree();
  void sum_words();
  int32_t find(std::string_view word, uint32_t hash) const;
  void add_row(Sum& sum, int64_t row) const { input.add_to(sum.total.data(), row, sum.scratch.data()), ++sum.rows; }
  void add_bucket(Sum& sum, uint32_t bucket) const;
  void add_ngrams(Sum& sum, std::string_view word) const;
  void add_word(Sum& sum, std::string_view word, uint32_t hash) const;
  void add_word_ngrams(Sum& sum) const;
  void descend(const float* x, size_t k, float threshold, float* scratch, std::vector<Prediction>& best) const;
  void score_all(const float* x, size_t k, float threshold, float* scratch, std::vector<Prediction>& best) const;
};

void FastText::Model::read(std::span<const std::byte> bytes) {
  Bytes in(bytes, where);
  if (bytes.size() < 8 || in.value<int32_t>("the header") != kMagic)
    fail_usage(where, " is no fastText model (.bin or .ftz); give the file that fastText's save_model or quantize wrote");
  const auto version = in.value<int32_t>("the header");
  if (version > kVersion || version < 11) fail_usage(where, " is a fastText model of version ", version, "; 11 and 12 can be read");
  dim = in.value<int32_t>("the arguments");
  in.take(4 * sizeof(int32_t), "the arguments");  // ws, epoch, minCount, neg: of training
  word_ngrams = in.value<int32_t>("the arguments");
  loss = in.value<int32_t>("the arguments");
  const auto kind = in.value<int32_t>("the arguments");
  const auto bucket_count = in.value<int32_t>("the arguments");
  min_chars = in.value<int32_t>("the arguments");
  max_chars = in.value<int32_t>("the arguments");
  in.take(sizeof(int32_t) + sizeof(double), "the arguments");  // lrUpdateRate, t
  if (kind != 3) fail_usage(where, " holds word vectors, no classifier; train one with `fasttext supervised`");
  check(dim > 0 && dim <= 1 << 16, where, ": dimension ", dim, " is out of range");
  check(loss >= kTree && loss <= kOneVsAll, where, ": loss ", loss, " is not known");
  check(bucket_count >= 0, where, ": ", bucket_count, " buckets");
  check(max_chars <= 64 && word_ngrams <= 64, where, ": n-grams of ", max_chars, " characters and ", word_ngrams,
        " words are out of range");
  if (version == 11) max_chars = 0;  // those knew no character n-grams, whatever the field says
  if (bucket_count == 0) max_chars = word_ngrams = 0;
  buckets = Remainder(uint32_t(std::max(bucket_count, 1)));
  read_entries(in);

  is_quantized = in.flag("the input matrix");
  input = Matrix::read(in, is_quantized, dim, "the input matrix", where);
  check(is_quantized || pruning == kNone, where, ": a pruned model must be quantized; fastText itself no longer reads this file");
  const bool hashed = max_chars > 0 || word_ngrams > 1;
  check(input.rows >= word_count + (pruning == kNone && hashed ? bucket_count : 0), where, ": the input matrix has ", input.rows,
        " rows for ", word_count, " words and ", bucket_count, " buckets");
  const bool quantized_output = in.flag("the output matrix") && is_quantized;
  output = Matrix::read(in, quantized_output, dim, "the output matrix", where);
  check(output.rows == int64_t(labels.size()), where, ": the output matrix has ", output.rows, " rows for ", labels.size(), " labels");
  if (loss == kTree) build_tree();
  sum_words();
}

void FastText::Model::read_entries(Bytes& in) {
  const auto size = in.value<int32_t>("the vocabulary");
  word_count = in.value<int32_t>("the vocabulary");
  const auto label_count = in.value<int32_t>("the vocabulary");
  in.value<int64_t>("the vocabulary");  // tokens seen in training
  const auto kept_buckets = in.value<int64_t>("the vocabulary");
  check(size >= 0 && word_count >= 0 && label_count >= 0 && int64_t{word_count} + label_count == size, where, ": a vocabulary of ", size,
        " entries cannot be ", word_count, " words and ", label_count, " labels");
  if (label_count == 0) fail_usage(where, " has no labels, so it cannot classify");
  in.area(size, 10, 1, "the vocabulary");  // a word's end, its count and its type
  for (int32_t i = 0; i < size; ++i) {
    const std::string_view word = in.word();
    const auto count = in.value<int64_t>("the vocabulary");
    const auto type = in.value<int8_t>("the vocabulary");
    check(type == (i < word_count ? 0 : 1), where, ": entry ", i, " of the vocabulary is ", type == 0 ? "a word" : "no word",
          ", but words come first and labels last");
    entries.push_back(word);
    if (i < word_count) continue;
    // Sums over them must fit into what the tree takes as more than all.
    check(count >= 0 && count <= int64_t{1'000'000'000'000'000} / label_count, where, ": label ", printable(word), " has the count ",
          count);
    labels.emplace_back(word.starts_with(kLabelPrefix) ? word.substr(kLabelPrefix.size()) : word);
    label_counts.push_back(count);
  }
  table.assign(std::bit_ceil(size_t(size) * 2), {0, -1});
  for (int32_t i = 0; i < size; ++i) {
    const uint32_t h = hash_of(entries[size_t(i)]);
    size_t at = h & (table.size() - 1);
    while (table[at].second >= 0) at = (at + 1) & (table.size() - 1);
    table[at] = {h, i};
  }

  check(kept_buckets >= -1, where, ": ", kept_buckets, " kept buckets");
  if (kept_buckets == 0) pruning = kAll;
  if (kept_buckets <= 0) return;
  pruning = kSome;
  in.area(kept_buckets, 2, sizeof(int32_t), "the kept buckets");
  std::vector<std::pair<int32_t, int32_t>> rows;
  for (int64_t i = 0; i < kept_buckets; ++i) {
    const auto bucket = in.value<int32_t>("the kept buckets");
    const auto row = in.value<int32_t>("the kept buckets");
    check(bucket >= 0 && uint32_t(bucket) < buckets.divisor() && row >= 0 && row < kept_buckets, where, ": bucket ", bucket,
          " is kept as row ", row, "; there are ", buckets.divisor(), " buckets, ", kept_buckets, " kept");
    rows.emplace_back(bucket, row);
  }
  std::sort(rows.begin(), rows.end());
  const auto twice = std::adjacent_find(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first == b.first; });
  check(twice == rows.end(), where, ": a bucket is kept twice");
  kept.build(rows);
}

// As fastText builds it from the labels' counts, which fall: two queues, leaves from the last and inner nodes from the first.
void FastText::Model::build_tree() {
  const auto leaves = int32_t(labels.size());
  const auto nodes = 2 * int64_t{leaves} - 1;
  check(nodes < INT32_MAX, where, ": too many labels for a tree");
  tree.assign(size_t(nodes), {.count = int64_t{1'000'000'000'000'000}});
  for (int32_t i = 0; i < leaves; ++i) tree[size_t(i)].count = label_counts[size_t(i)];
  int32_t leaf = leaves - 1, inner = leaves;
  const auto rarest = [&](int32_t end) {
    const bool take_leaf = leaf >= 0 && (inner >= end || tree[size_t(leaf)].count < tree[size_t(inner)].count);
    return take_leaf ? leaf-- : inner++;
  };
  for (int32_t i = leaves; i < nodes; ++i) {
    Node& node = tree[size_t(i)];
    node.left = rarest(i);
    node.right = rarest(i);
    node.count = tree[size_t(node.left)].count + tree[size_t(node.right)].count;
  }
}

// With n-grams a known word is many rows, always the same.
void FastText::Model::sum_words() {
  if (max_chars <= 0 || int64_t{word_count} * dim * int64_t{sizeof(float)} > kMaxUnpackedBytes) return;
  Sum sum{.total = std::vector<float>(size_t(dim)), .scratch = std::vector<float>(size_t(dim))};
  word_sums.resize(size_t(word_count) * size_t(dim));
  word_rows.resize(size_t(word_count));
  for (int32_t i = 0; i < word_count; ++i) {
    std::fill(sum.total.begin(), sum.total.end(), 0.0f);
    sum.rows = 0;
    add_row(sum, i);
    if (entries[size_t(i)] != kEndOfText) add_ngrams(sum, entries[size_t(i)]);
    std::copy(sum.total.begin(), sum.total.end(), &word_sums[size_t(i) * size_t(dim)]);
    word_rows[size_t(i)] = int32_t(sum.rows);
  }
}

int32_t FastText::Model::find(std::string_view word, uint32_t hash) const {
  for (size_t at = hash & (table.size() - 1);; at = (at + 1) & (table.size() - 1)) {
    const auto& [h, entry] = table[at];
    if (entry < 0 || (h == hash && entries[size_t(entry)] == word)) return entry;
  }
}

void FastText::Model::add_bucket(Sum& sum, uint32_t bucket) const {
  if (pruning == kNone) {
    // fastText keeps a bucket in 31 bits and leaves out the others.
    if (bucket <= INT32_MAX) add_row(sum, int64_t{word_count} + bucket);
  } else if (pruning == kSome) {
    const int32_t row = kept.find(bucket);
    if (row >= 0 && word_count + row < input.rows) add_row(sum, int64_t{word_count} + row);
  }
}

// The n-grams of "<word>", n in characters; a lone "<" or ">" is none.
void FastText::Model::add_ngrams(Sum& sum, std::string_view word) const {
  if (pruning == kAll) return;
  std::string& marked = sum.marked;
  marked.assign("<").append(word).push_back('>');
  std::vector<uint32_t>& starts = sum.starts;
  starts.clear();
  for (size_t i = 0; i < marked.size(); ++i)
    if (!is_tail(marked[i])) starts.push_back(uint32_t(i));
  const size_t chars = starts.size();
  starts.push_back(uint32_t(marked.size()));
  for (size_t first = 0; first < chars; ++first) {
    uint32_t h = kHashStart;
    const size_t last = std::min(chars, first + size_t(max_chars));
    for (size_t end = first; end < last; ++end) {
      for (uint32_t i = starts[end]; i < starts[end + 1]; ++i) h = hash_byte(h, marked[i]);
      const auto n = int32_t(end - first) + 1;
      if (n < min_chars || (n == 1 && (first == 0 || end + 1 == chars))) continue;
      add_bucket(sum, buckets.of(h));
    }
  }
}

void FastText::Model::add_word(Sum& sum, std::string_view word, uint32_t hash) const {
  const int32_t id = find(word, hash);
  if (id >= word_count || (id < 0 && word.starts_with(kLabelPrefix))) return;  // a label within the text says nothing
  if (word_ngrams > 1) sum.hashes.push_back(int32_t(hash));
  if (id < 0) {
    if (word != kEndOfText && max_chars > 0) add_ngrams(sum, word);
  } else if (!word_sums.empty()) {
    Matrix::add(sum.total.data(), reinterpret_cast<const char*>(&word_sums[size_t(id) * size_t(dim)]), dim);
    sum.rows += word_rows[size_t(id)];
  } else {
    add_row(sum, id);
    if (max_chars > 0 && word != kEndOfText) add_ngrams(sum, word);
  }
}

void FastText::Model::add_word_ngrams(Sum& sum) const {
  const auto& hashes = sum.hashes;
  for (size_t i = 0; i < hashes.size(); ++i) {
    auto h = uint64_t(int64_t{hashes[i]});
    for (size_t j = i + 1; j < hashes.size() && j < i + size_t(word_ngrams); ++j) {
      h = h * 116049371 + uint64_t(int64_t{hashes[j]});
      add_bucket(sum, uint32_t(h % buckets.divisor()));
    }
  }
}

namespace {

bool is_likelier(const FastText::Prediction& a, const FastText::Prediction& b) {
  return a.probability > b.probability;
}

// `best` is a heap with its least likely on top, log probabilities until the end.
void offer(std::vector<FastText::Prediction>& best, size_t k, FastText::Prediction p) {
  if (best.size() == k && p.probability < best.front().probability) return;
  best.push_back(p);
  std::push_heap(best.begin(), best.end(), is_likelier);
  if (best.size() <= k) return;
  std::pop_heap(best.begin(), best.end(), is_likelier);
  best.pop_back();
}

float sigmoid_of(float x) {
  // In steps of 1/32, as fastText's table has it.
  if (!(x >= -8)) return 0;
  if (x > 8) return 1;
  const auto step = float(int((x + 8) * 32));
  return 1 / (1 + std::exp(8 - step / 32));
}

}  // namespace

void FastText::Model::descend(const float* x, size_t k, float threshold, float* scratch, std::vector<Prediction>& best) const {
  const auto leaves = int32_t(labels.size());
  const float least = log_of(threshold);
  std::vector<std::pair<int32_t, float>> open = {{int32_t(tree.size()) - 1, 0.0f}};
  while (!open.empty()) {
    const auto [node, score] = open.back();
    open.pop_back();
    if (score < least || (best.size() == k && score < best.front().probability)) continue;
    if (node < leaves) {
      offer(best, k, {node, score});
      continue;
    }
    const float right = 1 / (1 + std::exp(-output.dot(x, node - leaves, scratch)));
    const std::pair<int32_t, float> to_right(tree[size_t(node)].right, score + log_of(right)),
        to_left(tree[size_t(node)].left, score + log_of(1 - right));
    // The likelier first, so that it can rule out more; the order changes nothing else.
    open.push_back(right > 0.5f ? to_left : to_right);
    open.push_back(right > 0.5f ? to_right : to_left);
  }
}

void FastText::Model::score_all(const float* x, size_t k, float threshold, float* scratch, std::vector<Prediction>& best) const {
  std::vector<float> scores(labels.size());
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = output.dot(x, int64_t(i), scratch);
  if (loss == kSoftmax) {
    const float most = *std::max_element(scores.begin(), scores.end());
    float sum = 0;
    for (float& s : scores) sum += s = std::exp(s - most);
    for (float& s : scores) s /= sum;
  } else {
    for (float& s : scores) s = sigmoid_of(s);
  }
  for (size_t i = 0; i < scores.size(); ++i)
    if (scores[i] >= threshold) offer(best, k, {int32_t(i), log_of(scores[i])});
}

FastText::FastText(std::unique_ptr<Model> model) : model_(std::move(model)) {}
FastText::FastText(FastText&&) noexcept = default;
FastText& FastText::operator=(FastText&&) noexcept = default;
FastText::~FastText() = default;

FastText FastText::load(const std::filesystem::path& path) {
  auto model = std::make_unique<Model>();
  model->where = path.string();
  model->file = MappedFile(path);
  model->read(model->file.bytes());
  return FastText(std::move(model));
}

FastText FastText::parse(std::span<const std::byte> bytes, const std::string& where) {
  auto model = std::make_unique<Model>();
  model->where = where;
  model->read(bytes);
  return FastText(std::move(model));
}

std::vector<FastText::Prediction> FastText::predict(std::string_view text, size_t k, float threshold) const {
  const Model& m = *model_;
  Model::Sum sum{.total = std::vector<float>(size_t(m.dim)), .scratch = std::vector<float>(size_t(m.dim))};
  const char *p = text.data(), *const end = p + text.size();
  bool cut = false;
  while (p < end && !cut) {
    if (is_blank(*p)) {
      ++p;
      continue;
    }
    const char* const start = p;
    uint32_t h = kHashStart;
    for (; p < end && !is_blank(*p); ++p) h = hash_byte(h, *p);
    const std::string_view word(start, size_t(p - start));
    m.add_word(sum, word, h);
    cut = word == kEndOfText;
  }
  if (!cut) m.add_word(sum, kEndOfText, hash_of(kEndOfText));  // a line ends with its line feed, which is a word
  if (m.word_ngrams > 1) m.add_word_ngrams(sum);
  std::vector<Prediction> best;
  if (sum.rows == 0 || k == 0) return best;
  const auto scale = float(1.0 / double(sum.rows));
  for (float& x : sum.total) x *= scale;
  if (m.loss == Model::kTree)
    m.descend(sum.total.data(), k, threshold, sum.scratch.data(), best);
  else
    m.score_all(sum.total.data(), k, threshold, sum.scratch.data(), best);
  std::sort_heap(best.begin(), best.end(), is_likelier);
  for (Prediction& p_best : best) p_best.probability = std::exp(p_best.probability);
  return best;
}

const std::vector<std::string>& FastText::labels() const {
  return model_->labels;
}
int32_t FastText::dim() const {
  return model_->dim;
}
int64_t FastText::words() const {
  return model_->word_count;
}
bool FastText::quantized() const {
  return model_->is_quantized;
}

}  // namespace r1::corpus
