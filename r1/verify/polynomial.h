// Exact normal form of an expression: a quotient of two polynomials with rational coefficients. What is no polynomial (roots, logarithms,
// f(x), x^y) becomes an unknown of its own, named by its canonical spelling. Two expressions whose normal forms agree are equal, exactly;
// where no such extra unknown occurs the converse holds as well.
//
// Bounded by a Budget: terms, degree, bits; running out throws BudgetError.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "r1/verify/expression.h"

namespace r1::verify {

struct BudgetError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Not a number: division by zero, log of 0, ...
struct UndefinedError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Budget {
  int64_t steps = 20'000;  // coefficient operations and interval operations
  int64_t bits = 20'000;   // of one number
  size_t terms = 400;      // of one polynomial
  long precision = 512;    // of intervals
  void spend(int64_t n) {
    if ((steps -= n) < 0) throw BudgetError("work budget used up");
  }
};
inline constexpr Budget kSmallBudget{20'000, 20'000, 400, 512};
inline constexpr Budget kLargeBudget{3'000'000, 400'000, 20'000, 8'192};

using Monomial = std::map<std::string, long>;
using Polynomial = std::map<Monomial, mpq_class>;
struct Quotient {
  Polynomial above, below;
  bool transcendental = false;  // an extra unknown stands in it: different forms may still be equal
};

Quotient quotient_of(const Node& node, Budget& budget);
Quotient subtract(const Quotient& a, const Quotient& b, Budget& budget);
bool is_zero(const Quotient& q);
// a == factor * b for a rational factor != 0 (as polynomials above, once below is gone); false otherwise.
bool proportional(const Quotient& a, const Quotient& b, Budget& budget, mpq_class* factor);
// The exact value if no unknown stands in it.
bool constant_value(const Quotient& q, mpq_class* value);

// Dense coefficients, constant first, if the numerator has one unknown and that is a symbol.
bool univariate(const Polynomial& p, std::vector<mpq_class>& coefficients, std::string* unknown);
// Number of different complex roots.
int64_t distinct_roots(std::vector<mpq_class> coefficients, Budget& budget);

}  // namespace r1::verify
