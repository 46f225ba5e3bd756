// Rigorous enclosures: what value does an expression have at a point? A Complex holds two intervals with MPFR end points, each operation
// rounds outward, so the true value lies inside. Elementary functions of complex numbers by their definitions (principal branches); roots
// of odd degree of negative reals are real. Leaves out: special functions, calculus; those throw UndefinedError.
#pragma once

#include <mpfr.h>

#include <map>
#include <string>

#include "r1/verify/polynomial.h"

namespace r1::verify {

// MPFR keeps constants (pi, log 2) per thread and frees them only when told to.
inline void free_caches_at_thread_end() {
  struct Caches {
    bool used = false;
    ~Caches() {
      if (used) mpfr_free_cache();
    }
  };
  static thread_local Caches caches;
  caches.used = true;
}

class Real {
 public:
  explicit Real(long precision) {
    free_caches_at_thread_end();
    mpfr_init2(lo, precision);
    mpfr_init2(hi, precision);
    mpfr_set_zero(lo, 1);
    mpfr_set_zero(hi, 1);
  }
  Real(const Real& o) : Real(o.precision()) { *this = o; }
  Real& operator=(const Real& o) {
    mpfr_set(lo, o.lo, MPFR_RNDD);
    mpfr_set(hi, o.hi, MPFR_RNDU);
    return *this;
  }
  ~Real() {
    mpfr_clear(lo);
    mpfr_clear(hi);
  }
  long precision() const { return mpfr_get_prec(lo); }
  bool has_zero() const { return mpfr_sgn(lo) <= 0 && mpfr_sgn(hi) >= 0; }
  bool is_zero() const { return mpfr_zero_p(lo) && mpfr_zero_p(hi); }
  bool positive() const { return mpfr_sgn(lo) > 0; }
  bool negative() const { return mpfr_sgn(hi) < 0; }
  mpfr_t lo, hi;
};

struct Complex {
  explicit Complex(long precision) : re(precision), im(precision) {}
  bool real() const { return im.is_zero(); }
  bool has_zero() const { return re.has_zero() && im.has_zero(); }
  Real re, im;
};

using Point = std::map<std::string, mpq_class>;

// The expression's enclosure where symbols have the values of `at` (a symbol or a call of an unknown function that is missing there is added,
// from its name and `salt`, in (1/2, 5/2)).
Complex evaluate(const Node& node, Point& at, uint64_t salt, long precision, Budget& budget);

// |a - b|: kDifferent is a proof. kSame: |a - b| < 2^-400 and < 2^-400 of the larger magnitude, or < 2^-1000 where both may be zero.
// kUnclear: more precision needed.
enum class Nearness { kDifferent, kSame, kUnclear };
Nearness compare(const Complex& a, const Complex& b);

}  // namespace r1::verify
