// Systems of polynomial equations with rational coefficients, by Gröbner bases (Cox, Little, O'Shea, Ideals, Varieties, and Algorithms, ch. 2;
// the number of solutions as the rank of the trace form: Using Algebraic Geometry, ch. 2, section 5). Exact, over the complex numbers.
//
// Bounded by a Budget: size of the basis, degree, bits, dimension; running out throws BudgetError.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "r1/verify/polynomial.h"

namespace r1::verify {

class PolynomialSystem {
 public:
  // `equations`: each is zero. Their symbols are among `unknowns`.
  PolynomialSystem(const std::vector<Polynomial>& equations, const std::set<std::string>& unknowns, Budget& budget);

  // How many different solutions there are; nullopt: infinitely many.
  std::optional<int64_t> solutions(Budget& budget) const;
  // The same equations but for what follows from them: enough for the same solutions, not needed (x^2 = 0 and x = 0).
  bool same_ideal(const PolynomialSystem& other) const;

 private:
  using Exponents = std::vector<long>;
  struct Graded {  // by degree, then lexicographically; the leading term comes first
    bool operator()(const Exponents& a, const Exponents& b) const;
  };
  using Terms = std::map<Exponents, mpq_class, Graded>;

  static Terms reduced(Terms p, const std::vector<Terms>& by, Budget& budget);
  static Terms shifted(const Terms& p, const Exponents& by, const mpq_class& scale);
  static void subtract(Terms& p, const Terms& q);
  void complete(Budget& budget);
  void tidy(Budget& budget);
  std::vector<Exponents> normal_monomials(Budget& budget) const;

  size_t unknowns_ = 0;
  std::vector<Terms> basis_;  // reduced, monic, sorted: unique for the ideal
};

}  // namespace r1::verify
