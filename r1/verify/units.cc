#include "r1/verify/units.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <unordered_map>

namespace r1::verify {
namespace {

using Dimension = std::map<std::string, int>;
using Table = std::unordered_map<std::string, std::vector<Unit>>;

Unit make(Dimension dimension, mpq_class factor = 1, mpq_class offset = 0) {
  factor.canonicalize(), offset.canonicalize();
  return {std::move(dimension), std::move(factor), std::move(offset), 1};
}
Unit times(Unit a, const Unit& b, int power) {
  for (const auto& [base, exponent] : b.dimension)
    if ((a.dimension[base] += exponent * power) == 0) a.dimension.erase(base);
  for (int i = 0; i < std::abs(power); ++i) {
    if (power > 0)
      a.factor *= b.factor, a.multiplier *= b.multiplier;
    else
      a.factor /= b.factor, a.multiplier /= b.multiplier;
  }
  a.offset += b.offset;
  return a;
}

mpq_class ten_to(int n) {
  mpz_class power;
  mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(std::abs(n)));
  return n >= 0 ? mpq_class(power) : mpq_class(mpz_class(1), power);
}

struct Prefix {
  const char *sign, *word;
  int power;
};
constexpr Prefix kPrefixes[] = {{"T", "tera", 12},  {"G", "giga", 9},   {"M", "mega", 6},          {"k", "kilo", 3},
                                {"h", "hecto", 2},  {"da", "deca", 1},  {"d", "deci", -1},         {"c", "centi", -2},
                                {"m", "milli", -3}, {"u", "micro", -6}, {"\xCE\xBC", "micro", -6}, {"\xC2\xB5", "micro", -6},
                                {"n", "nano", -9},  {"p", "pico", -12}};

// Adds `name` and, if asked, its prefixed forms; signs take signs, words take words.
void add(Table& table, const std::string& name, const Unit& unit, bool prefixes = false, bool word = false) {
  table[name].push_back(unit);
  if (!prefixes) return;
  for (const Prefix& p : kPrefixes) {
    Unit scaled = unit;
    scaled.factor *= ten_to(p.power);
    auto& entry = table[(word ? p.word : p.sign) + name];
    if (entry.empty()) entry.push_back(scaled);
  }
}

void add_all(Table& table, const std::vector<const char*>& names, const Unit& unit) {
  for (const char* name : names) add(table, name, unit);
}

void add_mechanics(Table& t) {
  const Dimension force{{"m", 1}, {"g", 1}, {"s", -2}}, energy{{"m", 2}, {"g", 1}, {"s", -2}}, power{{"m", 2}, {"g", 1}, {"s", -3}};
  // Names that a prefix and a sign would spell too come first: min, ft, h.
  for (const char* name : {"min", "minute"}) add(t, name, make({{"s", 1}}, 60));
  for (const char* name : {"h", "hr", "hour"}) add(t, name, make({{"s", 1}}, 3600));
  add_all(t, {"ft", "foot", "feet"}, make({{"m", 1}}, mpq_class(3048, 10000)));
  add_all(t, {"in", "inch", "inche"}, make({{"m", 1}}, mpq_class(254, 10000)));
  add_all(t, {"yd", "yard"}, make({{"m", 1}}, mpq_class(9144, 10000)));
  add_all(t, {"mi", "mile"}, make({{"m", 1}}, mpq_class(1609344, 1000)));
  add(t, "day", make({{"s", 1}}, 86400));
  add_all(t, {"week", "wk"}, make({{"s", 1}}, 604800));
  add(t, "decade", make({{"month", 1}}, 120));
  add_all(t, {"year", "yr"}, make({{"month", 1}}, 12));
  add(t, "century", make({{"month", 1}}, 1200));
  add_all(t, {"month", "mo"}, make({{"month", 1}}));
  add_all(t, {"mph"}, make({{"m", 1}, {"s", -1}}, mpq_class(1609344, 3600000)));
  add_all(t, {"kmh", "kph", "kmph"}, make({{"m", 1}, {"s", -1}}, mpq_class(1000, 3600)));
  add_all(t, {"mps"}, make({{"m", 1}, {"s", -1}}));
  add_all(t, {"fps"}, make({{"m", 1}, {"s", -1}}, mpq_class(3048, 10000)));
  add_all(t, {"lb", "lbs", "pound"}, make({{"g", 1}}, mpq_class(45359237, 100000)));
  add_all(t, {"oz", "ounce"}, make({{"g", 1}}, mpq_class(45359237, 1600000)));
  add_all(t, {"ton", "tonne"}, make({{"g", 1}}, 1'000'000));
  add(t, "acre", make({{"m", 2}}, mpq_class(40468564224L, 10000000)));
  add_all(t, {"ha", "hectare"}, make({{"m", 2}}, 10'000));
  add_all(t, {"gal", "gallon"}, make({{"m", 3}}, mpq_class(3785411784L, 1000000000000L)));
  add_all(t, {"qt", "quart"}, make({{"m", 3}}, mpq_class(946352946L, 1000000000000L)));
  add_all(t, {"pt", "pint"}, make({{"m", 3}}, mpq_class(473176473L, 1000000000000L)));
  add_all(t, {"cc"}, make({{"m", 3}}, mpq_class(1, 1000000)));
  add(t, "atm", make({{"m", -1}, {"g", 1}, {"s", -2}}, 101'325'000));
  add(t, "Wh", make(energy, 3'600'000), true);
  add(t, "eV", make(energy, mpq_class(1602176634L) * ten_to(-25)), true);
  add(t, "cal", make(energy, mpq_class(4184)), true);
  add(t, "calorie", make(energy, mpq_class(4184)), true, true);
  add(t, "hp", make(power, mpq_class(7457, 10) * 1000));
  for (const auto& [sign, word, unit] : {std::tuple{"m", "meter", make({{"m", 1}})},
                                         {"m", "metre", make({{"m", 1}})},
                                         {"g", "gram", make({{"g", 1}})},
                                         {"s", "second", make({{"s", 1}})},
                                         {"sec", "second", make({{"s", 1}})},
                                         {"N", "newton", make(force, 1000)},
                                         {"J", "joule", make(energy, 1000)},
                                         {"W", "watt", make(power, 1000)},
                                         {"Pa", "pascal", make({{"m", -1}, {"g", 1}, {"s", -2}}, 1000)},
                                         {"bar", "bar", make({{"m", -1}, {"g", 1}, {"s", -2}}, 100'000'000)},
                                         {"Hz", "hertz", make({{"s", -1}})},
                                         {"l", "liter", make({{"m", 3}}, mpq_class(1, 1000))},
                                         {"L", "litre", make({{"m", 3}}, mpq_class(1, 1000))}}) {
    if (t[sign].empty()) add(t, sign, unit, true);
    if (t[word].empty()) add(t, word, unit, true, true);
  }
}

void add_others(Table& t) {
  const Dimension charge{{"A", 1}, {"s", 1}}, voltage{{"m", 2}, {"g", 1}, {"s", -3}, {"A", -1}};
  for (const auto& [sign, word, unit] : {std::tuple{"A", "ampere", make({{"A", 1}})},
                                         {"A", "amp", make({{"A", 1}})},
                                         {"C", "coulomb", make(charge)},
                                         {"V", "volt", make(voltage, 1000)},
                                         {"\xCE\xA9", "ohm", make({{"m", 2}, {"g", 1}, {"s", -3}, {"A", -2}}, 1000)},
                                         {"F", "farad", make({{"m", -2}, {"g", -1}, {"s", 4}, {"A", 2}}, mpq_class(1, 1000))},
                                         {"K", "kelvin", make({{"K", 1}})},
                                         {"mol", "mole", make({{"mol", 1}})},
                                         {"cd", "candela", make({{"cd", 1}})},
                                         {"b", "bit", make({{"bit", 1}})},
                                         {"B", "byte", make({{"bit", 1}}, 8)},
                                         {"rad", "radian", make({{"rad", 1}})}}) {
    if (t[sign].empty()) add(t, sign, unit, true);
    if (t[word].empty()) add(t, word, unit, true, true);
  }
  mpz_class binary = 1024;
  for (const char* prefix : {"Ki", "Mi", "Gi", "Ti"}) {
    add(t, std::string(prefix) + "B", make({{"bit", 1}}, mpq_class(binary * 8)));
    const std::string usual = prefix[0] == 'K' ? "KB" : std::string(1, prefix[0]) + "B";  // 1 MB is 1,000,000 or 1,048,576 bytes
    t[usual].push_back(make({{"bit", 1}}, mpq_class(binary * 8)));
    binary *= 1024;
  }
  add(t, "KB", make({{"bit", 1}}, 8000));
  add(t, "degC", make({{"K", 1}}, 1, mpq_class(27315, 100)));
  add(t, "degF", make({{"K", 1}}, mpq_class(5, 9), mpq_class(45967, 100) * mpq_class(5, 9)));
  add(t, "celsius", make({{"K", 1}}, 1, mpq_class(27315, 100)));
  add(t, "fahrenheit", make({{"K", 1}}, mpq_class(5, 9), mpq_class(45967, 100) * mpq_class(5, 9)));
  const mpq_class cent(1, 100);
  add_all(t, {"usd", "dollar", "us$", "buck"}, make({{"usd", 1}}));
  add(t, "cent", make({{"usd", 1}}, cent));
  add(t, "cent", make({{"eur", 1}}, cent));
  add_all(t, {"eur", "euro"}, make({{"eur", 1}}));
  add_all(t, {"gbp", "pound", "quid"}, make({{"gbp", 1}}));
  add_all(t, {"pence", "penny"}, make({{"gbp", 1}}, cent));
  t["penny"].push_back(make({{"usd", 1}}, cent));
  add_all(t, {"inr", "rs", "rs.", "rupee", "re"}, make({{"inr", 1}}));
  add_all(t, {"cny", "yuan", "rmb"}, make({{"cny", 1}}));
  add_all(t, {"jpy", "yen"}, make({{"jpy", 1}}));
  for (const auto& [name, value] : {std::pair{"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12}}) {
    Unit many;
    many.multiplier = ten_to(value);
    add(t, name, many);
  }
  Unit dozen;
  dozen.multiplier = 12;
  add(t, "dozen", dozen);
  // Words that count without saying what.
  for (const char* name : {"unit", "item", "piece", "total", "more", "each", "altogether", "left", "remaining", "in total", "of", "the",
                           "a", "in", "all", "squared units", "whole", "exactly", "about"})
    if (t[name].empty()) add(t, name, Unit{});
  add(t, "percentage point", make({{"percentage point", 1}}));
}

const Table& table() {
  static const Table all = [] {
    Table t;
    add_mechanics(t);
    add_others(t);
    return t;
  }();
  return all;
}

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const std::vector<Unit>* entry(const std::string& word) {
  const auto found = table().find(word);
  return found == table().end() || found->second.empty() ? nullptr : &found->second;
}

std::string singular(const std::string& word) {
  if (word.size() > 3 && word.ends_with("ies")) return word.substr(0, word.size() - 3) + "y";
  if (word.size() > 4 && (word.ends_with("ches") || word.ends_with("shes") || word.ends_with("xes") || word.ends_with("sses")))
    return word.substr(0, word.size() - 2);
  if (word.size() > 2 && word.ends_with("s") && !word.ends_with("ss")) return word.substr(0, word.size() - 1);
  return word;
}

const std::vector<Unit>* lookup(const std::string& word) {
  if (const auto* as_written = entry(word)) return as_written;
  const std::string small = lower(word);
  if (word.size() < 3 && small != "rs" && small != "re") return nullptr;
  if (const auto* in_lower_case = entry(small)) return in_lower_case;
  return entry(singular(small));
}

// ---- composed units ----

struct Piece {
  std::string word;
  int power = 1;
};

// "km/h", "m s^-2", "square feet per second". nullopt: powers that are no small integers.
std::optional<std::vector<Piece>> pieces_of(std::string_view text) {
  std::vector<Piece> out;
  bool below = false;
  int next_power = 1;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '/') {
      below = true;
      ++i;
      continue;
    }
    if (c == '^') {
      size_t end = i + 1;
      while (end < text.size() && (text[end] == '{' || text[end] == ' ' || text[end] == '(')) ++end;
      char* stop = nullptr;
      const std::string digits(text.substr(end, 6));
      const long power = std::strtol(digits.c_str(), &stop, 10);
      if (out.empty() || stop == digits.c_str() || power == 0 || std::labs(power) > 9) return std::nullopt;
      out.back().power *= int(power);
      i = end + size_t(stop - digits.c_str());
      while (i < text.size() && (text[i] == '}' || text[i] == ')')) ++i;
      continue;
    }
    if (std::string_view(" *.,~()\\{}\t\n-").find(c) != std::string_view::npos) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && std::string_view(" *.,~()\\{}\t\n-/^").find(text[end]) == std::string_view::npos) ++end;
    if (text.substr(i, end - i) == "\xC2\xB7" || end == i) {  // ·
      i = std::max(end, i + 1);
      continue;
    }
    std::string word(text.substr(i, end - i));
    i = end;
    const std::string small = lower(word);
    if (small == "per") {
      below = true;
    } else if (small == "square" || small == "sq") {
      next_power = 2;
    } else if (small == "cubic" || small == "cu") {
      next_power = 3;
    } else if ((small == "squared" || small == "cubed") && !out.empty()) {
      out.back().power *= small == "squared" ? 2 : 3;
    } else {
      // m2, cm3: a power without its sign
      if (word.size() > 1 && (word.back() == '2' || word.back() == '3') && lookup(word.substr(0, word.size() - 1))) {
        next_power = word.back() - '0';
        word.pop_back();
      }
      out.push_back({word, below ? -next_power : next_power});
      next_power = 1;
    }
    if (out.size() > 8) return std::nullopt;
  }
  return out;
}

}  // namespace

std::vector<Unit> unit_meanings(std::string_view text) {
  std::vector<Unit> all{Unit{}};
  std::string half;  // 7:30 p.m.
  for (char c : text.substr(0, 8))
    if (std::isalpha(static_cast<unsigned char>(c))) half += char(std::tolower(static_cast<unsigned char>(c)));
  if (text.size() < 8 && (half == "am" || half == "pm")) return all[0].dimension[half] = 1, all;
  const auto pieces = text.size() > 200 ? std::nullopt : pieces_of(text);
  if (!pieces) {
    all[0].dimension[lower(text.substr(0, 200))] = 1;
    return all;
  }
  for (const Piece& piece : *pieces) {
    const auto* meanings = lookup(piece.word);
    Unit own;
    own.dimension[singular(lower(piece.word))] = 1;
    std::vector<Unit> next;
    for (const Unit& before : all) {
      if (!meanings) next.push_back(times(before, own, piece.power));
      for (size_t i = 0; meanings && i < meanings->size() && next.size() < 16; ++i)
        next.push_back(times(before, (*meanings)[i], piece.power));
    }
    all = std::move(next);
  }
  return all;
}

bool known_unit(std::string_view word) {
  return word.size() <= 40 && lookup(std::string(word)) != nullptr;
}

}  // namespace r1::verify
