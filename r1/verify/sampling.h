// Points that matter: where two expressions with unknowns are compared when no normal form decides. Values of several scales and signs,
// and around every place where a piece of either expression breaks (zeros of the arguments of absolute values, floors, ceilings and even
// roots, ties of min and max). All are rational, so breaks are told apart exactly. Unknowns that are counted (in a factorial, a binomial,
// an exponent of a negative number, or n and k in the argument of a sine) get whole numbers.
//
// Where the two agree at all of them they are called equal. Each point beside the breaks has 21 random bits per unknown, so two different
// analytic expressions meet at one by chance with a probability of about their number of zeros / 2^21, and at all of the six or more that
// are asked for practically never; what can go wrong is a break that is not among the kinds above.
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

// The general ones first.
std::vector<Sample> sample_points(const Node& gold, const Node& answer, Budget& budget);

// The expression with the values of a point in place of its symbols.
Node with_values(Node n, const Point& at, const std::string& but = "");

}  // namespace r1::verify
