#include "r1/grammar/json_number.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::grammar {

namespace {

struct Decimal {
  bool negative = false;
  std::string whole, fraction;  // no zeros in front of one, or behind the other
  bool zero() const { return whole == "0" && fraction.empty(); }
};

Decimal decimal_of(const Json& value, const std::string& where) {
  std::string text = value.dump();
  Decimal d;
  if (text.starts_with("-")) d.negative = true, text.erase(0, 1);
  int64_t exponent = 0;
  if (const size_t e = text.find_first_of("eE"); e != text.npos) {
    exponent = std::stoll(text.substr(e + 1));
    text.resize(e);
  }
  if (exponent < -30 || exponent > 30) fail_usage("[", where, "] a bound of ", value.dump(), " is not supported");
  const size_t point = text.find('.');
  d.whole = text.substr(0, point);
  if (point != text.npos) d.fraction = text.substr(point + 1);
  for (; exponent > 0; --exponent) {
    d.whole += d.fraction.empty() ? '0' : d.fraction[0];
    if (!d.fraction.empty()) d.fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    d.fraction.insert(0, 1, d.whole.empty() ? '0' : d.whole.back());
    if (!d.whole.empty()) d.whole.pop_back();
  }
  d.whole.erase(0, d.whole.find_first_not_of('0'));
  if (d.whole.empty()) d.whole = "0";
  while (d.fraction.ends_with('0')) d.fraction.pop_back();
  if (d.zero()) d.negative = false;
  return d;
}

class Numbers {
 public:
  explicit Numbers(Expressions& x) : x_(x) {}

  Node at_least(const Decimal& d, bool strict) {
    const Node minus = x_.literal("-");
    if (d.negative) return x_.choice({any(), x_.concat({minus, size_at_most(d, strict)})});
    if (d.zero() && !strict) return x_.choice({any(), x_.concat({minus, size_at_most(d, false)})});
    return size_at_least(d, strict);
  }
  Node at_most(const Decimal& d, bool strict) {
    const Node minus = x_.literal("-");
    if (d.negative) return x_.concat({minus, size_at_least(d, strict)});
    if (d.zero() && strict) return x_.concat({minus, size_at_least(d, true)});
    return x_.choice({x_.concat({minus, any()}), size_at_most(d, strict)});
  }

 private:
  Node range(char first, char last) { return x_.bytes({{uint8_t(first), uint8_t(last)}}); }
  Node digit() { return range('0', '9'); }
  Node digits(int64_t min, int64_t max = kNoLimit) { return x_.repeat(digit(), min, max); }
  Node any_fraction() { return x_.optional(x_.concat({x_.literal("."), digits(1)})); }
  Node any() { return x_.concat({digits(1), any_fraction()}); }

  // Numbers without a sign; the shape sees to zeros in front.
  Node size_at_least(const Decimal& d, bool strict) {
    const auto length = int64_t(d.whole.size());
    std::vector<Node> out{x_.concat({range('1', '9'), digits(length), any_fraction()})};
    for (size_t i = 0; i < d.whole.size(); ++i)
      if (d.whole[i] < '9')
        out.push_back(x_.concat({x_.literal(d.whole.substr(0, i)), range(char(d.whole[i] + 1), '9'),
                                 digits(length - int64_t(i) - 1, length - int64_t(i) - 1), any_fraction()}));
    const std::string& f = d.fraction;
    std::vector<Node> fractions;
    for (size_t i = 0; i < f.size(); ++i)
      if (f[i] < '9') fractions.push_back(x_.concat({x_.literal(f.substr(0, i)), range(char(f[i] + 1), '9'), digits(0)}));
    fractions.push_back(strict ? x_.concat({x_.literal(f), x_.star(x_.literal("0")), range('1', '9'), digits(0)})
                               : x_.concat({x_.literal(f), digits(f.empty() ? 1 : 0)}));
    Node equal = x_.concat({x_.literal("."), x_.choice(std::move(fractions))});
    if (f.empty() && !strict) equal = x_.optional(equal);
    out.push_back(x_.concat({x_.literal(d.whole), equal}));
    return x_.choice(std::move(out));
  }

  Node size_at_most(const Decimal& d, bool strict) {
    const auto length = int64_t(d.whole.size());
    std::vector<Node> out;
    if (length > 1) out.push_back(x_.concat({digits(1, length - 1), any_fraction()}));
    for (size_t i = 0; i < d.whole.size(); ++i)
      if (d.whole[i] > '0')
        out.push_back(x_.concat({x_.literal(d.whole.substr(0, i)), range('0', char(d.whole[i] - 1)),
                                 digits(length - int64_t(i) - 1, length - int64_t(i) - 1), any_fraction()}));
    const std::string& f = d.fraction;
    std::vector<Node> fractions;  // of numbers whose whole part is the bound's
    for (size_t i = 0; i < f.size(); ++i) {
      if (f[i] > '0') fractions.push_back(x_.concat({x_.literal(f.substr(0, i)), range('0', char(f[i] - 1)), digits(0)}));
      if (i > 0) fractions.push_back(x_.literal(f.substr(0, i)));  // shorter is less: the bound's last digit is no zero
    }
    if (!strict) fractions.push_back(x_.concat({x_.literal(f), x_.repeat(x_.literal("0"), f.empty() ? 1 : 0, kNoLimit)}));
    const bool alone = !strict || !f.empty();  // the whole part without a fraction
    if (!fractions.empty()) {
      const Node with = x_.concat({x_.literal("."), x_.choice(std::move(fractions))});
      out.push_back(x_.concat({x_.literal(d.whole), alone ? x_.optional(with) : with}));
    } else if (alone) {
      out.push_back(x_.literal(d.whole));
    }
    return x_.choice(std::move(out));
  }

  Expressions& x_;
};

}  // namespace

Node number_shape(Expressions& x, bool integer, bool exponent, int64_t digits) {
  const auto digit = [&] { return x.bytes({{'0', '9'}}); };
  const Node zero = x.literal("0"), sign = x.optional(x.literal("-"));
  const Node positive = x.concat({x.bytes({{'1', '9'}}), x.repeat(digit(), 0, digits - 1)});
  if (integer) return x.choice({zero, x.concat({sign, positive})});
  const Node fraction = x.concat({x.literal("."), x.repeat(digit(), 1, std::max<int64_t>(18, digits))});
  std::vector<Node> parts{sign, x.choice({zero, positive}), x.optional(fraction)};
  if (exponent)
    parts.push_back(
        x.optional(x.concat({x.bytes({{'E', 'E'}, {'e', 'e'}}), x.optional(x.bytes({{'+', '+'}, {'-', '-'}})), x.repeat(digit(), 1, 2)})));
  return x.concat(std::move(parts));
}

std::shared_ptr<const Dfa> bounded_number(Expressions& x, bool integer, const std::vector<Bound>& lower, const std::vector<Bound>& upper,
                                          const std::string& where) {
  Numbers numbers(x);
  std::vector<std::pair<Decimal, bool>> least, most;
  int64_t longest = 18;
  for (const Bound& b : lower) least.emplace_back(decimal_of(b.value, where), b.strict);
  for (const Bound& b : upper) most.emplace_back(decimal_of(b.value, where), b.strict);
  for (const auto* bounds : {&least, &most})
    for (const auto& [d, strict] : *bounds) longest = std::max({longest, int64_t(d.whole.size()) + 1, int64_t(d.fraction.size()) + 1});
  Dfa dfa = regular(x, number_shape(x, integer, false, longest));
  for (const auto& [d, strict] : least) dfa = intersect(dfa, regular(x, numbers.at_least(d, strict)), x.budget());
  for (const auto& [d, strict] : most) dfa = intersect(dfa, regular(x, numbers.at_most(d, strict)), x.budget());
  return std::make_shared<const Dfa>(std::move(dfa));
}

}  // namespace r1::grammar
