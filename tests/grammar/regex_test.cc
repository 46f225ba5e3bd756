// Patterns against PCRE2: whole matches, and which texts begin one (its partial matching).
#include "r1/grammar/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tests/grammar/support.h"

namespace r1::grammar {

namespace {

class Pcre {
 public:
  explicit Pcre(const std::string& pattern) {
    int error = 0;
    size_t at = 0;
    const std::string whole = "(?:" + pattern + ")\\z";
    code_ = pcre2_compile(PCRE2_SPTR(whole.data()), whole.size(), PCRE2_UTF | PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
    EXPECT_NE(code_, nullptr) << pattern << " error " << error << " at " << at;
    data_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  ~Pcre() {
    pcre2_match_data_free(data_);
    pcre2_code_free(code_);
  }
  Fit fit(const std::string& text) const {
    if (run(text, 0) >= 0) return Fit::kWhole;
    return run(text, PCRE2_PARTIAL_HARD) == PCRE2_ERROR_PARTIAL ? Fit::kPrefix : Fit::kNo;
  }

 private:
  int run(const std::string& text, uint32_t options) const {
    return pcre2_match(code_, PCRE2_SPTR(text.data()), text.size(), 0, options, data_, nullptr);
  }
  pcre2_code* code_;
  pcre2_match_data* data_;
};

const char* const kLetters[] = {"a", "b", "c", "é", "日", "😀", "\n", "_", "7"};

std::string random_pattern(Rng& rng, int depth) {
  static const char* const kAtoms[] = {"a",      "b",       "c",   "é",   "日",      ".",   "\\d",   "\\w",     "[ab]",   "[^a]",
                                       "[a-cé]", "[^é-日]", "\\D", "\\W", "[\\d_b]", "\\n", "\\x61", "\\u0062", "[^\\s]", "(?:)"};
  if (depth == 0) {
    const std::string atom = kAtoms[rng.below(std::size(kAtoms))];
    return atom == "\\u0062" ? "\\x{62}" : atom;
  }
  switch (rng.below(7)) {
    case 0:
      return random_pattern(rng, depth - 1) + "|" + random_pattern(rng, depth - 1);
    case 1: {
      static const char* const kRepeats[] = {"*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??", "{1,2}?"};
      return "(" + random_pattern(rng, depth - 1) + ")" + kRepeats[rng.below(std::size(kRepeats))];
    }
    case 2:
      return "(?:" + random_pattern(rng, depth - 1) + ")";
    case 3:
      return random_pattern(rng, 0);
    default:
      return random_pattern(rng, depth - 1) + random_pattern(rng, depth - 1);
  }
}

}  // namespace

TEST(Regex, AgreesWithPcre) {
  Rng rng(1);
  int whole = 0, prefix = 0, no = 0;
  for (int round = 0; round < 400; ++round) {
    const std::string pattern = random_pattern(rng, 3);
    const Pcre pcre(pattern);
    const auto matcher = matcher_of(compile_regex(pattern, unhurried()));
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (uint64_t n = rng.below(7); n > 0; --n) text += kLetters[rng.below(std::size(kLetters))];
      // To PCRE2 no empty text is the beginning of anything.
      const Fit expected = std::max(pcre.fit(text), text.empty() ? Fit::kPrefix : Fit::kNo), got = fit(matcher, text);
      ASSERT_EQ(got, expected) << "pattern '" << pattern << "' text '" << text << "'";
      (got == Fit::kWhole ? whole : got == Fit::kPrefix ? prefix : no) += 1;
    }
  }
  EXPECT_GT(whole, 300);
  EXPECT_GT(prefix, 300);
  EXPECT_GT(no, 3'000);
}

TEST(Regex, MatchesAtAnchors) {
  const auto is = [](const std::string& pattern, const std::string& text) { return matches(compile_regex(pattern, unhurried()), text); };
  EXPECT_TRUE(is("^ab$", "ab"));
  EXPECT_TRUE(is("^^a$|^b", "b"));
  EXPECT_TRUE(is("(^|x)a", "a"));
  EXPECT_TRUE(is("(^|x)a", "xa"));
  EXPECT_NE(refusal([] { compile_regex("a^b", unhurried()); }).find("no text"), std::string::npos);
  EXPECT_NE(refusal([] { compile_regex("a$b", unhurried()); }).find("no text"), std::string::npos);
  EXPECT_TRUE(is("\\Aab\\z", "ab"));
  EXPECT_TRUE(is("a{,3}", "a{,3}"));  // no count: itself
  EXPECT_TRUE(is("(?i)aB[x-z]é", "AbYé"));
  EXPECT_FALSE(is("(?i)[^a]", "A"));
  EXPECT_TRUE(is("(?s).", "\n"));
  EXPECT_FALSE(is(".", "\n"));
  EXPECT_TRUE(is("(?<year>[0-9]{4})-(?P<m>\\d\\d)", "2024-05"));
  EXPECT_TRUE(is("\\p{Lu}\\p{L}+", "Élan"));
  EXPECT_TRUE(is("\\u00e9\\ud83d\\ude00\\u{1F600}", "é😀😀"));
  EXPECT_TRUE(is("[\\]\\-a]+", "]-a"));
  EXPECT_TRUE(is("\\/\\.\\-", "/.-"));
  EXPECT_TRUE(is("[^]", "\n"));
}

TEST(Regex, SearchIsAnywhere) {
  Limits limits;
  Budget budget(limits, "test");
  Expressions x(budget);
  EXPECT_TRUE(regex_search(x, "b+", "t")->matches("abba"));
  EXPECT_TRUE(regex_search(x, "^a|z$", "t")->matches("ab"));
  EXPECT_TRUE(regex_search(x, "^a|z$", "t")->matches("bz"));
  EXPECT_FALSE(regex_search(x, "^a|z$", "t")->matches("bab"));
  EXPECT_FALSE(regex_search(x, "^(ab)*$", "t")->matches("aba"));
  EXPECT_TRUE(regex_search(x, "\\S", "t")->matches(" a"));
  EXPECT_FALSE(regex_search(x, "\\S", "t")->matches("  "));
  EXPECT_FALSE(regex_search(x, "a", "t")->matches("a\xFF"));  // no UTF-8
}

TEST(Regex, RefusesByName) {
  const auto message = [](const std::string& pattern) { return refusal([&] { compile_regex(pattern, unhurried()); }); };
  const std::pair<const char*, const char*> kCases[] = {
      {"a(?=b)", "lookaround"},
      {"a(?!b)", "lookaround"},
      {"(?<=a)b", "lookaround"},
      {"(?<!a)b", "lookaround"},
      {"(a)\\1", "back ref"},
      {"\\bword", "boundar"},
      {"a++", "possessive"},
      {"(?>a)", "atomic"},
      {"a**", "repeat of a repeat"},
      {"^*", "anchor"},
      {"*a", "nothing to repeat"},
      {"a)", "')' without"},
      {"(a", "'(' without"},
      {"[a", "'[' without"},
      {"[b-a]", "range"},
      {"\\", "ends the pattern"},
      {"\\q", "escape"},
      {"\\p{Greek}", "\\p{Greek}"},
      {"[[:alpha:]]", "POSIX"},
      {"a{3,2}", "smaller count"},
      {"a{99999}", "counts up to"},
      {"\\ud800", "surrogate"},
      {"\xFF", "UTF-8"},
      {"(?x)a", "group of this kind"},
      {"\\x{110000}", "code point"},
      {"(?P=a)", "back ref"},
      {"[a-\\d]", "range"},
      {"\\u12", "hex"},
      {"[a&&b]", "set op"},
      {"[]", "no text"},
  };
  for (const auto& [pattern, part] : kCases) {
    EXPECT_NE(message(pattern).find(part), std::string::npos) << pattern << ": " << message(pattern);
  }
  EXPECT_NE(message("abc(?=d)").find("offset 3"), std::string::npos) << message("abc(?=d)");
}

}  // namespace r1::grammar
