#include "r1/verify/interval.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

namespace r1::verify {
namespace {

using MpfrOp = int (*)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);

Real finite(Real x) {
  if (!mpfr_number_p(x.lo) || !mpfr_number_p(x.hi)) throw BudgetError("a value beyond 2^(2^30)");
  return x;
}

Real from(const mpq_class& v, long p) {
  Real r(p);
  mpfr_set_q(r.lo, v.get_mpq_t(), MPFR_RNDD);
  mpfr_set_q(r.hi, v.get_mpq_t(), MPFR_RNDU);
  return r;
}
Real rising(MpfrOp op, const Real& x) {
  Real r(x.precision());
  op(r.lo, x.lo, MPFR_RNDD);
  op(r.hi, x.hi, MPFR_RNDU);
  return finite(r);
}
Real operator+(const Real& a, const Real& b) {
  Real r(a.precision());
  mpfr_add(r.lo, a.lo, b.lo, MPFR_RNDD);
  mpfr_add(r.hi, a.hi, b.hi, MPFR_RNDU);
  return finite(r);
}
Real operator-(const Real& a) {
  Real r(a.precision());
  mpfr_neg(r.lo, a.hi, MPFR_RNDD);
  mpfr_neg(r.hi, a.lo, MPFR_RNDU);
  return r;
}
Real operator-(const Real& a, const Real& b) {
  return a + -b;
}
Real operator*(const Real& a, const Real& b) {
  Real r(a.precision()), t(a.precision());
  bool first = true;
  for (mpfr_srcptr x : {mpfr_srcptr(a.lo), mpfr_srcptr(a.hi)}) {
    for (mpfr_srcptr y : {mpfr_srcptr(b.lo), mpfr_srcptr(b.hi)}) {
      mpfr_mul(t.lo, x, y, MPFR_RNDD);
      mpfr_mul(t.hi, x, y, MPFR_RNDU);
      if (first || mpfr_less_p(t.lo, r.lo)) mpfr_set(r.lo, t.lo, MPFR_RNDD);
      if (first || mpfr_greater_p(t.hi, r.hi)) mpfr_set(r.hi, t.hi, MPFR_RNDU);
      first = false;
    }
  }
  return finite(r);
}
Real inverse(const Real& a) {
  if (a.has_zero()) throw UndefinedError("division by what may be zero");
  Real r(a.precision());
  mpfr_ui_div(r.lo, 1, a.hi, MPFR_RNDD);
  mpfr_ui_div(r.hi, 1, a.lo, MPFR_RNDU);
  return finite(r);
}
Real pi(long p) {
  Real r(p);
  mpfr_const_pi(r.lo, MPFR_RNDD);
  mpfr_const_pi(r.hi, MPFR_RNDU);
  return r;
}
// |x| >= 2^bits? Zero has no exponent: MPFR leaves what mpfr_get_exp() says of it undefined.
bool beyond(mpfr_srcptr x, long bits) {
  return mpfr_regular_p(x) && mpfr_get_exp(x) > bits;
}
// |f(x) - f(lo)| <= |x - lo| for sine and cosine; clipped to [-1, 1].
Real wave(MpfrOp op, const Real& x) {
  if (beyond(x.hi, 4 * x.precision()) || beyond(x.lo, 4 * x.precision())) throw BudgetError("sine of a huge number");
  Real r(x.precision()), width(64);
  mpfr_sub(width.hi, x.hi, x.lo, MPFR_RNDU);
  op(r.lo, x.lo, MPFR_RNDD);
  op(r.hi, x.lo, MPFR_RNDU);
  mpfr_sub(r.lo, r.lo, width.hi, MPFR_RNDD);
  mpfr_add(r.hi, r.hi, width.hi, MPFR_RNDU);
  if (mpfr_cmp_si(r.lo, -1) < 0) mpfr_set_si(r.lo, -1, MPFR_RNDD);
  if (mpfr_cmp_si(r.hi, 1) > 0) mpfr_set_si(r.hi, 1, MPFR_RNDU);
  return r;
}
Real absolute(const Real& x) {
  if (x.positive()) return x;
  if (x.negative()) return -x;
  Real r(x.precision());
  mpfr_neg(r.hi, x.lo, MPFR_RNDU);
  mpfr_max(r.hi, r.hi, x.hi, MPFR_RNDU);
  return r;
}
// the part of a rounding error below zero is cut off
Real root_of(const Real& x) {
  if (x.negative()) throw UndefinedError("root of a negative number");
  Real r(x.precision());
  if (mpfr_sgn(x.lo) > 0) mpfr_sqrt(r.lo, x.lo, MPFR_RNDD);
  mpfr_sqrt(r.hi, x.hi, MPFR_RNDU);
  return r;
}

Complex wrap(const Real& re) {
  Complex c(re.precision());
  c.re = re;
  return c;
}
Complex wrap(const Real& re, const Real& im) {
  Complex c(re.precision());
  c.re = re;
  c.im = im;
  return c;
}
Complex operator*(const Complex& a, const Complex& b) {
  if (a.real() && b.real()) return wrap(a.re * b.re);
  return wrap(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
}
Complex operator+(const Complex& a, const Complex& b) {
  return wrap(a.re + b.re, a.im + b.im);
}
Complex inverse(const Complex& a) {
  if (a.real()) return wrap(inverse(a.re));
  const Real n = inverse(absolute(a.re * a.re) + absolute(a.im * a.im));
  return wrap(a.re * n, -(a.im * n));
}
Real modulus(const Complex& a) {
  return a.real() ? absolute(a.re) : root_of(absolute(a.re * a.re) + absolute(a.im * a.im));
}
// The argument: extremes of a box lie at its corners unless it holds the origin or crosses the cut.
Real argument(const Complex& a) {
  if (a.has_zero()) throw UndefinedError("argument of what may be zero");
  if (a.im.is_zero()) return a.re.positive() ? from(0, a.re.precision()) : pi(a.re.precision());
  if (a.im.has_zero() && !a.re.positive()) throw UndefinedError("across a branch cut");
  Real r(a.re.precision()), t(a.re.precision());
  bool first = true;
  for (mpfr_srcptr x : {mpfr_srcptr(a.re.lo), mpfr_srcptr(a.re.hi)}) {
    for (mpfr_srcptr y : {mpfr_srcptr(a.im.lo), mpfr_srcptr(a.im.hi)}) {
      mpfr_atan2(t.lo, y, x, MPFR_RNDD);
      mpfr_atan2(t.hi, y, x, MPFR_RNDU);
      if (first || mpfr_less_p(t.lo, r.lo)) mpfr_set(r.lo, t.lo, MPFR_RNDD);
      if (first || mpfr_greater_p(t.hi, r.hi)) mpfr_set(r.hi, t.hi, MPFR_RNDU);
      first = false;
    }
  }
  return r;
}
Complex logarithm(const Complex& a) {
  if (a.has_zero()) throw UndefinedError("log of what may be zero");
  const Real length = modulus(a);
  if (!length.positive()) throw UndefinedError("log of what may be zero");
  return wrap(rising(mpfr_log, length), argument(a));
}
Complex exponential(const Complex& a) {
  const Real e = rising(mpfr_exp, a.re);
  if (a.real()) return wrap(e);
  return wrap(e * wave(mpfr_cos, a.im), e * wave(mpfr_sin, a.im));
}
Complex whole_power(Complex base, unsigned long n) {
  Complex result = wrap(from(1, base.re.precision()));
  while (n) {
    if (n & 1) result = result * base;
    if (n >>= 1) base = base * base;
  }
  return result;
}

class Evaluator {
 public:
  Evaluator(Point& at, uint64_t salt, long precision, Budget& budget) : at_(at), salt_(salt), p_(precision), budget_(budget) {}

  Complex eval(const Node& n) {
    budget_.spend(1 + p_ / 64);
    switch (n.kind) {
      case Kind::kNumber:
        return wrap(from(n.value, p_));
      case Kind::kSymbol:
        return symbol(n.name);
      case Kind::kAdd:
        return fold(n, [](const Complex& a, const Complex& b) { return a + b; });
      case Kind::kMul:
        return fold(n, [](const Complex& a, const Complex& b) { return a * b; });
      case Kind::kPow:
        return power(n);
      case Kind::kRoot:
        return root(n);
      case Kind::kFunction:
        return function(n);
      case Kind::kUnit:
        return eval(n.kids[0]);
      case Kind::kPercent:
        return eval(n.kids[0]) * wrap(from(mpq_class(1, 100), p_));
      case Kind::kDegrees:
        return eval(n.kids[0]) * wrap(pi(p_) * from(mpq_class(1, 180), p_));
      default:
        throw UndefinedError("no number");
    }
  }

 private:
  Complex fold(const Node& n, const std::function<Complex(const Complex&, const Complex&)>& f) {
    Complex total = eval(n.kids[0]);
    for (size_t i = 1; i < n.kids.size(); ++i) total = f(total, eval(n.kids[i]));
    return total;
  }

  Complex symbol(const std::string& name) {
    if (name == "pi") return wrap(pi(p_));
    if (name == "e") return wrap(rising(mpfr_exp, from(1, p_)));
    if (name == "i") return wrap(from(0, p_), from(1, p_));
    if (name == "oo" || name == "...") throw UndefinedError("infinity in an expression");
    return wrap(from(value_of(name), p_));
  }
  const mpq_class& value_of(const std::string& name) {
    const auto [it, fresh] = at_.try_emplace(name);
    if (fresh) {
      uint64_t h = 1469598103934665603ull ^ salt_;
      for (unsigned char c : name) h = (h ^ c) * 1099511628211ull;
      h ^= h >> 29, h *= 0xBF58476D1CE4E5B9ull, h ^= h >> 32;
      it->second = mpq_class(long(524'288 + h % 2'097'152), 1'048'576ul);
      it->second.canonicalize();
    }
    return it->second;
  }

  Complex power(const Node& n) {
    const Node& e = n.kids[1];
    Complex base = eval(n.kids[0]);
    if (e.kind == Kind::kNumber && e.value.get_den() == 1) return whole(base, e.value.get_num());
    Complex exponent = eval(e);
    if (exponent.real() && mpfr_equal_p(exponent.re.lo, exponent.re.hi) && mpfr_integer_p(exponent.re.lo)) {
      mpz_class k;
      if (beyond(exponent.re.lo, 62)) throw BudgetError("an exponent beyond 2^62");
      mpfr_get_z(k.get_mpz_t(), exponent.re.lo, MPFR_RNDN);
      return whole(base, k);
    }
    if (base.real() && base.re.is_zero() && exponent.real() && exponent.re.positive()) return base;
    return exponential(exponent * logarithm(base));
  }
  Complex whole(const Complex& base, const mpz_class& k) {
    if (abs(k) > mpz_class("4611686018427387904")) throw BudgetError("an exponent beyond 2^62");
    if (k == 0) return wrap(from(1, p_));
    Complex r = whole_power(base, mpz_class(abs(k)).get_ui());
    return k < 0 ? inverse(r) : r;
  }

  Complex root(const Node& n) {
    const Complex body = eval(n.kids[0]);
    const Node& d = n.kids[1];
    if (d.kind != Kind::kNumber || d.value.get_den() != 1 || d.value < 2 || d.value > 100'000)
      return exponential(logarithm(body) * inverse(eval(d)));
    const unsigned long k = d.value.get_num().get_ui();
    if (body.real() && body.re.is_zero()) return body;
    if (body.real() && (k % 2 || !body.re.negative())) {
      if (k % 2 == 0 && mpfr_sgn(body.re.lo) < 0) throw UndefinedError("root of what may be negative");
      Real r(p_);
      mpfr_rootn_ui(r.lo, body.re.lo, k, MPFR_RNDD);
      mpfr_rootn_ui(r.hi, body.re.hi, k, MPFR_RNDU);
      return wrap(r);
    }
    if (body.real() && k == 2) return wrap(from(0, p_), root_of(-body.re));
    return exponential(logarithm(body) * wrap(from(mpq_class(1, k), p_)));
  }

  Real real(const Complex& c, const char* name) {
    if (!c.real()) throw UndefinedError(std::string(name) + " of a complex number");
    return c.re;
  }
  Real within_one(const Complex& c, const char* name) {
    Real x = real(c, name);
    if (mpfr_cmp_si(x.lo, 1) > 0 || mpfr_cmp_si(x.hi, -1) < 0) throw UndefinedError(std::string(name) + " beyond one");
    if (mpfr_cmp_si(x.lo, -1) < 0) mpfr_set_si(x.lo, -1, MPFR_RNDD);
    if (mpfr_cmp_si(x.hi, 1) > 0) mpfr_set_si(x.hi, 1, MPFR_RNDU);
    return x;
  }

  Real at_least_one(const Complex& c) {
    const Real x = real(c, "arccosh");
    if (mpfr_cmp_si(x.lo, 1) < 0) throw UndefinedError("arccosh below one");
    return rising(mpfr_acosh, x);
  }
  Real inside_one(const Complex& c) {
    const Real x = real(c, "arctanh");
    if (mpfr_cmp_si(x.lo, -1) <= 0 || mpfr_cmp_si(x.hi, 1) >= 0) throw UndefinedError("arctanh beyond one");
    return x;
  }

  Complex function(const Node& n) {
    if (n.name[0] == '?') return wrap(from(value_of(n.name + key_of(n)), p_));
    if (n.kids.size() == 2 && n.name == "log") return logarithm(eval(n.kids[0])) * inverse(logarithm(eval(n.kids[1])));
    if (n.name == "binomial") return binomial(n);
    if (n.name == "mod" && n.kids.size() == 2) return remainder(n);
    if ((n.name == "min" || n.name == "max") && !n.kids.empty()) return extreme(n);
    if (n.kids.size() != 1) throw UndefinedError(n.name + " of several arguments");
    const Complex x = eval(n.kids[0]);
    budget_.spend(1 + p_ / 8);
    const std::string& f = n.name;
    if (f == "abs") return wrap(modulus(x));
    if (f == "exp") return exponential(x);
    if (f == "ln") return logarithm(x);
    if (f == "log") return logarithm(x) * inverse(wrap(rising(mpfr_log, from(10, p_))));
    if (f == "sin" || f == "cos" || f == "tan" || f == "cot" || f == "sec" || f == "csc") return trigonometric(f, x);
    if (!x.real() && (f == "sinh" || f == "cosh" || f == "tanh")) return hyperbolic(f, x);
    if (f == "arcsin") return wrap(rising(mpfr_asin, within_one(x, "arcsin")));
    if (f == "arccos") return wrap(pi(p_) * from(mpq_class(1, 2), p_) - rising(mpfr_asin, within_one(x, "arccos")));
    if (f == "arctan") return wrap(rising(mpfr_atan, real(x, "arctan")));
    if (f == "arccot") return wrap(pi(p_) * from(mpq_class(1, 2), p_) - rising(mpfr_atan, real(x, "arccot")));
    if (f == "arcsec") return wrap(pi(p_) * from(mpq_class(1, 2), p_) - rising(mpfr_asin, within_one(inverse(x), "arcsec")));
    if (f == "arccsc") return wrap(rising(mpfr_asin, within_one(inverse(x), "arccsc")));
    if (f == "arcsinh") return wrap(rising(mpfr_asinh, real(x, "arcsinh")));
    if (f == "arccosh") return wrap(at_least_one(x));
    if (f == "arctanh") return wrap(rising(mpfr_atanh, inside_one(x)));
    if (f == "sinh") return wrap(rising(mpfr_sinh, real(x, "sinh")));
    if (f == "tanh") return wrap(rising(mpfr_tanh, real(x, "tanh")));
    if (f == "cosh") return (exponential(x) + exponential(wrap(-real(x, "cosh")))) * wrap(from(mpq_class(1, 2), p_));
    if (f == "cbrt") return wrap(rising(mpfr_cbrt, real(x, "cbrt")));
    if (f == "factorial") return factorial(real(x, "factorial"));
    if (f == "floor" || f == "ceil") return step(f, real(x, f.c_str()), n.kids[0]);
    throw UndefinedError("function " + f);
  }
  // sin(a + bi) = sin a cosh b + i cos a sinh b, cos(a + bi) = cos a cosh b - i sin a sinh b
  std::pair<Complex, Complex> sine_and_cosine(const Complex& x) {
    const Real s = wave(mpfr_sin, x.re), c = wave(mpfr_cos, x.re);
    if (x.real()) return {wrap(s), wrap(c)};
    const Real sh = rising(mpfr_sinh, x.im), e = rising(mpfr_exp, x.im), ch = (e + inverse(e)) * from(mpq_class(1, 2), p_);
    return {wrap(s * ch, c * sh), wrap(c * ch, -(s * sh))};
  }
  Complex trigonometric(const std::string& f, const Complex& x) {
    const auto [s, c] = sine_and_cosine(x);
    if (f == "sin") return s;
    if (f == "cos") return c;
    if (f == "tan") return s * inverse(c);
    if (f == "cot") return c * inverse(s);
    return inverse(f == "sec" ? c : s);
  }
  // sinh z = -i sin(iz), cosh z = cos(iz)
  Complex hyperbolic(const std::string& f, const Complex& x) {
    const auto [s, c] = sine_and_cosine(wrap(-x.im, x.re));
    const Complex sinh = wrap(s.im, -s.re);
    return f == "sinh" ? sinh : f == "cosh" ? c : sinh * inverse(c);
  }
  Complex factorial(const Real& x) {
    Real one = from(1, p_), y = x + one;
    if (mpfr_cmp_si(y.lo, 2) < 0) throw UndefinedError("factorial of a small number");
    if (mpfr_cmp_si(y.hi, 100'000'000) > 0) throw BudgetError("a factorial beyond 100,000,000");
    budget_.spend(p_);
    return wrap(rising(mpfr_gamma, y));
  }
  // `inside` has the value x: where x encloses a step, its exact value may tell on which side it lies.
  Complex step(const std::string& f, const Real& x, const Node& inside) {
    Real r(p_);
    const auto op = f == "floor" ? mpfr_floor : mpfr_ceil;
    op(r.lo, x.lo);
    op(r.hi, x.hi);
    if (mpfr_equal_p(r.lo, r.hi)) return wrap(r);
    const auto value = rational(inside);
    return value ? wrap(from(whole_of(f, *value), p_)) : wrap(r);
  }
  static mpq_class whole_of(const std::string& f, const mpq_class& v) {
    mpz_class out;
    (f == "floor" ? mpz_fdiv_q : mpz_cdiv_q)(out.get_mpz_t(), v.get_num_mpz_t(), v.get_den_mpz_t());
    return out;
  }
  // The exact value at the point, of sums, products, quotients, whole powers, absolute values and steps.
  std::optional<mpq_class> rational(const Node& n) {
    budget_.spend(2);
    if (n.kind == Kind::kNumber) return n.value;
    if (n.kind == Kind::kSymbol) {
      const auto found = at_.find(n.name);
      return found == at_.end() ? std::nullopt : std::optional(found->second);
    }
    std::vector<mpq_class> kids;
    for (const Node& k : n.kids) {
      const auto v = rational(k);
      if (!v || mpz_sizeinbase(v->get_num_mpz_t(), 2) + mpz_sizeinbase(v->get_den_mpz_t(), 2) > 4'000) return std::nullopt;
      kids.push_back(*v);
    }
    if (n.kind == Kind::kAdd) return std::accumulate(kids.begin(), kids.end(), mpq_class(0));
    if (n.kind == Kind::kMul) return std::accumulate(kids.begin(), kids.end(), mpq_class(1), std::multiplies<mpq_class>());
    if (n.kind == Kind::kPow && kids[1].get_den() == 1 && abs(kids[1]) <= 64 && (kids[0] != 0 || kids[1] > 0)) {
      mpq_class out = 1;
      for (long i = mpz_class(abs(kids[1].get_num())).get_si(); i > 0; --i) out *= kids[0];
      return kids[1] < 0 ? mpq_class(1 / out) : out;
    }
    if (n.kind == Kind::kFunction && kids.size() == 1 && n.name == "abs") return mpq_class(abs(kids[0]));
    if (n.kind == Kind::kFunction && kids.size() == 1 && (n.name == "floor" || n.name == "ceil")) return whole_of(n.name, kids[0]);
    return std::nullopt;
  }
  // The whole number that an enclosure is, exactly; false if it is none.
  static bool whole_value(const Complex& c, mpz_class& k) {
    if (!c.real() || !mpfr_equal_p(c.re.lo, c.re.hi) || !mpfr_integer_p(c.re.lo) || beyond(c.re.lo, 40)) return false;
    mpfr_get_z(k.get_mpz_t(), c.re.lo, MPFR_RNDN);
    return true;
  }
  Complex binomial(const Node& n) {
    mpz_class k;
    if (!whole_value(eval(n.kids[1]), k)) throw UndefinedError("a binomial whose lower number is not whole");
    if (k < 0) return wrap(from(0, p_));
    if (k > 1'000) throw BudgetError("a binomial of large numbers");
    budget_.spend(k.get_si() * (1 + p_ / 64));
    Complex x = eval(n.kids[0]), out = wrap(from(1, p_));
    for (long i = 0; i < k.get_si(); ++i)
      out = out * (x + wrap(from(-i, p_))) * wrap(from(mpq_class(1, static_cast<unsigned long>(i + 1)), p_));
    return out;
  }
  Complex remainder(const Node& n) {
    mpz_class a, m, r;
    if (!whole_value(eval(n.kids[0]), a) || !whole_value(eval(n.kids[1]), m) || m <= 0)
      throw UndefinedError("a remainder of no whole numbers");
    mpz_fdiv_r(r.get_mpz_t(), a.get_mpz_t(), m.get_mpz_t());
    return wrap(from(mpq_class(r), p_));
  }
  Complex extreme(const Node& n) {
    Real best = real(eval(n.kids[0]), n.name.c_str());
    const auto choose = n.name == "min" ? mpfr_min : mpfr_max;
    for (size_t i = 1; i < n.kids.size(); ++i) {
      const Real next = real(eval(n.kids[i]), n.name.c_str());
      choose(best.lo, best.lo, next.lo, MPFR_RNDD);
      choose(best.hi, best.hi, next.hi, MPFR_RNDU);
    }
    return wrap(best);
  }

  Point& at_;
  uint64_t salt_;
  long p_;
  Budget& budget_;
};

}  // namespace

Complex evaluate(const Node& node, Point& at, uint64_t salt, long precision, Budget& budget) {
  return Evaluator(at, salt, precision, budget).eval(node);
}

Nearness compare(const Complex& a, const Complex& b) {
  const Real re = a.re - b.re, im = a.im - b.im;
  if (!re.has_zero() || !im.has_zero()) return Nearness::kDifferent;
  const Real x = absolute(re), y = absolute(im), m = modulus(a), n = modulus(b);
  mpfr_t gap, scale;
  mpfr_init2(gap, 64);
  mpfr_init2(scale, 64);
  mpfr_add(gap, x.hi, y.hi, MPFR_RNDU);
  mpfr_max(scale, m.lo, n.lo, MPFR_RNDD);
  Nearness result = Nearness::kUnclear;
  if (mpfr_zero_p(gap)) {
    result = Nearness::kSame;
  } else if (mpfr_sgn(scale) > 0) {
    if (mpfr_get_exp(gap) < std::min<mpfr_exp_t>(0, mpfr_get_exp(scale)) - 401) result = Nearness::kSame;
  } else if (mpfr_get_exp(gap) < -1000) {
    result = Nearness::kSame;
  }
  mpfr_clear(gap);
  mpfr_clear(scale);
  return result;
}

}  // namespace r1::verify
