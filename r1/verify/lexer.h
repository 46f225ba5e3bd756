// Tokens of a mathematical answer. LaTeX's layout commands, dollar signs and spaces are dropped here, its spellings are unified (\dfrac ->
// \frac, \le -> <=, U+2212 -> -), \text{..} becomes one word token, and plain words are told from products of letters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/verify/expression.h"

namespace r1::verify {

enum class TokenKind { kNumber, kLetter, kWord, kCommand, kText, kCurrency, kSign, kEnd };
struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;           // kNumber: digits, '.', exponent; kCommand without the backslash; kSign: unified spelling
  bool space_before = false;  // blank or layout space in front
};

// kText: the words of \text{..}, or a unit after a number; kCurrency: a sign or code in front of one ("usd").
// Is this a word of prose (lower case), that neither names what is counted nor multiplies?
bool prose_word(std::string_view word);

std::vector<Token> tokenize(std::string_view text, Commas commas);

}  // namespace r1::verify
