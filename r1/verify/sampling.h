// Points that matter: where two expressions with unknowns are compared when no normal form decides. Values of several scales and signs,
// and around every place where a piece of either expression breaks (zeros of the arguments of absolute values, floors, ceilings, logarithms and
// even roots, of what is divided by, ties of min and max; those that no formula gives are sought where the sign changes). All are rational, so
// breaks are told apart exactly. Unknowns that are counted (in a factorial, a binomial, an exponent of a negative number, or n and k in the
// argument of a sine) get whole numbers.
//
// Where the two agree at all of them they are called equal. How likely is that by chance? A general point has 21 random bits per unknown. Two
// different expressions whose difference has Z zeros in the range of a point meet there with a probability of at most Z / 2^21 (Schwartz and
// Zippel; for a polynomial Z is its degree), at the least three that must agree with (Z / 2^21)^3: for Z = 100, 10^-13 a pair. Usually all ten
// agree: 10^-43. Values count as the same within 2^-400. What can go wrong is a break that is none of the kinds above.
#pragma once

#include <vector>

#include "r1/verify/interval.h"

namespace r1::verify {

struct Sample {
  Point at;
  bool principal = true;  // no value is negative: there complex values count; elsewhere only points where both sides are real
  bool general = true;    // not at a break
  uint64_t salt = 0;      // for calls of unknown functions
};

std::vector<Sample> general_points(const Node& gold, const Node& answer);
// At and around the breaks of both. Throws BudgetError where there are more than the budget has points for: nothing is called equal that was not
// looked at.
std::vector<Sample> break_points(const Node& gold, const Node& answer, Budget& budget);

// The expression with the values of a point in place of its symbols.
Node with_values(Node n, const Point& at, const std::string& but = "");

}  // namespace r1::verify
