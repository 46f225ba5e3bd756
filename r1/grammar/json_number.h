// JSON numbers between bounds, digit by digit: exact for bounds of any size, with no rounding.
#pragma once

#include <vector>

#include "r1/base/json.h"
#include "r1/grammar/automaton.h"

namespace r1::grammar {

struct Bound {
  Json value;           // a number
  bool strict = false;  // the bound itself is out
};

// Numbers at least each of `lower` and at most each of `upper`; without an exponent if there is a bound. `where` opens errors: a bound whose
// exponent is beyond 30.
std::shared_ptr<const Dfa> bounded_number(Expressions& x, bool integer, const std::vector<Bound>& lower, const std::vector<Bound>& upper,
                                          const std::string& where);

}  // namespace r1::grammar
