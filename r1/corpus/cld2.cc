#include "r1/corpus/cld2.h"

#include <algorithm>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/plugin.h"
#include "r1/base/utf8.h"

namespace r1::corpus {
namespace {

constexpr const char* kLibrary = "libcld2.so.0";
constexpr const char* kCode = "_ZN4CLD212LanguageCodeENS_8LanguageE";
constexpr const char* kDetect =
    "_ZN4CLD233ExtDetectLanguageSummaryCheckUTF8EPKcibPKNS_8CLDHintsEiPNS_8LanguageEPiPdPSt6vectorINS_11ResultChunkESaISA_EES7_PbS7_";
// What its table has, by its README of 2015, in fastText's names, and the two that it takes for Norwegian and Croatian. It has codes for a hundred
// more, which it never says.
constexpr std::string_view kKnown =
    " af ar az be bg bn bh bs ca ceb chr cs cy da de dv el en es et eu fa fi fr ga gd gl gu he hi hmn hr ht hu hy id is it iu ja jv ka km "
    "kn ko lg lif lo lt lv mk ml mr ms mt ne nl nn no or pa pl pt ro ru rw si sk sl sq sr sv sw syr ta te th tl tr uk ur vi yi zh ";

// fastText's name of what the library calls `code`; "" for what is no language ("un", "xx-Grek", its tests' "zzh").
std::string name_of(std::string_view code) {
  constexpr std::pair<std::string_view, std::string_view> kOthers[] = {{"iw", "he"},    {"jw", "jv"}, {"zh-Hant", "zh"},
                                                                       {"sr-ME", "sr"}, {"un", ""},   {"xxx", ""}};
  for (const auto& [theirs, ours] : kOthers)
    if (code == theirs) return std::string(ours);
  return code.starts_with("xx-") || code.starts_with("zz") ? "" : std::string(code);
}

// The library takes "interchange-valid" UTF-8 and ends at control characters and the like: they become blanks.
std::string interchange(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char *p = text.data(), *const end = p + text.size();
  for (uint32_t cp; p < end;) {
    const int n = decode_utf8(p, end, &cp);
    const bool control = (cp < 0x20 && cp != '\n' && cp != '\t' && cp != '\r') || (cp >= 0x7F && cp < 0xA0);
    const bool no_character = cp == kInvalidChar || (cp & 0xFFFE) == 0xFFFE || (cp >= 0xFDD0 && cp < 0xFDF0);
    control || no_character ? out += ' ' : out.append(p, size_t(n));
    p += n;
  }
  return out;
}

}  // namespace

Cld2::Cld2() {
  std::string fault;
  void* library = open_library(kLibrary, fault);
  const char* way_out = "; install it (Debian and Ubuntu: libcld2-0), or leave out second_opinion";
  if (!library) fail_usage("the second opinion on languages wants CLD2, which is not there: ", foreign_message(fault), way_out);
  code_ = reinterpret_cast<decltype(code_)>(find_symbol(library, kCode));
  detect_ = reinterpret_cast<decltype(detect_)>(find_symbol(library, kDetect));
  if (!code_ || !detect_) fail_usage("the CLD2 that is installed has other functions than the one of 2015", way_out);
}

bool Cld2::knows(std::string_view language) {
  return language.find(' ') == std::string_view::npos && !language.empty() &&
         kKnown.find(" " + std::string(language) + " ") != std::string_view::npos;
}

std::optional<std::string> Cld2::language(std::string_view text) const {
  if (text.size() < kMinBytes) return std::nullopt;
  const std::string given = interchange(text);
  int languages[3] = {}, percents[3] = {}, text_bytes = 0, valid = 0;
  double scores[3] = {};
  bool reliable = false;
  const int language =
      detect_(given.data(), int(given.size()), true, nullptr, 0, languages, percents, scores, nullptr, &text_bytes, &reliable, &valid);
  if (!reliable || valid != int(given.size())) return std::nullopt;
  std::string name = name_of(code_(language));
  return name.empty() ? std::nullopt : std::optional(std::move(name));
}

bool same_language(std::string_view a, std::string_view b) {
  constexpr std::pair<std::string_view, std::string_view> kAlike[] = {{"nn", "no"}, {"nb", "no"}, {"hr", "bs"}};
  for (const auto& [name, as] : kAlike) {
    if (a == name) a = as;
    if (b == name) b = as;
  }
  return a == b;
}

}  // namespace r1::corpus
