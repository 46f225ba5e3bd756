#include "r1/api/intent_features.h"

#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/text/unicode.h"

namespace r1::api {
namespace {

// Which n-grams a message has, and how often; `piece` marks those of characters.
struct Counts {
  std::unordered_map<uint64_t, int> words, pieces;
};

uint64_t hash_of(std::string_view text, char kind) {
  uint64_t h = 0xCBF29CE484222325ull ^ uint8_t(kind);  // FNV-1a, then mixed so that near texts lie far apart
  h *= 0x100000001B3ull;
  for (char c : text) h = (h ^ uint8_t(c)) * 0x100000001B3ull;
  h ^= h >> 33, h *= 0xFF51AFD7ED558CCDull, h ^= h >> 33;
  return h;
}

// Byte positions of the characters of `text`, and its end.
std::vector<size_t> character_starts(std::string_view text) {
  std::vector<size_t> at;
  uint32_t cp = 0;
  for (size_t i = 0; i < text.size(); i += size_t(decode_utf8(text.data() + i, text.data() + text.size(), &cp))) at.push_back(i);
  at.push_back(text.size());
  return at;
}

void count_pieces(const std::string& word, const NgramOptions& o, std::unordered_map<uint64_t, int>& counts) {
  const std::string padded = " " + word + " ";
  const std::vector<size_t> at = character_starts(padded);
  const size_t characters = at.size() - 1;
  for (size_t n = size_t(o.min_chars); n <= size_t(o.max_chars) && n <= characters; ++n) {
    for (size_t i = 0; i + n <= characters; ++i) ++counts[hash_of(std::string_view(padded).substr(at[i], at[i + n] - at[i]), 'c')];
  }
}

Counts count(std::string_view message, const NgramOptions& o) {
  Counts counts;
  const std::vector<std::string> words = words_of(message.substr(0, kMaxMessageBytes));
  for (size_t i = 0; i < words.size(); ++i) {
    std::string run;
    for (size_t n = 0; n < size_t(o.max_words) && i + n < words.size(); ++n) {
      run += (n ? " " : "") + words[i + n];
      ++counts.words[hash_of(run, char('1' + n))];
    }
    count_pieces(words[i], o, counts.pieces);
  }
  return counts;
}

}  // namespace

void NgramOptions::visit(Fields& v) {
  v("max_words", max_words, "longest run of words that is a feature", Range{1, 5});
  v("min_chars", min_chars, "shortest piece of a word that is one", Range{1, 8});
  v("max_chars", max_chars, "longest piece of a word that is one", Range{1, 8});
  v("min_count", min_count, "messages a feature must occur in", Range{1, 1000});
  v("max_features", max_features, "features at most, the most frequent ones", Range{1, 4'000'000});
}

void NgramOptions::check() const {
  r1::check(max_words >= 1 && max_words <= 5 && min_chars >= 1 && min_chars <= max_chars && max_chars <= 8 && min_count >= 1 &&
                max_features >= 1 && max_features <= 4'000'000,
            "[ngrams] expected 1 to 5 words, 1 <= min_chars <= max_chars <= 8 and positive counts, got max_words ", max_words,
            ", min_chars ", min_chars, ", max_chars ", max_chars, ", min_count ", min_count, ", max_features ", max_features);
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    uint32_t cp = 0;
    const size_t n = size_t(decode_utf8(text.data() + i, text.data() + text.size(), &cp));
    if (cp == kInvalidChar)
      out += text[i];
    else
      append_utf8(out, uint32_t(utf8proc_tolower(utf8proc_int32_t(cp))));
    i += n;
  }
  return out;
}

std::vector<std::string> words_of(std::string_view text) {
  const std::string lower = lower_case(text);
  const uint8_t* flags = text::char_flags();
  std::vector<std::string> words;
  bool open = false;
  for (size_t i = 0; i < lower.size();) {
    uint32_t cp = 0;
    const size_t n = size_t(decode_utf8(lower.data() + i, lower.data() + lower.size(), &cp));
    const bool in_word = flags[cp] & (text::kLetter | text::kNumber | text::kMark);
    if (in_word && open)
      words.back().append(lower, i, n);
    else if (!(flags[cp] & text::kSpace))
      words.push_back(lower.substr(i, n));
    open = in_word;
    i += n;
  }
  return words;
}

NgramFeatures NgramFeatures::fit(std::span<const std::string> messages, const NgramOptions& options) {
  options.check();
  std::unordered_map<uint64_t, int64_t> with;  // messages that have it
  for (const std::string& message : messages) {
    const Counts counts = count(message, options);
    for (const auto& [hash, n] : counts.words) ++with[hash];
    for (const auto& [hash, n] : counts.pieces) ++with[hash];
  }
  std::vector<std::pair<int64_t, uint64_t>> kept;
  for (const auto& [hash, n] : with) {
    if (n >= options.min_count) kept.emplace_back(-n, hash);
  }
  std::sort(kept.begin(), kept.end());
  if (int64_t(kept.size()) > options.max_features) kept.resize(size_t(options.max_features));
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  std::vector<uint64_t> hashes;
  std::vector<float> idf;
  for (const auto& [minus_n, hash] : kept) {
    hashes.push_back(hash);
    idf.push_back(float(std::log(double(1 + messages.size()) / double(1 - minus_n)) + 1));
  }
  return from_parts(options, std::move(hashes), std::move(idf));
}

NgramFeatures NgramFeatures::from_parts(const NgramOptions& options, std::vector<uint64_t> hashes, std::vector<float> idf) {
  options.check();
  check(hashes.size() == idf.size(), "[ngrams] expected a weight for each of ", hashes.size(), " features, got ", idf.size());
  for (size_t i = 0; i < hashes.size(); ++i) {
    check(i == 0 || hashes[i - 1] < hashes[i], "[ngrams] expected hashes in ascending order, got feature ", i,
          " at or below the one before");
    check(std::isfinite(idf[i]) && idf[i] > 0 && idf[i] < 1e6f, "[ngrams] expected a positive weight for feature ", i, ", got ", idf[i]);
  }
  NgramFeatures features;
  features.options_ = options;
  features.hashes_ = std::move(hashes);
  features.idf_ = std::move(idf);
  return features;
}

SparseVector NgramFeatures::operator()(std::string_view message) const {
  const Counts counts = count(message, options_);
  std::vector<std::pair<uint32_t, float>> found;
  for (const auto* group : {&counts.words, &counts.pieces}) {
    const size_t begin = found.size();
    double squares = 0;
    for (const auto& [hash, n] : *group) {
      const auto it = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
      if (it == hashes_.end() || *it != hash) continue;
      const size_t i = size_t(it - hashes_.begin());
      const double value = (1 + std::log(double(n))) * idf_[i];
      found.emplace_back(uint32_t(i), float(value));
    }
    // In order of the features, so that the sum does not hang on the hash table's.
    std::sort(found.begin() + std::ptrdiff_t(begin), found.end());
    for (size_t i = begin; i < found.size(); ++i) squares += double(found[i].second) * found[i].second;
    const float scale = squares > 0 ? float(1 / std::sqrt(squares)) : 0;
    for (size_t i = begin; i < found.size(); ++i) found[i].second *= scale;
  }
  std::sort(found.begin(), found.end());
  SparseVector vector;
  for (const auto& [index, value] : found) {
    if (!vector.index.empty() && vector.index.back() == index) continue;  // a word's hash that is a piece's too
    vector.index.push_back(index);
    vector.value.push_back(value);
  }
  return vector;
}

}  // namespace r1::api
