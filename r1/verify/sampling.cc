#include "r1/verify/sampling.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace r1::verify {
namespace {

constexpr size_t kMostBreaks = 24, kMostSamples = 400;  // with the large budget ten times as many

bool constant_name(const std::string& name) {
  return name == "pi" || name == "e" || name == "i" || name == "oo" || name == "...";
}

template <class F>
void each_node(const Node& n, F f) {
  f(n);
  for (const Node& k : n.kids) each_node(k, f);
}
std::set<std::string> symbols_of(const Node& n) {
  std::set<std::string> out;
  each_node(n, [&](const Node& k) {
    if (k.kind == Kind::kSymbol && !constant_name(k.name)) out.insert(k.name);
  });
  return out;
}

uint64_t hash_of(const std::string& name, uint64_t salt) {
  uint64_t h = 1469598103934665603ull ^ (salt * 0x9E3779B97F4A7C15ull);
  for (unsigned char c : name) h = (h ^ c) * 1099511628211ull;
  h ^= h >> 29, h *= 0xBF58476D1CE4E5B9ull, h ^= h >> 32;
  return h;
}

// ---- which unknowns are whole numbers ----

bool counts_by_name(const std::string& name) {
  static const std::string kNames = "nkmjlNMK";
  return kNames.find(name[0]) != std::string::npos && (name.size() == 1 || name[1] == '_');
}
void add_counted(const Node& root, std::set<std::string>& out) {
  each_node(root, [&](const Node& n) {
    const bool call = n.kind == Kind::kFunction;
    if (call && (n.name == "factorial" || n.name == "binomial" || n.name == "gcd" || n.name == "lcm" || n.name == "mod"))
      for (const std::string& s : symbols_of(n)) out.insert(s);
    const Node* exponent = n.kind == Kind::kPow && n.kids[0].kind == Kind::kNumber && n.kids[0].value < 0 ? &n.kids[1] : nullptr;
    const Node* angle = call && n.kids.size() == 1 && (n.name == "sin" || n.name == "cos" || n.name == "tan") ? &n.kids[0] : nullptr;
    for (const Node* place : {exponent, angle})
      if (place)
        for (const std::string& s : symbols_of(*place))
          if (counts_by_name(s)) out.insert(s);
  });
}

// ---- general points ----

mpq_class value_at(const std::string& name, uint64_t index, bool whole, bool& negative) {
  static const mpq_class kScales[] = {1, 1, 10, mpq_class(1, 16), 1, 100, 10, mpq_class(1, 16), 100, 1};
  const uint64_t h = hash_of(name, index + 1);
  if (whole) return mpq_class(long(1 + h % (index < 4 ? 9 : index < 8 ? 24 : 200)));
  mpq_class value(long(524'288 + h % 2'097'152), 1'048'576ul);
  value.canonicalize();
  value *= kScales[index % 10];
  const bool all_positive = index == 0 || index == 2 || index == 3 || index == 9;
  if (index == 1 || (!all_positive && (h >> 40) % 2)) value = -value, negative = true;
  return value;
}
Sample general_point(const std::set<std::string>& symbols, const std::set<std::string>& counted, uint64_t index) {
  Sample s;
  s.salt = index + 1;
  for (const std::string& name : symbols) {
    bool negative = false;
    s.at[name] = value_at(name, index, counted.count(name) > 0, negative);
    if (negative) s.principal = false;
  }
  return s;
}

// ---- breaks ----

Node difference(const Node& a, const Node& b) {
  return call_node(Kind::kAdd, {a, call_node(Kind::kMul, {number_node(-1), b})});
}
// Expressions whose zeros are breaks. For a step function every whole number is one: a few of them.
void add_breaks(const Node& root, std::vector<Node>& out) {
  each_node(root, [&](const Node& n) {
    if (n.kind == Kind::kRoot && n.kids[1].kind == Kind::kNumber && n.kids[1].value.get_den() == 1 &&
        mpz_even_p(n.kids[1].value.get_num_mpz_t()))
      out.push_back(n.kids[0]);
    if (n.kind == Kind::kPow && !(n.kids[1].kind == Kind::kNumber && n.kids[1].value.get_den() == 1 && n.kids[1].value >= 0))
      out.push_back(n.kids[0]);  // 1/x, x^{1/2}, x^y
    if (n.kind != Kind::kFunction) return;
    if (n.name == "abs" || n.name == "ln" || n.name == "log") out.push_back(n.kids[0]);
    if (n.name == "floor" || n.name == "ceil")
      for (const long step : {0L, 1L, -2L}) out.push_back(difference(n.kids[0], number_node(step)));
    if (n.name == "min" || n.name == "max")
      for (size_t i = 1; i < n.kids.size(); ++i) out.push_back(difference(n.kids[0], n.kids[i]));
  });
}

// -1, 0, 1 as the value of n at x is negative, about zero, positive; 2: it is not real there.
int sign_at(const Node& n, const std::string& name, const mpq_class& x, Budget& budget) {
  try {
    Point at{{name, x}};
    const Complex v = evaluate(n, at, 1, 64, budget);
    return !v.real() ? 2 : v.re.positive() ? 1 : v.re.negative() ? -1 : 0;
  } catch (const UndefinedError&) {
    return 2;
  }
}
// Where the sign of n changes between neighbours of a grid of powers of two, their thirds and both signs; halved down to 2^-40 of their
// distance. At most eight.
std::vector<mpq_class> sign_changes(const Node& n, const std::string& name, Budget& budget) {
  std::vector<mpq_class> grid{0};
  for (int k = -6; k <= 20; ++k) {
    const mpq_class two = k < 0 ? mpq_class(mpz_class(1), mpz_class(1) << unsigned(-k)) : mpq_class(mpz_class(1) << unsigned(k));
    for (const mpq_class& v : {two, mpq_class(two * mpq_class(4, 3)), mpq_class(two * mpq_class(5, 3))}) {
      grid.push_back(v);
      grid.insert(grid.begin(), -v);
    }
  }
  std::vector<mpq_class> out;
  int before = 2;
  for (size_t i = 0; i < grid.size() && out.size() < 8; ++i) {
    const int here = sign_at(n, name, grid[i], budget);
    if (here == 0) out.push_back(grid[i]);
    if (here * before == -1) {
      mpq_class low = grid[i - 1], high = grid[i];
      for (int step = 0; step < 40; ++step) {
        const mpq_class middle = (low + high) / 2;
        const int there = sign_at(n, name, middle, budget);
        if (there == 2) break;
        (there == before ? low : high) = middle;
      }
      out.push_back(high);
    }
    before = here;
  }
  return out;
}

// Real zeros in `name`: exactly of a polynomial of degree one, to a few bits of one of degree two, else where the sign changes.
std::vector<mpq_class> zeros(const Node& n, const std::string& name, Budget& budget) {
  std::vector<mpq_class> c;
  std::string unknown;
  try {
    if (!univariate(quotient_of(n, budget).above, c, &unknown) || unknown != name) return sign_changes(n, name, budget);
  } catch (const UndefinedError&) {
    return {};
  }
  while (!c.empty() && c.back() == 0) c.pop_back();
  if (c.size() == 2) return {mpq_class(-c[0] / c[1])};
  if (c.size() != 3) return sign_changes(n, name, budget);
  const mpq_class d = c[1] * c[1] - 4 * c[0] * c[2];
  if (d < 0) return {};
  mpz_class above, below;  // an exact root where there is one
  mpz_sqrt(above.get_mpz_t(), d.get_num_mpz_t());
  mpz_sqrt(below.get_mpz_t(), d.get_den_mpz_t());
  const mpq_class root =
      above * above == d.get_num() && below * below == d.get_den() ? mpq_class(above, below) : mpq_class(std::sqrt(d.get_d()));
  return {mpq_class((-c[1] - root) / (2 * c[2])), mpq_class((-c[1] + root) / (2 * c[2]))};
}

// More samples than `most` throw BudgetError: what was not looked at is not called equal.
void add_break_samples(const std::vector<Node>& breaks, const Sample& around, size_t most, std::vector<Sample>& out, Budget& budget) {
  static const mpq_class kSteps[] = {0, mpq_class(1, 1024), mpq_class(1, 1 << 20), mpq_class(1, 8), 3, 40};
  for (const Node& n : breaks) {
    int tried = 0;
    for (const std::string& name : symbols_of(n)) {
      if (++tried > 2) break;
      for (const mpq_class& zero : zeros(with_values(n, around.at, name), name, budget)) {
        for (const mpq_class& step : kSteps) {
          for (const int sign : {-1, 1}) {
            if (step == 0 && sign < 0) continue;
            if (out.size() >= most) throw BudgetError("more breaks than the budget has points for");
            Sample s = around;
            s.at[name] = zero + sign * step;
            s.general = false;
            s.principal = std::all_of(s.at.begin(), s.at.end(), [](const auto& v) { return v.second >= 0; });
            out.push_back(std::move(s));
          }
        }
      }
    }
  }
}

}  // namespace

Node with_values(Node n, const Point& at, const std::string& but) {
  if (n.kind == Kind::kSymbol && n.name != but) {
    if (const auto found = at.find(n.name); found != at.end()) return number_node(found->second);
  }
  for (Node& k : n.kids) k = with_values(std::move(k), at, but);
  return n;
}

std::vector<Sample> general_points(const Node& gold, const Node& answer) {
  std::set<std::string> symbols = symbols_of(gold), counted;
  symbols.merge(symbols_of(answer));
  add_counted(gold, counted);
  add_counted(answer, counted);
  std::vector<Sample> out;
  const uint64_t points = counted.empty() ? 10 : 16;  // n!/(n - k)! wants k <= n
  for (uint64_t index = 0; index < points; ++index) out.push_back(general_point(symbols, counted, index));
  return out;
}

std::vector<Sample> break_points(const Node& gold, const Node& answer, Budget& budget) {
  std::vector<Node> breaks;
  add_breaks(gold, breaks);
  add_breaks(answer, breaks);
  std::set<std::string> seen;
  std::erase_if(breaks, [&](const Node& n) { return symbols_of(n).empty() || !seen.insert(key_of(n)).second; });
  const size_t scale = budget.precision >= kLargeBudget.precision ? 10 : 1;
  if (breaks.size() > kMostBreaks * scale) throw BudgetError("more breaks than the budget has points for");
  if (breaks.empty()) return {};
  const std::vector<Sample> general = general_points(gold, answer);
  std::vector<Sample> out;
  for (const size_t i : {0u, 4u}) add_break_samples(breaks, general[i], kMostSamples * scale, out, budget);
  return out;
}

}  // namespace r1::verify
