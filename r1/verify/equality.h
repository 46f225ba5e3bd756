// Are two parsed answers the same? Exact normal forms first (polynomial.h); where those leave it open, enclosures at random points
// (interval.h): a difference is then a proof, and "same" means that the two agree at every point tried to within 2^-400 absolutely and
// relatively (2^-1000 around zero).
//
// What counts as the same, both ways round unless said otherwise:
//   sets, lists without brackets      in any order, repeats counted once; against a tuple in its order
//   tuples, vectors, matrices         member by member; a row or column against a tuple of that length; (a, b) is pair and open interval in one
//   intervals, unions, x in S,        as sets of pieces; infinity is an end
//     a < x <= b, {x | ...}
//   x = 5 and 5                       a name on the left (letters, calls, quotients of letters; no sum) is a label; of a chain a = b = c the
//                                     last counts
//   equations, inequalities           up to a rational factor (its sign turns an inequality); a gold equation in one unknown also against the
//                                     list of its roots
//   plus-minus                        the two values
//   28% and 28, 28% and 0.28; 90 degrees and 90, and pi/2; units by table (100 cm and 1 m), unknown units are ignored
//   a decimal of `rounding_digits` places or more against a value that it approximates to within one unit of its last place
//   a : b                             proportional
//   204 in base 5 and 204
#pragma once

#include "r1/verify/polynomial.h"

namespace r1::verify {

struct EqualityOptions {
  int rounding_digits = 6;  // 0: decimals are exact always
  bool strict = true;       // false: unknowns are matched by their alphabetical order, whatever their names: f(x) and f(y)
};

enum class Same { kYes, kNo, kUnknown };
struct Comparison {
  Same same = Same::kUnknown;
  std::string reason;
};

// Never throws BudgetError or UndefinedError: those become kUnknown; `exhausted` then says whether more budget could help.
Comparison compare_answers(const Node& gold, const Node& answer, const EqualityOptions& options, Budget budget, bool* exhausted);

}  // namespace r1::verify
