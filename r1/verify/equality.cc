#include "r1/verify/equality.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "r1/verify/interval.h"

namespace r1::verify {
namespace {

bool scalar_kind(Kind k) {
  switch (k) {
    case Kind::kNumber:
    case Kind::kSymbol:
    case Kind::kAdd:
    case Kind::kMul:
    case Kind::kPow:
    case Kind::kRoot:
    case Kind::kFunction:
    case Kind::kPercent:
    case Kind::kDegrees:
    case Kind::kUnit:
      return true;
    default:
      return false;
  }
}
template <class F>
bool any_node(const Node& n, F f) {
  if (f(n)) return true;
  return std::any_of(n.kids.begin(), n.kids.end(), [&](const Node& k) { return any_node(k, f); });
}
bool scalar(const Node& n) {
  return !any_node(n, [](const Node& k) { return !scalar_kind(k.kind); });
}
bool free_symbol(const Node& n) {
  return (n.kind == Kind::kSymbol && n.name != "pi" && n.name != "e" && n.name != "i") || (n.kind == Kind::kFunction && n.name[0] == '?');
}
bool has_plus_minus(const Node& n) {
  return any_node(n, [](const Node& k) { return k.kind == Kind::kPlusMinus; });
}
int infinity_sign(const Node& n) {
  if (n.kind == Kind::kSymbol && n.name == "oo") return 1;
  if (n.kind == Kind::kMul && n.kids.size() == 2 && n.kids[0].kind == Kind::kNumber && infinity_sign(n.kids[1]))
    return n.kids[0].value < 0 ? -1 : 1;
  return 0;
}

// `sign` for every +-, the other one for every -+.
Node with_sign(Node n, int sign) {
  for (Node& k : n.kids) k = with_sign(std::move(k), sign);
  if (n.kind != Kind::kPlusMinus) return n;
  const bool minus = (n.name == "+-") == (sign < 0);
  return minus ? call_node(Kind::kMul, {number_node(-1), std::move(n.kids[0])}) : std::move(n.kids[0]);
}

// A name for a value: letters, calls, products and quotients of those; a tuple of such.
bool label(const Node& n) {
  if (n.kind == Kind::kTuple || n.kind == Kind::kRatio) return std::all_of(n.kids.begin(), n.kids.end(), label);
  if (n.kind == Kind::kFunction) return n.name[0] == '?' || (n.name == "abs" && label(n.kids[0])) || n.name == "min" || n.name == "max";
  if (n.kind == Kind::kPow) return label(n.kids[0]) && n.kids[1].kind == Kind::kNumber && n.kids[1].value == -1;
  if (n.kind == Kind::kMul) return std::all_of(n.kids.begin(), n.kids.end(), label);
  return n.kind == Kind::kSymbol && n.name != "pi" && n.name != "oo";
}

bool equation_chain(const Node& n) {
  return n.kind == Kind::kRelation && std::all_of(n.ops.begin(), n.ops.end(), [](const std::string& o) { return o == "=" || o == "~"; });
}
// a = b = c ~ 1.3 becomes a = c.
Node trimmed_chain(const Node& n) {
  size_t last = n.kids.size() - 1;
  while (last > 1 && n.ops[last - 1] == "~") --last;
  Node out = call_node(Kind::kRelation, {n.kids[0], n.kids[last]});
  out.ops = {"="};
  return out;
}
// x = 5 gives 5, x in S gives S, anything else itself.
Node value_of(const Node& n) {
  if (n.kind != Kind::kRelation) return n;
  if (n.ops.size() == 1 && n.ops[0] == "in") return n.kids[1];
  if (n.ops.size() == 1 && n.ops[0] == "->") return n;
  if (!equation_chain(n)) return n;
  const Node chain = trimmed_chain(n);
  if (label(chain.kids[0]) || n.kids.size() > 2) return chain.kids[1];
  if (scalar(chain.kids[0]) && scalar(chain.kids[1]) && !any_node(chain, free_symbol)) return chain.kids[1];  // 1 + 1 = 2
  if (scalar(chain.kids[0]) && scalar(chain.kids[1]) && label(chain.kids[1]) && chain.kids[0].kind == Kind::kNumber) return chain.kids[0];
  return chain;
}

struct Piece {
  Node low, high;
  bool open_low, open_high;
};

class Comparer {
 public:
  Comparer(const EqualityOptions& options, Budget budget) : options_(options), budget_(budget) {}

  bool same(const Node& gold, const Node& answer) {
    budget_.spend(1);
    if (key_of(gold) == key_of(answer)) return true;
    if (has_plus_minus(gold) || has_plus_minus(answer)) return same(expanded(gold), expanded(answer));
    if (gold.kind == Kind::kRelation && answer.kind == Kind::kRelation && same_relations(gold, answer)) return true;
    const Node g = value_of(gold), a = value_of(answer);
    if (g.kind == Kind::kRelation && a.kind == Kind::kRelation && equation_chain(g) && equation_chain(a)) return same_relations(g, a);
    if (infinity_sign(g) || infinity_sign(a)) return infinity_sign(g) == infinity_sign(a);
    if (is_decorated(g) || is_decorated(a)) return same_decorated(g, a);
    if (scalar(g) && scalar(a)) return same_scalars(g, a);
    if (const auto by_matrix = same_matrices(g, a)) return *by_matrix;
    if (g.kind == Kind::kRatio || a.kind == Kind::kRatio) return same_ratios(g, a);
    if (is_list(g) || is_list(a) || g.kind == Kind::kTuple || a.kind == Kind::kTuple) {
      if (same_containers(g, a)) return true;
    }
    if (const auto by_pieces = same_pieces(gold, answer)) return *by_pieces;
    if (g.kind == Kind::kRelation && equation_chain(g)) return roots_of(g, a);
    return false;
  }
  const Budget& budget() const { return budget_; }

 private:
  static bool is_list(const Node& n) { return n.kind == Kind::kList || n.kind == Kind::kSet; }
  static bool is_decorated(const Node& n) { return n.kind == Kind::kPercent || n.kind == Kind::kDegrees || n.kind == Kind::kUnit; }

  // Values of plus-minus, side by side in the list they stand in.
  static Node expanded(const Node& n) {
    if (n.kind == Kind::kList || n.kind == Kind::kSet) {
      Node out = call_node(n.kind, {});
      for (const Node& k : n.kids) {
        const Node v = value_of(k);
        if (has_plus_minus(v))
          out.kids.push_back(with_sign(v, 1)), out.kids.push_back(with_sign(v, -1));
        else
          out.kids.push_back(has_plus_minus(k) ? v : k);
      }
      return out;
    }
    const Node v = value_of(n);
    if (!has_plus_minus(v)) return v;
    return call_node(Kind::kSet, {with_sign(v, 1), with_sign(v, -1)});
  }

  // ---- numbers ----

  bool same_scalars(const Node& g, const Node& a) {
    if (g.base != a.base && g.kind == Kind::kNumber && a.kind == Kind::kNumber)
      return g.base ? g.name == a.value.get_str() || g.value == a.value : a.name == g.value.get_str() || a.value == g.value;
    try {
      const Quotient qg = quotient_of(g, budget_), qa = quotient_of(a, budget_);
      const Quotient gap = subtract(qg, qa, budget_);
      if (is_zero(gap)) return true;
      mpq_class d;
      if (constant_value(gap, &d)) return near(g, a, abs(d));
      if (!gap.transcendental && !has_constants(gap)) return false;
    } catch (const BudgetError&) {
      if (budget_.steps < 0) throw;  // too large to write out: an enclosure may still tell
    } catch (const UndefinedError&) {
    }
    return same_at_points(g, a);
  }
  static bool has_constants(const Quotient& q) {
    const auto in = [](const Polynomial& p) {
      return std::any_of(p.begin(), p.end(), [](const auto& t) { return t.first.count("pi") || t.first.count("e"); });
    };
    return in(q.above) || in(q.below);
  }
  // The unit of the last place of the coarser decimal, if it is long enough to stand for a rounded value.
  bool tolerance(const Node& g, const Node& a, mpq_class& unit) const {
    int digits = -1;
    for (const Node* n : {&g, &a})
      if (n->kind == Kind::kNumber && n->decimals >= 0) digits = digits < 0 ? n->decimals : std::min(digits, n->decimals);
    if (!options_.rounding_digits || digits < options_.rounding_digits) return false;
    mpz_class power;
    mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(digits));
    unit = mpq_class(1, power);
    return true;
  }
  bool near(const Node& g, const Node& a, const mpq_class& gap) const {
    mpq_class unit;
    return tolerance(g, a, unit) && gap <= unit;
  }

  bool same_at_points(const Node& g, const Node& a) {
    int agreed = 0;
    const bool unknowns = any_node(g, free_symbol) || any_node(a, free_symbol);
    const int wanted = unknowns ? 5 : 1;
    std::string undefined;
    for (int salt = 1; salt <= wanted + 3 && agreed < wanted; ++salt) {
      const bool mirrored = unknowns && salt > 3;
      try {
        if (!agree(g, a, uint64_t(salt), mirrored)) return false;
        ++agreed;
      } catch (const UndefinedError& e) {
        undefined = e.what();
        if (mirrored && agreed >= 3) break;  // both sides need not be defined for negative values
        if (!unknowns) break;
      }
    }
    if (agreed >= std::min(wanted, 3)) return true;
    throw UndefinedError(undefined.empty() ? "no point to compare at" : undefined);
  }
  bool agree(const Node& g, const Node& a, uint64_t salt, bool mirrored) {
    mpq_class unit;
    const bool rounded = tolerance(g, a, unit);
    std::string undefined;
    for (long precision = 192;; precision = precision < 512 ? 512 : precision * 4) {
      if (precision > budget_.precision) {
        if (!undefined.empty()) throw UndefinedError(undefined);
        throw BudgetError("no decision within the precision budget");
      }
      try {
        Point at;
        const Complex x = evaluate(g, at, salt, mirrored, precision, budget_), y = evaluate(a, at, salt, mirrored, precision, budget_);
        // sqrt(x)^2 and x for negative x: only where both are real does the principal branch mean what people mean
        if (mirrored && (!x.real() || !y.real())) throw UndefinedError("not real there");
        if (rounded && x.real() && y.real()) return within(x, y, unit);
        const Nearness n = compare(x, y);
        if (n != Nearness::kUnclear) return n == Nearness::kSame;
        undefined.clear();
      } catch (const UndefinedError& e) {
        if (mirrored || undefined == e.what()) throw;  // the same at a higher precision: not a matter of precision
        undefined = e.what();
      }
    }
  }
  static bool within(const Complex& x, const Complex& y, const mpq_class& unit) {
    mpfr_t gap;
    mpfr_init2(gap, 256);
    mpfr_sub(gap, x.re.hi, y.re.lo, MPFR_RNDU);
    bool ok = mpfr_cmp_q(gap, unit.get_mpq_t()) <= 0;
    mpfr_sub(gap, y.re.hi, x.re.lo, MPFR_RNDU);
    ok = ok && mpfr_cmp_q(gap, unit.get_mpq_t()) <= 0;
    mpfr_clear(gap);
    return ok;
  }

  // ---- percent, degrees, units ----

  static Node scaled(const Node& n, const mpq_class& by) { return call_node(Kind::kMul, {number_node(by), n}); }
  struct UnitValue {
    const char* name;
    const char* dimension;
    mpq_class factor;
  };
  static const UnitValue* unit(const std::string& name) {
    static const std::vector<UnitValue> kTable = {{"mm", "length", mpq_class(1, 1000)},
                                                  {"cm", "length", mpq_class(1, 100)},
                                                  {"dm", "length", mpq_class(1, 10)},
                                                  {"m", "length", 1},
                                                  {"km", "length", 1000},
                                                  {"millimeter", "length", mpq_class(1, 1000)},
                                                  {"centimeter", "length", mpq_class(1, 100)},
                                                  {"meter", "length", 1},
                                                  {"metre", "length", 1},
                                                  {"kilometer", "length", 1000},
                                                  {"inch", "length", mpq_class(254, 10000)},
                                                  {"inches", "length", mpq_class(254, 10000)},
                                                  {"foot", "length", mpq_class(3048, 10000)},
                                                  {"feet", "length", mpq_class(3048, 10000)},
                                                  {"ft", "length", mpq_class(3048, 10000)},
                                                  {"yard", "length", mpq_class(9144, 10000)},
                                                  {"mile", "length", mpq_class(1609344, 1000)},
                                                  {"mm^2", "area", mpq_class(1, 1000000)},
                                                  {"cm^2", "area", mpq_class(1, 10000)},
                                                  {"m^2", "area", 1},
                                                  {"km^2", "area", 1000000},
                                                  {"cm^3", "volume", mpq_class(1, 1000000)},
                                                  {"m^3", "volume", 1},
                                                  {"l", "volume", mpq_class(1, 1000)},
                                                  {"liter", "volume", mpq_class(1, 1000)},
                                                  {"ml", "volume", mpq_class(1, 1000000)},
                                                  {"mg", "mass", mpq_class(1, 1000000)},
                                                  {"g", "mass", mpq_class(1, 1000)},
                                                  {"kg", "mass", 1},
                                                  {"gram", "mass", mpq_class(1, 1000)},
                                                  {"kilogram", "mass", 1},
                                                  {"s", "time", 1},
                                                  {"sec", "time", 1},
                                                  {"second", "time", 1},
                                                  {"min", "time", 60},
                                                  {"minute", "time", 60},
                                                  {"h", "time", 3600},
                                                  {"hour", "time", 3600},
                                                  {"hr", "time", 3600},
                                                  {"day", "time", 86400},
                                                  {"week", "time", 604800},
                                                  {"dollar", "money", 1},
                                                  {"cent", "money", mpq_class(1, 100)},
                                                  {"am", "morning", 1},
                                                  {"pm", "afternoon", 1}};
    for (const UnitValue& u : kTable)
      if (name == u.name || name == std::string(u.name) + "s") return &u;
    return nullptr;
  }

  // "5 m" in plain text reads as five times m; next to a value in metres it is meant as one.
  static Node without_symbol(const Node& n, const std::string& name) {
    if (n.kind != Kind::kMul || n.kids.size() < 2 || n.kids.back().kind != Kind::kSymbol || n.kids.back().name != name) return n;
    Node out = n;
    out.kids.pop_back();
    return out.kids.size() == 1 ? Node(out.kids[0]) : out;
  }

  bool same_decorated(const Node& g, const Node& a) {
    if (g.kind == Kind::kUnit && a.kind == Kind::kUnit) {
      const UnitValue *x = unit(g.name), *y = unit(a.name);
      if (x && y && std::string_view(x->dimension) != y->dimension) return false;
      if (x && y && scalar(g) && scalar(a)) {
        mpq_class fx = x->factor, fy = y->factor;
        fx.canonicalize(), fy.canonicalize();
        return same(scaled(g.kids[0], fx), scaled(a.kids[0], fy)) || (fx == fy && same(g.kids[0], a.kids[0]));
      }
    }
    if (g.kind == a.kind) return same(g.kids[0], a.kids[0]);
    if (g.kind == Kind::kUnit) return same(g.kids[0], without_symbol(a, g.name));
    if (a.kind == Kind::kUnit) return same(without_symbol(g, a.name), a.kids[0]);
    if (g.kind == Kind::kPercent) return same(g.kids[0], a) || same(scaled(g.kids[0], mpq_class(1, 100)), a);
    if (a.kind == Kind::kPercent) return same(g, a.kids[0]) || same(g, scaled(a.kids[0], mpq_class(1, 100)));
    if (g.kind == Kind::kDegrees) return same(g.kids[0], a) || (scalar(a) && same_scalars(g, a));
    return same(g, a.kids[0]) || (scalar(g) && same_scalars(g, a));
  }

  // ---- containers ----

  std::vector<Node> members(const Node& n) const {
    if (is_list(n) || n.kind == Kind::kTuple) {
      std::vector<Node> out;
      for (const Node& k : n.kids) out.push_back(k);
      return out;
    }
    return {n};
  }
  bool same_member(const Node& g, const Node& a) {
    try {
      return same(g, a);
    } catch (const UndefinedError&) {
      return false;
    }
  }
  void unique(std::vector<Node>& v) {
    std::vector<Node> out;
    for (Node& n : v) {
      const bool seen = std::any_of(out.begin(), out.end(), [&](const Node& o) {
        return key_of(o) == key_of(n) || (!names_value(o) && !names_value(n) && key_of(value_of(o)) == key_of(value_of(n)));
      });
      if (!seen) out.push_back(std::move(n));
    }
    v = std::move(out);
  }
  static bool names_value(const Node& n) { return equation_chain(n) && label(n.kids[0]); }
  // x = 1, y = 2 against y = 2, x = 1: the same names on both sides, two or more, so the names tell which value is meant.
  static bool same_labels(const std::vector<Node>& g, const std::vector<Node>& a) {
    const auto labels = [](const std::vector<Node>& v) {
      std::set<std::string> all;
      for (const Node& n : v) {
        if (!names_value(n)) return std::set<std::string>();
        all.insert(key_of(n.kids[0]));
      }
      return all;
    };
    const auto x = labels(g);
    return x.size() > 1 && x == labels(a);
  }
  bool unordered(std::vector<Node> g, std::vector<Node> a) {
    if (g.size() > 500 || a.size() > 500) throw BudgetError("more than 500 members");
    budget_.spend(int64_t(g.size() * g.size() + a.size() * a.size()) / 16);
    unique(g);
    unique(a);
    const bool labelled = same_labels(g, a);
    std::vector<bool> used(a.size());
    for (const Node& x : g) {
      bool found = false;
      for (size_t j = 0; j < a.size() && !found; ++j) {
        if (used[j] || (labelled && key_of(x.kids[0]) != key_of(a[j].kids[0]))) continue;
        found = same_member(x, a[j]);
        if (found) used[j] = true;
      }
      if (!found) return false;
    }
    // what is left of the answer must repeat something
    for (size_t j = 0; j < a.size(); ++j)
      if (!used[j] && std::none_of(g.begin(), g.end(), [&](const Node& x) { return same_member(x, a[j]); })) return false;
    return true;
  }
  bool ordered(const std::vector<Node>& g, const std::vector<Node>& a) {
    if (g.size() != a.size()) return false;
    for (size_t i = 0; i < g.size(); ++i)
      if (!same_member(g[i], a[i])) return false;
    return true;
  }
  bool same_containers(const Node& g, const Node& a) {
    if (g.kind == Kind::kTuple && a.kind == Kind::kTuple) {
      const bool interval = g.kids.size() == 2 && g.name != a.name;
      return !interval && ordered(g.kids, a.kids);
    }
    if (g.kind == Kind::kTuple || a.kind == Kind::kTuple) {
      const Node& other = g.kind == Kind::kTuple ? a : g;
      const Node& tuple = g.kind == Kind::kTuple ? g : a;
      if (is_list(other) && other.kids.size() == 1 && tuple.kids.size() > 1)
        return same(g.kind == Kind::kTuple ? g : g.kids[0], a.kind == Kind::kTuple ? a : a.kids[0]);
      if (is_list(other))
        return tuple.name == "[]" && other.kind == Kind::kSet
                   ? unordered(members(g), members(a))
                   : (tuple.name == "()" || tuple.kids.size() != 2) && ordered(members(g), members(a));
      return tuple.kids.size() == 1 && same(members(g)[0], members(a)[0]);
    }
    return unordered(members(g), members(a));
  }

  // ---- matrices ----

  using Rows = std::vector<std::vector<Node>>;
  static std::optional<Rows> matrix(const Node& n) {
    if (n.kind == Kind::kMatrix) {
      Rows rows;
      for (const Node& r : n.kids) rows.push_back(r.kids);
      return rows;
    }
    if (n.kind == Kind::kAdd) {
      std::optional<Rows> sum;
      for (const Node& k : n.kids) {
        auto m = matrix(k);
        if (!m) return std::nullopt;
        if (!sum) {
          sum = m;
          continue;
        }
        if (sum->size() != m->size() || (*sum)[0].size() != (*m)[0].size()) throw UndefinedError("matrices of different shapes added");
        for (size_t i = 0; i < m->size(); ++i)
          for (size_t j = 0; j < (*m)[i].size(); ++j) (*sum)[i][j] = call_node(Kind::kAdd, {(*sum)[i][j], (*m)[i][j]});
      }
      return sum;
    }
    if (n.kind == Kind::kMul) {
      std::optional<Rows> product;
      std::vector<Node> factors;
      for (const Node& k : n.kids) {
        auto m = matrix(k);
        if (!m) {
          if (!scalar(k)) return std::nullopt;
          factors.push_back(k);
          continue;
        }
        product = product ? multiplied(*product, *m) : *m;
      }
      if (!product) return std::nullopt;
      for (auto& row : *product)
        for (Node& cell : row)
          for (const Node& f : factors) cell = call_node(Kind::kMul, {f, cell});
      return product;
    }
    return std::nullopt;
  }
  static Rows multiplied(const Rows& a, const Rows& b) {
    if (a[0].size() != b.size() || a.size() * b.size() * b[0].size() > 10'000) throw UndefinedError("matrices that don't fit multiplied");
    Rows out(a.size(), std::vector<Node>(b[0].size()));
    for (size_t i = 0; i < a.size(); ++i)
      for (size_t j = 0; j < b[0].size(); ++j) {
        Node sum = call_node(Kind::kAdd, {});
        for (size_t k = 0; k < b.size(); ++k) sum.kids.push_back(call_node(Kind::kMul, {a[i][k], b[k][j]}));
        out[i][j] = std::move(sum);
      }
    return out;
  }
  std::optional<bool> same_matrices(const Node& g, const Node& a) {
    const auto x = matrix(g), y = matrix(a);
    if (!x && !y) return std::nullopt;
    const auto flat = [](const Rows& rows) {
      std::vector<Node> all;
      for (const auto& r : rows) all.insert(all.end(), r.begin(), r.end());
      return all;
    };
    if (x && y) {
      if (x->size() != y->size() || (*x)[0].size() != (*y)[0].size()) return false;
      return ordered(flat(*x), flat(*y));
    }
    const Rows& rows = x ? *x : *y;
    const Node& other = x ? a : g;
    if (other.kind == Kind::kTuple && other.kids.size() == rows.size() &&  // [[1, 2], [3, 4]]
        std::all_of(other.kids.begin(), other.kids.end(),
                    [&](const Node& k) { return k.kind == Kind::kTuple && k.kids.size() == rows[0].size(); })) {
      Rows listed;
      for (const Node& k : other.kids) listed.push_back(k.kids);
      return x ? ordered(flat(rows), flat(listed)) : ordered(flat(listed), flat(rows));
    }
    if (other.kind != Kind::kTuple && other.kind != Kind::kList) return false;
    if (rows.size() == 1 || rows[0].size() == 1) return x ? ordered(flat(rows), other.kids) : ordered(other.kids, flat(rows));
    return false;
  }

  bool same_ratios(const Node& g, const Node& a) {
    if (g.kind != a.kind) {
      const Node& r = g.kind == Kind::kRatio ? g : a;
      const Node& v = g.kind == Kind::kRatio ? a : g;
      if (r.kids.size() != 2 || !scalar(v)) return false;
      return same(call_node(Kind::kMul, {r.kids[0], call_node(Kind::kPow, {r.kids[1], number_node(-1)})}), v);
    }
    if (g.kids.size() != a.kids.size()) return false;
    const auto zero = [](const Node& n) { return (n.kind == Kind::kNumber && n.value == 0) || n.kind == Kind::kUnit; };  // 12:00, 7:30 pm
    if (std::any_of(g.kids.begin(), g.kids.end(), zero) || std::any_of(a.kids.begin(), a.kids.end(), zero)) return ordered(g.kids, a.kids);
    for (size_t i = 1; i < g.kids.size(); ++i)
      if (!same(call_node(Kind::kMul, {g.kids[0], a.kids[i]}), call_node(Kind::kMul, {a.kids[0], g.kids[i]}))) return false;
    return true;
  }

  // ---- relations ----

  static void turn(std::string& op) {
    for (char& c : op) c = c == '<' ? '>' : c == '>' ? '<' : c;
  }
  bool same_relations(const Node& gold, const Node& answer) {
    Node g = equation_chain(gold) ? trimmed_chain(gold) : gold, a = equation_chain(answer) ? trimmed_chain(answer) : answer;
    if (g.kids.size() != a.kids.size()) return false;
    if (g.kids.size() == 2 && g.ops[0] != "in" && a.ops[0] != "in") return same_pair(g, a);
    for (int reversed = 0; reversed < 2; ++reversed) {
      bool all = g.ops == a.ops;
      for (size_t i = 0; all && i < g.kids.size(); ++i) all = same_member(g.kids[i], a.kids[i]);
      if (all) return true;
      std::reverse(a.kids.begin(), a.kids.end());
      std::reverse(a.ops.begin(), a.ops.end());
      for (std::string& op : a.ops) turn(op);
    }
    return false;
  }
  bool same_pair(const Node& g, const Node& a) {
    if (label(g.kids[0]) && g.ops == a.ops && key_of(g.kids[0]) == key_of(a.kids[0]) && same_member(g.kids[1], a.kids[1])) return true;
    if (!scalar(g) && !(scalar(g.kids[0]) && scalar(g.kids[1]))) return false;
    if (!(scalar(a.kids[0]) && scalar(a.kids[1]))) return false;
    const auto gap = [](const Node& r) { return call_node(Kind::kAdd, {r.kids[0], call_node(Kind::kMul, {number_node(-1), r.kids[1]})}); };
    const Node x = gap(g), y = gap(a);
    std::string op = a.ops[0];
    mpq_class factor;
    bool found = false;
    try {
      found = proportional(quotient_of(x, budget_), quotient_of(y, budget_), budget_, &factor);
    } catch (const UndefinedError&) {
      return false;
    }
    if (!found) return false;
    if (factor < 0) turn(op);
    return op == g.ops[0];
  }

  // ---- pieces of the real line ----

  static Node infinite(int sign) { return sign > 0 ? symbol_node("oo") : call_node(Kind::kMul, {number_node(-1), symbol_node("oo")}); }
  bool exact(const Node& n, mpq_class& v) {
    if (!scalar(n) || infinity_sign(n)) return false;
    try {
      return constant_value(quotient_of(n, budget_), &v);
    } catch (const UndefinedError&) {
      return false;
    }
  }
  std::optional<std::vector<Piece>> pieces(const Node& n) {
    std::vector<Piece> out;
    if (n.kind == Kind::kTuple && n.kids.size() == 2) {
      const auto ends = order(n.kids[0], n.kids[1]);
      if (ends && (*ends > 0 || (*ends == 0 && n.name != "[]"))) return std::nullopt;  // (2, 1) is a pair alone
      out.push_back({n.kids[0], n.kids[1], n.name[0] == '(', n.name[1] == ')'});
      return out;
    }
    if (n.kind == Kind::kSymbol && n.name == "R") return std::vector<Piece>{{infinite(-1), infinite(1), true, true}};
    if (n.kind == Kind::kSet) {
      for (const Node& k : n.kids) {
        if (!scalar(value_of(k))) return std::nullopt;
        out.push_back({value_of(k), value_of(k), false, false});
      }
      return out;
    }
    if (n.kind == Kind::kUnion || (n.kind == Kind::kList && n.kids.size() > 1)) {
      for (const Node& k : n.kids) {
        auto some = pieces(k);
        if (!some) return std::nullopt;
        out.insert(out.end(), some->begin(), some->end());
      }
      return out;
    }
    if (n.kind == Kind::kBuilder) return pieces(n.kids[0]);
    if (n.kind == Kind::kDifference && n.kids[0].kind == Kind::kSymbol && n.kids[0].name == "R" && is_list(n.kids[1]))
      return without(n.kids[1].kids);
    if (n.kind == Kind::kDifference || n.kind == Kind::kIntersection) {
      std::optional<std::vector<Piece>> out = pieces(n.kids[0]);
      for (size_t i = 1; out && i < n.kids.size(); ++i) {
        const auto other = pieces(n.kids[i]);
        if (!other) return std::nullopt;
        out = intersection(*out, n.kind == Kind::kDifference ? complement(joined(*other)) : *other);
      }
      return out;
    }
    if (n.kind == Kind::kRelation) return relation_pieces(n);
    return std::nullopt;
  }
  // the real line but for some rational points
  std::optional<std::vector<Piece>> without(const std::vector<Node>& points) {
    std::vector<mpq_class> values;
    for (const Node& p : points)
      if (!exact(p, values.emplace_back())) return std::nullopt;
    std::sort(values.begin(), values.end());
    std::vector<Piece> out;
    Node low = infinite(-1);
    for (const mpq_class& v : values) {
      out.push_back({low, number_node(v), true, true});
      low = number_node(v);
    }
    out.push_back({low, infinite(1), true, true});
    return out;
  }
  std::optional<std::vector<Piece>> relation_pieces(const Node& n) {
    const auto order = [](const std::string& op) { return op == "<" || op == "<=" ? 1 : op == ">" || op == ">=" ? -1 : 0; };
    if (n.ops.size() == 1 && n.ops[0] == "in") return pieces(n.kids[1]);
    if (n.ops.size() == 1 && n.ops[0] == "!=" && label(n.kids[0])) return without({n.kids[1]});
    if (n.ops.size() == 1 && order(n.ops[0])) {
      const bool left = label(n.kids[0]), less = order(n.ops[0]) > 0, open = n.ops[0].size() == 1;
      if (left == label(n.kids[1])) return std::nullopt;
      const Node& bound = left ? n.kids[1] : n.kids[0];
      return std::vector<Piece>{left == less ? Piece{infinite(-1), bound, true, open} : Piece{bound, infinite(1), open, true}};
    }
    if (n.ops.size() == 2 && order(n.ops[0]) && order(n.ops[0]) == order(n.ops[1]) && label(n.kids[1])) {
      Node low = n.kids[0], high = n.kids[2];
      bool open_low = n.ops[0].size() == 1, open_high = n.ops[1].size() == 1;
      if (order(n.ops[0]) < 0) std::swap(low, high), std::swap(open_low, open_high);
      std::vector<Piece> out{{low, high, open_low, open_high}};
      if (n.kids[1].kind == Kind::kFunction && n.kids[1].name == "abs") {  // a < |x| < b: both sides of zero
        const auto minus = [](const Node& k) { return call_node(Kind::kMul, {number_node(-1), k}); };
        out.push_back({minus(high), minus(low), open_high, open_low});
      }
      return out;
    }
    return std::nullopt;
  }
  std::optional<bool> same_pieces(const Node& gold, const Node& answer) {
    const auto g = pieces(gold), a = pieces(answer);
    if (!g || !a) return std::nullopt;
    std::vector<Piece> x = joined(*g), y = joined(*a);
    if (x.size() != y.size()) return false;
    std::vector<bool> used(y.size());
    for (const Piece& p : x) {
      bool found = false;
      for (size_t j = 0; j < y.size() && !found; ++j) {
        const Piece& q = y[j];
        if (used[j] || p.open_low != q.open_low || p.open_high != q.open_high) {
          const bool ends =
              !used[j] && (p.open_low == q.open_low || infinity_sign(p.low)) && (p.open_high == q.open_high || infinity_sign(p.high));
          if (!ends) continue;
        }
        found = same_member(p.low, q.low) && same_member(p.high, q.high);
        if (found) used[j] = true;
      }
      if (!found) return false;
    }
    return true;
  }
  // -1, 0, 1 as end a lies before, at, behind end b; nullopt if that can't be told (unknowns in it).
  std::optional<int> order(const Node& a, const Node& b) {
    const int x = infinity_sign(a), y = infinity_sign(b);
    if (x || y) return x == y ? 0 : x < y || (!x && y > 0) ? -1 : 1;
    if (key_of(a) == key_of(b)) return 0;
    mpq_class v, w;
    if (exact(a, v) && exact(b, w)) return v < w ? -1 : v > w ? 1 : 0;
    if (!scalar(a) || !scalar(b) || any_node(a, free_symbol) || any_node(b, free_symbol)) return std::nullopt;
    if (same_scalars(a, b)) return 0;
    for (long precision : {192L, 512L}) {
      Point none;
      const Complex p = evaluate(a, none, 1, false, precision, budget_), q = evaluate(b, none, 1, false, precision, budget_);
      if (!p.real() || !q.real()) return std::nullopt;
      if (mpfr_less_p(p.re.hi, q.re.lo)) return -1;
      if (mpfr_less_p(q.re.hi, p.re.lo)) return 1;
    }
    return std::nullopt;
  }
  // Sorted, overlapping and touching ones made one, empty ones left out; as they are if their ends can't be ordered.
  std::vector<Piece> joined(const std::vector<Piece>& all) {
    std::vector<Piece> sorted;
    for (const Piece& p : all) {  // insertion sort: the order may be unknown
      const auto ends = order(p.low, p.high);
      if (!ends) return all;
      if (*ends > 0 || (*ends == 0 && (p.open_low || p.open_high))) continue;
      size_t at = sorted.size();
      for (; at > 0; --at) {
        const auto before = order(sorted[at - 1].low, p.low);
        if (!before) return all;
        if (*before < 0 || (*before == 0 && (!sorted[at - 1].open_low || p.open_low))) break;
      }
      sorted.insert(sorted.begin() + long(at), p);
    }
    std::vector<Piece> out;
    for (const Piece& p : sorted) {
      const auto gap = out.empty() ? std::optional<int>(1) : order(p.low, out.back().high);
      if (!gap) return all;
      if (*gap > 0 || (*gap == 0 && p.open_low && out.back().open_high)) {
        out.push_back(p);
        continue;
      }
      const auto further = order(p.high, out.back().high);
      if (!further) return all;
      if (*further > 0)
        out.back().high = p.high, out.back().open_high = p.open_high;
      else if (*further == 0)
        out.back().open_high = out.back().open_high && p.open_high;
    }
    return out;
  }
  std::optional<std::vector<Piece>> intersection(const std::vector<Piece>& a, const std::vector<Piece>& b) {
    std::vector<Piece> out;
    if (a.size() * b.size() > 10'000) throw BudgetError("an intersection of too many pieces");
    for (const Piece& p : a) {
      for (const Piece& q : b) {
        const auto low = order(p.low, q.low), high = order(p.high, q.high);
        if (!low || !high) return std::nullopt;
        Piece r = p;
        if (*low < 0) r.low = q.low, r.open_low = q.open_low;
        if (*low == 0) r.open_low = p.open_low || q.open_low;
        if (*high > 0) r.high = q.high, r.open_high = q.open_high;
        if (*high == 0) r.open_high = p.open_high || q.open_high;
        const auto ends = order(r.low, r.high);
        if (!ends) return std::nullopt;
        if (*ends < 0 || (*ends == 0 && !r.open_low && !r.open_high)) out.push_back(r);
      }
    }
    return out;
  }
  // The real line without these (joined) pieces.
  static std::vector<Piece> complement(const std::vector<Piece>& pieces) {
    std::vector<Piece> out;
    Piece next{infinite(-1), infinite(1), true, true};
    for (const Piece& p : pieces) {
      next.high = p.low, next.open_high = !p.open_low;
      if (infinity_sign(p.low) >= 0) out.push_back(next);
      next.low = p.high, next.open_low = !p.open_high;
    }
    if (infinity_sign(next.low) <= 0) next.high = infinite(1), next.open_high = true, out.push_back(next);
    return out;
  }

  // Is `a` the list of all roots of the equation `g` in one unknown?
  bool roots_of(const Node& g, const Node& a) {
    const Node gap = call_node(Kind::kAdd, {g.kids[0], call_node(Kind::kMul, {number_node(-1), g.kids[1]})});
    if (!scalar(gap)) return false;
    std::vector<mpq_class> coefficients;
    std::string unknown;
    if (!univariate(quotient_of(gap, budget_).above, coefficients, &unknown)) return false;
    std::vector<Node> roots = members(a);
    unique(roots);
    if (int64_t(roots.size()) != distinct_roots(coefficients, budget_)) return false;
    for (const Node& r : roots) {
      const Node v = value_of(r);
      if (!scalar(v)) return false;
      Node sum = call_node(Kind::kAdd, {});
      for (size_t i = 0; i < coefficients.size(); ++i)
        sum.kids.push_back(i ? call_node(Kind::kMul, {number_node(coefficients[i]), call_node(Kind::kPow, {v, number_node(long(i))})})
                             : number_node(coefficients[i]));
      if (!same_scalars(number_node(0), sum)) return false;
    }
    return true;
  }

  EqualityOptions options_;
  Budget budget_;
};

// Unknowns by their place in the alphabet instead of their names.
Node numbered_unknowns(const Node& root) {
  std::map<std::string, std::string> names;
  any_node(root, [&](const Node& n) {
    if (n.kind == Kind::kSymbol && free_symbol(n) && n.name != "oo") names[n.name];
    return false;
  });
  size_t number = 0;
  for (auto& [name, numbered] : names) numbered = "u#" + std::to_string(number++);
  const auto renamed = [&](const auto& self, Node n) -> Node {
    if (const auto found = names.find(n.name); n.kind == Kind::kSymbol && found != names.end()) n.name = found->second;
    for (Node& kid : n.kids) kid = self(self, std::move(kid));
    return n;
  };
  return renamed(renamed, root);
}

}  // namespace

Comparison compare_answers(const Node& gold, const Node& answer, const EqualityOptions& options, Budget budget, bool* exhausted) {
  if (!options.strict) {
    EqualityOptions strict = options;
    strict.strict = true;
    return compare_answers(numbered_unknowns(gold), numbered_unknowns(answer), strict, budget, exhausted);
  }
  *exhausted = false;
  Comparer comparer(options, budget);
  try {
    return comparer.same(gold, answer) ? Comparison{Same::kYes, "equal"} : Comparison{Same::kNo, "not equal"};
  } catch (const BudgetError& e) {
    *exhausted = true;
    return {Same::kUnknown, e.what()};
  } catch (const UndefinedError& e) {
    return {Same::kUnknown, e.what()};
  }
}

}  // namespace r1::verify
