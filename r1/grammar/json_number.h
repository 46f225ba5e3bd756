// JSON numbers as texts, and those between bounds, digit by digit: exact for bounds of any size, with no rounding.
#pragma once

#include <vector>

#include "r1/base/json.h"
#include "r1/grammar/automaton.h"

namespace r1::grammar {

struct Bound {
  Json value;           // a number
  bool strict = false;  // the bound itself is out
};

// Up to `digits` before the point, and as many behind it (18 at least). Integers have no point and no exponent.
Node number_shape(Expressions& x, bool integer, bool exponent, int64_t digits = 18);

// Numbers at least each of `lower` and at most each of `upper`, without an exponent. `where` opens errors: a bound whose exponent is beyond 30.
std::shared_ptr<const Dfa> bounded_number(Expressions& x, bool integer, const std::vector<Bound>& lower, const std::vector<Bound>& upper,
                                          const std::string& where);

}  // namespace r1::grammar
