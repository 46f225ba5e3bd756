// Mathematical answers as trees: LaTeX and plain text in, a Node out. Reads integers of any size, decimals, \frac and its kin, mixed
// numbers, percent, degrees, currency and units, thousands separators, scientific notation, powers, roots, factorials, binomials, logs and
// trigonometry, constants, symbols with indices, relations and chains, sets, intervals, unions, tuples, lists, vectors, matrices,
// plus-minus, ratios, numbers in other bases. Leaves out: calculus (an integral or sum sign is an opaque factor), piecewise functions and
// prose (compared as text by equality.h).
//
// Bounded by construction: kMaxAnswerBytes of text, kMaxTokens tokens, kMaxDepth nested groups; beyond that, ParseError. Time is linear.
#pragma once

#include <gmpxx.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace r1::verify {

inline constexpr size_t kMaxAnswerBytes = 20'000, kMaxTokens = 8'000;
#if defined(__SANITIZE_ADDRESS__)
inline constexpr int kMaxDepth = 50;  // its stack frames are several times as large
#else
inline constexpr int kMaxDepth = 200;
#endif
inline constexpr size_t kMaxLiteralDigits = 5'000, kMaxExponentDigits = 4;

struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Kind {
  kNumber,     // value; decimals = digits after the point, -1 for an integer; base (0: ten); digits and place of a written decimal
  kSymbol,     // name; constants are the symbols "pi", "e", "i", "oo"
  kAdd,        // kids
  kMul,        // kids
  kPow,        // kids[0] ^ kids[1]
  kRoot,       // kids[0] under the root of degree kids[1]: real for odd degrees
  kFunction,   // name(kids); kids of log: argument, base; "congruent": a value and its modulus
  kPlusMinus,  // name "+-" or "-+": kids[0] with either sign
  kTuple,      // brackets "()", "[]", "(]", "[)": two members make it an interval as well
  kSet,        // {..}
  kList,       // a, b, c without brackets; name "and", "or": the word between relations, "mixed": both
  kUnion,      // kids
  kIntersection,
  kDifference,
  kRelation,  // kids joined by ops
  kMatrix,    // rows as kTuple kids
  kRatio,     // a : b : c
  kPercent,   // kids[0] %
  kDegrees,   // kids[0] degrees
  kUnit,      // kids[0] with unit `name`, as units.h reads it
  kBuilder,   // { x | relation }: the condition
};

struct Node {
  Kind kind = Kind::kNumber;
  std::string name;
  mpq_class value;
  int decimals = -1, base = 0;
  int digits = 0, place = 0;     // 0.0250: three significant digits, the last one at 10^-4; digits 0: not written with a point
  std::vector<std::string> ops;  // kRelation: one less than kids; "=", "!=", "<", "<=", ">", ">=", "~", "in"
  std::vector<Node> kids;
};

Node number_node(const mpq_class& value);
Node symbol_node(std::string name);
Node call_node(Kind kind, std::vector<Node> kids, std::string name = "");

// How commas between digits are read.
enum class Commas { kThousands, kDecimal, kSeparator };

// Throws ParseError with a phrase for the user.
Node parse_expression(std::string_view text, Commas commas = Commas::kThousands);

// A canonical spelling: equal keys mean equal trees.
std::string key_of(const Node& node);

}  // namespace r1::verify
