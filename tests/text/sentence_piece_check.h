// Any bytes as a SentencePiece vocabulary and a text for it: what must hold whatever they are. For the fuzzer and for a test that mutates.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/error.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer.h"
#include "r1/text/tokenizer_parts.h"
#include "r1/text/unicode.h"
#include "tests/text/sentence_piece_file.h"

namespace r1::text::testing {

constexpr std::string_view kSpaceLetter = "\xE2\x96\x81";

inline std::string with_space_letters(std::string_view s) {
  std::string out;
  for (const char c : s) c == ' ' ? out.append(kSpaceLetter) : out.append(1, c);
  return out;
}

// The definition, one merge at a time: user-defined pieces are cut out, the longest from the left; characters become pieces, bytes or the
// unknown piece; of all neighbours that are plain pieces and together one, those of the best score become one, from the left. Not for
// vocabularies in which two pieces have one text.
class SlowSentencePiece {
 public:
  explicit SlowSentencePiece(const PieceFile& file) : file_(file) {
    for (size_t id = 0; id < file.pieces.size(); ++id) {
      const Piece& p = file.pieces[id];
      unique_ &= by_text_.emplace(p.text, id).second;
      if (p.type == kUserPiece && !p.text.empty()) unique_ &= user_.emplace(with_space_letters(p.text), id).second;
    }
    if (file.unknown && *file.unknown >= 0 && size_t(*file.unknown) < file.pieces.size()) unknown_ = TokenId(*file.unknown);
  }
  bool unique() const { return unique_; }

  std::vector<TokenId> encode(std::string_view plain) const {
    const std::string s = (file_.space_prefix && !plain.empty() ? std::string(kSpaceLetter) : "") + with_space_letters(plain);
    std::vector<TokenId> ids;
    size_t begin = 0;
    for (size_t at = 0; at < s.size();) {
      const auto* longest = user_piece(std::string_view(s).substr(at));
      if (!longest) {
        ++at;
        continue;
      }
      merge(std::string_view(s).substr(begin, at - begin), ids);
      ids.push_back(TokenId(longest->second));
      begin = at += longest->first.size();
    }
    merge(std::string_view(s).substr(begin), ids);
    return ids;
  }

 private:
  using Entry = std::map<std::string, size_t, std::less<>>::value_type;

  const Entry* user_piece(std::string_view s) const {
    const Entry* longest = nullptr;
    for (const Entry& e : user_)
      if (s.starts_with(e.first) && (!longest || longest->first.size() < e.first.size())) longest = &e;
    return longest;
  }
  // Control and unknown pieces of more than a byte are out of plain text's reach.
  TokenId reachable(std::string_view piece) const {
    const auto it = by_text_.find(piece);
    if (it == by_text_.end()) return kNoToken;
    const int32_t type = file_.pieces[it->second].type;
    return (type == kControlPiece || type == kUnknownPiece) && piece.size() > 1 ? kNoToken : TokenId(it->second);
  }
  bool as_bytes(std::string_view character, std::vector<TokenId>& ids) const {
    std::vector<TokenId> bytes;
    for (const char c : character) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", unsigned(uint8_t(c)));
      bytes.push_back(reachable(name));
    }
    if (std::ranges::count(bytes, kNoToken)) return false;
    ids.insert(ids.end(), bytes.begin(), bytes.end());
    return true;
  }
  // As HF's tokenizers have it, a run of unknown characters is one token, which stands after bytes that follow it at once.
  std::vector<TokenId> characters(std::string_view run) const {
    std::vector<TokenId> ids;
    bool unknown = false;
    for (const char *p = run.data(), *end = p + run.size(); p < end;) {
      uint32_t cp;
      const std::string_view character(p, size_t(decode_utf8(p, end, &cp)));
      p += character.size();
      const TokenId id = reachable(character);
      if (id == kNoToken) {
        if (!as_bytes(character, ids)) unknown |= unknown_ != kNoToken;
        continue;
      }
      if (unknown) ids.push_back(unknown_);
      unknown = false;
      ids.push_back(id);
    }
    if (unknown) ids.push_back(unknown_);
    return ids;
  }
  void merge(std::string_view run, std::vector<TokenId>& out) const {
    std::vector<TokenId> ids = characters(run);
    for (;;) {
      size_t best = SIZE_MAX, result = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        const Piece &a = file_.pieces[size_t(ids[i])], &b = file_.pieces[size_t(ids[i + 1])];
        if (a.type != kPlainPiece || b.type != kPlainPiece || a.text.empty() || b.text.empty()) continue;
        const auto it = by_text_.find(a.text + b.text);
        if (it == by_text_.end() || file_.pieces[it->second].type != kPlainPiece) continue;
        if (best != SIZE_MAX && file_.pieces[it->second].score <= file_.pieces[result].score) continue;
        best = i;
        result = it->second;
      }
      if (best == SIZE_MAX) break;
      ids[best] = TokenId(result);
      ids.erase(ids.begin() + int64_t(best) + 1);
    }
    out.insert(out.end(), ids.begin(), ids.end());
  }

  const PieceFile& file_;
  std::map<std::string, size_t, std::less<>> by_text_, user_;
  TokenId unknown_ = kNoToken;
  bool unique_ = true;
};

// What is wrong with the tokenizer on this text, or nothing.
inline std::string fault_on(const Tokenizer& t, std::string_view plain) {
  for (const bool special : {false, true}) {
    const Tokenizer::EncodeOptions options{.parse_special = special, .add_special_tokens = special};
    const std::vector<TokenId> ids = t.encode(plain, options);
    const Encoding with = t.encode_with_offsets(plain, options);
    if (with.ids != ids || with.offsets.size() != ids.size()) return "ids with offsets are others";
    for (const auto& [begin, end] : with.offsets)
      if (begin > end || end > plain.size()) return "an offset is outside the text";
    StreamDecoder stream(t, false);
    std::string streamed;
    for (const TokenId id : ids) {
      (void)t.token_bytes(id);  // throws on an id that is none
      streamed += stream.push(id);
    }
    if (streamed + stream.finish() != t.decode(ids)) return "a stream gives another text";
  }
  (void)t.decode({-1, 0, INT32_MAX, INT32_MIN, TokenId(t.vocab_size()), 3, 2, 1}, true);
  return {};
}

// A tokenizer from any file that is read as one; nothing where it is refused.
inline std::string fault_of_file(std::string_view gguf, std::string_view plain) {
  std::optional<Tokenizer> t;
  try {
    t = Tokenizer::from_parts(
        gguf_vocabulary(GgufFile::from_bytes(std::as_bytes(std::span(gguf)), "fuzz.gguf", {.allow_truncated = true})));
  } catch (const Error&) {
    return {};
  }
  return fault_on(*t, plain);
}

// Bytes as numbers, pieces and texts; zeros when they are used up.
class Recipe {
 public:
  explicit Recipe(std::string_view bytes) : bytes_(bytes) {}
  uint8_t byte() { return at_ < bytes_.size() ? uint8_t(bytes_[at_++]) : 0; }
  bool empty() const { return at_ >= bytes_.size(); }
  float any_float() {
    float f;
    uint8_t raw[4];
    for (uint8_t& b : raw) b = byte();
    std::memcpy(&f, raw, 4);
    return f;
  }
  // Up to `most` of few letters, so that pieces are made of each other, or of any bytes.
  std::string letters(size_t most) {
    static constexpr std::string_view kLetters[] = {"a",        "b",    " ", "\xE2\x96\x81", "\xC3\xA9", "\xE4\xB8\x96", "\xF0\x9F\x98\x80",
                                                    "\n",       "<0x6", "<", "1>",           "x",        "\xFF",         "aa",
                                                    "\xE2\x96", "ab"};
    const uint8_t kind = byte();
    std::string out;
    for (size_t i = 0, n = kind % (most + 1); i < n; ++i) {
      const uint8_t b = byte();
      kind >= 0xF0 ? out.append(1, char(b)) : out.append(b < 0x80 ? kLetters[b % 4] : kLetters[b % 16]);
    }
    return out;
  }

 private:
  std::string_view bytes_;
  size_t at_ = 0;
};

inline PieceFile file_from(Recipe& recipe) {
  PieceFile file;
  const uint8_t flags = recipe.byte();
  file.space_prefix = flags & 1;
  if (flags & 2) add_byte_pieces(file.pieces);
  if (flags & 4)
    file.pieces.erase(file.pieces.begin(), file.pieces.begin() + std::min<int64_t>(recipe.byte(), int64_t(file.pieces.size())));
  for (int n = recipe.byte() % 48; n > 0 && !recipe.empty(); --n) {
    static constexpr int32_t kTypes[] = {1, 1, 1, 1, 1, 1, 2, 3, 4, 4, 5, 6};
    const int32_t type = kTypes[recipe.byte() % std::size(kTypes)];
    const float score = flags & 8 ? recipe.any_float() : -float(recipe.byte() % 16);
    file.pieces.push_back({recipe.letters(8), score, type});
  }
  if (flags & 16) file.unknown = int64_t(recipe.byte()) - 8;
  if (flags & 32) file.bos = int64_t(recipe.byte()) - 8, file.eos = int64_t(recipe.byte()) - 8;
  if (flags & 64) file.scores = recipe.byte(), file.types = recipe.byte();
  return file;
}

// Whether every text comes back: its characters all have bytes, the space its letter (in bytes that reads as a letter), and no piece reads
// as something else than it is.
inline bool gives_texts_back(const PieceFile& file) {
  size_t bytes = 0;
  bool space = false;
  for (const Piece& p : file.pieces) {
    space |= p.text == kSpaceLetter && p.type == kPlainPiece;
    bytes += p.type == kBytePiece && p.text.size() == 6;
    if (p.type != kBytePiece && p.text.starts_with("<0x") && p.text.size() == 6) return false;
  }
  return bytes == 256 && space;
}

inline std::string fault_of_recipe(Recipe& recipe) {
  const PieceFile file = file_from(recipe);
  std::string plain = recipe.letters(200);
  const uint8_t last = recipe.byte();
  const size_t times = 1 + last % 4, longest = 400;
  const bool reload = last & 4;
  for (const std::string once = plain; plain.size() < once.size() * times && plain.size() < longest;) plain += once;
  const std::string gguf = gguf_of(file);
  TokenizerParts parts;
  try {
    parts = gguf_vocabulary(GgufFile::from_bytes(std::as_bytes(std::span(gguf)), "fuzz.gguf", {}));
  } catch (const Error&) {
    return {};
  }
  const Tokenizer t = Tokenizer::from_parts(parts);
  if (std::string fault = fault_on(t, plain); !fault.empty()) return fault;
  const SlowSentencePiece slow(file);
  if (!slow.unique()) return {};
  const std::vector<TokenId> ids = t.encode(plain);
  if (ids != slow.encode(plain)) return "ids are not those of the definition";
  if (gives_texts_back(file) && plain.find(kSpaceLetter) == std::string::npos && t.decode_bytes(ids) != plain)
    return "the text does not come back";
  if (reload) (void)Tokenizer::from_parts(read_tokenizer_json(write_tokenizer_json(parts), "saved.json"));
  return {};
}

// An input is a GGUF file (and the text it holds itself), or a recipe for one with a text. Throws what a tokenizer must not throw.
inline std::string sentence_piece_fault(std::string_view input) {
  if (input.starts_with("GGUF")) return fault_of_file(input, input);
  Recipe recipe(input);
  return fault_of_recipe(recipe);
}

}  // namespace r1::text::testing
