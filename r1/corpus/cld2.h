// Compact Language Detector 2 (Dick Sites, github.com/CLD2Owners/cld2) as a second opinion on a text's language: naive Bayes over
// groups of four letters, made apart from fastText's models and wrong on other texts. The library (Debian: libcld2-0) is opened when it is first
// asked for; the program does not need it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace r1::corpus {

class Cld2 {
 public:
  // It judges texts from this size on; below it is wrong too often (docs/results/text_quality.md).
  static constexpr size_t kMinBytes = 40;

  // kUsage, with the way out, if the library is not there.
  Cld2();

  // The language of a text (UTF-8, at most 2 GiB), as fastText's models name it ("he", not "iw"; "zh" for both scripts). nullopt: it is not
  // sure, or the text is short.
  std::optional<std::string> language(std::string_view text) const;
  // Does it know a language of this name (83 do)? Of a text in another one it says something wrong.
  static bool knows(std::string_view language);

 private:
  // CLD2::LanguageCode(Language) and CLD2::ExtDetectLanguageSummaryCheckUTF8(..), as their C++ ABI has them: enums are ints, the pointers to
  // classes stay null.
  const char* (*code_)(int) = nullptr;
  int (*detect_)(const char* text, int size, bool plain_text, const void* hints, int flags, int* language3, int* percent3, double* score3,
                 void* chunks, int* text_bytes, bool* reliable, int* valid_bytes) = nullptr;
};

// Do two names mean one language, or two that no such means tells apart: Norwegian and its written forms, Bosnian and Croatian?
bool same_language(std::string_view a, std::string_view b);

}  // namespace r1::corpus
