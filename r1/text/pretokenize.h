// The pre_tokenizer section of a HF tokenizer.json: where a text is cut before the vocabulary's merges run, and whether the pieces are then
// seen as bytes. Kinds: Sequence, Split (regex or string, five behaviours, invert), ByteLevel, Digits, Punctuation, Whitespace,
// WhitespaceSplit. The well-known chains of patterns are recognised and run by hand-written splitters (splitters.h); others run step by
// step.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/json.h"
#include "r1/text/regex.h"

namespace r1::text {

// Patterns of published vocabularies.
namespace patterns {
extern const char* const kGpt2;
extern const char* const kQwen2;
extern const char* const kQwen35;
extern const char* const kLlama3;
extern const char* const kDeepSeekNumbers;
extern const char* const kDeepSeekCjk;
extern const char* const kDeepSeekRest;
}  // namespace patterns

// What becomes of the matches of a Split.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// A piece: bytes to look up, and where they start in the text. `prefixed`: the first byte is a space that add_prefix_space put there.
struct Piece {
  const char* begin;
  const char* end;
  size_t source;
  bool prefixed = false;
};

class PreTokenizer {
 public:
  enum class Kind { kNone, kGpt2, kQwen2, kQwen35, kLlama3, kDeepSeek, kSmolLm, kSteps };

  PreTokenizer() = default;
  // `spec` may be null: one piece. `where` opens error messages.
  PreTokenizer(const Json& spec, const std::string& where);

  Kind kind() const { return kind_; }
  bool byte_level() const { return byte_level_; }  // pieces are sequences of bytes, the vocabulary is in ByteLevel letters

  struct Scratch {
    Regex::Scratch regex;
    std::vector<Piece> pieces, next;
    std::deque<std::string> prefixed;
  };
  // The steps one by one, also for the kinds that have a hand-written splitter; the pieces stay valid until the next call.
  const std::vector<Piece>& run_steps(std::string_view text, Scratch& scratch) const;

 private:
  struct Step {
    enum class Kind { kRegex, kString, kDigits, kPunctuation, kPrefixSpace, kWhitespaceSplit } kind;
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
    std::string pattern;
    std::optional<Regex> regex;  // kRegex
    bool contiguous = false;
  };
  void add(const Json& spec, const std::string& where);
  void add_split(const Json& spec, const std::string& where);
  void add_regex(std::string_view pattern, Behavior behavior, bool invert, const std::string& where);
  void recognise();
  void apply(const Step& step, const Piece& piece, Scratch& scratch) const;

  Kind kind_ = Kind::kNone;
  bool byte_level_ = false;
  std::vector<Step> steps_;
};

}  // namespace r1::text
