// An adversary that knows the truth by construction: from a gold of every kind it makes answers that are right (rewritten by identities,
// order, notation, units) and answers that are wrong (a digit, an element, a border, a name, a unit, a modulus, a sign, a break, a link of a
// chain, a box cut short). No wrong answer may be called right; of the right ones at most one in 200 may be missed.
//
// R1_ADVERSARY_PAIRS: how many (default 20,000; a tenth of that under sanitizers); R1_ADVERSARY_SEED: default the day, so that every day
// tries others. Both are printed with each failure. R1_ADVERSARY_TABLE=1 prints the table of docs/results/verify.md.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "r1/verify/verify.h"
#include "tests/verify/random_pairs.h"

using namespace r1::verify;

namespace {

std::string join(const std::vector<std::string>& parts, const std::string& by) {
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) out += (i ? by : "") + parts[i];
  return out;
}
template <class T>
std::vector<T> shuffled(Rng& r, std::vector<T> v) {
  std::shuffle(v.begin(), v.end(), r);
  return v;
}
std::string with_commas(long n) {
  std::string s = num(std::labs(n)), out;
  for (size_t i = 0; i < s.size(); ++i) out += (i && (s.size() - i) % 3 == 0 ? "," : "") + std::string(1, s[i]);
  return (n < 0 ? "-" : "") + out;
}

// p / q to `digits` significant digits as digits and exponent of the last one, cut off; `rest` of the division for rounding.
struct Digits {
  std::string digits;
  long place;
  long rest, q;
  bool rounds_up() const { return 2 * rest >= q; }
};
Digits long_division(long p, long q, int digits) {
  Digits out{"", 0, p % q, q};
  const long whole = p / q;
  if (whole) out.digits = num(whole);
  while (int(out.digits.size()) < digits) {
    out.rest *= 10;
    const long d = out.rest / q;
    out.rest %= q;
    --out.place;
    if (d || !out.digits.empty()) out.digits += char('0' + d);
  }
  return out;
}
std::string decimal_text(std::string digits, long place) {
  const size_t n = size_t(-place);
  if (digits.size() <= n) digits.insert(0, n + 1 - digits.size(), '0');
  return digits.substr(0, digits.size() - n) + "." + digits.substr(digits.size() - n);
}
std::string plus(const std::string& digits, long by) {
  return num(std::stol(digits) + by);
}

using Maker = std::function<Pair(Rng&, bool right)>;

Pair integers(Rng& r, bool right) {
  const long n = between(r, 2, coin(r) ? 1'000'000'000'000 : 200) * (coin(r) ? 1 : -1), a = between(r, 2, 9);
  const std::vector<std::string> good{num(n),
                                      with_commas(n),
                                      "x = " + num(n),
                                      num(n) + ".0",
                                      num(n - a) + "+" + num(a),
                                      "$" + num(n) + "$",
                                      "\\frac{" + num(n * a) + "}{" + num(a) + "}",
                                      num(n - a) + "+" + num(a) + " = " + num(n)};
  const std::vector<std::string> bad{num(n + 1),
                                     num(n - 1),
                                     num(-n),
                                     num(n) + ".0000001",
                                     num(n) + "0",
                                     num(n) + ".5",
                                     "x = " + num(n + a),
                                     num(n - a) + "+" + num(a + 1) + " = " + num(n),
                                     num(n) + "x",
                                     num(a) + " = " + num(n),
                                     "not " + num(n),
                                     "either " + num(n) + " or " + num(n + 1),
                                     num(n) + " or " + num(n + a),
                                     "x \\ne " + num(n)};
  return {num(n), one_of(r, right ? good : bad), right};
}
Pair fractions(Rng& r, bool right) {
  long q = between(r, 3, 999);
  while (q % 2 == 0) q /= 2;
  while (q % 5 == 0) q /= 5;
  if (q < 3) q = 7;
  long p = between(r, 1, 4 * q);
  if (p % q == 0) ++p;
  const int digits = int(between(r, 6, 12));
  const Digits d = long_division(p, q, digits);
  const long k = between(r, 2, 9);
  const std::string gold = "\\frac{" + num(p) + "}{" + num(q) + "}", rounded = d.rounds_up() ? plus(d.digits, 1) : d.digits;
  if (d.rest == 0) return {gold, right ? gold : "-" + gold, right};
  if (right)
    return {gold,
            one_of<std::string>(r, {num(p) + "/" + num(q), "\\frac{" + num(p * k) + "}{" + num(q * k) + "}",
                                    decimal_text(d.digits, d.place), decimal_text(rounded, d.place),
                                    "x=\\dfrac{" + num(p) + "}{" + num(q) + "}", "\\frac{-" + num(p) + "}{-" + num(q) + "}"}),
            true};
  return {gold,
          one_of<std::string>(r, {decimal_text(plus(rounded, 1), d.place), decimal_text(plus(d.digits, -1), d.place), "-" + gold,
                                  "\\frac{" + num(p + 1) + "}{" + num(q) + "}", "\\frac{" + num(p) + "}{" + num(q + 2) + "}",
                                  "\\frac{" + num(q) + "}{" + num(p) + "}", decimal_text(rounded, d.place - 1), num(p) + "." + num(q)}),
          false};
}
Pair decimals(Rng& r, bool right) {
  const long n = between(r, 11, 999'999);
  const long place = -between(r, 1, 7);
  const std::string gold = decimal_text(num(n), place);
  long scale = 1;
  for (long i = 0; i < -place; ++i) scale *= 10;
  if (right)
    return {gold,
            one_of<std::string>(r, {gold, gold + "0", "\\frac{" + num(n) + "}{" + num(scale) + "}", "x = " + gold,
                                    num(n) + "\\times 10^{" + num(place) + "}"}),
            true};
  return {
      gold,
      one_of<std::string>(r, {decimal_text(num(n + 1), place), decimal_text(num(n - 1), place), gold + "1", decimal_text(num(n), place - 1),
                              "-" + gold, num(n) + "\\times 10^{" + num(place - 1) + "}", "0." + std::string(size_t(-place), '0')}),
      false};
}
Pair roots(Rng& r, bool right) {
  const long a = between(r, 2, 30), b = one_of<long>(r, {2, 3, 5, 6, 7, 10, 11, 13});
  const std::string gold = num(a) + "\\sqrt{" + num(b) + "}";
  if (right)
    return {gold,
            one_of<std::string>(r, {"\\sqrt{" + num(a * a * b) + "}", "\\sqrt" + std::string("{") + num(b) + "}\\cdot " + num(a),
                                    "\\frac{" + num(a * b) + "}{\\sqrt{" + num(b) + "}}", num(a) + "*" + num(b) + "^{1/2}"}),
            true};
  return {gold,
          one_of<std::string>(r, {"\\sqrt{" + num(a * a * b + 1) + "}", num(a + 1) + "\\sqrt{" + num(b) + "}", "-" + gold,
                                  num(a) + "\\sqrt{" + num(b + 1) + "}", num(a) + "\\sqrt[3]{" + num(b) + "}", "\\pm " + gold,
                                  num(a) + "i\\sqrt{" + num(b) + "}"}),
          false};
}
Pair polynomials(Rng& r, bool right) {
  const long a = between(r, -9, 9), b = between(r, 1, 9);
  const std::string gold = "(x" + signed_term(a) + ")(x" + signed_term(b) + ")";
  const auto expanded = [&](const std::string& v, long s, long p) { return v + "^2" + signed_term(s) + v + signed_term(p); };
  if (right)
    return {gold,
            one_of<std::string>(r, {expanded("x", a + b, a * b), "(x" + signed_term(b) + ")(x" + signed_term(a) + ")",
                                    "(-x" + signed_term(-a) + ")(-x" + signed_term(-b) + ")"}),
            true};
  return {gold,
          one_of<std::string>(r, {expanded("x", a + b + 1, a * b), expanded("x", a + b, a * b + 1), expanded("y", a + b, a * b),
                                  expanded("x", a + b, a * b) + "+x^3", "(x" + signed_term(a) + ")(x" + signed_term(b + 1) + ")"}),
          false};
}
Pair breaks(Rng& r, bool right) {
  const long a = between(r, 1, 1000), k = between(r, 1, 9);
  const std::string A = num(a),
                    gold = one_of<std::string>(r, {"|x-" + A + "|", "\\sqrt{(x-" + A + ")^2}", "\\max(x-" + A + "," + A + "-x)"});
  if (right)
    return {gold,
            one_of<std::string>(r, {"|" + A + "-x|", "\\sqrt{(" + A + "-x)^2}",
                                    "\\frac{|" + num(k) + "x-" + num(k * a) + "|}{" + num(k) + "}", "-\\min(x-" + A + "," + A + "-x)"}),
            true};
  return {gold,
          one_of<std::string>(r, {"x-" + A, A + "-x", "|x+" + A + "|", "|x-" + num(a + 1) + "|", "|x-" + A + "|+\\frac{1}{1000}",
                                  "|x|-" + A, "|y-" + A + "|", "\\frac{x-" + A + "+|x-" + A + "|}{2}"}),
          false};
}
Pair steps(Rng& r, bool right) {
  const long n = between(r, 1, 50);
  const std::string gold = "\\lfloor x+" + num(n) + "\\rfloor";
  if (right)
    return {gold,
            one_of<std::string>(r, {"\\lfloor x\\rfloor+" + num(n), num(n) + "-\\lceil -x\\rceil", "\\lfloor " + num(n) + "+x\\rfloor"}),
            true};
  return {gold,
          one_of<std::string>(r, {"\\lfloor x\\rfloor+" + num(n + 1), "x+" + num(n), "\\lceil x\\rceil+" + num(n),
                                  "\\lfloor x+" + num(n) + "+\\frac{1}{200}\\rfloor", "\\lceil x+" + num(n - 1) + "\\rceil"}),
          false};
}
Pair pairs(Rng& r, bool right) {
  std::vector<std::pair<long, long>> points;
  for (long i = 0, n = between(r, 2, 5); i < n; ++i) points.push_back({10 * i + between(r, 0, 4), 100 + 10 * i + between(r, 0, 4)});
  const auto text = [](const std::vector<std::pair<long, long>>& all) {
    std::vector<std::string> parts;
    for (const auto& [x, y] : all) parts.push_back("(" + num(x) + "," + num(y) + ")");
    return join(parts, ", ");
  };
  const std::string gold = coin(r) ? text(points) : "\\{" + text(points) + "\\}";
  auto other = shuffled(r, points);
  if (right) return {gold, coin(r) ? text(other) : "\\{" + text(other) + "\\}", true};
  switch (r() % 4) {
    case 0:
      other.pop_back();
      break;
    case 1:
      other[0].second += 5;
      break;
    case 2:
      std::swap(other[0].first, other[0].second);
      break;
    default:
      other.push_back({7, 7});
  }
  return {gold, text(other), false};
}
Pair sets(Rng& r, bool right) {
  std::vector<std::string> all;
  for (long i = 0, n = between(r, 2, 6); i < n; ++i) all.push_back(num(7 * i + between(r, 0, 5)));
  const std::string gold = "\\{" + join(all, ",") + "\\}";
  auto other = shuffled(r, all);
  if (right) return {gold, coin(r) ? join(other, ", ") : "\\left\\{" + join(other, ", ") + "\\right\\}", true};
  switch (r() % 4) {
    case 0:
      other.pop_back();
      return {gold, "\\{" + join(other, ",") + "\\}", false};
    case 1:
      other[0] = "1000";
      return {gold, join(other, ","), false};
    case 2:
      other.push_back("-3");
      return {gold, join(other, ","), false};
    default:
      return {gold, "(" + join(all, ",") + ")", false};
  }
}
Pair intervals(Rng& r, bool right) {
  const long a = between(r, -50, 50), b = a + between(r, 1, 50);
  const bool left = coin(r), closed = coin(r);
  const auto text = [](bool l, long x, long y, bool c) { return (l ? "[" : "(") + num(x) + "," + num(y) + (c ? "]" : ")"); };
  const auto chain = [](bool l, long x, long y, bool c, const std::string& v) {
    return num(x) + (l ? "\\le " : "<") + v + (c ? "\\le " : "<") + num(y);
  };
  const std::string gold = coin(r) ? text(left, a, b, closed) : chain(left, a, b, closed, "x");
  if (right)
    return {gold, one_of<std::string>(r, {chain(left, a, b, closed, "x"), "x\\in" + text(left, a, b, closed), text(left, a, b, closed)}),
            true};
  return {gold,
          one_of<std::string>(r, {text(!left, a, b, closed), text(left, a, b, !closed), text(left, a + 1, b + 1, closed),
                                  text(left, a, b + 1, closed), chain(!left, a, b, closed, "x"), "x>" + num(a), "(-\\infty," + num(b) + ")",
                                  "\\{" + num(a) + "," + num(b) + "\\}", num(b)}),
          false};
}
Pair unions(Rng& r, bool right) {
  const long a = between(r, -50, 50), b = a + between(r, 1, 9), c = b + between(r, 1, 9), d = c + between(r, 1, 9);
  const std::string one = "(" + num(a) + "," + num(b) + "]", two = "[" + num(c) + "," + num(d) + ")";
  const std::string gold = one + "\\cup" + two;
  if (right)
    return {gold,
            one_of<std::string>(r, {two + "\\cup" + one, num(a) + "<x\\le " + num(b) + "\\text{ or }" + num(c) + "\\le x<" + num(d),
                                    "(" + num(a) + "," + num(d) + ")\\setminus(" + num(b) + "," + num(c) + ")"}),
            true};
  return {gold,
          one_of<std::string>(
              r, {one, two, "(" + num(a) + "," + num(d) + ")", one + "\\cap" + two, one + "\\cup(" + num(c) + "," + num(d) + ")",
                  num(a) + "<x\\le " + num(b) + "\\text{ and }" + num(c) + "\\le x<" + num(d),
                  one + "\\cup[" + num(c) + "," + num(d + 1) + ")"}),
          false};
}
Pair inequalities(Rng& r, bool right) {
  const long k = between(r, 2, 9), b = between(r, -20, 20), bound = between(r, -20, 20);
  const std::string gold = num(k) + "x" + signed_term(b) + "<" + num(k * bound + b), B = num(bound);
  if (right)
    return {gold, one_of<std::string>(r, {"x<" + B, "(-\\infty," + B + ")", B + ">x", "-x>" + num(-bound), "x\\in(-\\infty," + B + ")"}),
            true};
  return {gold,
          one_of<std::string>(r, {"x\\le " + B, "x>" + B, "y<" + B, "x<" + num(bound + 1), "(" + B + ",\\infty)",
                                  "|x|<" + num(std::labs(bound) + 1), "xy<" + B, "x=" + B, "x^3<" + B + "y"}),
          false};
}
Pair absolute_inequalities(Rng& r, bool right) {
  const long a = between(r, 1, 20), b = between(r, 1, 20);
  const std::string gold = "|x-" + num(a) + "|<" + num(b), low = num(a - b), high = num(a + b);
  if (right)
    return {gold,
            one_of<std::string>(r, {"(" + low + "," + high + ")", low + "<x<" + high, "x>" + low + "\\text{ and }x<" + high,
                                    "|" + num(a) + "-x|<" + num(b)}),
            true};
  return {gold,
          one_of<std::string>(r, {"x<" + high, "[" + low + "," + high + "]", "(" + low + ",\\infty)", "x>" + low + "\\text{ or }x<" + high,
                                  "|x-" + num(a) + "|>" + num(b), "|x+" + num(a) + "|<" + num(b), "|x-" + num(a) + "|\\le " + num(b)}),
          false};
}
Pair units(Rng& r, bool right) {
  struct Row {
    const char *unit, *same;
    long times;  // 1 unit is that many of `same`
    std::vector<const char*> others;
  };
  static const std::vector<Row> rows = {{"m", "cm", 100, {"km", "kg", "m^2", "s", "ft"}},
                                        {"kg", "g", 1000, {"m", "lb", "mg", "N"}},
                                        {"hours", "minutes", 60, {"seconds", "days", "km"}},
                                        {"m^2", "cm^2", 10000, {"m", "m^3", "mm^2"}},
                                        {"years", "months", 12, {"days", "hours", "weeks"}},
                                        {"dollars", "cents", 100, {"euros", "pounds", "apples"}},
                                        {"kJ", "J", 1000, {"kg", "MJ", "mJ", "W"}},
                                        {"km/h", "m/h", 1000, {"m/s", "km", "mph", "km/s"}},
                                        {"apples", "apples", 1, {"pears", "kg", "people"}},
                                        {"feet", "inches", 12, {"meters", "yards", "feet^2"}},
                                        {"bytes", "bits", 8, {"kB", "hertz"}},
                                        {"L", "mL", 1000, {"m", "gallons", "m^2"}},
                                        {"MPa", "kPa", 1000, {"mPa", "Pa", "N"}},
                                        {"m/s^2", "cm/s^2", 100, {"m/s", "km/h^2", "s^2/m"}}};
  const Row& row = one_of(r, rows);
  const long n = between(r, 2, 500);
  const auto text = [&](long v, const std::string& u) { return num(v) + "\\text{ " + u + "}"; };
  const std::string gold = text(n, row.unit);
  if (right)
    return {gold,
            one_of<std::string>(r, {text(n * row.times, row.same), num(n), text(n, row.unit), num(n) + "\\,\\mathrm{" + row.unit + "}"}),
            true};
  return {gold,
          one_of<std::string>(r, {text(n, row.others[r() % row.others.size()]), text(n + 1, row.unit), text(-n, row.unit),
                                  text(n * row.times + 1, row.same), num(n + 1)}),
          false};
}
Pair congruences(Rng& r, bool right) {
  const long m = between(r, 3, 60), a = between(r, 0, m - 1);
  const auto text = [](long x, long y) { return "x\\equiv " + num(x) + "\\pmod{" + num(y) + "}"; };
  if (right) return {text(a, m), coin(r) ? text(a + m * between(r, -3, 3), m) : num(a) + " \\pmod{" + num(m) + "}", true};
  return {text(a, m), one_of<std::string>(r, {text(a, m + 1), text(a + 1, m), text(a, 2 * m), text(a, m) + ", 5", num(a + 1)}), false};
}
Pair systems(Rng& r, bool right) {
  const long x = between(r, -20, 20), y = x + between(r, 1, 20), a = between(r, 1, 5), b = between(r, 1, 5), c = -a - 1, d = b;
  const std::string gold = "x=" + num(x) + ", y=" + num(y);
  if (right)
    return {gold,
            one_of<std::string>(
                r, {"y=" + num(y) + ", x=" + num(x), "(" + num(x) + "," + num(y) + ")",
                    "x=\\boxed{" + num(x) + "}$ and $y=\\boxed{" + num(y) + "}",
                    num(a) + "x+" + num(b) + "y=" + num(a * x + b * y) + ", " + num(c) + "x+" + num(d) + "y=" + num(c * x + d * y)}),
            true};
  return {gold,
          one_of<std::string>(r, {"x=" + num(y) + ", y=" + num(x), "x=" + num(x), "(" + num(y) + "," + num(x) + ")",
                                  "x=" + num(x) + ", y=" + num(y + 1), "x=" + num(x) + ", z=" + num(y), num(x)}),
          false};
}
Pair cut_boxes(Rng& r, bool right) {
  const long a = between(r, 2, 99), b = between(r, 2, 99);
  const std::string body = one_of<std::string>(r, {"\\frac{" + num(a) + "}{" + num(b) + "}", num(a), "x^{" + num(a) + "}+" + num(b),
                                                   "\\sqrt{" + num(a) + "}", "\\{" + num(a) + "," + num(b) + "\\}"});
  const std::string full = "So it is \\boxed{" + body + "}";
  if (right) return {body, full, true};
  const std::string gold = coin(r) ? body : coin(r) ? num(a) : num(b);
  return {gold, full.substr(0, size_t(between(r, 16, long(full.size()) - 1))), false};
}
Pair letters(Rng& r, bool right) {
  const char c = char('A' + r() % 5), other = char('A' + (c - 'A' + 1 + long(r() % 4)) % 5);
  const std::string C(1, c), O(1, other);
  if (right)
    return {
        C,
        one_of<std::string>(r, {C, "(" + C + ")", "The answer is " + C + ".", "\\boxed{" + C + "}",
                                "The answer is " + C + ", not " + O + ".", O + " is wrong, so the answer is " + C + ".", C + " is correct.",
                                "Option " + C, "答案是" + C, "It can't be " + O + ". The answer must be " + C + "."}),
        true};
  return {C,
          one_of<std::string>(r, {O, "The answer is " + O + ".", C + " or " + O, "not " + C, "The answer is not " + C + ".",
                                  C + " is incorrect.", "The answer is " + O + ", not " + C + ".", "I am torn between " + O + " and " + C,
                                  "\\boxed{" + O + "}", "It can't be " + C + ".", "答案是" + O + "，不是" + C}),
          false};
}
Pair identities(Rng& r, bool right) {
  struct Row {
    const char* gold;
    std::vector<const char*> right, wrong;
  };
  static const std::vector<Row> rows = {
      {"\\sin 2x", {"2\\sin x\\cos x", "\\cos(\\frac{\\pi}{2}-2x)"}, {"2\\sin x", "\\cos 2x", "-\\sin 2x", "\\sin x\\cos x", "\\sin 2y"}},
      {"\\ln(ab)", {"\\ln a+\\ln b", "\\ln(ba)"}, {"\\ln a\\ln b", "\\ln(a+b)", "\\ln a-\\ln b"}},
      {"e^{x+y}", {"e^xe^y", "\\exp(y+x)"}, {"e^x+e^y", "e^{xy}", "e^{x-y}"}},
      {"\\binom{n}{2}", {"\\frac{n(n-1)}{2}", "\\binom{n}{n-2}"}, {"\\frac{n(n+1)}{2}", "\\binom{n+1}{2}", "\\frac{n^2}{2}"}},
      {"\\frac{x^2-1}{x-1}", {"x+1"}, {"x-1", "x+1+\\frac{1}{1000}"}},
      {"|x||y|", {"|xy|", "\\sqrt{x^2y^2}"}, {"xy", "|x|y", "|x+y|"}},
      {"\\sqrt{x^2+1}", {"(1+x^2)^{1/2}"}, {"x+1", "|x|", "\\sqrt{x^2+1.000001}"}},
      {"x^4", {"(x^2)^2", "|x|^4"}, {"x^3|y|", "x^5", "x^4+10^{-9}"}},
      {"(-1)^n", {"(-1)^{n+2}", "\\cos(n\\pi)"}, {"(-1)^{n+1}", "1", "-1", "\\sin(n\\pi)"}},
      {"\\tan^2 x+1", {"\\sec^2 x", "\\frac{1}{\\cos^2 x}"}, {"\\csc^2 x", "\\tan^2 x", "1"}},
      {"n!", {"n(n-1)!", "\\frac{(n+1)!}{n+1}"}, {"(n-1)!", "n^n", "(n+1)!"}}};
  const Row& row = one_of(r, rows);
  const auto& answers = right ? row.right : row.wrong;
  return {row.gold, answers[r() % answers.size()], right};
}

const std::vector<std::pair<const char*, Maker>>& makers() {
  static const std::vector<std::pair<const char*, Maker>> all = {{"integers", integers},
                                                                 {"fractions and their decimals", fractions},
                                                                 {"decimals", decimals},
                                                                 {"roots", roots},
                                                                 {"polynomials", polynomials},
                                                                 {"absolute values", breaks},
                                                                 {"floors", steps},
                                                                 {"lists of pairs", pairs},
                                                                 {"sets", sets},
                                                                 {"intervals", intervals},
                                                                 {"unions", unions},
                                                                 {"inequalities", inequalities},
                                                                 {"absolute inequalities", absolute_inequalities},
                                                                 {"units", units},
                                                                 {"congruences", congruences},
                                                                 {"systems", systems},
                                                                 {"boxes cut short", cut_boxes},
                                                                 {"letters", letters},
                                                                 {"identities", identities}};
  return all;
}

TEST(Adversary, NoWrongAnswerIsCalledRight) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const long count = number_from_environment("R1_ADVERSARY_PAIRS", 2'000);
#else
  const long count = number_from_environment("R1_ADVERSARY_PAIRS", 20'000);
#endif
  const uint64_t seed = seed_from_environment("R1_ADVERSARY_SEED");
  SCOPED_TRACE("R1_ADVERSARY_SEED=" + std::to_string(seed) + " R1_ADVERSARY_PAIRS=" + std::to_string(count));
  const Verifier verifier({.deadline = 60});  // the machine may be busy
  PairFile file;
  Rng rng(seed);
  struct Counts {
    long wrong = 0, false_right = 0, right = 0, missed = 0;
  };
  std::map<std::string, Counts> table;
  long shown = 0;
  for (long i = 0; i < count; ++i) {
    const auto& [kind, make] = makers()[size_t(i) % makers().size()];
    const Pair pair = make(rng, i / long(makers().size()) % 2 == 0);
    file.add(kind, pair);
    const AnswerCheck c = verifier.check(pair.gold, pair.answer);
    const bool called_right = c.verdict == AnswerVerdict::kRight;
    Counts& counts = table[kind];
    (pair.right ? counts.right : counts.wrong) += 1;
    if (called_right == pair.right) continue;
    (pair.right ? counts.missed : counts.false_right) += 1;
    if (shown++ < 40)
      std::printf("%s %s: %s | %s: %s, %s, took %s\n", pair.right ? "missed" : "FALSE RIGHT", kind, pair.gold.c_str(), pair.answer.c_str(),
                  answer_verdict_name(c.verdict), c.reason.c_str(), c.extracted.c_str());
  }
  long right = 0, missed = 0;
  for (const auto& [kind, c] : table) {
    EXPECT_EQ(c.false_right, 0) << kind;
    EXPECT_GT(c.wrong, 0) << kind;
    EXPECT_GT(c.right, 0) << kind;
    right += c.right, missed += c.missed;
    if (std::getenv("R1_ADVERSARY_TABLE"))
      std::printf("| %s | %ld | %ld | %ld | %ld |\n", kind.c_str(), c.wrong, c.false_right, c.right, c.missed);
  }
  EXPECT_LE(double(missed), 0.005 * double(right));
}

}  // namespace
