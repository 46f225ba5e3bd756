#include "r1/corpus/ngram_train.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <queue>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/corpus/ngram_key.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {
namespace {

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

// Words and their ids in the order of their first appearance.
class Vocabulary {
 public:
  Vocabulary() {
    for (const char* word : {"<unk>", "<s>", "</s>"}) id(word);
  }
  uint32_t id(std::string_view word) {
    const uint64_t hash = XXH3_64bits(word.data(), word.size());
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      const uint32_t i = slots_[at];
      if (i == kNone) {
        check(words_.size() < kNone, "[ngram] more than 4 thousand million different words");
        slots_[at] = uint32_t(words_.size());
        words_.emplace_back(word);
        hashes_.push_back(hash);
        if (words_.size() * 2 > slots_.size()) grow();
        return uint32_t(words_.size() - 1);
      }
      if (hashes_[i] == hash && words_[i] == word) return i;
    }
  }
  size_t size() const { return words_.size(); }
  std::vector<std::string> take() { return std::move(words_); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  void grow() {
    std::vector<uint32_t> larger(slots_.size() * 2, kNone);
    for (size_t i = 0; i < hashes_.size(); ++i) {
      size_t at = hashes_[i] & (larger.size() - 1);
      while (larger[at] != kNone) at = (at + 1) & (larger.size() - 1);
      larger[at] = uint32_t(i);
    }
    slots_ = std::move(larger);
  }
  std::vector<std::string> words_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> slots_ = std::vector<uint32_t>(1 << 12, kNone);
};

// A temporary file without a name: it is gone with the process, whatever ends it.
class Run {
 public:
  explicit Run(const std::string& folder) {
    std::string name = folder + "/r1_ngram_XXXXXX";
    const int fd = ::mkstemp(name.data());
    check(fd >= 0, "no temporary file in ", folder, ": ", std::strerror(errno));
    ::unlink(name.c_str());
    file_ = ::fdopen(fd, "w+b");
    check(file_ != nullptr, "no temporary file in ", folder, ": ", std::strerror(errno));
  }
  ~Run() {
    if (file_) std::fclose(file_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  void write(const void* data, size_t n) { check(std::fwrite(data, 1, n, file_) == n, "writing a temporary file: ", std::strerror(errno)); }
  void rewind() {
    check(std::fflush(file_) == 0 && std::fseek(file_, 0, SEEK_SET) == 0, "writing a temporary file: ", std::strerror(errno));
  }
  bool read(void* data, size_t n) {
    const size_t got = std::fread(data, 1, n, file_);
    check(got == n || (got == 0 && !std::ferror(file_)), "reading a temporary file: ", std::strerror(errno));
    return got == n;
  }

 private:
  std::FILE* file_ = nullptr;
};

// The n-grams of the highest order with their counts. A row is its ids from the last word leftwards, so that those which end alike sort
// together.
class Counter {
 public:
  Counter(int width, int64_t memory, std::string folder) : width_(size_t(width)), folder_(std::move(folder)) {
    const size_t row = width_ * sizeof(uint32_t) + sizeof(uint64_t) + 2 * sizeof(uint32_t) + sizeof(uint32_t);
    most_ = std::clamp<size_t>(size_t(memory) / row, 1024, size_t{1} << 31);
    slots_.assign(1 << 12, kNone);
  }

  void add(const uint32_t* row) {
    const uint64_t hash = XXH3_64bits(row, width_ * sizeof(uint32_t));
    for (size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      const uint32_t i = slots_[at];
      if (i == kNone) {
        slots_[at] = uint32_t(counts_.size());
        ids_.insert(ids_.end(), row, row + width_);
        counts_.push_back(1);
        break;
      }
      if (std::equal(row, row + width_, &ids_[i * width_])) {
        ++counts_[i];
        return;
      }
    }
    if (counts_.size() >= most_) {
      spill();
    } else if (counts_.size() * 2 > slots_.size()) {
      grow();
    }
  }

  // All rows in order, each once.
  template <class F>
  void merge(F f) {
    slots_ = {};
    const std::vector<uint32_t> order = sorted();
    size_t at = 0;
    struct Head {
      std::vector<uint32_t> row;
      uint64_t count;
      Run* run;  // null: memory
    };
    const auto advance = [&](Head& head) {
      if (head.run) return head.run->read(head.row.data(), width_ * sizeof(uint32_t)) && head.run->read(&head.count, sizeof head.count);
      if (at == order.size()) return false;
      std::copy_n(&ids_[order[at] * width_], width_, head.row.begin());
      head.count = counts_[order[at++]];
      return true;
    };
    const auto is_later = [](const Head& a, const Head& b) { return a.row > b.row; };
    std::vector<Head> heads;
    const auto open = [&](Run* run) {
      Head head{std::vector<uint32_t>(width_), 0, run};
      if (advance(head)) heads.push_back(std::move(head));
    };
    open(nullptr);
    for (Run& run : runs_) {
      run.rewind();
      open(&run);
    }
    std::make_heap(heads.begin(), heads.end(), is_later);
    std::vector<uint32_t> row;
    uint64_t count = 0;
    while (!heads.empty()) {
      std::pop_heap(heads.begin(), heads.end(), is_later);
      Head& head = heads.back();
      if (head.row != row) {
        if (count > 0) f(row.data(), count);
        row = head.row;
        count = 0;
      }
      count += head.count;
      if (advance(head))
        std::push_heap(heads.begin(), heads.end(), is_later);
      else
        heads.pop_back();
    }
    if (count > 0) f(row.data(), count);
    ids_ = {};
    counts_ = {};
    runs_.clear();
  }
  size_t runs() const { return runs_.size(); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  std::vector<uint32_t> sorted() const {
    std::vector<uint32_t> order(counts_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = uint32_t(i);
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      const uint32_t *x = &ids_[a * width_], *y = &ids_[b * width_];
      return std::lexicographical_compare(x, x + width_, y, y + width_);
    });
    return order;
  }
  void spill() {
    Run& run = runs_.emplace_back(folder_);
    for (const uint32_t i : sorted()) {
      run.write(&ids_[i * width_], width_ * sizeof(uint32_t));
      run.write(&counts_[i], sizeof counts_[i]);
    }
    ids_.clear();
    counts_.clear();
    std::fill(slots_.begin(), slots_.end(), kNone);
  }
  void grow() {
    slots_.assign(slots_.size() * 2, kNone);
    for (size_t i = 0; i < counts_.size(); ++i) {
      size_t at = XXH3_64bits(&ids_[i * width_], width_ * sizeof(uint32_t)) & (slots_.size() - 1);
      while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = uint32_t(i);
    }
  }

  size_t width_, most_;
  std::string folder_;
  std::vector<uint32_t> ids_;
  std::vector<uint64_t> counts_;
  std::vector<uint32_t> slots_;
  std::deque<Run> runs_;
};

// The n-grams of one order, sorted from the last word leftwards: a level of the tree whose root is the last word.
struct Level {
  std::vector<uint32_t> first;     // the n-gram's first word, its last step leftwards
  std::vector<uint32_t> parent;    // the n-gram without it, in the level below; of unigrams unused
  std::vector<uint64_t> seen;      // how often
  std::vector<uint64_t> adjusted;  // a
  std::vector<bool> left_out;
  std::vector<double> probability, backoff;  // backoff of the n-gram as a context: gamma
  size_t size() const { return first.size(); }
};

using Discounts = std::array<double, 4>;  // by a, from 3 on the same

}  // namespace

struct NgramTrainer::Work {
  NgramTrainOptions options;
  int order;
  std::vector<uint64_t> prune;
  Vocabulary vocabulary;
  Counter counter;
  std::vector<uint32_t> sentence;
  Statistics statistics;
  std::vector<Level> levels;  // [n - 1]
  std::vector<Discounts> discounts;

  explicit Work(const NgramTrainOptions& given)
      : options(given),
        order(int(given.order)),
        counter(std::clamp<int>(int(given.order), 1, kMaxNgramOrder), given.memory,
                given.temporary_folder.empty() ? fs::temp_directory_path().string() : given.temporary_folder) {
    if (order < 1 || order > kMaxNgramOrder) fail_usage("order ", given.order, " is not one from 1 to ", kMaxNgramOrder);
    if (given.prune.size() > size_t(order)) fail_usage("prune has ", given.prune.size(), " values for a model of order ", order);
    uint64_t last = 0;
    for (const int64_t value : given.prune) {
      if (value < 0 || uint64_t(value) < last) fail_usage("prune never falls, from order to order: what is kept must have its parts kept");
      prune.push_back(last = uint64_t(value));
    }
    prune.resize(size_t(order), last);
    if (prune[0] != 0) fail_usage("prune begins with 0: the vocabulary is not pruned");
  }

  void count(std::string_view line);
  void grow_levels();
  void find_discounts();
  void smooth();
  NgramTable table();
};

void NgramTrainer::Work::count(std::string_view line) {
  sentence.assign(size_t(order - 1), kSentenceBegin);
  const char *p = line.data(), *const end = p + line.size();
  for (;;) {
    while (p < end && is_blank(*p)) ++p;
    if (p == end) break;
    const char* const begin = p;
    while (p < end && !is_blank(*p)) ++p;
    const uint32_t id = vocabulary.id({begin, size_t(p - begin)});
    if (id <= kSentenceEnd)
      ++statistics.markers_left_out;
    else
      sentence.push_back(id);
  }
  ++statistics.sentences;
  statistics.words += int64_t(sentence.size()) - (order - 1);
  sentence.push_back(kSentenceEnd);
  uint32_t row[kMaxNgramOrder];
  for (size_t i = size_t(order - 1); i < sentence.size(); ++i) {
    for (size_t n = 0; n < size_t(order); ++n) row[n] = sentence[i - n];
    counter.add(row);
  }
}

// Levels of the tree from the sorted rows. A row may end in more than one <s>: what is before the first is not there.
void NgramTrainer::Work::grow_levels() {
  levels.resize(size_t(order));
  uint32_t path[kMaxNgramOrder] = {};
  int depth = 0;  // of `path`
  counter.merge([&](const uint32_t* row, uint64_t times) {
    int length = 1;
    while (length < order && row[length - 1] != kSentenceBegin) ++length;
    int same = 0;
    while (same < std::min(depth, length) && path[same] == row[same]) ++same;
    for (int n = same; n < length; ++n) {
      Level& level = levels[size_t(n)];
      check(level.size() < UINT32_MAX, "[ngram] more than 4 thousand million ", n + 1, "-grams; prune the text or lower the order");
      level.first.push_back(row[n]);
      level.parent.push_back(n == 0 ? 0 : uint32_t(levels[size_t(n - 1)].size() - 1));
      level.seen.push_back(0);
      // What begins a sentence has no words to its left; it counts as often as it is seen. So does the highest order.
      level.adjusted.push_back(0);
      if (n > 0) ++levels[size_t(n - 1)].adjusted.back();
    }
    for (int n = 0; n < length; ++n) levels[size_t(n)].seen.back() += times;
    std::copy_n(row, length, path);
    depth = length;
  });
  for (int n = 0; n < order; ++n) {
    Level& level = levels[size_t(n)];
    level.left_out.resize(level.size());
    for (size_t i = 0; i < level.size(); ++i) {
      if (n + 1 == order || level.first[i] == kSentenceBegin) level.adjusted[i] = level.seen[i];
      level.left_out[i] = n > 0 && level.seen[i] <= prune[size_t(n)];
    }
  }
  // <unk> and <s> are no one's last word, but words. They stand after the others.
  Level& unigrams = levels[0];
  for (const uint32_t id : {kUnknownWord, kSentenceBegin}) {
    unigrams.first.push_back(id);
    unigrams.parent.push_back(0);
    unigrams.seen.push_back(0);
    unigrams.adjusted.push_back(0);
    unigrams.left_out.push_back(false);
  }
  for (const Level& level : levels) {
    statistics.ngrams.push_back(int64_t(level.size()));
    statistics.kept.push_back(int64_t(std::count(level.left_out.begin(), level.left_out.end(), false)));
  }
}

void NgramTrainer::Work::find_discounts() {
  for (int n = 0; n < order; ++n) {
    const Level& level = levels[size_t(n)];
    uint64_t with[5] = {};  // how many n-grams have a = 1, 2, 3, 4
    for (const uint64_t a : level.adjusted)
      if (a < 5) ++with[a];
    if (n + 1 < order && !level.parent.empty()) {
      // lmplz counts the last n-gram of a lower order by how often it was seen, not by a. To get its numbers, so do we.
      const size_t last = level.size() - 1 - (n == 0 ? 2 : 0);
      const bool on_last_row = n == 0 || level.parent[last] == levels[size_t(n - 1)].size() - 1 - (n == 1 ? 2 : 0);
      bool chain = on_last_row;
      for (int m = n - 1; chain && m > 0; --m) {
        const Level& lower = levels[size_t(m)];
        chain = lower.parent[lower.size() - 1] == levels[size_t(m - 1)].size() - 1 - (m == 1 ? 2 : 0);
      }
      if (chain) {
        if (level.adjusted[last] < 5) --with[level.adjusted[last]];
        if (level.seen[last] < 5) ++with[level.seen[last]];
      }
    }
    Discounts d{};
    const double y = double(with[1]) / double(with[1] + 2 * with[2]);
    std::string wrong;
    for (size_t a = 1; a <= 3 && wrong.empty(); ++a) {
      if (with[a] == 0) {
        wrong = str("no ", n + 1, "-gram has the count ", a);
        break;
      }
      d[a] = double(a) - double(a + 1) * y * double(with[a + 1]) / double(with[a]);
      if (d[a] < 0 || d[a] > double(a)) wrong = str("the discount of ", n + 1, "-grams of count ", a, " is ", d[a]);
    }
    if (!wrong.empty()) {
      check(options.discount_fallback, "Kneser-Ney smoothing does not fit this text: ", wrong,
            ". Is it small or full of repetitions? Remove duplicates, or set discount_fallback");
      d = {0, 0.5, 1, 1.5};
    }
    discounts.push_back(d);
    statistics.discounts.push_back({d[1], d[2], d[3]});
  }
}

void NgramTrainer::Work::smooth() {
  for (int n = 0; n < order; ++n) {
    Level& level = levels[size_t(n)];
    Level* below = n == 0 ? nullptr : &levels[size_t(n - 1)];
    const size_t context_count = n == 0 ? 1 : below->size();
    // Where each n-gram's context stands in the level below.
    std::vector<uint32_t> context(level.size());
    if (n > 0) {
      NgramIndex contexts;
      uint32_t ids[kMaxNgramOrder];
      const auto words_of = [&](int m, size_t at) {  // of an n-gram of m + 1 words, the first first
        for (int k = m; k >= 0; --k) {
          ids[m - k] = levels[size_t(k)].first[at];
          at = levels[size_t(k)].parent[at];
        }
      };
      for (size_t i = 0; i < below->size(); ++i) {
        words_of(n - 1, i);
        contexts.add(ngram_key(ids, n), uint32_t(i));
      }
      for (size_t i = 0; i < level.size(); ++i) {
        words_of(n, i);
        context[i] = contexts.find(ngram_key(ids, n));
        check(context[i] != NgramIndex::kNone, "[ngram] an n-gram's context was not counted");
      }
    }
    // For each context: the sum of a, and what discounts (and pruned n-grams) leave to the lower order.
    std::vector<double> sum(context_count), left(context_count);
    const Discounts& d = discounts[size_t(n)];
    const auto discount = [&](uint64_t a) { return d[size_t(std::min<uint64_t>(a, 3))]; };
    for (size_t i = 0; i < level.size(); ++i) {
      const auto a = double(level.adjusted[i]);
      sum[context[i]] += a;
      left[context[i]] += level.left_out[i] ? a : discount(level.adjusted[i]);
    }
    if (below) {
      below->backoff.assign(below->size(), 1);
      for (size_t i = 0; i < below->size(); ++i)
        if (sum[i] > 0) below->backoff[i] = left[i] / sum[i];
    }
    const double uniform = 1 / double(vocabulary.size() - 1);  // every word but <s>
    level.probability.resize(level.size());
    for (size_t i = 0; i < level.size(); ++i) {
      const double gamma = left[context[i]] / sum[context[i]];
      const double lower = n == 0 ? uniform : below->probability[level.parent[i]];
      level.probability[i] = (double(level.adjusted[i]) - discount(level.adjusted[i])) / sum[context[i]] + gamma * lower;
      if (n == 0 && level.first[i] == kSentenceBegin) level.probability[i] = 1;
    }
  }
}

NgramTable NgramTrainer::Work::table() {
  NgramTable table;
  table.orders.resize(size_t(order));
  uint32_t ids[kMaxNgramOrder];
  for (int n = 0; n < order; ++n) {
    const Level& level = levels[size_t(n)];
    NgramTable::Order& out = table.orders[size_t(n)];
    const bool highest = n + 1 == order;
    if (n == 0) {
      // By id, not in the order of sorting.
      out.ids.resize(level.size());
      out.probabilities.resize(level.size());
      if (!highest) out.backoffs.resize(level.size());
    }
    for (size_t i = 0; i < level.size(); ++i) {
      if (level.left_out[i]) continue;
      const auto probability = std::min(0.0f, float(std::log10(level.probability[i])));
      const float backoff = highest ? 0 : float(std::log10(level.backoff[i]));
      if (n == 0) {
        const uint32_t id = level.first[i];
        out.ids[id] = id;
        out.probabilities[id] = probability;
        if (!highest) out.backoffs[id] = backoff;
        continue;
      }
      size_t at = i;
      for (int k = n; k >= 0; --k) {
        ids[n - k] = levels[size_t(k)].first[at];
        at = levels[size_t(k)].parent[at];
      }
      out.ids.insert(out.ids.end(), ids, ids + n + 1);
      out.probabilities.push_back(probability);
      if (!highest) out.backoffs.push_back(backoff);
    }
  }
  table.words = vocabulary.take();
  return table;
}

void NgramTrainOptions::visit(Fields& v) {
  v("order", order, "words of the longest n-gram", Range{1, double(kMaxNgramOrder)});
  v("prune", prune, "n-grams seen no more often are left out, for each order; the last value holds on");
  v("discount_fallback", discount_fallback, "fixed discounts where the text gives none (small or repetitive text)");
  v("memory", memory, "bytes of memory for counting", Range{1 << 16, 1e13});
  v("temporary_folder", temporary_folder, "folder for what does not fit into memory");
}

NgramTrainer::NgramTrainer(const NgramTrainOptions& options) : work_(std::make_unique<Work>(options)) {}
NgramTrainer::~NgramTrainer() = default;

void NgramTrainer::add_sentence(std::string_view line) {
  work_->count(line);
}

void NgramTrainer::add_document(std::string_view text) {
  while (!text.empty()) {
    const size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (!std::all_of(line.begin(), line.end(), is_blank)) work_->count(line);
  }
}

NgramTable NgramTrainer::finish() {
  Work& w = *work_;
  check(w.statistics.words > 0, "[ngram] there is no text to learn from");
  w.statistics.runs = int64_t(w.counter.runs());
  w.grow_levels();
  w.find_discounts();
  w.smooth();
  return w.table();
}

const NgramTrainer::Statistics& NgramTrainer::statistics() const {
  return work_->statistics;
}

NgramTable train_ngram(const std::vector<std::string>& files, const NgramTrainOptions& options) {
  NgramTrainer trainer(options);
  std::string line;
  for (const std::string& file : files)
    for (data::LineReader lines(file); lines.next(line);) trainer.add_document(line);
  return trainer.finish();
}

}  // namespace r1::corpus
