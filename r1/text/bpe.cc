#include "r1/text/bpe.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "r1/base/error.h"
#include "r1/text/unicode.h"

namespace r1::text {
namespace {

struct Letters {
  std::array<uint32_t, 256> letter{};
  std::array<int, 324> byte{};  // letters are below U+0144

  Letters() {
    byte.fill(-1);
    uint32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      letter[size_t(b)] = printable ? uint32_t(b) : next++;
      byte[letter[size_t(b)]] = b;
    }
  }
};

const Letters& letters() {
  static const Letters table;
  return table;
}

uint32_t hash_of(std::string_view key) {
  return uint32_t(hash_bytes(key) >> 32);
}

}  // namespace

uint64_t hash_bytes(std::string_view piece) {
  constexpr uint64_t kMul = 0x9E3779B97F4A7C15ull;
  const char* p = piece.data();
  size_t n = piece.size();
  uint64_t h = n * kMul, word = 0;
  for (; n >= 8; p += 8, n -= 8) {
    std::memcpy(&word, p, 8);
    h = (h ^ word) * kMul;
    h ^= h >> 29;
  }
  word = 0;
  if (n >= 4) {
    uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    word = low | uint64_t(high) << 32;
  } else if (n) {
    word = uint8_t(p[0]) | uint64_t(uint8_t(p[n / 2])) << 8 | uint64_t(uint8_t(p[n - 1])) << 16;
  }
  h = (h ^ word) * kMul;
  return h ^ h >> 32 ^ h << 32;
}

uint32_t byte_letter(uint8_t byte) {
  return letters().letter[byte];
}

std::string to_byte_letters(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char b : bytes) append_utf8(out, byte_letter(uint8_t(b)));
  return out;
}

bool from_byte_letters(std::string_view text, std::string* bytes) {
  bytes->clear();
  const char* const end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    uint32_t cp;
    p += decode_utf8(p, end, &cp);
    if (cp >= letters().byte.size() || letters().byte[cp] < 0) return false;
    bytes->push_back(char(letters().byte[cp]));
  }
  return true;
}

void StringTable::reserve(size_t n, size_t bytes) {
  arena_.reserve(bytes);
  entries_.reserve(n);
  hashes_.reserve(n);
  rehash(std::bit_ceil(std::max<size_t>(16, n * 2)));
}

void StringTable::rehash(size_t slots) {
  slots_.assign(slots, 0);
  for (uint32_t e = 0; e < entries_.size(); ++e) {
    size_t i = hashes_[e] & (slots - 1);
    while (slots_[i]) i = (i + 1) & (slots - 1);
    slots_[i] = e + 1;
  }
}

void StringTable::insert(std::string_view key, TokenId id) {
  if ((entries_.size() + 1) * 2 > slots_.size()) rehash(std::max<size_t>(16, slots_.size() * 2));
  const uint32_t hash = hash_of(key);
  size_t i = hash & (slots_.size() - 1);
  for (; slots_[i]; i = (i + 1) & (slots_.size() - 1)) {
    const uint32_t e = slots_[i] - 1;
    if (hashes_[e] == hash && key_of(entries_[e]) == key) {
      entries_[e].id = id;
      return;
    }
  }
  entries_.push_back({arena_.size(), uint32_t(key.size()), id});
  hashes_.push_back(hash);
  arena_ += key;
  slots_[i] = uint32_t(entries_.size());
}

TokenId StringTable::find(std::string_view key) const {
  if (slots_.empty()) return kNoToken;
  const uint32_t hash = hash_of(key);
  for (size_t i = hash & (slots_.size() - 1); slots_[i]; i = (i + 1) & (slots_.size() - 1)) {
    const uint32_t e = slots_[i] - 1;
    if (hashes_[e] == hash && key_of(entries_[e]) == key) return entries_[e].id;
  }
  return kNoToken;
}

void MergeTable::build(size_t n) {
  const size_t size = std::bit_ceil(std::max<size_t>(2, n * 2));
  slots_.assign(size, Slot{});
  mask_ = size - 1;
  shift_ = 64 - std::countr_zero(size);
}

void MergeTable::insert(TokenId a, TokenId b, Merge merge) {
  const uint64_t key = key_of(a, b);
  size_t i = slot_of(key);
  while (slots_[i].key != kFree && slots_[i].key != key) i = (i + 1) & mask_;
  slots_[i] = {key, merge};
}

Model::Model(ModelOptions options, const std::vector<std::pair<std::string_view, TokenId>>& vocabulary,
             const std::vector<MergeRule>& merges, const std::vector<uint32_t>& ranks)
    : options_(options) {
  size_t bytes = 0;
  for (const auto& [key, id] : vocabulary) bytes += key.size();
  vocabulary_.reserve(vocabulary.size(), bytes);
  for (const auto& [key, id] : vocabulary) vocabulary_.insert(key, id);
  merges_.build(merges.size());
  check(ranks.empty() || ranks.size() == merges.size(), "[tokenizer] expected a rank for each of ", merges.size(), " merges, got ",
        ranks.size());
  for (size_t i = 0; i < merges.size(); ++i)
    merges_.insert(merges[i].left, merges[i].right, {ranks.empty() ? uint32_t(i) : ranks[i], merges[i].result});
  for (size_t b = 0; b < 256; ++b) {
    const char byte = char(b);
    byte_ids_[b] = vocabulary_.find({&byte, 1});
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", unsigned(b));
    fallback_ids_[b] = vocabulary_.find(name);
  }
}

bool Model::fall_back(std::string_view character, std::vector<Symbol>& symbols) const {
  // In a ByteLevel vocabulary a "character" is the letter of a byte, and HF falls back to that letter's own UTF-8 bytes.
  const std::string bytes = options_.byte_level ? to_byte_letters(character) : std::string(character);
  for (const char b : bytes)
    if (fallback_ids_[uint8_t(b)] == kNoToken) return false;
  for (size_t i = 0; i < bytes.size(); ++i)
    symbols.push_back({fallback_ids_[uint8_t(bytes[i])], options_.byte_level ? uint32_t(i == 0) : 1u});
  return true;
}

void Model::start_symbols(std::string_view piece, std::vector<Symbol>& symbols) const {
  symbols.clear();
  Symbol unk{kNoToken, 0};  // not yet written
  uint32_t dropped = 0;     // bytes at the start that have no token; later ones count with the symbol before them
  const char* const end = piece.data() + piece.size();
  for (const char* p = piece.data(); p < end;) {
    uint32_t cp;
    const int n = options_.byte_level ? 1 : decode_utf8(p, end, &cp);
    const std::string_view character(p, size_t(n));
    p += n;
    const TokenId id = n == 1 ? byte_ids_[uint8_t(character[0])] : vocabulary_.find(character);
    if (id != kNoToken) {
      if (unk.id != kNoToken) symbols.push_back(unk);
      unk.id = kNoToken;
      symbols.push_back({id, uint32_t(n)});
    } else if (options_.byte_fallback && fall_back(character, symbols)) {
      continue;
    } else if (options_.unk != kNoToken) {
      if (unk.id != kNoToken && options_.fuse_unk) {
        unk.length += uint32_t(n);
      } else {
        if (unk.id != kNoToken) symbols.push_back(unk);
        unk = {options_.unk, uint32_t(n)};
      }
    } else {
      (symbols.empty() ? dropped : symbols.back().length) += uint32_t(n);
    }
  }
  if (unk.id != kNoToken) symbols.push_back(unk);
  if (!symbols.empty()) symbols.front().length += dropped;
}

void Model::encode(std::string_view piece, Scratch& s) const {
  s.symbols.clear();
  if (piece.size() >= UINT32_MAX) fail("[tokenizer] a piece of ", piece.size(), " bytes without a place to cut is too long");
  if (options_.kind == ModelOptions::Kind::kWordLevel || options_.ignore_merges) {
    const TokenId id = vocabulary_.find(piece);
    if (id != kNoToken) return s.symbols.push_back({id, uint32_t(piece.size())});
    if (options_.kind == ModelOptions::Kind::kWordLevel) {
      if (options_.unk == kNoToken)
        fail("[tokenizer] '", to_valid_utf8(piece.substr(0, 80)), "' is not in the vocabulary, which has no unk_token");
      return s.symbols.push_back({options_.unk, uint32_t(piece.size())});
    }
  }
  start_symbols(piece, s.symbols);
  if (s.symbols.size() < 2) return;
  if (s.symbols.size() <= 48) {
    merge_short(s);
  } else {
    merge_long(s);
  }
}

// Scans for the lowest rank each round; for a few dozen symbols nothing beats it.
void Model::merge_short(Scratch& s) const {
  auto& symbols = s.symbols;
  auto& pairs = s.pairs;
  size_t n = symbols.size();
  pairs.resize(n);
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = merges_.find(symbols[i].id, symbols[i + 1].id);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (pairs[i].rank < pairs[best].rank) best = i;
    if (pairs[best].result == kNoToken) break;
    symbols[best] = {pairs[best].result, symbols[best].length + symbols[best + 1].length};
    std::copy(symbols.begin() + std::ptrdiff_t(best) + 2, symbols.begin() + std::ptrdiff_t(n), symbols.begin() + std::ptrdiff_t(best) + 1);
    if (best + 2 < n)
      std::copy(pairs.begin() + std::ptrdiff_t(best) + 1, pairs.begin() + std::ptrdiff_t(n) - 1, pairs.begin() + std::ptrdiff_t(best));
    --n;
    if (best > 0) pairs[best - 1] = merges_.find(symbols[best - 1].id, symbols[best].id);
    if (best + 1 < n) pairs[best] = merges_.find(symbols[best].id, symbols[best + 1].id);
  }
  symbols.resize(n);
}

void Model::merge_long(Scratch& s) const {
  constexpr uint32_t kEnd = UINT32_MAX;
  auto& symbols = s.symbols;
  auto& heap = s.heap;
  const uint32_t n = uint32_t(symbols.size());
  s.previous.resize(n);
  s.next.resize(n);
  heap.clear();
  for (uint32_t i = 0; i < n; ++i) {
    s.previous[i] = i == 0 ? kEnd : i - 1;
    s.next[i] = i + 1 == n ? kEnd : i + 1;
    if (i + 1 == n) break;
    const auto m = merges_.find(symbols[i].id, symbols[i + 1].id);
    if (m.result != kNoToken) heap.push_back({uint64_t(m.rank) << 32 | i, m.result});
  }
  const auto later = [](const auto& a, const auto& b) { return a.first > b.first; };
  std::make_heap(heap.begin(), heap.end(), later);
  const auto offer = [&](uint32_t left, uint32_t right) {
    if (left == kEnd || right == kEnd) return;
    const auto m = merges_.find(symbols[left].id, symbols[right].id);
    if (m.result == kNoToken) return;
    heap.push_back({uint64_t(m.rank) << 32 | left, m.result});
    std::push_heap(heap.begin(), heap.end(), later);
  };
  while (!heap.empty()) {
    const auto [key, result] = heap.front();
    std::pop_heap(heap.begin(), heap.end(), later);
    heap.pop_back();
    const uint32_t at = uint32_t(key), right = s.next[at];
    if (symbols[at].id == kNoToken || right == kEnd) continue;
    const auto m = merges_.find(symbols[at].id, symbols[right].id);
    if (m.result != result || m.rank != uint32_t(key >> 32)) continue;  // one of the two has merged since
    symbols[at] = {result, symbols[at].length + symbols[right].length};
    symbols[right].id = kNoToken;  // dead
    s.next[at] = s.next[right];
    if (s.next[right] != kEnd) s.previous[s.next[right]] = at;
    offer(s.previous[at], at);
    offer(at, s.next[at]);
  }
  std::erase_if(symbols, [](const Symbol& x) { return x.id == kNoToken; });
}

}  // namespace r1::text
