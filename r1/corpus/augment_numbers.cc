#include "r1/corpus/augment_numbers.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "r1/base/strings.h"
#include "r1/corpus/rational.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxRow = 20'000, kMaxNumbers = 400, kMaxSteps = 60;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || uint8_t(c) >= 0x80;
}

// ---- numbers in a text

struct Number {
  size_t begin = 0, end = 0;  // of the digits, commas and point
  Rational value;
  int decimals = 0;
  bool commas = false, leading_point = false, trailing_zero = false, dollar = false;
  bool glued = false;  // letters or other digits at it: A4, 3rd, 20k, 5:30
};

// The end of the number that begins at `at`.
size_t number_end(std::string_view text, size_t at) {
  const auto digit = [&](size_t i) { return i < text.size() && is_digit(text[i]); };
  size_t i = at;
  while (digit(i)) ++i;
  if (i - at <= 3 && i > at)
    while (i < text.size() && text[i] == ',' && digit(i + 1) && digit(i + 2) && digit(i + 3) && !digit(i + 4)) i += 4;
  if (i < text.size() && text[i] == '.' && digit(i + 1))
    for (++i; digit(i);) ++i;
  return i;
}

// False if one cannot be read.
bool numbers_in(std::string_view text, size_t offset, std::vector<Number>& out) {
  for (size_t i = 0; i < text.size();) {
    const bool point = text[i] == '.' && i + 1 < text.size() && is_digit(text[i + 1]) && (i == 0 || !is_digit(text[i - 1]));
    if (!is_digit(text[i]) && !point) {
      ++i;
      continue;
    }
    const size_t end = number_end(text, i);
    const std::string_view digits = text.substr(i, end - i);
    const MaybeRational value = parse_decimal(digits);
    if (!value || out.size() >= kMaxNumbers) return false;
    Number n{.begin = offset + i, .end = offset + end, .value = *value};
    const size_t at = digits.find('.');
    n.decimals = at == digits.npos ? 0 : int(digits.size() - at - 1);
    n.commas = digits.find(',') != digits.npos;
    n.leading_point = point;
    n.trailing_zero = n.decimals > 0 && digits.back() == '0';
    n.dollar = i > 0 && text[i - 1] == '$';
    const char before = i > 0 ? text[i - 1] : ' ', after = end < text.size() ? text[end] : ' ';
    const char after2 = end + 1 < text.size() ? text[end + 1] : ' ';
    n.glued = (is_letter(before) && uint8_t(before) < 0x80) || before == '_' || before == '#' || before == '^' ||
              (is_letter(after) && uint8_t(after) < 0x80) || after == '_' || after == '^' ||
              ((after == ':' || after == ',' || after == '.') && is_digit(after2));
    if (i > 1 && (before == ':' || before == ',' || before == '.') && is_digit(text[i - 2])) n.glued = true;
    out.push_back(n);
    i = end;
  }
  return true;
}

std::string with_commas(std::string digits) {
  const size_t point = std::min(digits.find('.'), digits.size());
  for (size_t i = point; i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

// A value as `model` is written. "" if that takes more decimals than it may have.
std::string written(const Rational& value, const Number& model) {
  const int needed = decimals_of(value);
  if (needed < 0 || needed > std::max(2, model.decimals)) return "";
  if (model.decimals == 0 && needed > 0) return "";
  const bool keeps = model.trailing_zero || (model.dollar && model.decimals == 2);
  std::string text = decimal_text(value, keeps ? std::max(needed, model.decimals) : needed);
  if (model.commas) text = with_commas(text);
  if (model.leading_point && text.starts_with("0.")) text.erase(0, 1);
  return text;
}

// ---- constants that words imply

struct Implied {
  std::string_view words;  // between blanks
  std::initializer_list<Rational> values;
};
constexpr Rational kHalf{1, 2}, kFourth{1, 4};
const Implied kImplied[] = {
    {" half halves halved halfway ", {{2, 1}, kHalf, {50, 1}}},
    {" twice double doubles doubled doubling pair pairs couple both second two ", {{2, 1}, {200, 1}}},
    {" three third thirds triple tripled triples thrice trio triplets triangle triangles triangular yard yards ", {{3, 1}, {9, 1}}},
    {" yard yards ", {{36, 1}}},
    {" four fourth fourths quadruple quadrupled quarter quarters quarterly square squares ", {{4, 1}, kFourth, {25, 1}, {75, 1}, {15, 1}}},
    {" five fifth fifths nickel nickels quintuple pentagon weekday weekdays workday workdays work school ", {{5, 1}, {1, 20}, {20, 1}}},
    {" six sixth sixths hexagon dice die insects insect ", {{6, 1}}},
    {" seven seventh sevenths ", {{7, 1}}},
    {" eight eighth eighths octagon spider spiders octopus octopuses ", {{8, 1}}},
    {" nine ninth ninths ", {{9, 1}}},
    {" ten tenth tenths dime dimes decade decades ", {{10, 1}, {1, 10}}},
    {" eleven eleventh ", {{11, 1}}},
    {" twelve twelfth dozen dozens ", {{12, 1}, {6, 1}}},
    {" penny pennies cent cents percent percentage ", {{100, 1}, {1, 100}}},
    {" week weeks weekly ", {{7, 1}, {52, 1}, {4, 1}, {5, 1}}},
    {" weekend weekends monday tuesday wednesday thursday friday saturday sunday ", {{2, 1}, {3, 1}, {5, 1}, {6, 1}, {7, 1}}},
    {" day days daily everyday today tomorrow yesterday night nights nightly ", {{24, 1}, {7, 1}, {365, 1}, {366, 1}, {30, 1}, {31, 1}}},
    {" hour hours hourly ", {{60, 1}, {24, 1}, {3600, 1}, {30, 1}, {8, 1}, {90, 1}, {120, 1}}},
    {" minute minutes seconds ", {{60, 1}, {30, 1}, {3600, 1}}},
    {" month months monthly january february march april june july august september october november december ",
     {{12, 1}, {30, 1}, {4, 1}, {31, 1}, {28, 1}, {29, 1}}},
    {" year years yearly annual annually age ages old ", {{12, 1}, {365, 1}, {366, 1}, {52, 1}}},
    {" leap century centuries ", {{366, 1}, {100, 1}}},
    {" fortnight fortnights ", {{14, 1}}},
    {" foot feet inch inches ", {{12, 1}, {3, 1}, {144, 1}, {36, 1}}},
    {" pound pounds ounce ounces lb lbs oz ", {{16, 1}}},
    {" gallon gallons quart quarts pint pints cup cups tablespoon tablespoons teaspoon teaspoons ",
     {{4, 1}, {8, 1}, {16, 1}, {128, 1}, {3, 1}, {32, 1}}},
    {" mile miles ", {{5280, 1}, {1760, 1}}},
    {" kilogram kilograms kg gram grams kilometer kilometers km meter meters liter liters ml ton tons milliliters centimeters cm tonnes ",
     {{1000, 1}, {10, 1}, {2000, 1}}},
    {" deck cards alphabet letters ", {{52, 1}, {26, 1}, {13, 1}}},
    {" circle degrees angle angles ", {{360, 1}, {180, 1}, {90, 1}}},
    {" dog dogs cat cats cow cows horse horses pig pigs sheep goat goats legs leg wheel wheels car cars paws tires rabbit rabbits ",
     {{4, 1}}},
    {" thousand thousands ", {{1000, 1}}},
    {" million millions ", {{1'000'000, 1}}},
};
struct Cardinal {
  std::string_view word;
  int value;
};
constexpr Cardinal kCardinals[] = {{"one", 1},      {"two", 2},        {"three", 3},     {"four", 4},       {"five", 5},
                                   {"six", 6},      {"seven", 7},      {"eight", 8},     {"nine", 9},       {"ten", 10},
                                   {"eleven", 11},  {"twelve", 12},    {"thirteen", 13}, {"fourteen", 14},  {"fifteen", 15},
                                   {"sixteen", 16}, {"seventeen", 17}, {"eighteen", 18}, {"nineteen", 19},  {"twenty", 20},
                                   {"thirty", 30},  {"forty", 40},     {"fifty", 50},    {"sixty", 60},     {"seventy", 70},
                                   {"eighty", 80},  {"ninety", 90},    {"hundred", 100}, {"thousand", 1000}};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c))) {
      word += char(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

int cardinal_of(std::string_view word) {
  for (const Cardinal& c : kCardinals)
    if (c.word == word) return c.value;
  return -1;
}

// "two hundred and fifty-six" says 2, 100, 200, 50, 6, 56, 256.
void spelled(const std::vector<std::string>& words, std::vector<Rational>& out) {
  for (size_t i = 0; i < words.size(); ++i) {
    int64_t value = 0, last = -1;
    for (size_t k = i; k < words.size() && k < i + 6; ++k) {
      if (words[k] == "and" && k > i) continue;
      const int n = cardinal_of(words[k]);
      if (n < 0) break;
      value = n >= 100 && last >= 0 ? value * n : value + n;
      last = n;
      out.push_back({value, 1});
    }
  }
}

std::vector<Rational> implied_by(std::string_view text) {
  std::vector<Rational> out = {{0, 1}, {1, 1}, {2, 1}, {100, 1}};
  const std::vector<std::string> words = words_of(text);
  for (const std::string& word : std::set<std::string>(words.begin(), words.end()))
    for (const Implied& i : kImplied)
      if (i.words.find(" " + word + " ") != std::string_view::npos) out.insert(out.end(), i.values.begin(), i.values.end());
  spelled(words, out);
  return out;
}

// The answer spells no number that the question does not: it might be one that changes.
bool spells_more(std::string_view answer, std::string_view question) {
  std::vector<Rational> in_answer, in_question;
  spelled(words_of(answer), in_answer);
  spelled(words_of(question), in_question);
  return std::ranges::any_of(in_answer, [&](const Rational& v) {
    return Rational{2, 1} < v && v.numerator != 100 && std::ranges::find(in_question, v) == in_question.end();
  });
}

// ---- a solution

struct Step {
  size_t begin = 0, end = 0, equals = 0;  // of "<<...>>" in the answer, and of its =
  std::vector<Number> operands;
  Number result;
};

struct Problem {
  std::string_view question, answer;
  std::vector<Number> asked;  // numbers of the question
  std::vector<Step> steps;
  std::vector<Number> prose;  // of the answer outside of annotations and before the label
  Number label;
  std::vector<Rational> constants;
};

MaybeRational value_of(std::string_view expression) {
  return evaluate_arithmetic(expression);
}

bool read_steps(Problem& p, std::string_view body) {
  size_t at = 0;
  while (true) {
    const size_t begin = body.find("<<", at);
    const std::string_view prose = body.substr(at, begin == body.npos ? body.npos : begin - at);
    if (prose.find(">>") != prose.npos || !numbers_in(prose, at, p.prose)) return false;
    if (begin == body.npos) return true;
    const size_t end = body.find(">>", begin);
    if (end == body.npos || p.steps.size() >= kMaxSteps) return false;
    Step s{.begin = begin, .end = end + 2, .equals = body.find('=', begin)};
    if (s.equals >= end || body.find('=', s.equals + 1) < end) return false;
    const std::string_view left = body.substr(begin + 2, s.equals - begin - 2), right = body.substr(s.equals + 1, end - s.equals - 1);
    std::vector<Number> results;
    if (!numbers_in(left, begin + 2, s.operands) || !numbers_in(right, s.equals + 1, results) || results.size() != 1) return false;
    s.result = results[0];
    if (s.result.begin != s.equals + 1 || s.result.end != end) return false;
    // 24 alone says nothing of where it comes from.
    const MaybeRational value = value_of(left);
    if (!value || *value != s.result.value || left.find_first_of("+-*/") == left.npos) return false;
    p.steps.push_back(std::move(s));
    at = end + 2;
  }
}

std::optional<Problem> read_problem(std::string_view question, std::string_view answer) {
  if (question.size() + answer.size() > kMaxRow) return std::nullopt;
  Problem p{.question = question, .answer = answer};
  const size_t mark = answer.find("####");
  if (mark == answer.npos || answer.find("####", mark + 4) != answer.npos || mark == 0 || answer[mark - 1] != '\n') return std::nullopt;
  std::vector<Number> labels;
  const std::string_view last = trim(answer.substr(mark + 4));
  if (!numbers_in(last, size_t(last.data() - answer.data()), labels) || labels.size() != 1) return std::nullopt;
  p.label = labels[0];
  if (p.label.end - p.label.begin != last.size()) return std::nullopt;
  if (!numbers_in(question, 0, p.asked) || !read_steps(p, answer.substr(0, mark)) || p.steps.empty()) return std::nullopt;
  if (p.steps.back().result.value != p.label.value) return std::nullopt;
  if (std::ranges::any_of(p.prose, [](const Number& n) { return n.glued; })) return std::nullopt;
  if (spells_more(answer, question)) return std::nullopt;
  for (size_t i = 0; i + 1 < p.steps.size(); ++i) {
    bool used = false;
    for (size_t k = i + 1; k < p.steps.size(); ++k)
      for (const Number& n : p.steps[k].operands) used |= n.value == p.steps[i].result.value;
    if (!used) return std::nullopt;
  }
  std::string words(answer.substr(0, mark));
  words += ' ';
  words += question;
  p.constants = implied_by(words);
  return p;
}

// ---- equations between annotations

bool is_arithmetic(std::string_view text, size_t i) {
  return std::string_view("0123456789.,$%+-*/() ").find(text[i]) != std::string_view::npos ||
         (text[i] == 'x' && (i == 0 || !is_letter(text[i - 1])) && (i + 1 == text.size() || !is_letter(text[i + 1]))) ||
         uint8_t(text[i]) == 0xC3 || (i > 0 && uint8_t(text[i - 1]) == 0xC3);
}

// The longest end (or beginning) of a text that is arithmetic.
MaybeRational value_at_end(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0 && is_arithmetic(text, begin - 1)) --begin;
  for (; begin < text.size(); ++begin)
    if (const MaybeRational v = value_of(trim(text.substr(begin)))) return v;
  return std::nullopt;
}
MaybeRational value_at_start(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && is_arithmetic(text, end)) ++end;
  for (; end > 0; --end)
    if (const MaybeRational v = value_of(trim(text.substr(0, end)))) return v;
  return std::nullopt;
}

// Each = of the prose leads to an annotation, or holds as it stands; where both sides are arithmetic it holds in any case.
bool equations_hold(std::string_view answer) {
  for (size_t at = 0; at < answer.size();) {
    const size_t line_end = std::min(answer.find('\n', at), answer.size());
    std::string line;
    std::vector<size_t> annotated;  // where in `line` annotations stood
    for (size_t i = at; i < line_end;) {
      const size_t close = answer.substr(i, 2) == "<<" ? answer.find(">>", i) : answer.npos;
      if (close == answer.npos || close > line_end) {
        line += answer[i++];
      } else {
        annotated.push_back(line.size());
        i = close + 2;
      }
    }
    for (size_t e = line.find('='); e != std::string::npos; e = line.find('=', e + 1)) {
      const std::string_view right = std::string_view(line).substr(e + 1);
      size_t first = e + 1;
      while (first < line.size() && !is_digit(line[first])) ++first;
      const bool led = std::ranges::any_of(annotated, [&](size_t a) { return a > e && a <= first; });
      const size_t before = line.rfind('=', e == 0 ? 0 : e - 1);
      const size_t begin = e == 0 || before == std::string::npos || before >= e ? 0 : before + 1;
      const MaybeRational a = value_at_end(std::string_view(line).substr(begin, e - begin)), b = value_at_start(right);
      if (a && b ? *a != *b : !led) return false;
    }
    at = line_end + 1;
  }
  return true;
}

// ---- which quantities may change

// The word before (or behind) a number, in lower case.
std::string word_before(std::string_view text, size_t at) {
  while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '$')) --at;
  size_t begin = at;
  while (begin > 0 && (std::isalpha(static_cast<unsigned char>(text[begin - 1])) || text[begin - 1] == '.')) --begin;
  return lower_ascii(text.substr(begin, at - begin));
}
std::string word_after(std::string_view text, size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '-')) ++at;
  size_t end = at;
  while (end < text.size() && (std::isalpha(static_cast<unsigned char>(text[end])) || text[end] == '.')) ++end;
  return lower_ascii(text.substr(at, end - at));
}
bool among(const std::string& word, std::string_view list) {
  return !word.empty() && list.find(" " + word + " ") != list.npos;
}

bool is_percent(std::string_view text, const Number& n) {
  return (n.end < text.size() && text[n.end] == '%') || among(word_after(text, n.end), " percent cent cents ");
}

// What a quantity of this kind cannot pass; 0: nothing.
int64_t limit_of(std::string_view question, const Number& n) {
  if (is_percent(question, n)) return 99;
  const std::string unit = word_after(question, n.end);
  if (among(unit, " minute minutes second seconds ") && n.value < Rational{60, 1}) return 59;
  if (among(unit, " hour hours hr hrs ") && n.value < Rational{24, 1}) return 23;
  if (among(unit, " year years ") && n.value < Rational{100, 1}) return 99;
  if (among(unit, " day days ") && n.value < Rational{30, 1}) return 28;
  if (among(unit, " week weeks ") && n.value < Rational{52, 1}) return 51;
  if (among(unit, " degree degrees ")) return 99;
  return 0;
}

// Dates, times, numbers of things, fractions, ranges.
bool is_name(std::string_view question, const Number& n) {
  const auto at = [&](size_t i) { return i < question.size() ? question[i] : ' '; };
  const char before = n.begin > 0 ? question[n.begin - 1] : ' ', after = at(n.end);
  if (n.glued || before == '/' || before == '-' || before == '+' || before == '*' || before == '=' || before == ':' || after == '/' ||
      after == ':' || after == '+' || after == '*' || after == '=')
    return true;
  if (after == ' ' && (at(n.end + 1) == '/' || at(n.end + 1) == ':' || at(n.end + 1) == '=')) return true;
  if (after == ' ' && is_digit(at(n.end + 1))) return true;  // 2 1/2
  if (n.begin >= 2 && before == ' ' && is_digit(question[n.begin - 2])) return true;
  if (after == '-' && is_digit(at(n.end + 1))) return true;
  if (uint8_t(after) >= 0x80 || uint8_t(before) >= 0x80) return true;  // another script, a currency, an en dash
  if (n.decimals == 0 && !n.commas && !n.dollar && n.value.numerator >= 1500 && n.value.numerator <= 2100) return true;
  const std::string prior = word_before(question, n.begin), next = word_after(question, n.end);
  if (among(prior,
            " no. number room route highway interstate grade chapter page pages level size version gate flight bus line apartment unit "
            "january february march "
            "april may june july august september october november december jan. feb. mar. apr. jun. jul. aug. sept. oct. nov. dec. figure "
            "table "
            "channel district ratio "))
    return true;
  if (among(next, " am pm a.m. a.m p.m. p.m o o'clock th st nd rd grade grader graders pm. am. percent-off gb mb mm : to ")) return true;
  if (among(next, " days day ") && n.value < Rational{8, 1}) return true;
  if (among(next, " months month ") && n.value < Rational{13, 1}) return true;
  // Hours of the clock.
  return n.value < Rational{13, 1} && !n.dollar && among(prior, " at from until till before after by between to since around ");
}

// 12 + 18 = 30, all of them given: none can change alone. Percents are related to the whole too.
bool is_related(const Problem& p, const Number& n) {
  std::vector<Rational> others;
  for (const Number& o : p.asked)
    if (o.begin != n.begin) others.push_back(o.value);
  if (is_percent(p.question, n)) others.push_back({100, 1});
  const auto given = [&](const MaybeRational& v) { return v && std::ranges::find(others, *v) != others.end(); };
  for (const Rational& o : others) {
    if (o.numerator == 0) continue;
    if (given(n.value + o) || given(n.value - o) || given(o - n.value)) return true;
    if (o == Rational{1, 1}) continue;
    if (given(n.value * o) || given(n.value / o) || given(o / n.value)) return true;
  }
  return false;
}

// A fraction of a quantity by another name: 25% as .25, 50 cents as .5.
MaybeRational hundredth(const Rational& v) {
  return v / Rational{100, 1};
}

bool may_change(const Problem& p, const Number& n) {
  const Rational least = n.decimals == 0 ? Rational{5, 1} : Rational{1, 1};
  if (n.value < least || Rational{1'000'000'000, 1} < n.value || n.decimals > 2 || is_name(p.question, n)) return false;
  if (is_percent(p.question, n) && !(n.value < Rational{100, 1})) return false;
  if (std::ranges::find(p.constants, n.value) != p.constants.end()) return false;
  const auto same = [&](const Number& o) { return o.value == n.value; };
  if (std::ranges::count_if(p.asked, same) != 1 || is_related(p, n)) return false;
  for (const Step& s : p.steps)
    for (const Number& o : s.operands)
      if (o.value == n.value || (is_percent(p.question, n) && o.value == hundredth(n.value))) return true;
  return false;
}

// ---- another draw

struct Source {
  Rational before, after;
};

// What a number becomes: all its sources must agree. None: it has no source.
MaybeRational becomes(const std::vector<Source>& sources, const Rational& value) {
  MaybeRational out;
  for (const Source& s : sources) {
    if (s.before != value) continue;
    if (out && *out != s.after) return std::nullopt;
    out = s.after;
  }
  return out;
}

Rational drawn(const Number& n, Rng& rng) {
  int64_t scale = 1;
  for (int i = 0; i < n.decimals; ++i) scale *= 10;
  const int64_t v = n.value.numerator * (scale / n.value.denominator);
  // Round numbers stay round, mostly.
  int64_t step = 1;
  for (const int64_t s : {int64_t{1000}, int64_t{500}, int64_t{100}, int64_t{50}, int64_t{10}, int64_t{5}})
    if (v % s == 0 && v / s >= 4 && step == 1) step = s;
  if (step > 1 && rng.below(4) == 0) step = v >= 1000 ? std::max<int64_t>(1, step / 10) : 1;
  const int64_t u = v / step, low = std::max<int64_t>(1, u - std::max<int64_t>(2, u * 2 / 5)), high = u + std::max<int64_t>(3, u * 3 / 5);
  return *make_rational(rng.between(low, high) * step, scale);
}

// The texts' numbers with their new words, by place.
class Edits {
 public:
  bool set(const Number& n, const Rational& value) {
    if (value == n.value) return true;
    std::string text = written(value, n);
    if (text.empty()) return false;
    edits_.push_back({n.begin, n.end, std::move(text)});
    return true;
  }
  std::string on(std::string_view text) {
    std::ranges::sort(edits_, {}, &Edit::begin);
    std::string out;
    size_t at = 0;
    for (const Edit& e : edits_) {
      out += text.substr(at, e.begin - at);
      mend_article(out, text.substr(e.begin, e.end - e.begin), e.text);
      out += e.text;
      at = e.end;
    }
    return out += text.substr(at);
  }

 private:
  struct Edit {
    size_t begin, end;
    std::string text;
  };
  // eight, eleven, eighteen, eighty and what begins with them.
  static bool begins_with_vowel(std::string_view number) {
    const std::string digits(number.substr(0, number.find('.')));
    if (digits.starts_with('8')) return true;
    size_t n = 0;
    for (const char c : digits) n += is_digit(c);
    return (digits.starts_with("11") || digits.starts_with("18")) && n % 3 == 2;
  }
  static void mend_article(std::string& out, std::string_view before, std::string_view after) {
    const bool was = begins_with_vowel(before), is = begins_with_vowel(after);
    size_t end = out.size();
    if (end > 0 && out[end - 1] == '$') --end;
    const auto ends_in = [&](std::string_view article) {
      const std::string_view head = std::string_view(out).substr(0, end);
      return head.size() >= article.size() && lower_ascii(head.substr(head.size() - article.size())) == article &&
             (head.size() == article.size() || !is_letter(head[head.size() - article.size() - 1]));
    };
    if (was == is) return;
    if (is && ends_in("a ")) out.insert(end - 1, 1, 'n');
    if (!is && ends_in("an ")) out.erase(end - 2, 1);
  }
  std::vector<Edit> edits_;
};

bool same_order(const std::vector<Source>& all) {
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if ((all[i].before < all[k].before) != (all[i].after < all[k].after) ||
          (all[i].before == all[k].before) != (all[i].after == all[k].after))
        return false;
  return true;
}

// The row with asked[i] becoming values[i]; nothing if some rule does not hold then.
std::optional<NumbersChange> changed(const Problem& p, const std::vector<Rational>& values) {
  std::vector<Source> sources, ordered = {{{0, 1}, {0, 1}}, {{1, 1}, {1, 1}}};
  for (const Rational& c : p.constants) sources.push_back({c, c});
  Edits question, answer;
  NumbersChange out;
  for (size_t i = 0; i < p.asked.size(); ++i) {
    const Number& n = p.asked[i];
    const int64_t limit = limit_of(p.question, n);
    if (values[i] != n.value && limit > 0 && Rational{limit, 1} < values[i]) return std::nullopt;
    if (!question.set(n, values[i])) return std::nullopt;
    if (values[i] != n.value) out.changes.emplace_back(p.question.substr(n.begin, n.end - n.begin), written(values[i], n));
    ordered.push_back({n.value, values[i]});
    sources.push_back(ordered.back());
    if (is_percent(p.question, n)) sources.push_back({*hundredth(n.value), *hundredth(values[i])});
  }
  const auto carry = [&](const Number& n) {
    const MaybeRational v = becomes(sources, n.value);
    return v && answer.set(n, *v);
  };
  for (const Step& s : p.steps) {
    Edits expression;
    for (const Number& n : s.operands) {
      const MaybeRational v = becomes(sources, n.value);
      Number moved = n;
      moved.begin -= s.begin + 2;
      moved.end -= s.begin + 2;
      if (!v || !expression.set(moved, *v) || !answer.set(n, *v)) return std::nullopt;
    }
    const MaybeRational result = value_of(expression.on(p.answer.substr(s.begin + 2, s.equals - s.begin - 2)));
    if (!result || *result < Rational{} || (s.result.value.is_integer() && !result->is_integer())) return std::nullopt;
    if (!answer.set(s.result, *result)) return std::nullopt;
    ordered.push_back({s.result.value, *result});
    sources.push_back(ordered.back());
  }
  if (!same_order(ordered)) return std::nullopt;
  for (const Number& n : p.prose)
    if (!carry(n)) return std::nullopt;
  if (!answer.set(p.label, ordered.back().after)) return std::nullopt;
  out.question = question.on(p.question);
  out.answer = answer.on(p.answer);
  return out;
}

// The row's own rules once more, from its text alone.
bool stands(const NumbersChange& row, size_t steps) {
  const auto p = read_problem(row.question, row.answer);
  if (!p || p->steps.size() != steps || !equations_hold(row.answer)) return false;
  std::vector<Rational> as_it_is;
  for (const Number& n : p->asked) as_it_is.push_back(n.value);
  return changed(*p, as_it_is).has_value();
}

}  // namespace

std::optional<NumbersChange> change_numbers(std::string_view question, std::string_view answer, int64_t most, Rng& rng) {
  const auto p = read_problem(question, answer);
  if (!p || !equations_hold(answer)) return std::nullopt;
  std::vector<Rational> values;
  std::vector<size_t> free;
  for (size_t i = 0; i < p->asked.size(); ++i) {
    values.push_back(p->asked[i].value);
    if (may_change(*p, p->asked[i])) free.push_back(i);
  }
  if (free.empty() || !changed(*p, values)) return std::nullopt;
  constexpr int kTries = 40;
  for (size_t n = std::min(free.size(), size_t(std::max<int64_t>(1, most))); n > 0; --n)
    for (int attempt = 0; attempt < kTries; ++attempt) {
      rng.shuffle(free);
      std::vector<Rational> other = values;
      bool all = true;
      for (size_t k = 0; k < n; ++k) {
        other[free[k]] = drawn(p->asked[free[k]], rng);
        all &= other[free[k]] != values[free[k]];
      }
      if (!all) continue;
      auto out = changed(*p, other);
      if (out && stands(*out, p->steps.size())) return out;
    }
  return std::nullopt;
}

}  // namespace r1::corpus
