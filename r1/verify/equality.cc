#include "r1/verify/equality.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>

#include "r1/verify/sampling.h"
#include "r1/verify/system.h"
#include "r1/verify/units.h"

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

// A single unknown: what an inequality is about.
bool identifier(const Node& n) {
  return n.kind == Kind::kSymbol && n.name != "pi" && n.name != "oo" && n.name != "e" && n.name != "i" && n.name != "...";
}
bool contains(const Node& n, const std::string& symbol) {
  return any_node(n, [&](const Node& k) { return k.kind == Kind::kSymbol && k.name == symbol; });
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
// A decimal as it was written: 0.0250, 2.5 \times 10^{-2}, -2.50e-2.
struct Written {
  mpq_class value;
  int digits = 0;
  mpq_class unit;  // of the last place
};
std::optional<Written> written(const Node& n) {
  const auto power = [](int k) {
    mpz_class p;
    mpz_ui_pow_ui(p.get_mpz_t(), 10, static_cast<unsigned long>(std::abs(k)));
    return k >= 0 ? mpq_class(p) : mpq_class(mpz_class(1), p);
  };
  if (n.kind == Kind::kNumber && n.decimals >= 0 && !n.base && (n.digits || n.value == 0) && std::abs(n.place) < 10'000)
    return Written{n.value, n.digits, power(n.place)};
  if (n.kind != Kind::kMul || n.kids.size() != 2) return std::nullopt;
  for (const int i : {0, 1}) {
    const Node& scale = n.kids[size_t(1 - i)];
    auto w = written(n.kids[size_t(i)]);
    if (!w) continue;
    if (scale.kind == Kind::kNumber && scale.value == -1) {
      w->value = -w->value;
      return w;
    }
    if (scale.kind != Kind::kPow || scale.kids[0].kind != Kind::kNumber || scale.kids[0].value != 10 ||
        scale.kids[1].kind != Kind::kNumber || scale.kids[1].value.get_den() != 1 || abs(scale.kids[1].value) > 10'000)
      return std::nullopt;
    const mpq_class by = power(int(scale.kids[1].value.get_num().get_si()));
    w->value *= by, w->unit *= by;
    return w;
  }
  return std::nullopt;
}
// What a decimal may stand for: rounded or cut off, values from `low` (with it) to `high` (without) in the direction of its sign.
struct Stands {
  mpq_class low, high;
  bool negative;
};
Stands stands_for(const Written& w) {
  const mpq_class size = abs(w.value);
  return {size - w.unit / 2, size + w.unit, w.value < 0};
}

// x = 5 gives 5, x in S gives S, anything else itself.
Node value_of(const Node& n) {
  if (n.kind != Kind::kRelation) return n;
  if (n.ops.size() == 1 && n.ops[0] == "in") return n.kids[1];
  if (n.ops.size() == 1 && n.ops[0] == "->") return n;
  if (!equation_chain(n)) return n;
  const Node chain = trimmed_chain(n);
  if (label(chain.kids[0]) || n.kids.size() > 2) return chain.kids[1];
  if (n.ops[0] == "~") return n.kids[0];                                                                      // sqrt 2 ~ 1.41
  if (chain.kids[0].kind == Kind::kNumber && chain.kids[1].kind == Kind::kNumber) return n;                   // 1 = 1 says nothing
  if (scalar(chain.kids[0]) && scalar(chain.kids[1]) && !any_node(chain, free_symbol)) return chain.kids[1];  // 1 + 1 = 2
  if (scalar(chain.kids[0]) && scalar(chain.kids[1]) && label(chain.kids[1]) && chain.kids[0].kind == Kind::kNumber) return chain.kids[0];
  return chain;
}

// What a chain comes to before its last link, a decimal: the exact value, if there is one.
std::optional<Node> before_decimal(const Node& n) {
  if (!equation_chain(n)) return std::nullopt;
  const size_t last = n.kids.size() - 1;
  const bool exact_before = !written(n.kids[last - 1]) && !(last == 1 && label(n.kids[0]));
  return written(n.kids[last]) && exact_before && n.ops[last - 1] == "=" ? std::optional(n.kids[last - 1]) : std::nullopt;
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
    if (equation_chain(gold) && equation_chain(answer) && angle(gold.kids[0]) != angle(answer.kids[0])) return false;
    if (key_of(gold) == key_of(answer)) return true;
    if (has_plus_minus(gold) || has_plus_minus(answer)) return same(expanded(gold), expanded(answer));
    if (gold.kind == Kind::kRelation && answer.kind == Kind::kRelation) {
      if (same_relations(gold, answer)) return true;
      if (other_names(gold, answer)) return false;
    }
    for (const auto& [chain, of_gold] : {std::pair{&gold, true}, {&answer, false}})
      if (const auto exact_end = before_decimal(*chain))  // x = 1/3 = 0.33: either
        if (of_gold ? same(*exact_end, answer) : same(gold, *exact_end)) return true;
    const Node g = value_of(gold), a = value_of(answer);
    if (is_congruence(g) || is_congruence(a)) return same_congruence(g, a);
    if (g.kind == Kind::kRelation && a.kind == Kind::kRelation && equation_chain(g) && equation_chain(a)) return same_relations(g, a);
    if (infinity_sign(g) || infinity_sign(a)) return infinity_sign(g) == infinity_sign(a);
    if (is_decorated(g) || is_decorated(a)) return same_decorated(g, a);
    if (const auto by_system = same_systems(gold, answer)) return *by_system;
    if (scalar(g) && scalar(a)) return same_scalars(g, a);
    if (const auto by_matrix = same_matrices(g, a)) return *by_matrix;
    if (g.kind == Kind::kRatio || a.kind == Kind::kRatio) return same_ratios(g, a);
    if (is_list(g) || is_list(a) || g.kind == Kind::kTuple || a.kind == Kind::kTuple) {
      const bool other_word = (g.kind == a.kind && word_of(g) != word_of(a) && (conditions(g) || conditions(a))) ||  // x > 1 and, or, x < 5
                              ((g.name == "or") != (a.name == "or") && (several_names(g) || several_names(a)));      // x = 3 or y = 4
      if (!other_word && same_containers(g, a)) return true;
    }
    if (const auto by_pieces = same_pieces(gold, answer)) return *by_pieces;
    if (g.kind == Kind::kRelation && equation_chain(g)) return roots_of(g, a);
    return false;
  }
  // Is every equation in it that could be false true: each link of a chain, each equation between numbers? Approximations only roughly.
  bool truthful(const Node& n) {
    if (n.kind == Kind::kRelation && equation_chain(n)) {
      for (size_t i = 0; i + 1 < n.kids.size(); ++i) {
        const Node &x = n.kids[i], &y = n.kids[i + 1];
        if (i == 0 && label(x)) continue;
        const bool constants = !any_node(x, free_symbol) && !any_node(y, free_symbol);
        if (!constants && (n.kids.size() == 2 || n.ops[i] == "~")) continue;
        if (!links(x, y, n.ops[i] == "~")) return false;
      }
    }
    return std::all_of(n.kids.begin(), n.kids.end(), [&](const Node& k) { return truthful(k); });
  }

 private:
  // Does x = y hold? What can't be decided does.
  bool links(const Node& x, const Node& y, bool roughly) {
    try {
      if (key_of(x) == key_of(y) || same(x, y)) return true;
      const auto w = written(y), v = written(x);
      const int least = roughly ? 1 : 2;
      if (w && !v && w->digits > 0 && scalar(x) && stands(*w, x, least)) return true;  // 1/3 = 0.33
      if (v && !w && v->digits > 0 && scalar(y) && stands(*v, y, least)) return true;
      return roughly && scalar(x) && scalar(y) && within_share(x, y, mpq_class(1, 20));
    } catch (const UndefinedError&) {
      return true;
    } catch (const BudgetError&) {
      if (budget_.steps < 0) throw;
      return true;
    }
  }
  // x = .. against y = ..: letters that differ name different things. A call and a letter (f(x) and y) may name the same.
  static bool other_names(const Node& gold, const Node& answer) {
    if (!equation_chain(gold) || !equation_chain(answer)) return false;
    const Node &g = gold.kids[0], &a = answer.kids[0];
    if (!label(g) || !label(a)) return false;
    const auto call = [](const Node& n) { return n.kind == Kind::kFunction && n.name[0] == '?'; };
    const bool call_g = call(g), call_a = call(a);
    return key_of(segment(g)) != key_of(segment(a)) && (call_g == call_a || !(identifier(g) || identifier(a)));
  }

  // The letters of an angle in the order of its way, from the smaller end; "" for what is none.
  static std::string angle(const Node& n) {
    if (n.kind != Kind::kMul || n.kids[0].kind != Kind::kSymbol || n.kids[0].name != "angle") return "";
    std::string forth, back;
    for (size_t i = 1; i < n.kids.size(); ++i) forth += key_of(n.kids[i]), back = key_of(n.kids[i]) + back;
    return std::min(forth, back);
  }
  // |AB| is AB.
  static const Node& segment(const Node& n) {
    const auto capital = [](const Node& k) {
      return k.kind == Kind::kSymbol && k.name.size() == 1 && k.name[0] >= 'A' && k.name[0] <= 'Z';
    };
    if (n.kind != Kind::kFunction || n.name != "abs" || n.kids[0].kind != Kind::kMul || n.kids[0].kids.size() != 2) return n;
    return capital(n.kids[0].kids[0]) && capital(n.kids[0].kids[1]) ? n.kids[0] : n;
  }

  // A list with inequalities in it: the word between them counts.
  static bool conditions(const Node& n) {
    return n.kind == Kind::kList &&
           std::any_of(n.kids.begin(), n.kids.end(), [](const Node& k) { return k.kind == Kind::kRelation && !equation_chain(k); });
  }

  // The comma between conditions on several unknowns is "and".
  static std::string word_of(const Node& n) {
    std::set<std::string> names;
    any_node(n, [&](const Node& k) { return identifier(k) && (names.insert(k.name), false); });
    return n.name.empty() && names.size() > 1 ? "and" : n.name;
  }
  static bool several_names(const Node& n) {
    std::set<std::string> names;
    for (const Node& k : n.kids)
      if (names_value(k)) names.insert(key_of(k.kids[0]));
    return n.kind == Kind::kList && names.size() > 1;
  }

  static bool is_congruence(const Node& n) { return n.kind == Kind::kFunction && n.name == "congruent"; }
  // The same class of numbers. A plain answer is none; a plain gold is met by a representative that is written.
  bool same_congruence(const Node& g, const Node& a) {
    if (!is_congruence(g)) return scalar(g) && same(g, a.kids[0]);
    if (!is_congruence(a)) return false;
    if (!same(g.kids[1], a.kids[1])) return false;
    mpq_class x, y, m;
    if (!exact(g.kids[0], x) || !exact(a.kids[0], y) || !exact(g.kids[1], m) || m == 0) return same(g.kids[0], a.kids[0]);
    const mpq_class turns = (x - y) / m;
    return turns.get_den() == 1;
  }

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
    const auto wg = written(g), wa = written(a);
    if (wg && wa && options_.relative <= 0) return wg->value == wa->value;
    if (wg && stands(*wg, a, options_.rounding_digits)) return true;
    const bool whole = g.kind == Kind::kNumber && g.decimals < 0 && g.value.get_den() == 1;  // an integer has no more digits to round
    if (wa && !whole && stands(*wa, g, options_.rounding_digits)) return true;
    if (options_.relative > 0 && within_share(g, a, mpq_class(options_.relative))) return true;
    Budget forms = budget_;  // what the normal forms leave is for the points
    forms.steps = std::min<int64_t>(forms.steps / 2, 200'000);
    const auto spent = [&, before = forms.steps] { budget_.steps -= before - std::max<int64_t>(forms.steps, 0); };
    try {
      const Quotient qg = quotient_of(g, forms), qa = quotient_of(a, forms);
      const Quotient gap = subtract(qg, qa, forms);
      spent();
      if (is_zero(gap)) return true;
      mpq_class d;
      if (constant_value(gap, &d)) return false;
      if (!gap.transcendental && !has_constants(gap)) return false;
    } catch (const BudgetError&) {  // too large to write out: an enclosure may still tell
      spent();
    } catch (const UndefinedError&) {
      spent();
    }
    return same_at_points(g, a);
  }
  static bool has_constants(const Quotient& q) {
    const auto in = [](const Polynomial& p) {
      return std::any_of(p.begin(), p.end(), [](const auto& t) { return t.first.count("pi") || t.first.count("e"); });
    };
    return in(q.above) || in(q.below);
  }
  // Is the decimal, with at least that many digits, the exact value rounded or cut off?
  bool stands(const Written& w, const Node& value, int digits) {
    if (digits <= 0 || w.digits < digits || any_node(value, free_symbol) || !scalar(value)) return false;
    const Stands range = stands_for(w);
    mpq_class v;
    if (exact(value, v)) {
      if (range.negative) v = -v;
      return range.low <= v && v < range.high;
    }
    for (const long precision : {192L, 512L}) {
      const auto real = real_value(value, precision);
      if (!real) return false;
      mpq_class low, high;
      mpfr_get_q(low.get_mpq_t(), range.negative ? real->hi : real->lo);
      mpfr_get_q(high.get_mpq_t(), range.negative ? real->lo : real->hi);
      if (range.negative) low = -low, high = -high;
      if (range.low <= low && high < range.high) return true;
      if (high < range.low || low >= range.high) return false;
    }
    return false;
  }
  // |g - a| <= share * |g|, provably.
  bool within_share(const Node& g, const Node& a, const mpq_class& share) {
    if (any_node(g, free_symbol) || any_node(a, free_symbol) || !scalar(g) || !scalar(a)) return false;
    const auto x = real_value(g, 256), y = real_value(a, 256);
    if (!x || !y) return false;
    mpq_class xl, xh, yl, yh;
    mpfr_get_q(xl.get_mpq_t(), x->lo), mpfr_get_q(xh.get_mpq_t(), x->hi);
    mpfr_get_q(yl.get_mpq_t(), y->lo), mpfr_get_q(yh.get_mpq_t(), y->hi);
    const mpq_class least = xl > 0 ? xl : xh < 0 ? mpq_class(-xh) : mpq_class(0);
    return std::max(abs(mpq_class(xh - yl)), abs(mpq_class(yh - xl))) <= share * least;
  }
  // The enclosure of a constant; nullopt if it is not real or can't be had.
  std::optional<Real> real_value(const Node& n, long precision) {
    try {
      Point none;
      Complex value = evaluate(n, none, 1, precision, budget_);
      if (!value.real()) return std::nullopt;
      // beyond what a rational of reasonable size holds
      for (mpfr_srcptr end : {mpfr_srcptr(value.re.lo), mpfr_srcptr(value.re.hi)})
        if (mpfr_regular_p(end) && std::labs(long(mpfr_get_exp(end))) > 100'000) return std::nullopt;
      return value.re;
    } catch (const UndefinedError&) {
      return std::nullopt;
    } catch (const BudgetError&) {
      if (budget_.steps < 0) throw;
      return std::nullopt;
    }
  }

  bool same_at_points(const Node& g, const Node& a) {
    const bool unknowns = any_node(g, free_symbol) || any_node(a, free_symbol);
    int agreed = 0;
    std::string undefined;
    const auto differ = [&](const std::vector<Sample>& samples) {
      for (const Sample& sample : samples) {
        try {
          if (!agree(g, a, sample)) return true;
          agreed += sample.general;
        } catch (const UndefinedError& e) {
          undefined = e.what();  // both sides need not be defined everywhere
        } catch (const BudgetError&) {
          // Too large a value for its last digits, as of (x - a)^6000 at x = 90; with the most digits, other points may speak for it.
          if (!unknowns || !sample.general || budget_.steps < 0 || budget_.precision < kLargeBudget.precision) throw;
          undefined = "no decision within the precision budget";
        }
      }
      return false;
    };
    if (differ(unknowns ? general_points(g, a) : std::vector<Sample>(1))) return false;
    if (agreed < (unknowns ? 3 : 1)) throw UndefinedError(undefined.empty() ? "no point to compare at" : undefined);
    return !unknowns || !differ(break_points(g, a, budget_));
  }
  bool agree(const Node& g, const Node& a, const Sample& sample) {
    std::string undefined;
    for (long precision = 192;; precision = precision < 512 ? 512 : precision * 4) {
      if (precision > budget_.precision) {
        if (!undefined.empty()) throw UndefinedError(undefined);
        throw BudgetError("no decision within the precision budget");
      }
      try {
        Point at = sample.at;
        const Complex x = evaluate(g, at, sample.salt, precision, budget_), y = evaluate(a, at, sample.salt, precision, budget_);
        // sqrt(x)^2 and x for negative x: only where both are real does the principal branch mean what people mean
        if (!sample.principal && (!x.real() || !y.real())) throw UndefinedError("not real there");
        const Nearness n = compare(x, y);
        if (n != Nearness::kUnclear) return n == Nearness::kSame;
        undefined.clear();
      } catch (const UndefinedError& e) {
        if (!sample.principal || undefined == e.what()) throw;  // the same at a higher precision: not a matter of precision
        undefined = e.what();
      }
    }
  }

  // ---- percent, degrees, units ----

  static Node scaled(const Node& n, const mpq_class& by) { return call_node(Kind::kMul, {number_node(by), n}); }
  // A product of a value and letters that are units, as plain text has it: "60 m/s" is read as 60 times m by s.
  static std::optional<Node> letters_as_unit(const Node& n) {
    std::vector<Node> factors = n.kind == Kind::kMul ? n.kids : std::vector<Node>{n}, value;
    std::string name;
    for (const Node& f : factors) {
      const Node* base = &f;
      int power = 1;
      if (f.kind == Kind::kPow && f.kids[1].kind == Kind::kNumber && f.kids[1].value.get_den() == 1 && abs(f.kids[1].value) < 10)
        base = &f.kids[0], power = int(f.kids[1].value.get_num().get_si());
      if (base->kind == Kind::kSymbol && base->name == "Omega")
        name += " \xCE\xA9^" + std::to_string(power);
      else if (base->kind == Kind::kSymbol && base->name.size() == 1 && known_unit(base->name))
        name += " " + base->name + "^" + std::to_string(power);
      else if (any_node(f, free_symbol))
        return std::nullopt;
      else
        value.push_back(f);
    }
    if (name.empty() || value.empty()) return std::nullopt;
    return call_node(Kind::kUnit, {value.size() == 1 ? value[0] : call_node(Kind::kMul, value)}, name);
  }
  // The value in base units, or with its multiplier ("million") alone.
  static Node in_base_units(const Node& n, const Unit& unit) {
    Node value = scaled(n.kids[0], unit.factor * unit.multiplier);
    return unit.offset == 0 ? value : call_node(Kind::kAdd, {std::move(value), number_node(unit.offset)});
  }
  static Node multiplied_out(const Node& n, const Unit& unit) {
    return unit.multiplier == 1 ? Node(n.kids[0]) : scaled(n.kids[0], unit.multiplier);
  }

  // Words that are no units may be left out: 3 red apples and 3 apples; but not exchanged.
  static bool same_dimension(const std::map<std::string, int>& x, const std::map<std::string, int>& y) {
    const auto has_all = [](const std::map<std::string, int>& all, const std::map<std::string, int>& some) {
      for (const auto& [name, power] : some) {
        const auto at = all.find(name);
        if (at == all.end() || at->second != power) return false;
      }
      return std::all_of(all.begin(), all.end(), [&](const auto& d) { return some.count(d.first) || !known_unit(d.first); });
    };
    return has_all(x, y) || has_all(y, x);
  }
  bool same_units(const Node& g, const Node& a) {
    for (const Unit& x : unit_meanings(g.name)) {
      for (const Unit& y : unit_meanings(a.name)) {
        if (x.dimension.empty() != y.dimension.empty()) {  // 5 pieces and 5 kg
          if (same(multiplied_out(g, x), multiplied_out(a, y))) return true;
          continue;
        }
        if (!same_dimension(x.dimension, y.dimension)) continue;
        if (x.factor == y.factor && x.offset == y.offset && same(multiplied_out(g, x), multiplied_out(a, y))) return true;
        if (scalar(g) && scalar(a) && same(in_base_units(g, x), in_base_units(a, y))) return true;
      }
    }
    return false;
  }
  // One side has a unit: the other is taken to be in it.
  bool same_without_unit(const Node& with, const Node& without, bool gold_has_it) {
    for (const Unit& x : unit_meanings(with.name)) {
      const Node value = multiplied_out(with, x);
      if (gold_has_it ? same(value, without) : same(without, value)) return true;
    }
    return false;
  }

  bool same_decorated(const Node& g, const Node& a) {
    if (g.kind == Kind::kUnit && a.kind == Kind::kUnit) return same_units(g, a);
    if (g.kind == a.kind) return same(g.kids[0], a.kids[0]);
    if (g.kind == Kind::kUnit || a.kind == Kind::kUnit) {
      const Node &with = g.kind == Kind::kUnit ? g : a, &other = g.kind == Kind::kUnit ? a : g;
      if (with.name == "rad" || with.name == "radians")
        if (other.kind == Kind::kDegrees) return same_scalars(g.kind == Kind::kUnit ? g.kids[0] : g, a.kind == Kind::kUnit ? a.kids[0] : a);
      if (is_decorated(other)) return false;  // 5 cm is neither 5% nor 5 degrees
      if (const auto read = letters_as_unit(other)) return g.kind == Kind::kUnit ? same_units(g, *read) : same_units(*read, a);
      return same_without_unit(with, other, g.kind == Kind::kUnit);
    }
    if (g.kind != Kind::kDegrees && a.kind != Kind::kDegrees) return same_percent(g, a);
    if (g.kind == Kind::kPercent || a.kind == Kind::kPercent) return false;
    if (g.kind == Kind::kDegrees) return same(g.kids[0], a) || (scalar(a) && same_scalars(g, a));
    return same(g, a.kids[0]) || (scalar(g) && same_scalars(g, a));
  }
  bool same_percent(const Node& g, const Node& a) {
    if (g.kind == Kind::kPercent) return same(g.kids[0], a) || same(scaled(g.kids[0], mpq_class(1, 100)), a);
    return same(g, a.kids[0]) || same(g, scaled(a.kids[0], mpq_class(1, 100)));
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
  // y = 4, x = 3 as the pair (3, 4): named values by their names; anything else as it stands.
  std::vector<Node> in_order_of_names(const Node& n) const {
    std::vector<Node> all = members(n);
    std::set<std::string> names;
    for (const Node& m : all)
      if (names_value(m) && identifier(m.kids[0])) names.insert(m.kids[0].name);
    if (n.kind != Kind::kList || names.size() != all.size()) return all;
    std::sort(all.begin(), all.end(), [](const Node& x, const Node& y) { return x.kids[0].name < y.kids[0].name; });
    return all;
  }
  bool ordered(const std::vector<Node>& g, const std::vector<Node>& a) {
    if (g.size() != a.size()) return false;
    for (size_t i = 0; i < g.size(); ++i)
      if (!same_member(g[i], a[i])) return false;
    return true;
  }
  static bool one_name_again(const Node& n) {
    std::set<std::string> names;
    return std::any_of(n.kids.begin(), n.kids.end(),
                       [&](const Node& k) { return names_value(k) && !names.insert(key_of(k.kids[0])).second; });
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
      if (other.kind == Kind::kSet) return tuple.name == "[]" && tuple.kids.size() != 2 && unordered(members(g), members(a));
      if (other.name == "or" || other.name == "mixed" || one_name_again(other)) return false;  // x = 2 or x = 3 is no pair
      if (is_list(other)) return (tuple.name == "()" || tuple.kids.size() != 2) && ordered(in_order_of_names(g), in_order_of_names(a));
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
      if (r.kids.size() != 2 || !scalar(v) || std::any_of(r.kids.begin(), r.kids.end(), is_decorated)) return false;  // 9:30 AM
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
    bool found = false, transcendental = false;
    try {
      const Quotient qx = quotient_of(x, budget_), qy = quotient_of(y, budget_);
      transcendental = qx.transcendental || qy.transcendental;
      found = proportional(qx, qy, budget_, &factor);
      if (!found && transcendental && g.ops[0] == "=" && op == "=") return same_curve(x, y);
    } catch (const UndefinedError&) {
      return false;
    }
    if (!found) return false;
    if (factor < 0) turn(op);
    return op == g.ops[0];
  }

  // x = 0 and y = 0, up to a factor that no normal form shows: x(p) y(q) = y(p) x(q) at a fixed point q and every p.
  bool same_curve(const Node& x, const Node& y) {
    if (!any_node(x, free_symbol) || !any_node(y, free_symbol)) return false;
    const Sample fixed = general_points(x, y).front();
    const auto product = [](const Node& p, const Node& q) { return call_node(Kind::kMul, {p, q}); };
    return same_at_points(product(x, with_values(y, fixed.at)), product(y, with_values(x, fixed.at)));
  }

  // ---- pieces of the real line ----

  static Node infinite(int sign) { return sign > 0 ? symbol_node("oo") : call_node(Kind::kMul, {number_node(-1), symbol_node("oo")}); }
  bool exact(const Node& n, mpq_class& v) {
    if (!scalar(n) || infinity_sign(n)) return false;
    try {
      return constant_value(quotient_of(n, budget_), &v);
    } catch (const UndefinedError&) {
      return false;
    } catch (const BudgetError&) {
      if (budget_.steps < 0) throw;
      return false;  // too large to write out
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
    if (n.kind == Kind::kList && n.name == "mixed") return std::nullopt;
    const auto excludes = [](const Node& k) { return k.kind == Kind::kRelation && k.ops.size() == 1 && k.ops[0] == "!="; };
    const bool together = n.name == "and" || (n.name.empty() && std::any_of(n.kids.begin(), n.kids.end(), excludes));  // 0 < x < 2, x != 1
    if (n.kind == Kind::kList && together && std::all_of(n.kids.begin(), n.kids.end(), [](const Node& k) { return !equation_chain(k); })) {
      std::string about;  // conditions on one unknown that all hold
      std::optional<std::vector<Piece>> all;
      for (const Node& k : n.kids) {
        const std::string unknown = unknown_of(k);
        auto some = pieces(k);
        if (!some || unknown.empty() || (!about.empty() && unknown != about)) return std::nullopt;
        about = unknown;
        all = all ? intersection(*all, joined(*some)) : some;
        if (!all) return std::nullopt;
      }
      return all;
    }
    if (n.kind == Kind::kUnion || (n.kind == Kind::kList && n.kids.size() > 1)) {
      std::set<std::string> about;
      for (const Node& k : n.kids)
        if (k.kind == Kind::kRelation) about.insert(unknown_of(k));
      if (about.size() > 1) return std::nullopt;  // x < 1 or y > 2
      for (const Node& k : n.kids) {
        auto some = pieces(k);
        if (!some) return std::nullopt;
        out.insert(out.end(), some->begin(), some->end());
      }
      return out;
    }
    if (n.kind == Kind::kBuilder) return pieces(n.kids[0]);
    if (n.kind == Kind::kAdd && n.kids.size() == 2 && n.kids[0].kind == Kind::kSymbol && n.kids[0].name == "R" &&
        n.kids[1].kind == Kind::kMul && n.kids[1].kids.size() == 2 && n.kids[1].kids[0].kind == Kind::kNumber &&
        n.kids[1].kids[0].value == -1)  // R - {2}
      return pieces(call_node(Kind::kDifference, {n.kids[0], n.kids[1].kids[1]}));
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
  // The unknown that a relation is about: the only symbol in it; "" if there are several or none.
  static std::string unknown_of(const Node& n) {
    std::set<std::string> names;
    any_node(n, [&](const Node& k) {
      if (identifier(k)) names.insert(k.name);
      return k.kind == Kind::kFunction && k.name[0] == '?' && (names.insert("?"), names.insert("??"), false);
    });
    return names.size() == 1 ? *names.begin() : "";
  }
  using Pieces = std::optional<std::vector<Piece>>;
  Pieces relation_pieces(const Node& n) {
    if (n.ops.size() == 1 && n.ops[0] == "in") return identifier(n.kids[0]) ? pieces(n.kids[1]) : std::nullopt;
    if (n.ops.size() == 1 && n.ops[0] == "!=" && identifier(n.kids[0]) && !contains(n.kids[1], n.kids[0].name)) return without({n.kids[1]});
    const auto way = [](const std::string& op) { return op == "<" || op == "<=" ? 1 : op == ">" || op == ">=" ? -1 : 0; };
    if (n.ops.empty() || n.ops.size() > 2 || !way(n.ops[0]) || (n.ops.size() == 2 && way(n.ops[1]) != way(n.ops[0]))) return std::nullopt;
    Pieces all;
    for (size_t i = 0; i < n.ops.size(); ++i) {
      const bool less = way(n.ops[i]) > 0, open = n.ops[i].size() == 1;
      const Pieces some = less ? below(n.kids[i], n.kids[i + 1], open) : below(n.kids[i + 1], n.kids[i], open);
      if (!some) return std::nullopt;
      all = all ? intersection(*all, *some) : some;
      if (!all) return std::nullopt;
    }
    return all;
  }
  static Node minus(const Node& n) {
    if (n.kind == Kind::kNumber && !n.base) return number_node(mpq_class(-n.value));
    return call_node(Kind::kMul, {number_node(-1), n});
  }
  static std::vector<Piece> line() { return {{infinite(-1), infinite(1), true, true}}; }
  // Where low < high (`open`) or low <= high, for one of the two an unknown x, a x + b or |a x + b| and the other free of it.
  Pieces below(const Node& low, const Node& high, bool open) {
    const bool left = any_node(low, identifier), right = any_node(high, identifier);
    const auto is_abs = [](const Node& n) { return n.kind == Kind::kFunction && n.name == "abs"; };
    if (left != right && is_abs(left ? low : high)) {
      const Node &inner = (left ? low : high).kids[0], &bound = left ? high : low;
      const auto sign = order(bound, number_node(0));
      if (!sign) return std::nullopt;
      if (left) {  // |x| < b: -b < x < b
        if (*sign < 0 || (*sign == 0 && open)) return std::vector<Piece>{};
        const Pieces over = below(minus(bound), inner, open), under = below(inner, bound, open);
        return over && under ? intersection(*over, *under) : std::nullopt;
      }
      if (*sign < 0 || (*sign == 0 && !open)) return line();
      Pieces under = below(inner, minus(bound), open), over = below(bound, inner, open);  // b < |x|
      if (!under || !over) return std::nullopt;
      under->insert(under->end(), over->begin(), over->end());
      return joined(*under);
    }
    if (left != right && identifier(left ? low : high))
      return std::vector<Piece>{left ? Piece{infinite(-1), high, true, open} : Piece{low, infinite(1), open, true}};
    return linear_below(low, high, open);
  }
  Pieces linear_below(const Node& low, const Node& high, bool open) {
    if (!scalar(low) || !scalar(high) || infinity_sign(low) || infinity_sign(high)) return std::nullopt;
    const Node gap = call_node(Kind::kAdd, {low, minus(high)});  // gap < 0
    std::vector<mpq_class> c;
    std::string unknown;
    try {
      const Quotient q = quotient_of(gap, budget_);
      if (q.below.size() != 1 || !q.below.begin()->first.empty() || !univariate(q.above, c, &unknown)) return std::nullopt;
      if (q.below.begin()->second < 0) return std::nullopt;
      if (c.size() == 3) return quadratic_below(c, open);
      if (c.size() != 2) return std::nullopt;
    } catch (const UndefinedError&) {
      return std::nullopt;
    }
    const Node bound = number_node(mpq_class(-c[0] / c[1]));
    return std::vector<Piece>{c[1] > 0 ? Piece{infinite(-1), bound, true, open} : Piece{bound, infinite(1), open, true}};
  }
  // Where c[2] x^2 + c[1] x + c[0] < 0, or <= 0.
  static std::vector<Piece> quadratic_below(const std::vector<mpq_class>& c, bool open) {
    const mpq_class d = c[1] * c[1] - 4 * c[0] * c[2];
    const bool up = c[2] > 0;
    if (d < 0) return up ? std::vector<Piece>{} : line();
    const auto root = [&](int sign) {
      const mpq_class middle = -c[1] / (2 * c[2]), share = sign / (2 * abs(c[2]));
      return call_node(Kind::kAdd, {number_node(middle),
                                    call_node(Kind::kMul, {number_node(share), call_node(Kind::kRoot, {number_node(d), number_node(2)})})});
    };
    const Node low = root(-1), high = root(1);
    if (d == 0 && up) return open ? std::vector<Piece>{} : std::vector<Piece>{{low, low, false, false}};
    if (d == 0 && !open) return line();
    if (up) return {{low, high, open, open}};
    return {{infinite(-1), low, true, open}, {high, infinite(1), open, true}};
  }
  // Can this be meant as a set of intervals alone? A bare pair may be one, a list of bare pairs is a list of pairs.
  static bool plain_pair(const Node& n) {
    return n.kind == Kind::kTuple && n.name == "()" && n.kids.size() == 2 && !infinity_sign(n.kids[0]) && !infinity_sign(n.kids[1]);
  }
  static bool only_intervals(const Node& n) {
    if (is_list(n)) return n.kind == Kind::kList && std::any_of(n.kids.begin(), n.kids.end(), only_intervals);
    return n.kind == Kind::kUnion || n.kind == Kind::kIntersection || n.kind == Kind::kDifference || n.kind == Kind::kBuilder ||
           (n.kind == Kind::kRelation && !equation_chain(n)) || (n.kind == Kind::kSymbol && n.name == "R") ||
           (n.kind == Kind::kTuple && n.kids.size() == 2 && !plain_pair(n));
  }
  // The only part of a relation that holds an unknown, if it is more than the unknown's name: f(x) of 0 < f(x) < 1.
  static const Node* subject_of(const Node& n) {
    if (n.kind != Kind::kRelation || equation_chain(n)) return nullptr;
    const Node* subject = nullptr;
    for (const Node& k : n.kids) {
      if (!any_node(k, free_symbol)) continue;
      if (subject || identifier(k) || !scalar(k)) return nullptr;
      subject = &k;
    }
    return subject;
  }
  // Both say of the same expression in which set it lies: f(x) in (0, 1).
  bool same_of_expression(const Node& gold, const Node& answer) {
    const Node *g = subject_of(gold), *a = subject_of(answer);
    if (!g || !a || key_of(*g) != key_of(*a)) return false;
    const auto named = [](Node n, const Node* subject) {
      for (Node& k : n.kids)
        if (key_of(k) == key_of(*subject)) k = symbol_node("u#");
      return n;
    };
    return same_pieces(named(gold, g), named(answer, a)).value_or(false);
  }
  std::optional<bool> same_pieces(const Node& gold, const Node& answer) {
    if (same_of_expression(gold, answer)) return true;
    const auto pairs = [](const Node& n) {
      return is_list(n) && n.kids.size() > 1 && std::all_of(n.kids.begin(), n.kids.end(), plain_pair);
    };
    // A gold list of pairs may be one of points; of a gold union the parts may be listed.
    if (pairs(gold) || (pairs(answer) && !only_intervals(gold))) return std::nullopt;
    if (gold.kind == Kind::kRelation && answer.kind == Kind::kRelation && unknown_of(gold) != unknown_of(answer)) return std::nullopt;
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
  // -1, 0, 1 as end a lies before, at, after end b; nullopt if that can't be told (unknowns in it).
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
      const Complex p = evaluate(a, none, 1, precision, budget_), q = evaluate(b, none, 1, precision, budget_);
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

  // ---- systems of linear equations ----

  using Row = std::map<std::string, mpq_class>;  // coefficient of each unknown; "" is the right side
  // The reduced rows of a list of equations; nullopt if it is no linear system in two unknowns or more.
  std::optional<std::vector<Row>> reduced_system(const Node& n) {
    if (!is_list(n) || n.kids.size() < 2 || n.kids.size() > 20 || n.name == "or" || n.name == "mixed") return std::nullopt;
    std::vector<Row> rows;
    std::set<std::string> unknowns;
    for (const Node& k : n.kids) {
      if (!equation_chain(k) || k.kids.size() != 2 || !scalar(k.kids[0]) || !scalar(k.kids[1])) return std::nullopt;
      const Quotient gap = quotient_of(call_node(Kind::kAdd, {k.kids[0], minus(k.kids[1])}), budget_);
      if (gap.transcendental || gap.below.size() != 1 || !gap.below.begin()->first.empty()) return std::nullopt;
      Row row;
      for (const auto& [monomial, c] : gap.above) {
        if (monomial.size() > 1 || (monomial.size() == 1 && monomial.begin()->second != 1)) return std::nullopt;
        const std::string name = monomial.empty() ? "" : monomial.begin()->first;
        if (!name.empty() && (name[0] == '@' || name == "pi" || name == "e" || name == "i")) return std::nullopt;
        if (!name.empty()) unknowns.insert(name);
        row[name] = name.empty() ? mpq_class(-c) : c;
      }
      rows.push_back(std::move(row));
    }
    if (unknowns.size() < 2) return std::nullopt;
    return reduced(std::move(rows), unknowns);
  }
  static std::vector<Row> reduced(std::vector<Row> rows, const std::set<std::string>& unknowns) {
    size_t done = 0;
    for (const std::string& name : unknowns) {
      const auto pivot = std::find_if(rows.begin() + long(done), rows.end(), [&](Row& r) { return r.count(name) && r[name] != 0; });
      if (pivot == rows.end()) continue;
      std::swap(rows[done], *pivot);
      const mpq_class lead = rows[done][name];
      for (auto& [key, c] : rows[done]) c /= lead;
      for (size_t i = 0; i < rows.size(); ++i) {
        if (i == done || !rows[i].count(name)) continue;
        const mpq_class factor = rows[i][name];
        for (const auto& [key, c] : rows[done]) rows[i][key] -= factor * c;
      }
      ++done;
    }
    for (Row& r : rows) std::erase_if(r, [](const auto& entry) { return entry.second == 0; });
    std::erase_if(rows, [](const Row& r) { return r.empty(); });
    return rows;
  }
  static bool solvable(const std::vector<Row>& rows) {
    return std::none_of(rows.begin(), rows.end(), [](const Row& r) { return r.size() == 1 && r.count(""); });
  }
  // Two linear systems, or one and the tuple of its only solution in the order of the unknowns.
  std::optional<bool> same_systems(const Node& gold, const Node& answer) {
    try {
      const auto g = reduced_system(gold), a = reduced_system(answer);
      if (!g) {
        if (const auto by_solutions = same_polynomial_systems(gold, answer)) return by_solutions;
      }
      if (!g && !a) return std::nullopt;
      if (g && a) return solvable(*g) && solvable(*a) ? std::optional(*g == *a) : std::nullopt;
      const Node& other = g ? answer : gold;
      if (other.kind != Kind::kTuple || !solvable(g ? *g : *a)) return std::nullopt;
      std::vector<Node> solution;
      for (const Row& r : g ? *g : *a) {
        if (r.size() > 2 || (r.size() == 2 && !r.count(""))) return std::nullopt;
        solution.push_back(number_node(r.count("") ? r.at("") : mpq_class(0)));
      }
      return g ? ordered(solution, other.kids) : ordered(other.kids, solution);
    } catch (const UndefinedError&) {
      return std::nullopt;
    }
  }

  // ---- systems of polynomial equations ----

  struct Equations {
    std::vector<Node> gaps;  // each is zero
    std::vector<Polynomial> polynomials;
    std::set<std::string> unknowns;
  };
  std::optional<Equations> equations_of(const Node& n) {
    if (!is_list(n) || n.kids.size() < 2 || n.kids.size() > 10 || n.name == "or" || n.name == "mixed") return std::nullopt;
    Equations out;
    for (const Node& k : n.kids) {
      if (!equation_chain(k) || k.kids.size() != 2 || !scalar(k.kids[0]) || !scalar(k.kids[1])) return std::nullopt;
      out.gaps.push_back(call_node(Kind::kAdd, {k.kids[0], minus(k.kids[1])}));
      const Quotient gap = quotient_of(out.gaps.back(), budget_);
      if (gap.transcendental || gap.below.size() != 1 || !gap.below.begin()->first.empty()) return std::nullopt;
      for (const auto& [monomial, c] : gap.above)
        for (const auto& [name, power] : monomial) {
          if (name[0] == '@' || name == "pi" || name == "e" || name == "i") return std::nullopt;
          out.unknowns.insert(name);
        }
      out.polynomials.push_back(gap.above);
    }
    return out.unknowns.size() < 2 ? std::nullopt : std::optional(std::move(out));
  }
  // A gold system that is not linear: against another by their solutions, against a list of tuples if these are all of its solutions.
  std::optional<bool> same_polynomial_systems(const Node& gold, const Node& answer) {
    const auto g = equations_of(gold);
    if (!g) return std::nullopt;
    const PolynomialSystem system(g->polynomials, g->unknowns, budget_);
    if (const auto a = equations_of(answer)) {
      if (a->unknowns != g->unknowns) return std::nullopt;
      const PolynomialSystem other(a->polynomials, a->unknowns, budget_);
      if (system.same_ideal(other)) return true;
      const auto n = system.solutions(budget_), m = other.solutions(budget_);
      if (!n || n != m || *n == 0) return false;
      std::vector<Polynomial> both = g->polynomials;
      both.insert(both.end(), a->polynomials.begin(), a->polynomials.end());
      return PolynomialSystem(both, g->unknowns, budget_).solutions(budget_) == n;
    }
    std::vector<Node> tuples = answer.kind == Kind::kTuple ? std::vector<Node>{answer} : members(answer);
    for (Node& t : tuples) {
      t = value_of(t);
      if (t.kind != Kind::kTuple || t.name != "()" || t.kids.size() != g->unknowns.size() || !solves(t, *g)) return std::nullopt;
    }
    std::vector<Node> different;
    for (const Node& t : tuples)
      if (std::none_of(different.begin(), different.end(), [&](const Node& d) { return ordered(d.kids, t.kids); })) different.push_back(t);
    return system.solutions(budget_) == int64_t(different.size());
  }
  bool solves(const Node& tuple, const Equations& system) {
    std::map<std::string, Node> values;
    size_t i = 0;
    for (const std::string& name : system.unknowns) values.emplace(name, tuple.kids[i++]);
    const auto put_in = [&](const auto& self, Node n) -> Node {
      if (n.kind == Kind::kSymbol)
        if (const auto at = values.find(n.name); at != values.end()) return at->second;
      for (Node& k : n.kids) k = self(self, std::move(k));
      return n;
    };
    return std::all_of(system.gaps.begin(), system.gaps.end(), [&](const Node& gap) {
      const Node value = put_in(put_in, gap);
      return scalar(value) && same_scalars(number_node(0), value);
    });
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
    if (!comparer.truthful(answer)) return {Same::kNo, "an equation in the answer is false"};
    return comparer.same(gold, answer) ? Comparison{Same::kYes, "equal"} : Comparison{Same::kNo, "not equal"};
  } catch (const BudgetError& e) {
    *exhausted = true;
    return {Same::kUnknown, e.what()};
  } catch (const UndefinedError& e) {
    return {Same::kUnknown, e.what()};
  }
}

}  // namespace r1::verify
