// Are two parsed answers the same? Exact normal forms first (polynomial.h); where those leave it open, enclosures at random points
// (interval.h): a difference is then a proof, and "same" means that the two agree at every point tried to within 2^-400 absolutely and
// relatively (2^-1000 around zero).
//
// What counts as the same, both ways round unless said otherwise. The shape comes before the values:
//   - sets and lists without brackets: in any order, repeats counted once. A list against a tuple: in its order; a set is no tuple
//   - tuples, vectors, matrices: member by member; a row or column against a tuple of that length. (a, b) is a pair and an open interval in
//     one, a list of pairs is no union of intervals
//   - intervals, unions, x in S, a < x <= b, |x - a| < b, {x | ..}: as sets of pieces of the real line; "and" intersects, "or" and the comma
//     unite; only a single unknown has such a set
//   - x = 5 and 5: a name on the left (letters, calls, quotients of letters; no sum) is a label, and two different letters are two names;
//     of a chain a = b = c the last counts if every link is true; what follows an approximation sign is a remark
//   - equations, inequalities: up to a rational factor (its sign turns an inequality); a gold equation in one unknown also against the list
//     of its roots; systems by their solutions, linear ones and (gold) polynomial ones; a congruence keeps its modulus
//   - plus-minus: the two values
//   - 28% and 28, 28% and 0.28; 90 degrees and 90, and pi/2; units by units.h: one that only one side has is not asked for, two of one
//     dimension are converted, others are different
//   - a : b proportional; 204 in base 5 and 204
//   - an exact value and a decimal: as EqualityOptions says; two decimals as numbers
#pragma once

#include "r1/verify/polynomial.h"

namespace r1::verify {

struct EqualityOptions {
  // May a decimal stand for an exact value? Yes if it has that many significant digits and is the value, rounded or cut off at its last one;
  // 0: never. Zero has no significant digits: it stands for 0 alone.
  int rounding_digits = 6;
  // > 0: any two numbers are the same that differ by at most this share of the gold one.
  double relative = 0;
  bool strict = true;  // false: unknowns are matched by their alphabetical order, whatever their names: f(x) and f(y)
};

enum class Same { kYes, kNo, kUnknown };
struct Comparison {
  Same same = Same::kUnknown;
  std::string reason;
};

// Never throws BudgetError or UndefinedError: those become kUnknown; `exhausted` then says whether more budget could help.
Comparison compare_answers(const Node& gold, const Node& answer, const EqualityOptions& options, Budget budget, bool* exhausted);

}  // namespace r1::verify
