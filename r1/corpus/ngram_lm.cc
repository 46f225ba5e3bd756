#include "r1/corpus/ngram_lm.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/corpus/ngram_key.h"

namespace r1::corpus {
namespace {

constexpr char kMagic[8] = {'r', '1', 'n', 'g', 'r', 'a', 'm', '1'};
constexpr size_t kPage = 64;

// An n-gram of two words and more. Its probability is at most 1, so the sign of the log is free: it is set where a longer n-gram ends in
// this one, and a search that goes leftwards ends here if it is not.
struct Slot {
  uint64_t key;  // 0: empty
  float probability, backoff;
};
struct Unigram {
  float probability, backoff;
};
struct Word {
  uint64_t hash;  // 0: empty
  uint64_t id;
};
static_assert(sizeof(Slot) == 16 && sizeof(Word) == 16 && sizeof(Unigram) == 8);

struct Header {
  char magic[8];
  uint64_t order, words, word_slots;
  uint64_t ngrams[kMaxNgramOrder], slots[kMaxNgramOrder];  // of orders from 1; unigrams have no slots
  uint64_t bytes;                                          // of the file
};

uint64_t hash_of(std::string_view word) {
  return std::max<uint64_t>(XXH3_64bits(word.data(), word.size()), 1);
}
uint64_t key_of(uint64_t key) {
  return std::max<uint64_t>(key, 1);
}
// Where a search for it begins.
uint64_t place_of(uint64_t key, uint64_t slots) {
  return uint64_t((unsigned __int128)key * slots >> 64);
}
float with_sign(float log10, bool extends) {
  return std::copysign(log10, extends ? -1.0f : 1.0f);
}
bool extends_left(float stored) {
  return std::signbit(stored);
}
float log10_of(float stored) {
  return -std::abs(stored);
}
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\0';
}

}  // namespace

struct NgramModel::Tables {
  MappedFile file;
  std::vector<std::byte> own;  // where no file is mapped
  std::span<const std::byte> all;
  Header header{};
  int order = 0;
  const Word* words = nullptr;
  const Unigram* unigrams = nullptr;
  const Slot* slots[kMaxNgramOrder + 1] = {};
  uint64_t sizes[kMaxNgramOrder + 1] = {};

  // Places of the tables by the header's sizes; false if they do not make up `bytes`.
  bool lay_out(std::span<const std::byte> bytes) {
    all = bytes;
    const uint64_t most = bytes.size();
    uint64_t at = sizeof(Header);
    const auto table = [&](uint64_t count, uint64_t size) {
      at = (at + kPage - 1) / kPage * kPage;
      const uint64_t begin = at;
      if (at > most || count > (most - at) / size) return most;
      at += count * size;
      return begin;
    };
    order = int(header.order);
    const uint64_t w = table(header.word_slots, sizeof(Word)), u = table(header.words, sizeof(Unigram));
    if (w == most || u == most) return false;
    words = reinterpret_cast<const Word*>(bytes.data() + w);
    unigrams = reinterpret_cast<const Unigram*>(bytes.data() + u);
    for (int n = 2; n <= order; ++n) {
      sizes[n] = header.slots[n - 1];
      const uint64_t s = table(sizes[n], sizeof(Slot));
      if (s == most || sizes[n] == 0) return false;
      slots[n] = reinterpret_cast<const Slot*>(bytes.data() + s);
    }
    return at == most;
  }

  void build(const NgramTable& table);

  const Slot* find(int n, uint64_t key) const {
    const Slot* const table = slots[n];
    const uint64_t size = sizes[n];
    uint64_t at = place_of(key, size);
    for (uint64_t probes = 0; probes < size; ++probes) {
      if (table[at].key == key) return &table[at];
      if (table[at].key == 0) return nullptr;
      if (++at == size) at = 0;
    }
    return nullptr;  // no table that build() makes is full; a damaged one may be
  }
  void prefetch(int n, uint64_t key) const { __builtin_prefetch(&slots[n][place_of(key, sizes[n])]); }

  uint32_t id(uint64_t hash) const {
    uint64_t at = place_of(hash, header.word_slots);
    for (uint64_t probes = 0; probes < header.word_slots; ++probes) {
      if (words[at].hash == hash) return words[at].id < header.words ? uint32_t(words[at].id) : kUnknownWord;
      if (words[at].hash == 0) break;
      if (++at == header.word_slots) at = 0;
    }
    return kUnknownWord;
  }
};

void NgramModel::Tables::build(const NgramTable& table) {
  check(table.order() >= 1 && table.order() <= kMaxNgramOrder && table.words.size() >= 3, "[ngram] a table of order ", table.order(),
        " is no model");
  const auto slots_for = [](size_t n) { return uint64_t(n) * 3 / 2 + 1; };
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.order = uint64_t(table.order());
  header.words = table.words.size();
  header.word_slots = slots_for(table.words.size());
  uint64_t bytes = sizeof(Header);
  const auto add = [&](uint64_t n) { bytes = (bytes + kPage - 1) / kPage * kPage + n; };
  add(header.word_slots * sizeof(Word));
  add(header.words * sizeof(Unigram));
  for (int n = 1; n <= table.order(); ++n) {
    header.ngrams[n - 1] = table.orders[size_t(n - 1)].size();
    if (n == 1) continue;
    header.slots[n - 1] = slots_for(table.orders[size_t(n - 1)].size());
    add(header.slots[n - 1] * sizeof(Slot));
  }
  header.bytes = bytes;
  own.assign(bytes, std::byte{});
  std::memcpy(own.data(), &header, sizeof header);
  check(lay_out(own), "[ngram] the tables' sizes do not add up");

  auto* word_table = const_cast<Word*>(words);
  for (size_t i = 0; i < table.words.size(); ++i) {
    const uint64_t hash = hash_of(table.words[i]);
    uint64_t at = place_of(hash, header.word_slots);
    while (word_table[at].hash != 0) {
      check(word_table[at].hash != hash, "[ngram] the words '", printable(table.words[word_table[at].id]), "' and '",
            printable(table.words[i]), "' have one hash");
      if (++at == header.word_slots) at = 0;
    }
    word_table[at] = {hash, i};
  }
  auto* unigram_table = const_cast<Unigram*>(unigrams);
  const auto& first = table.orders[0];
  check(first.size() == table.words.size(), "[ngram] ", table.words.size(), " words but ", first.size(), " unigrams");
  for (size_t i = 0; i < first.size(); ++i)
    unigram_table[i] = {with_sign(first.probabilities[i], false), first.backoffs.empty() ? 0 : first.backoffs[i]};
  for (int n = 2; n <= order; ++n) {
    const auto& rows = table.orders[size_t(n - 1)];
    auto* slot_table = const_cast<Slot*>(slots[n]);
    for (size_t row = 0; row < rows.size(); ++row) {
      const uint32_t* ids = &rows.ids[row * size_t(n)];
      const uint64_t key = key_of(ngram_key(ids, n));
      uint64_t at = place_of(key, sizes[n]);
      while (slot_table[at].key != 0) {
        check(slot_table[at].key != key, "[ngram] a ", n, "-gram is there twice, row ", row);
        if (++at == sizes[n]) at = 0;
      }
      slot_table[at] = {key, with_sign(rows.probabilities[row], false), n < order ? rows.backoffs[row] : 0};
      if (n == 2) {
        unigram_table[ids[1]].probability = with_sign(unigram_table[ids[1]].probability, true);
        continue;
      }
      const Slot* suffix = find(n - 1, key_of(ngram_key(ids + 1, n - 1)));
      check(suffix, "[ngram] ", n, "-gram ", row, " ends in no ", n - 1, "-gram of the model");
      auto& stored = const_cast<Slot*>(suffix)->probability;
      stored = with_sign(stored, true);
    }
  }
}

NgramModel::NgramModel(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
NgramModel::NgramModel(NgramModel&&) noexcept = default;
NgramModel& NgramModel::operator=(NgramModel&&) noexcept = default;
NgramModel::~NgramModel() = default;

NgramModel::NgramModel(const NgramTable& table) : tables_(std::make_unique<Tables>()) {
  tables_->build(table);
}

NgramModel NgramModel::load(const std::filesystem::path& path) {
  auto tables = std::make_unique<Tables>();
  tables->file = MappedFile(path);
  const auto bytes = tables->file.bytes();
  if (bytes.size() < sizeof kMagic || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) return NgramModel(read_arpa(path));
  Header& header = tables->header;
  const std::string name = path.string();
  check(bytes.size() >= sizeof header, name, ": ends within its header");
  std::memcpy(&header, bytes.data(), sizeof header);
  check(header.order >= 1 && header.order <= kMaxNgramOrder && header.words >= 3 && header.words <= UINT32_MAX && header.word_slots > 0,
        name, ": a model of order ", header.order, " with ", header.words, " words cannot be");
  check(header.bytes == bytes.size(), name, ": has ", bytes.size(), " bytes, but its header says ", header.bytes, "; was it cut off?");
  check(tables->lay_out(bytes), name, ": the sizes in its header do not make up the file");
  return NgramModel(std::move(tables));
}

void NgramModel::write(const std::filesystem::path& path) const {
  AtomicFile file(path);
  file.write(tables_->all);
  file.commit();
}

int NgramModel::order() const {
  return tables_->order;
}
int64_t NgramModel::ngrams(int n) const {
  check(n >= 1 && n <= order(), "[ngram] no ", n, "-grams in a model of order ", order());
  return int64_t(tables_->header.ngrams[n - 1]);
}
uint32_t NgramModel::id(std::string_view word) const {
  return tables_->id(hash_of(word));
}

NgramModel::State NgramModel::begin_sentence() const {
  State state;
  if (order() == 1) return state;
  state.length = 1;
  state.words[0] = kSentenceBegin;
  state.backoffs[0] = tables_->unigrams[kSentenceBegin].backoff;
  return state;
}

NgramModel::Score NgramModel::score(const State& in, uint32_t word, State& out) const {
  const Tables& t = *tables_;
  check(word < t.header.words, "[ngram] word ", word, " of a model of ", t.header.words);
  const Unigram& unigram = t.unigrams[word];
  State next;
  next.words[0] = word;
  next.backoffs[0] = unigram.backoff;
  Score score{log10_of(unigram.probability), 1};
  bool further = extends_left(unigram.probability);
  uint64_t key = ngram_key_begin(word);
  for (int n = 2; further && n <= t.order && n <= in.length + 1; ++n) {
    key = ngram_key_longer(key, in.words[size_t(n - 2)]);
    const Slot* slot = t.find(n, key_of(key));
    if (!slot) break;
    score = {log10_of(slot->probability), n};
    further = extends_left(slot->probability);
    if (n == t.order) break;
    next.words[size_t(n - 1)] = in.words[size_t(n - 2)];
    next.backoffs[size_t(n - 1)] = slot->backoff;
  }
  next.length = std::min(score.length, t.order - 1);
  for (int n = score.length; n <= in.length; ++n) score.log10 += in.backoffs[size_t(n - 1)];
  out = next;
  return score;
}

double NgramModel::Total::perplexity() const {
  return words == 0 ? std::numeric_limits<double>::infinity() : std::pow(10.0, -log10 / double(words));
}

// The same as score() word by word. Which places of the tables are asked does not depend on what stands there, so that they are all known
// some words ahead, and memory is asked for them then.
NgramModel::Total NgramModel::sentence(std::string_view text, bool ends) const {
  const Tables& t = *tables_;
  constexpr size_t kAhead = 8;
  std::vector<uint64_t> hashes;
  hashes.reserve(text.size() / 4 + 2);
  const char *p = text.data(), *const end = p + text.size();
  for (;;) {
    while (p < end && is_blank(*p)) ++p;
    if (p == end) break;
    const char* const begin = p;
    while (p < end && !is_blank(*p)) ++p;
    hashes.push_back(hash_of({begin, size_t(p - begin)}));
    __builtin_prefetch(&t.words[place_of(hashes.back(), t.header.word_slots)]);
  }
  std::vector<uint32_t> ids;
  ids.reserve(hashes.size() + 2);
  if (ends) ids.push_back(kSentenceBegin);
  for (const uint64_t hash : hashes) ids.push_back(t.id(hash));
  if (ends) ids.push_back(kSentenceEnd);

  // Keys of the n-grams that end at a word, for the words ahead; [n] of the n-gram.
  uint64_t keys[kAhead][kMaxNgramOrder + 1];
  const auto look_ahead = [&](size_t i) {
    __builtin_prefetch(&t.unigrams[ids[i]]);
    uint64_t key = ngram_key_begin(ids[i]);
    for (int n = 2; n <= t.order && size_t(n) <= i + 1; ++n) {
      key = ngram_key_longer(key, ids[i + 1 - size_t(n)]);
      keys[i % kAhead][n] = key_of(key);
      t.prefetch(n, key_of(key));
    }
  };
  Total total;
  const size_t first = ends ? 1 : 0;
  total.words = int64_t(ids.size() - first);
  for (size_t i = first; i < std::min(ids.size(), first + kAhead - 1); ++i) look_ahead(i);
  float backoffs[kMaxNgramOrder + 1];
  int context = 0;  // how many words of it are an n-gram of the model
  if (ends && t.order > 1) {
    context = 1;
    backoffs[1] = t.unigrams[kSentenceBegin].backoff;
  }
  for (size_t i = first; i < ids.size(); ++i) {
    if (i + kAhead - 1 < ids.size()) look_ahead(i + kAhead - 1);
    const Unigram& unigram = t.unigrams[ids[i]];
    total.unknown += ids[i] == kUnknownWord;
    float probability = unigram.probability, next[kMaxNgramOrder + 1];
    next[1] = unigram.backoff;
    int length = 1;
    for (int n = 2; extends_left(probability) && n <= context + 1; ++n) {
      const Slot* slot = t.find(n, keys[i % kAhead][n]);
      if (!slot) break;
      length = n;
      probability = slot->probability;
      next[n] = slot->backoff;
    }
    float log10 = log10_of(probability);
    for (int n = length; n <= context; ++n) log10 += backoffs[n];
    total.log10 += double(log10);
    context = std::min(length, t.order - 1);
    std::copy(next + 1, next + 1 + context, backoffs + 1);
  }
  return total;
}

NgramModel::Total NgramModel::document(std::string_view text) const {
  Total total;
  while (!text.empty()) {
    const size_t newline = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (std::all_of(line.begin(), line.end(), is_blank)) continue;
    const Total one = sentence(line);
    total.log10 += one.log10;
    total.words += one.words;
    total.unknown += one.unknown;
  }
  return total;
}

}  // namespace r1::corpus
