// Is a program's output the expected one? Compared outside the program's reach.
//
// Rule kLines (default): both texts are cut into lines at "\n"; blanks (space, tab, carriage return) at a line's end and empty lines at the
// text's end don't count; then there must be exactly as many lines, each equal byte by byte. A prefix of the answer, or the answer and
// more, is wrong (open-r1's code reward zips the lines, so that the first right line alone passes). Rule kTokens: the same number of lines,
// lines compared word by word (blanks between and before words don't count). Rule kExact: byte by byte.
//
// float_tolerance > 0 (with kLines and kTokens): lines are compared word by word, and two words that both are decimal numbers are equal
// when |a - b| <= tolerance * max(1, |expected|). Two whole numbers, of any length and however written ("7", "7.0", "70e-1"), are equal only
// if they are the same: a tolerance is for what was computed in floating point, and 1000000006 is not 1000000007. "nan" and "inf" are words
// like others: equal only to themselves.
#pragma once

#include <string>
#include <string_view>

namespace r1::verify::judge {

enum class OutputRule { kLines, kTokens, kExact };

struct OutputComparison {
  OutputRule rule = OutputRule::kLines;
  double float_tolerance = 0;
};

// Empty: right. Else what differs first: "line 3: expected '4', got '5'", "expected 3 lines, got 1".
std::string output_difference(std::string_view expected, std::string_view got, const OutputComparison& how = {});

}  // namespace r1::verify::judge
