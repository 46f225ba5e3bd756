// What rewards, filters and monitors measure of a text: words, repetition, language. Linear or n log n in the text; any bytes are accepted.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace r1::tasks {

// Words between blanks; each Han, Hiragana, Katakana character is one of its own.
std::vector<std::string> words(const std::string& text);

// Finer: runs of letters and digits, in lower case (ASCII), each CJK character and each other sign by itself: "7*9=63" is 7 * 9 = 63.
std::vector<std::string> units(const std::string& text);

// 1 - distinct n-grams / n-grams of words (case of ASCII letters aside); 0 for texts shorter than n words.
double repetition(const std::string& text, int n);

// Share of `language` ("en": Latin letters, "zh": Han) among the words of natural language: words with letters, leaving out what is
// mathematics or code in any language: words with a digit or one of \ = + * / ^ _ { } < > | $ in them, and single Latin letters but "a" and
// "I". Nothing if there are no such words.
std::optional<double> language_share(const std::string& text, const std::string& language);

}  // namespace r1::tasks
