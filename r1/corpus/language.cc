#include "r1/corpus/language.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "r1/base/error.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

constexpr const char* kWhereFrom =
    "; give a fastText language identifier, such as lid.176.ftz of fasttext.cc (scripts/get_language_model.sh fetches it)";

FastText load_model(const std::string& path) {
  if (path.empty()) fail_usage("the language filter wants a model", kWhereFrom);
  if (!std::filesystem::exists(path)) fail_usage(path, " is not there", kWhereFrom);
  return FastText::load(path);
}

struct Letters {
  int64_t all = 0, small = 0, capital = 0;
};
Letters letters_of(std::string_view text) {
  const uint8_t* flags = text::char_flags();
  Letters letters;
  const char *p = text.data(), *const end = p + text.size();
  for (uint32_t cp; p < end;) {
    p += decode_utf8(p, end, &cp);
    if (!(flags[cp] & text::kLetter)) continue;
    ++letters.all;
    if (cp < 0x80) {
      ++(cp >= 'a' ? letters.small : letters.capital);
    } else {
      letters.capital += utf8proc_tolower(int32_t(cp)) != int32_t(cp);
      letters.small += utf8proc_toupper(int32_t(cp)) != int32_t(cp);
    }
  }
  return letters;
}

std::string lower(std::string_view text) {
  std::string out;
  const char *p = text.data(), *const end = p + text.size();
  for (uint32_t cp; p < end;) {
    const int n = decode_utf8(p, end, &cp);
    if (cp == kInvalidChar)
      out.append(p, size_t(n));
    else
      append_utf8(out, uint32_t(utf8proc_tolower(int32_t(cp))));
    p += n;
  }
  return out;
}

// The first `most` bytes, without the word that the cut goes through.
std::string_view beginning(std::string_view text, size_t most) {
  if (text.size() <= most) return text;
  const size_t blank = text.find_last_of(" \n\t", most);
  size_t cut = blank == std::string_view::npos || blank == 0 ? most : blank;
  while (cut > 0 && (text[cut] & 0xC0) == 0x80) --cut;
  return text.substr(0, cut);
}

}  // namespace

void LanguageConfig::visit(Fields& v) {
  v("model", model, "fastText model whose labels are languages (lid.176.ftz)");
  v("languages", languages, "languages that are kept, as the model names them; none given: all");
  v("threshold", threshold, "least probability of the likeliest language", Range{0.0, 1.0});
  v("thresholds", thresholds, "the same for one language: thresholds.is=0.5");
  v("max_bytes", max_bytes, "how much of a document is looked at", Range{64, 1e9});
  v("min_letters", min_letters, "a document of fewer letters has no language", Range{0, 1e6});
  v("second_opinion", second_opinion, "who else is asked; a document on which the two disagree is dropped (cld2: the library libcld2-0)",
    OneOf{"none", "cld2"});
}

LanguageIdentifier::LanguageIdentifier(const LanguageConfig& config)
    : model_(load_model(config.model)), max_bytes_(size_t(config.max_bytes)), min_letters_(config.min_letters) {}

LanguageGuess LanguageIdentifier::identify(std::string_view text) const {
  text = beginning(text, max_bytes_);
  const Letters letters = letters_of(text);
  if (letters.all < std::max<int64_t>(min_letters_, 1)) return {};
  const auto best = letters.capital > letters.small ? model_.predict(lower(text)) : model_.predict(text);
  if (best.empty()) return {};
  return {languages()[size_t(best[0].label)], std::min(best[0].probability, 1.0f)};
}

LanguageFilter::LanguageFilter(const LanguageConfig& config)
    : identifier_(config), max_bytes_(size_t(config.max_bytes)), wanted_(config.languages), threshold_(config.threshold) {
  if (config.second_opinion == "cld2") second_.emplace();
  const auto& known = identifier_.languages();
  const auto check_known = [&](const std::string& language) {
    if (std::find(known.begin(), known.end(), language) != known.end()) return;
    std::string some;
    for (size_t i = 0; i < std::min<size_t>(known.size(), 12); ++i) some += (i ? ", " : "") + known[i];
    fail_usage(config.model, " knows no language '", printable(language), "'; its ", known.size(), " labels begin with ", some);
  };
  for (const std::string& language : wanted_) check_known(language);
  std::sort(wanted_.begin(), wanted_.end());
  for (const auto& [language, value] : config.thresholds) {
    check_known(language);
    double least = -1;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), least);
    if (error != std::errc() || end != value.data() + value.size() || !(least >= 0 && least <= 1))
      fail_usage("thresholds.", language, " is a number from 0 to 1, not '", printable(value), "'");
    thresholds_[language] = least;
  }
}

std::string LanguageFilter::apply(Document& document) const {
  const LanguageGuess guess = identifier_.identify(document.text);
  if (guess.language.empty()) return "language:none";
  const auto own = thresholds_.find(guess.language);
  if (double(guess.probability) < (own == thresholds_.end() ? threshold_ : own->second)) return "language:unsure";
  if (!wanted_.empty() && !std::binary_search(wanted_.begin(), wanted_.end(), guess.language)) return "language:" + guess.language;
  bool agreed = false;
  if (second_ && second_->knows(guess.language)) {
    const auto other = second_->language(beginning(document.text, max_bytes_));
    if (other && !same_language(*other, guess.language)) return "language:disagree";
    agreed = other.has_value();
  }
  char probability[16];
  std::snprintf(probability, sizeof probability, "%.2f", double(guess.probability));
  document.language = guess.language;
  document.marks.push_back("language:" + guess.language + "=" + probability);
  if (agreed) document.marks.push_back("second_opinion:" + guess.language);
  return "";
}

}  // namespace r1::corpus
