#include "r1/corpus/fim.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/utf8.h"

namespace r1::corpus {
namespace {

struct Family {
  const char *name, *prefix, *suffix, *middle;
};
// The spellings that the families' tokenizers publish.
constexpr Family kFamilies[] = {{"deepseek", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
                                {"qwen", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
                                {"starcoder", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
                                {"codellama", "▁<PRE>", "▁<SUF>", "▁<MID>"}};

std::vector<std::string_view> all_of(const FimSentinels& s) {
  return {s.prefix, s.suffix, s.middle};
}

// Where `text` spells a sentinel, sorted.
std::vector<size_t> spelled_in(std::string_view text, const FimSentinels& s) {
  std::vector<size_t> out;
  for (const std::string_view sentinel : all_of(s))
    for (size_t at = text.find(sentinel); at != text.npos; at = text.find(sentinel, at + 1)) out.push_back(at);
  std::ranges::sort(out);
  return out;
}

std::vector<ControlRange> control_of(const Document& d) {
  std::vector<ControlRange> out;
  if (!d.extra.is_object() || !d.extra.contains("control")) return out;
  size_t last = 0;
  for (const Json& range : d.extra["control"]) {
    const bool pair = range.is_array() && range.size() == 2 && range[0].is_number_integer() && range[1].is_number_integer() &&
                      range[0] >= 0 && range[1] >= 0;
    const size_t begin = pair ? range[0].get<size_t>() : 0, end = pair ? range[1].get<size_t>() : 0;
    if (begin < last || end <= begin || end > d.text.size()) fail(d.id(), ": extra.control has ranges that are not of its text");
    out.push_back({begin, end});
    last = end;
  }
  return out;
}

}  // namespace

void FimOptions::visit(Fields& v) {
  v("rate", rate, "share of the documents that are cut", Range{0, 1});
  v("spm", spm, "share of these in the order suffix, prefix, middle", Range{0, 1});
  v("family", family, "whose control tokens: DeepSeek's, Qwen's, StarCoder's, Code Llama's",
    OneOf{"deepseek", "qwen", "starcoder", "codellama"});
  v("prefix", prefix, "another control token before the prefix; then suffix and middle too");
  v("suffix", suffix, "another one before the suffix");
  v("middle", middle, "another one before the middle");
}

FimSentinels fim_sentinels(const FimOptions& o) {
  FimSentinels s{o.prefix, o.suffix, o.middle};
  if (s.prefix.empty() && s.suffix.empty() && s.middle.empty()) {
    const auto family = std::ranges::find(kFamilies, o.family, &Family::name);
    check(family != std::end(kFamilies), "[fim] no family ", o.family);
    return {family->prefix, family->suffix, family->middle};
  }
  const std::vector<std::string_view> all = all_of(s);
  if (std::ranges::any_of(all, [](std::string_view text) { return text.empty(); }))
    fail_usage("augment.fim: prefix, suffix and middle are given together, or none of them (then family says which)");
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t k = 0; k < all.size(); ++k)
      if (i != k && all[i].find(all[k]) != std::string_view::npos)
        fail_usage("augment.fim: '", printable(all[k]), "' is in '", printable(all[i]), "': they must differ");
  return s;
}

void check_fim_sentinels(const FimSentinels& s, const text::Tokenizer& tokenizer) {
  for (const std::string_view sentinel : all_of(s))
    if (std::ranges::none_of(tokenizer.added_tokens(), [&](const text::AddedToken& t) { return t.content == sentinel; }))
      fail_usage("augment: fim needs '", printable(sentinel),
                 "' as one control token, but the tokenizer has none; --augment.fim.family or ",
                 "augment.fim.prefix, suffix and middle name those that it has");
}

FimText fim_text(std::string_view text, size_t first, size_t second, bool spm, const FimSentinels& s) {
  check(first <= second && second <= text.size(), "[fim] places ", first, ", ", second, " in ", text.size(), " bytes");
  const std::string_view p = text.substr(0, first), m = text.substr(first, second - first), u = text.substr(second);
  FimText out;
  const auto control = [&](const std::string& sentinel) {
    out.control.push_back({out.text.size(), out.text.size() + sentinel.size()});
    out.text += sentinel;
  };
  control(s.prefix);
  if (!spm) out.text += p;
  control(s.suffix);
  out.text += u;
  control(s.middle);
  if (spm) out.text += p;
  out.text += m;
  return out;
}

std::optional<FimText> make_fim(std::string_view text, bool spm, const FimSentinels& sentinels, Rng& rng) {
  const auto after = [&](size_t at) {  // the character there
    uint32_t c = 0;
    return at + size_t(decode_utf8(text.data() + at, text.data() + text.size(), &c));
  };
  uint64_t characters = 0;
  for (size_t i = 0; i < text.size(); i = after(i)) ++characters;
  if (characters < 2 || !spelled_in(text, sentinels).empty()) return std::nullopt;
  uint64_t a = rng.below(characters + 1), b = rng.below(characters + 1);
  if (b < a) std::swap(a, b);
  size_t first = 0, second = 0;
  for (uint64_t n = 0; n < b; ++n) {
    second = after(second);
    if (n + 1 == a) first = second;
  }
  FimText out = fim_text(text, first, second, spm, sentinels);
  // A part's end and a sentinel's beginning could spell one more.
  return spelled_in(out.text, sentinels).size() == 3 ? std::optional(std::move(out)) : std::nullopt;
}

std::vector<int32_t> encode_with_control(const Document& d, const FimSentinels& sentinels, const text::Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  const auto plain = [&](std::string_view text) {
    const std::vector<size_t> spelled = spelled_in(text, sentinels);
    const auto more = tokenizer.encode(text, {.plain_at = spelled});
    ids.insert(ids.end(), more.begin(), more.end());
  };
  size_t at = 0;
  for (const ControlRange& range : control_of(d)) {
    plain(std::string_view(d.text).substr(at, range.begin - at));
    const auto id = tokenizer.token_id(std::string_view(d.text).substr(range.begin, range.end - range.begin));
    if (!id)
      fail(d.id(), ": extra.control names '", printable(d.text.substr(range.begin, range.end - range.begin)), "', which is no token");
    ids.push_back(*id);
    at = range.end;
  }
  plain(std::string_view(d.text).substr(at));
  return ids;
}

}  // namespace r1::corpus
