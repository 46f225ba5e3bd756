#include "r1/corpus/length.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/words.h"

namespace r1::corpus {
namespace {

bool begins_character(char c) {
  return (uint8_t(c) & 0xc0) != 0x80;
}

// Where to cut text[0, reach), of which all fits: behind the last border of the best kind in its last half.
size_t cut_of(std::string_view text, size_t reach) {
  const std::string_view fits = text.substr(0, reach);
  const size_t half = reach / 2;
  for (const std::string_view border : {"\n\n", "\n", ". ", "! ", "? ", "。", " "}) {
    const size_t at = fits.rfind(border);
    if (at != std::string_view::npos && at + border.size() > half) return at + border.size();
  }
  size_t at = reach;
  while (at > 1 && at < text.size() && !begins_character(text[at])) --at;
  return at;
}

// The end of text's first n characters.
size_t after_characters(std::string_view text, int64_t n) {
  size_t at = 0;
  while (at < text.size() && (!begins_character(text[at]) || n-- > 0)) ++at;
  return at;
}

std::string_view without_line_ends(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with(' ')) text.remove_suffix(1);
  while (text.starts_with('\n')) text.remove_prefix(1);
  return text;
}

}  // namespace

void LengthConfig::visit(Fields& v) {
  v("unit", unit, "what min and max count; auto: tokens if there is a tokenizer, else characters", OneOf{"auto", "characters", "tokens"});
  v("min", min, "a shorter document is dropped; -1: 512 tokens, or no bound in characters", Range{-1, 1e12});
  v("max", max, "a longer one is cut at paragraphs; 0: it stays whole; -1: 16384 tokens, or 1000000 characters", Range{-1, 1e12});
  v("min_characters", min_characters, "a document of fewer characters is dropped, whatever the unit", Range{0, 1e9});
}

LengthConfig LengthConfig::resolved(bool has_tokenizer) const {
  LengthConfig c = *this;
  if (c.unit == "auto") c.unit = has_tokenizer ? "tokens" : "characters";
  const bool tokens = c.unit == "tokens";
  // One bound of one's own moves the other one out of its way.
  if (c.max < 0) c.max = std::max<int64_t>(tokens ? 16'384 : 1'000'000, c.min);
  if (c.min < 0) c.min = tokens ? c.max == 0 ? 512 : std::min<int64_t>(512, c.max) : 0;
  return c;
}

LengthWindow::LengthWindow(const LengthConfig& config, const text::Tokenizer* tokenizer)
    : config_(config.resolved(tokenizer != nullptr)), tokenizer_(tokenizer) {
  const bool tokens = config_.unit == "tokens";
  if (tokens && !tokenizer) fail_usage("length.unit is tokens, but no tokenizer is given (--tokenizer)");
  if (config_.max > 0 && config_.max < std::max<int64_t>({config_.min, 16, tokens ? 0 : config_.min_characters}))
    fail_usage("length.max (", config_.max, ") is below 16 or below the shortest document that is kept");
}

int64_t LengthWindow::units(std::string_view text) const {
  return config_.unit == "tokens" ? int64_t(tokenizer_->encode(text).size()) : count_chars(text);
}

// How many bytes of `rest`, which begins at `begin` of the text that has these tokens, one part may have.
size_t LengthWindow::reach_of(std::string_view rest, size_t begin, const std::vector<std::pair<uint32_t, uint32_t>>& tokens) const {
  if (config_.unit == "characters") {
    const int64_t shortest = std::max(config_.min, config_.min_characters);
    const size_t fits = after_characters(rest, config_.max);
    if (fits == rest.size()) return fits;
    const size_t and_a_short_one = fits + after_characters(rest.substr(fits), shortest);
    return and_a_short_one < rest.size() ? fits : after_characters(rest, count_chars(rest) / 2);
  }
  const auto first = std::lower_bound(tokens.begin(), tokens.end(), begin, [](const auto& t, size_t at) { return t.first < at; });
  const int64_t left = tokens.end() - first;
  if (left <= config_.max) return rest.size();
  return (first + (left - config_.max < config_.min ? left / 2 : config_.max))->first - begin;
}

std::vector<std::string> LengthWindow::parts(const std::string& text) const {
  std::vector<std::string> out;
  std::string_view rest = text;
  // Bytes are never fewer than characters, and hardly ever fewer than tokens.
  if (config_.max == 0 || (config_.unit == "characters" && int64_t(rest.size()) <= config_.max) || units(rest) <= config_.max)
    return {text};
  std::vector<std::pair<uint32_t, uint32_t>> tokens;
  if (config_.unit == "tokens") tokens = tokenizer_->encode_with_offsets(text, {}).offsets;
  while (!rest.empty()) {
    const size_t reach = reach_of(rest, text.size() - rest.size(), tokens);
    size_t cut = reach == rest.size() ? reach : cut_of(rest, reach);
    // A token that was cut in two may have become more than two.
    while (config_.unit == "tokens" && cut > 1 && units(without_line_ends(rest.substr(0, cut))) > config_.max)
      cut = cut_of(rest, cut - std::max<size_t>(1, cut / 64));
    cut = std::max<size_t>(cut, 1);
    while (cut < rest.size() && !begins_character(rest[cut])) ++cut;
    if (const std::string_view part = without_line_ends(rest.substr(0, cut)); !trim(part).empty()) out.emplace_back(part);
    rest.remove_prefix(cut);
  }
  return out;
}

bool LengthWindow::too_short(std::string_view text) const {
  return count_chars(text) < config_.min_characters || (config_.min > 0 && units(text) < config_.min);
}

}  // namespace r1::corpus
