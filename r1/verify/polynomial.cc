#include "r1/verify/polynomial.h"

#include <algorithm>

namespace r1::verify {
namespace {

int64_t bits(const mpq_class& v) {
  return int64_t(mpz_sizeinbase(v.get_num_mpz_t(), 2) + mpz_sizeinbase(v.get_den_mpz_t(), 2));
}

const mpq_class& bounded(const mpq_class& v, const Budget& budget) {
  if (bits(v) > budget.bits) throw BudgetError("a number beyond the bit budget");
  return v;
}

Polynomial constant(const mpq_class& v) {
  Polynomial p;
  if (v != 0) p[{}] = v;
  return p;
}
Polynomial unknown(const std::string& name) {
  return {{Monomial{{name, 1}}, mpq_class(1)}};
}

void add_term(Polynomial& p, const Monomial& m, const mpq_class& c) {
  auto [it, fresh] = p.try_emplace(m, c);
  if (!fresh && (it->second += c) == 0) p.erase(it);
}

Polynomial add(const Polynomial& a, const Polynomial& b, const mpq_class& scale, Budget& budget) {
  budget.spend(int64_t(a.size() + b.size()));
  Polynomial out = a;
  for (const auto& [m, c] : b) add_term(out, m, c * scale);
  return out;
}

// i * i = -1
bool reduce_i(Monomial& m) {
  const auto it = m.find("i");
  if (it == m.end()) return false;
  const long power = it->second;
  if (power % 2)
    it->second = 1;
  else
    m.erase(it);
  return power % 4 >= 2;
}

Polynomial multiply(const Polynomial& a, const Polynomial& b, Budget& budget) {
  Polynomial out;
  for (const auto& [ma, ca] : a) {
    for (const auto& [mb, cb] : b) {
      budget.spend(1 + (bits(ca) + bits(cb)) / 512);
      Monomial m = ma;
      for (const auto& [name, power] : mb) {
        long& p = m[name];
        if ((p += power) > 100'000) throw BudgetError("a degree beyond 100,000");
      }
      mpq_class c = bounded(ca * cb, budget);
      if (reduce_i(m)) c = -c;
      add_term(out, m, c);
    }
    if (out.size() > budget.terms) throw BudgetError("a polynomial of too many terms");
  }
  return out;
}

Quotient simple(Polynomial p, bool transcendental = false) {
  return {std::move(p), constant(1), transcendental};
}

Quotient times(const Quotient& a, const Quotient& b, Budget& budget) {
  return {multiply(a.above, b.above, budget), multiply(a.below, b.below, budget), a.transcendental || b.transcendental};
}
Quotient plus(const Quotient& a, const Quotient& b, const mpq_class& scale, Budget& budget) {
  const bool t = a.transcendental || b.transcendental;
  if (a.below == b.below) return {add(a.above, b.above, scale, budget), a.below, t};
  return {add(multiply(a.above, b.below, budget), multiply(b.above, a.below, budget), scale, budget), multiply(a.below, b.below, budget),
          t};
}

// Divides both halves by a constant or a single term, so that plain numbers stay plain.
void tidy(Quotient& q) {
  if (q.below.size() != 1) return;
  const auto [m, c] = *q.below.begin();
  if (c != 1) {
    for (auto& [k, v] : q.above) v /= c;
    q.below = {{m, mpq_class(1)}};
  }
}

Quotient integer_power(Quotient base, const mpz_class& exponent, Budget& budget) {
  if (abs(exponent) > 10'000'000) throw BudgetError("an exponent beyond 10,000,000");
  long n = exponent.get_si();
  if (n < 0) {
    if (base.above.empty()) throw UndefinedError("division by zero");
    std::swap(base.above, base.below);
    tidy(base);
    n = -n;
  }
  mpq_class value;
  if (constant_value(base, &value)) {
    if (value != 0 && abs(value) != 1 && (bits(value) - 2) * n > budget.bits) throw BudgetError("a power beyond the bit budget");
    mpz_class above, below;
    mpz_pow_ui(above.get_mpz_t(), value.get_num_mpz_t(), static_cast<unsigned long>(n));
    mpz_pow_ui(below.get_mpz_t(), value.get_den_mpz_t(), static_cast<unsigned long>(n));
    return simple(constant(mpq_class(above, below)), base.transcendental);
  }
  Quotient result = simple(constant(1), base.transcendental);
  while (n) {
    if (n & 1) result = times(result, base, budget);
    if (n >>= 1) base = times(base, base, budget);
  }
  return result;
}

// An extra unknown for what is no polynomial, named by the normal forms of its arguments.
std::string spelled(const Quotient& q) {
  std::string out;
  const auto half = [&](const Polynomial& p) {
    for (const auto& [m, c] : p) {
      out += c.get_str();
      for (const auto& [name, power] : m) out += "*" + name + "^" + std::to_string(power);
      out += "+";
    }
  };
  half(q.above);
  out += "/";
  half(q.below);
  return out;
}

Quotient extra(const std::string& name, const std::vector<Quotient>& arguments, bool exact) {
  std::string text = "@" + name + "(";
  bool transcendental = !exact;
  for (const Quotient& a : arguments) {
    text += spelled(a) + ";";
    transcendental |= a.transcendental;
  }
  if (text.size() > 50'000) throw BudgetError("an expression too large to name");
  return simple(unknown(text + ")"), transcendental);
}

Quotient factorial(const mpq_class& n, Budget& budget) {
  if (n > 20'000) throw BudgetError("a factorial beyond 20,000");
  mpz_class value;
  const unsigned long k = n.get_num().get_ui();
  budget.spend(int64_t(k));
  if (k > 20 && int64_t(k) * (64 - __builtin_clzl(k) - 2) > budget.bits) throw BudgetError("a factorial beyond the bit budget");
  mpz_fac_ui(value.get_mpz_t(), k);
  return simple(constant(value));
}

bool natural(const Quotient& q, mpq_class& value) {
  return constant_value(q, &value) && value.get_den() == 1 && value >= 0;
}

// The exact root of a rational, where it is rational.
bool exact_root(const mpq_class& value, unsigned long degree, mpq_class& out) {
  mpz_class above, below;
  const bool negative = value < 0;
  if (negative && degree % 2 == 0) return false;
  mpz_class n = abs(value.get_num());
  if (!mpz_root(above.get_mpz_t(), n.get_mpz_t(), degree) || !mpz_root(below.get_mpz_t(), value.get_den_mpz_t(), degree)) return false;
  out = mpq_class(negative ? mpz_class(-above) : above, below);
  return true;
}

Quotient function(const Node& node, Budget& budget) {
  std::vector<Quotient> kids;
  for (const Node& kid : node.kids) kids.push_back(quotient_of(kid, budget));
  mpq_class v, w;
  if (node.name == "factorial" && natural(kids[0], v)) return factorial(v, budget);
  if (node.name == "binomial" && natural(kids[0], v) && natural(kids[1], w)) {
    if (v > 10'000) throw BudgetError("a binomial beyond 10,000");
    budget.spend(10'000);
    mpz_class out;
    mpz_bin_uiui(out.get_mpz_t(), v.get_num().get_ui(), w > v ? v.get_num().get_ui() + 1 : w.get_num().get_ui());
    return simple(constant(out));
  }
  if (node.name == "mod" && kids.size() == 2 && constant_value(kids[0], &v) && constant_value(kids[1], &w) && v.get_den() == 1 &&
      w.get_den() == 1 && w > 0) {
    mpz_class rest;
    mpz_fdiv_r(rest.get_mpz_t(), v.get_num_mpz_t(), w.get_num_mpz_t());
    return simple(constant(mpq_class(rest)));
  }
  if (kids.size() == 1 && constant_value(kids[0], &v)) {
    if (node.name == "abs") return simple(constant(abs(v)));
    mpz_class whole;
    if (node.name == "floor") return mpz_fdiv_q(whole.get_mpz_t(), v.get_num_mpz_t(), v.get_den_mpz_t()), simple(constant(whole));
    if (node.name == "ceil") return mpz_cdiv_q(whole.get_mpz_t(), v.get_num_mpz_t(), v.get_den_mpz_t()), simple(constant(whole));
  }
  if ((node.name == "ln" || node.name == "log") && kids.size() == 1 && constant_value(kids[0], &v) && v == 1) return simple({});
  if ((node.name == "max" || node.name == "min" || node.name == "gcd" || node.name == "lcm") && !kids.empty()) {
    bool all = true;
    mpq_class best;
    for (size_t i = 0; all && i < kids.size(); ++i) {
      if (!(all = constant_value(kids[i], &v))) break;
      if (i == 0)
        best = v;
      else if (node.name == "max")
        best = std::max(best, v);
      else if (node.name == "min")
        best = std::min(best, v);
      else if (v.get_den() != 1 || best.get_den() != 1)
        all = false;
      else
        best = mpq_class(node.name == "gcd" ? mpz_class(gcd(best.get_num(), v.get_num())) : mpz_class(lcm(best.get_num(), v.get_num())));
    }
    if (all) return simple(constant(bounded(best, budget)));
  }
  return extra(node.name, kids, node.name[0] == '?');
}

Quotient power(const Node& node, Budget& budget) {
  Quotient base = quotient_of(node.kids[0], budget), exponent = quotient_of(node.kids[1], budget);
  mpq_class e, b;
  if (constant_value(exponent, &e)) {
    if (e.get_den() == 1) {
      if (e == 0 && is_zero(base)) throw UndefinedError("0^0");
      return integer_power(std::move(base), e.get_num(), budget);
    }
    if (constant_value(base, &b) && b >= 0 && e.get_den() <= 64 && exact_root(b, e.get_den().get_ui(), b))
      return integer_power(simple(constant(b)), e.get_num(), budget);
  }
  return extra("pow", {base, exponent}, false);
}

Quotient root(const Node& node, Budget& budget) {
  Quotient body = quotient_of(node.kids[0], budget), degree = quotient_of(node.kids[1], budget);
  mpq_class v, d;
  if (constant_value(degree, &d) && d.get_den() == 1 && d >= 2 && d <= 1'000 && constant_value(body, &v) &&
      exact_root(v, d.get_num().get_ui(), v))
    return simple(constant(v));
  return extra("root", {body, degree}, false);
}

}  // namespace

Quotient quotient_of(const Node& node, Budget& budget) {
  budget.spend(1);
  switch (node.kind) {
    case Kind::kNumber:
      return simple(constant(bounded(node.value, budget)));
    case Kind::kSymbol:
      if (node.name == "oo" || node.name == "...") throw UndefinedError("infinity in an expression");
      return simple(unknown(node.name));
    case Kind::kAdd: {
      Quotient sum = simple({});
      for (const Node& kid : node.kids) sum = plus(sum, quotient_of(kid, budget), 1, budget);
      return sum;
    }
    case Kind::kMul: {
      Quotient product = simple(constant(1));
      for (const Node& kid : node.kids) product = times(product, quotient_of(kid, budget), budget);
      tidy(product);
      return product;
    }
    case Kind::kPow:
      return power(node, budget);
    case Kind::kRoot:
      return root(node, budget);
    case Kind::kFunction:
      return function(node, budget);
    case Kind::kUnit:
      return quotient_of(node.kids[0], budget);
    case Kind::kPercent:
      return times(quotient_of(node.kids[0], budget), simple(constant(mpq_class(1, 100))), budget);
    case Kind::kDegrees: {
      Quotient q = times(quotient_of(node.kids[0], budget), simple(constant(mpq_class(1, 180))), budget);
      return times(q, simple(unknown("pi")), budget);
    }
    default:
      throw UndefinedError("no number");
  }
}

Quotient subtract(const Quotient& a, const Quotient& b, Budget& budget) {
  return plus(a, b, -1, budget);
}
bool is_zero(const Quotient& q) {
  return q.above.empty();
}

bool constant_value(const Quotient& q, mpq_class* value) {
  const auto plain = [](const Polynomial& p) { return p.empty() || (p.size() == 1 && p.begin()->first.empty()); };
  if (!plain(q.above) || !plain(q.below) || q.below.empty()) return false;
  *value = q.above.empty() ? mpq_class(0) : mpq_class(q.above.begin()->second / q.below.begin()->second);
  return true;
}

bool proportional(const Quotient& a, const Quotient& b, Budget& budget, mpq_class* factor) {
  if (is_zero(a) || is_zero(b)) return is_zero(a) && is_zero(b) && (*factor = 1, true);
  const Polynomial x = multiply(a.above, b.below, budget), y = multiply(b.above, a.below, budget);
  if (x.size() != y.size()) return false;
  *factor = x.begin()->second / y.begin()->second;
  for (auto i = x.begin(), j = y.begin(); i != x.end(); ++i, ++j)
    if (i->first != j->first || i->second != j->second * *factor) return false;
  return true;
}

bool univariate(const Polynomial& p, std::vector<mpq_class>& coefficients, std::string* name) {
  coefficients.clear();
  name->clear();
  for (const auto& [m, c] : p) {
    if (m.size() > 1) return false;
    long power = 0;
    if (!m.empty()) {
      if (m.begin()->first[0] == '@' || m.begin()->first == "pi" || m.begin()->first == "e" || m.begin()->first == "i") return false;
      if (name->empty()) *name = m.begin()->first;
      if (*name != m.begin()->first || (power = m.begin()->second) > 200) return false;
    }
    if (coefficients.size() <= size_t(power)) coefficients.resize(size_t(power) + 1);
    coefficients[size_t(power)] = c;
  }
  return !name->empty();
}

int64_t distinct_roots(std::vector<mpq_class> a, Budget& budget) {
  const auto degree = [](const std::vector<mpq_class>& p) {
    size_t n = p.size();
    while (n && p[n - 1] == 0) --n;
    return int64_t(n) - 1;
  };
  std::vector<mpq_class> b;
  for (size_t i = 1; i < a.size(); ++i) b.push_back(a[i] * mpq_class(long(i)));
  const int64_t n = degree(a);
  while (degree(b) >= 0) {  // Euclid
    while (degree(a) >= degree(b)) {
      const int64_t da = degree(a), db = degree(b);
      const mpq_class f = bounded(a[size_t(da)] / b[size_t(db)], budget);
      budget.spend(db + 1);
      for (int64_t i = 0; i <= db; ++i) a[size_t(da - db + i)] -= f * b[size_t(i)];
      a.resize(size_t(da));
    }
    std::swap(a, b);
  }
  return n - degree(a);
}

}  // namespace r1::verify
