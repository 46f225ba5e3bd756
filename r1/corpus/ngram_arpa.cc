#include "r1/corpus/ngram_arpa.h"

#include <zlib.h>

#include <charconv>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/corpus/ngram_key.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxLine = size_t{1} << 20;

// The next part between blanks; empty at the end.
std::string_view next_field(std::string_view& line) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  size_t begin = 0;
  while (begin < line.size() && is_blank(line[begin])) ++begin;
  size_t end = begin;
  while (end < line.size() && !is_blank(line[end])) ++end;
  const std::string_view field = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return field;
}

bool parse_float(std::string_view text, float* out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;  // a double takes what is too small for a float
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || text.empty() || error != std::errc()) return false;
  return *out = float(value), !std::isnan(value);
}

struct Hash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};
using Ids = std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>>;

class ArpaReader {
 public:
  ArpaReader(const std::filesystem::path& path, int64_t max_bytes) : name_(path.string()), lines_(path, kMaxLine), max_bytes_(max_bytes) {}

  NgramTable read() {
    read_counts();
    table_.orders.resize(counts_.size());
    table_.words = {"<unk>", "<s>", "</s>"};
    for (size_t i = 0; i < 3; ++i) ids_.emplace(table_.words[i], uint32_t(i));
    for (int n = 1; n <= table_.order(); ++n) read_order(n);
    check(trim(line_) == "\\end\\", lines_.where(), ": expected \\end\\ after the ", table_.order(), "-grams, got ", printable(line_));
    return std::move(table_);
  }

 private:
  // The next line that is not blank.
  bool advance() {
    while (lines_.next(line_)) {
      check(lines_.position().byte <= max_bytes_, lines_.where(), ": the file is larger than the ", max_bytes_,
            " bytes that may be read of it");
      if (!trim(line_).empty()) return true;
    }
    line_.clear();
    return false;
  }

  void read_counts() {
    for (;;) {
      if (!advance()) fail_usage(name_, " is no ARPA file: it has no line \\data\\");
      if (trim(line_) == "\\data\\") break;
    }
    while (advance() && trim(line_).starts_with("ngram")) {
      std::string_view rest = trim(line_).substr(5);
      rest = trim(rest);
      int n = 0;
      int64_t count = -1;
      auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), n);
      std::string_view number = trim(rest.substr(size_t(end - rest.data())));
      bool good = error == std::errc() && number.starts_with('=');
      if (good) {
        number = trim(number.substr(1));
        const auto [last, bad] = std::from_chars(number.data(), number.data() + number.size(), count);
        good = bad == std::errc() && last == number.data() + number.size() && count >= 0;
      }
      check(good, lines_.where(), ": expected \"ngram N=COUNT\", got ", printable(line_));
      check(n == int(counts_.size()) + 1, lines_.where(), ": the count of ", n, "-grams comes after that of ", counts_.size(), "-grams");
      if (n > kMaxNgramOrder) fail_usage(name_, " is a model of order ", n, " or more; ", kMaxNgramOrder, " is the most that can be read");
      check(count < INT64_C(0xFFFFFFFF), lines_.where(), ": ", count, " ", n, "-grams are more than can be held");
      counts_.push_back(count);
    }
    check(!counts_.empty(), lines_.where(), ": no counts after \\data\\");
  }

  void read_order(int n) {
    const std::string title = "\\" + std::to_string(n) + "-grams:";
    check(trim(line_) == title, lines_.where(), ": expected ", title, ", got ", line_.empty() ? "the end of the file" : printable(line_));
    NgramTable::Order& order = table_.orders[size_t(n - 1)];
    const bool highest = n == table_.order();
    if (n == 1) {
      order.ids = {0, 1, 2};
      order.probabilities = {kMissingUnknown, NAN, NAN};
      if (!highest) order.backoffs = {0, 0, 0};
    }
    std::vector<bool> seen(3);
    int64_t rows = 0;
    uint32_t ids[kMaxNgramOrder];
    while (advance() && line_[0] != '\\') {
      check(++rows <= counts_[size_t(n - 1)], lines_.where(), ": more ", n, "-grams than the ", counts_[size_t(n - 1)], " of \\data\\");
      std::string_view rest = line_;
      float probability = 0, backoff = 0;
      const std::string_view number = next_field(rest);
      check(parse_float(number, &probability), lines_.where(), ": '", printable(number), "' is no log10 of a probability");
      if (probability > 0 && probability < 1e-4f) probability = 0;  // rounding
      check(probability <= 0, lines_.where(), ": the log10 of a probability is ", number, ", above 0; the model was not normalised");
      probability = std::max(probability, -99.0f * 1e3f);
      for (int i = 0; i < n; ++i) {
        const std::string_view word = next_field(rest);
        check(!word.empty(), lines_.where(), ": a ", n, "-gram of ", i, " words");
        ids[i] = n == 1 ? unigram(word, seen) : id_of(word);
      }
      const std::string_view last = next_field(rest);
      check(last.empty() || parse_float(last, &backoff), lines_.where(), ": '", printable(last), "' is no log10 of a backoff");
      check(next_field(rest).empty(), lines_.where(), ": more than ", n, " words and a backoff");
      check(backoff <= 1e5f && backoff >= -1e5f, lines_.where(), ": the log10 of a backoff is ", last);
      if (n == 1) {
        put_unigram(ids[0], probability, backoff, highest);
      } else {
        add(n, ids, probability, backoff);
      }
    }
    check(rows == counts_[size_t(n - 1)], lines_.where(), ": ", rows, " ", n, "-grams, but \\data\\ says ", counts_[size_t(n - 1)]);
    if (n > 1) return;
    for (const uint32_t marker : {kSentenceBegin, kSentenceEnd})
      if (std::isnan(order.probabilities[marker]))
        fail_usage(name_, " has no ", table_.words[marker], "; train it on sentences, with their ends marked");
  }

  uint32_t unigram(std::string_view word, std::vector<bool>& seen) {
    if (word == "<UNK>") word = "<unk>";
    auto [at, fresh] = ids_.emplace(std::string(word), uint32_t(table_.words.size()));
    if (fresh) {
      table_.words.emplace_back(word);
    } else {
      check(at->second < 3 && !seen[at->second], lines_.where(), ": the unigram '", printable(word), "' is given twice");
      seen[at->second] = true;
    }
    return at->second;
  }

  void put_unigram(uint32_t id, float probability, float backoff, bool highest) {
    NgramTable::Order& order = table_.orders[0];
    if (id >= order.size()) {
      order.ids.push_back(id);
      order.probabilities.push_back(probability);
      if (!highest) order.backoffs.push_back(backoff);
    } else {
      order.probabilities[id] = probability;
      if (!highest) order.backoffs[id] = backoff;
    }
  }

  uint32_t id_of(std::string_view word) const {
    const auto at = ids_.find(word == "<UNK>" ? std::string_view("<unk>") : word);
    check(at != ids_.end(), lines_.where(), ": '", printable(word), "' is no unigram of this model");
    return at->second;
  }

  void add(int n, const uint32_t* ids, float probability, float backoff) {
    if (index_.size() < size_t(n + 1)) index_.resize(size_t(n + 1));
    // Those that put_suffix() puts in come later, when longer n-grams are read.
    const bool fresh = index_[size_t(n)].add(ngram_key(ids, n), uint32_t(table_.orders[size_t(n - 1)].size()));
    check(fresh, lines_.where(), ": this ", n, "-gram is given twice");
    append(n, ids, probability, backoff);
    if (n > 2) put_suffix(n - 1, ids + 1);
  }

  void append(int n, const uint32_t* ids, float probability, float backoff) {
    NgramTable::Order& order = table_.orders[size_t(n - 1)];
    order.ids.insert(order.ids.end(), ids, ids + n);
    order.probabilities.push_back(probability);
    if (n < table_.order()) order.backoffs.push_back(backoff);
  }

  // The n-gram must be there, so that a search from the last word leftwards comes by it.
  void put_suffix(int n, const uint32_t* ids) {
    if (index_[size_t(n)].find(ngram_key(ids, n)) != NgramIndex::kNone) return;
    if (n > 2) put_suffix(n - 1, ids + 1);
    const float backed_off = probability_of(n - 1, ids + 1) + backoff_of(n - 1, ids);
    index_[size_t(n)].add(ngram_key(ids, n), uint32_t(table_.orders[size_t(n - 1)].size()));
    append(n, ids, backed_off, 0);
  }
  float probability_of(int n, const uint32_t* ids) const {
    return table_.orders[size_t(n - 1)].probabilities[n == 1 ? ids[0] : index_[size_t(n)].find(ngram_key(ids, n))];
  }
  float backoff_of(int n, const uint32_t* ids) const {
    const NgramTable::Order& order = table_.orders[size_t(n - 1)];
    if (n == 1) return order.backoffs[ids[0]];
    const uint32_t at = index_[size_t(n)].find(ngram_key(ids, n));
    return at == NgramIndex::kNone ? 0 : order.backoffs[at];
  }

  std::string name_;
  data::LineReader lines_;
  int64_t max_bytes_;
  std::string line_;
  std::vector<int64_t> counts_;
  Ids ids_;
  std::vector<NgramIndex> index_;  // of the order, by key
  NgramTable table_;
};

// Where text goes: a file that appears whole, compressed where its name says so.
class TextFile {
 public:
  explicit TextFile(const std::filesystem::path& path) : name_(path.string()), file_(path), packed_(path.extension() == ".gz") {
    if (packed_) check(deflateInit2(&stream_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, name_, ": no memory to compress");
  }
  ~TextFile() {
    if (packed_) deflateEnd(&stream_);
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  std::string& text() {
    if (text_.size() > 1 << 20) flush(false);
    return text_;
  }
  void commit() {
    flush(true);
    file_.commit();
  }

 private:
  void flush(bool last) {
    if (!packed_) {
      file_.write(std::string_view(text_));
    } else {
      stream_.next_in = reinterpret_cast<Bytef*>(text_.data());
      stream_.avail_in = uInt(text_.size());
      std::string out(1 << 16, '\0');
      do {
        stream_.next_out = reinterpret_cast<Bytef*>(out.data());
        stream_.avail_out = uInt(out.size());
        deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
        file_.write(std::string_view(out.data(), out.size() - stream_.avail_out));
      } while (stream_.avail_out == 0);
    }
    text_.clear();
  }

  std::string name_, text_;
  AtomicFile file_;
  bool packed_;
  z_stream stream_{};
};

void append_number(std::string& out, float value) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end);
}

}  // namespace

NgramTable read_arpa(const std::filesystem::path& path, int64_t max_bytes) {
  return ArpaReader(path, max_bytes).read();
}

void write_arpa(const NgramTable& table, const std::filesystem::path& path) {
  TextFile file(path);
  file.text() += "\\data\\\n";
  for (int n = 1; n <= table.order(); ++n) file.text() += str("ngram ", n, "=", table.orders[size_t(n - 1)].size(), "\n");
  for (int n = 1; n <= table.order(); ++n) {
    file.text() += str("\n\\", n, "-grams:\n");
    const NgramTable::Order& order = table.orders[size_t(n - 1)];
    for (size_t row = 0; row < order.size(); ++row) {
      std::string& out = file.text();
      append_number(out, order.probabilities[row]);
      for (int i = 0; i < n; ++i) out.append(i ? " " : "\t").append(table.words[order.ids[row * size_t(n) + size_t(i)]]);
      if (n < table.order()) append_number(out += '\t', order.backoffs[row]);
      out += '\n';
    }
  }
  file.text() += "\n\\end\\\n";
  file.commit();
}

}  // namespace r1::corpus
