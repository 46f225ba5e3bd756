// Tokens of a mathematical answer. LaTeX's layout commands, dollar signs and spaces are dropped here, its spellings are unified (\dfrac ->
// \frac, \le -> <=, U+2212 -> -), \text{..} becomes one word token, and plain words are told from products of letters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/verify/expression.h"

namespace r1::verify {

enum class TokenKind { kNumber, kLetter, kWord, kCommand, kText, kSign, kEnd };
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;           // kNumber: digits, '.', exponent; kCommand without the backslash; kSign: unified spelling
  bool space_before = false;  // blank or layout space in front
};

std::vector<Token> tokenize(std::string_view text, Commas commas);

// Is this word (lower case, no blanks) a unit that may stand behind a number?
bool unit_word(std::string_view word);

}  // namespace r1::verify
