#include "r1/verify/system.h"

#include <algorithm>
#include <numeric>

namespace r1::verify {
namespace {

constexpr size_t kMostPolynomials = 80, kMostSolutions = 64;
constexpr long kMostDegree = 60;

using Exponents = std::vector<long>;

bool divides(const Exponents& a, const Exponents& b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](long x, long y) { return x <= y; });
}
Exponents combined(const Exponents& a, const Exponents& b, long (*f)(long, long)) {
  Exponents out(a.size());
  std::transform(a.begin(), a.end(), b.begin(), out.begin(), f);
  return out;
}
long sum(long a, long b) {
  return a + b;
}
long difference(long a, long b) {
  return a - b;
}
long larger(long a, long b) {
  return std::max(a, b);
}
long degree(const Exponents& e) {
  return std::accumulate(e.begin(), e.end(), 0L);
}

// Gaussian elimination.
int64_t rank(std::vector<std::vector<mpq_class>> m, Budget& budget) {
  size_t done = 0;
  for (size_t column = 0; column < m.size() && done < m.size(); ++column) {
    const auto pivot = std::find_if(m.begin() + long(done), m.end(), [&](const auto& row) { return row[column] != 0; });
    if (pivot == m.end()) continue;
    std::swap(m[done], *pivot);
    for (size_t i = done + 1; i < m.size(); ++i) {
      if (m[i][column] == 0) continue;
      budget.spend(int64_t(m.size()));
      const mpq_class factor = m[i][column] / m[done][column];
      for (size_t j = column; j < m.size(); ++j) m[i][j] -= factor * m[done][j];
    }
    ++done;
  }
  return int64_t(done);
}

}  // namespace

bool PolynomialSystem::Graded::operator()(const Exponents& a, const Exponents& b) const {
  const long x = degree(a), y = degree(b);
  return x != y ? x > y : a > b;
}

PolynomialSystem::Terms PolynomialSystem::shifted(const Terms& p, const Exponents& by, const mpq_class& scale) {
  Terms out;
  for (const auto& [e, c] : p) out[combined(e, by, sum)] = c * scale;
  return out;
}
void PolynomialSystem::subtract(Terms& p, const Terms& q) {
  for (const auto& [e, c] : q) {
    auto [it, fresh] = p.try_emplace(e, -c);
    if (!fresh && (it->second -= c) == 0) p.erase(it);
  }
}

// The remainder of p: no term of it is divisible by a leading term of `by`.
PolynomialSystem::Terms PolynomialSystem::reduced(Terms p, const std::vector<Terms>& by, Budget& budget) {
  Terms rest;
  while (!p.empty()) {
    const Exponents lead = p.begin()->first;
    const mpq_class c = p.begin()->second;
    const auto divisor = std::find_if(by.begin(), by.end(), [&](const Terms& q) { return divides(q.begin()->first, lead); });
    budget.spend(1);
    if (divisor == by.end()) {
      rest.insert(p.extract(p.begin()));
      continue;
    }
    budget.spend(int64_t(divisor->size()));
    if (mpz_sizeinbase(c.get_num_mpz_t(), 2) + mpz_sizeinbase(c.get_den_mpz_t(), 2) > size_t(budget.bits))
      throw BudgetError("a number beyond the bit budget");
    subtract(p, shifted(*divisor, combined(lead, divisor->begin()->first, difference), c / divisor->begin()->second));
    if (p.size() > budget.terms) throw BudgetError("a polynomial of too many terms");
  }
  return rest;
}

PolynomialSystem::PolynomialSystem(const std::vector<Polynomial>& equations, const std::set<std::string>& unknowns, Budget& budget)
    : unknowns_(unknowns.size()) {
  for (const Polynomial& p : equations) {
    Terms terms;
    for (const auto& [monomial, c] : p) {
      Exponents e(unknowns_, 0);
      for (const auto& [name, power] : monomial) {
        const auto at = unknowns.find(name);
        if (at == unknowns.end() || power < 0) throw UndefinedError("not a polynomial in the unknowns");
        e[size_t(std::distance(unknowns.begin(), at))] = power;
      }
      if (degree(e) > kMostDegree) throw BudgetError("a degree beyond 60");
      terms[e] = c;
    }
    if (!terms.empty()) basis_.push_back(std::move(terms));
  }
  complete(budget);
  tidy(budget);
}

// Buchberger's algorithm: every S-polynomial comes to zero, or its remainder is one more of the basis.
void PolynomialSystem::complete(Budget& budget) {
  for (size_t j = 1; j < basis_.size(); ++j) {
    for (size_t i = 0; i < j; ++i) {
      const auto [lead_i, c_i] = *basis_[i].begin();
      const auto [lead_j, c_j] = *basis_[j].begin();
      const Exponents both = combined(lead_i, lead_j, larger);
      if (degree(both) == degree(lead_i) + degree(lead_j)) continue;  // without a common factor it comes to zero
      Terms s = shifted(basis_[i], combined(both, lead_i, difference), 1 / c_i);
      subtract(s, shifted(basis_[j], combined(both, lead_j, difference), 1 / c_j));
      Terms rest = reduced(std::move(s), basis_, budget);
      if (rest.empty()) continue;
      if (basis_.size() >= kMostPolynomials || degree(rest.begin()->first) > kMostDegree) throw BudgetError("a system too large to solve");
      basis_.push_back(std::move(rest));
    }
  }
}

void PolynomialSystem::tidy(Budget& budget) {
  std::vector<Terms> kept;
  for (size_t i = 0; i < basis_.size(); ++i) {
    bool needed = true;
    for (size_t j = 0; j < basis_.size() && needed; ++j) {
      const Exponents &mine = basis_[i].begin()->first, &other = basis_[j].begin()->first;
      if (i != j && divides(other, mine)) needed = other == mine && i < j;
    }
    if (needed) kept.push_back(basis_[i]);
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    std::vector<Terms> others = kept;
    others.erase(others.begin() + long(i));
    kept[i] = reduced(kept[i], others, budget);
    const mpq_class lead = kept[i].begin()->second;
    for (auto& [e, c] : kept[i]) c /= lead;
  }
  std::sort(kept.begin(), kept.end());
  basis_ = std::move(kept);
}

bool PolynomialSystem::same_ideal(const PolynomialSystem& other) const {
  return unknowns_ == other.unknowns_ && basis_ == other.basis_;
}

// The monomials that no leading term divides: a basis of the quotient; as many as there are solutions, counted with multiplicity.
std::vector<PolynomialSystem::Exponents> PolynomialSystem::normal_monomials(Budget& budget) const {
  std::vector<Exponents> out{Exponents(unknowns_, 0)}, layer = out;
  while (!layer.empty()) {
    std::set<Exponents> next;
    for (const Exponents& e : layer) {
      for (size_t i = 0; i < unknowns_; ++i) {
        Exponents up = e;
        ++up[i];
        budget.spend(int64_t(basis_.size()));
        if (std::none_of(basis_.begin(), basis_.end(), [&](const Terms& p) { return divides(p.begin()->first, up); })) next.insert(up);
      }
    }
    layer.assign(next.begin(), next.end());
    out.insert(out.end(), layer.begin(), layer.end());
    if (out.size() > kMostSolutions) throw BudgetError("more than 64 solutions");
  }
  return out;
}

std::optional<int64_t> PolynomialSystem::solutions(Budget& budget) const {
  const auto leads_alone = [&](size_t i) {  // a power of the unknown is a leading term
    return std::any_of(basis_.begin(), basis_.end(), [&](const Terms& p) { return degree(p.begin()->first) == p.begin()->first[i]; });
  };
  for (const Terms& p : basis_)
    if (degree(p.begin()->first) == 0) return 0;  // 1 = 0
  for (size_t i = 0; i < unknowns_; ++i)
    if (!leads_alone(i)) return std::nullopt;
  const std::vector<Exponents> normal = normal_monomials(budget);
  const size_t n = normal.size();
  const auto remainder = [&](const Exponents& a, const Exponents& b) { return reduced({{combined(a, b, sum), 1}}, basis_, budget); };
  std::map<Exponents, mpq_class> trace;  // of the multiplication by a monomial
  for (const Exponents& m : normal) {
    mpq_class& t = trace[m];
    for (const Exponents& k : normal) {
      const Terms r = remainder(m, k);
      if (const auto at = r.find(k); at != r.end()) t += at->second;
    }
  }
  std::vector<std::vector<mpq_class>> form(n, std::vector<mpq_class>(n));
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i; j < n; ++j) {
      for (const auto& [e, c] : remainder(normal[i], normal[j])) form[i][j] += c * trace[e];
      form[j][i] = form[i][j];
    }
  return rank(std::move(form), budget);
}

}  // namespace r1::verify
