// Documents to learn filling in from: a text is cut in three at two places and its middle moved to the end, between control tokens (Bavarian et al.,
// "Efficient Training of Language Models to Fill in the Middle", 2022). Both places are drawn uniformly among those between two characters, the
// ends with them, so a cut may fall into a word and any part may be empty. PSM: <prefix> p <suffix> s <middle> m. SPM as in 4.3 there, so that a prefix and its
// middle are one: <prefix> <suffix> s <middle> p m. DeepSeek-V3 (2024, 4.1) takes PSM for one document in ten.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/config.h"
#include "r1/base/rng.h"
#include "r1/corpus/document.h"
#include "r1/text/tokenizer.h"

namespace r1::corpus {

struct FimOptions {
  double rate = 0.1;  // of the documents
  double spm = 0;     // of these, in the order SPM
  std::string family = "deepseek";
  std::string prefix, suffix, middle;  // other spellings; all three or none
  void visit(Fields& v);
};

struct FimSentinels {
  std::string prefix, suffix, middle;
};
// kUsage if only some are spelled, or two alike.
FimSentinels fim_sentinels(const FimOptions& options);
// kUsage that names the token which the vocabulary lacks: spelled in several tokens it would teach nothing.
void check_fim_sentinels(const FimSentinels& sentinels, const text::Tokenizer& tokenizer);

// Bytes [begin, end) of a text that are control tokens. A document keeps them as extra.control, [[0, 18], ...], so that only these are taken for tokens.
struct ControlRange {
  size_t begin, end;
};
struct FimText {
  std::string text;
  std::vector<ControlRange> control;
};
// The parts of a text cut at two of its bytes, first <= second, as one.
FimText fim_text(std::string_view text, size_t first, size_t second, bool spm, const FimSentinels& sentinels);
// With places drawn. Nothing: the text spells one of the sentinels itself, or has fewer than two characters.
std::optional<FimText> make_fim(std::string_view text, bool spm, const FimSentinels& sentinels, Rng& rng);

// A document's ids where its run has control tokens: those of extra.control are tokens, and what the text spells elsewhere is not, even where
// the vocabulary would take it for one. kFailed if the ranges are none of the text.
std::vector<int32_t> encode_with_control(const Document& document, const FimSentinels& sentinels, const text::Tokenizer& tokenizer);

}  // namespace r1::corpus
