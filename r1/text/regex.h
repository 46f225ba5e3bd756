// The regular expressions of published pre-tokenizers, run by PCRE2 with JIT but meaning what they mean to HF `tokenizers`, which runs
// Oniguruma (Ruby syntax): character classes are spelled out from our own tables (Unicode 16; PCRE2 has its own version), ^ and $ match at
// lines, \h is a hex digit, x{n,m}+ repeats. Leaves out: POSIX brackets, absent operators, named properties other than general categories
// and scripts. A pattern that asks too much work fails, it does not hang.
//
// Thread-safe: a compiled Regex is read-only; every thread brings a Match.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "r1/text/unicode.h"

namespace r1::text {

// Oniguruma syntax to PCRE2 syntax; throws r1::Error on what can't be carried over.
std::string translate_regex(std::string_view pattern);

std::string regex_range(const Range& range);  // \x{61}-\x{7a}, for inside brackets

class Regex {
 public:
  explicit Regex(std::string_view pattern);
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  struct Match {
    size_t begin = 0, end = 0;
  };
  // Per-thread working memory.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(Scratch&&) noexcept;
    Scratch& operator=(Scratch&&) noexcept;

   private:
    friend class Regex;
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };
  // The first match at or after `from`; false if none. Invalid UTF-8 in the text matches nothing.
  bool find(std::string_view text, size_t from, Scratch& scratch, Match* match) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::text
