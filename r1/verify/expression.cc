#include "r1/verify/expression.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "r1/verify/lexer.h"
#include "r1/verify/units.h"

namespace r1::verify {
namespace {

const std::unordered_set<std::string_view> kFunctions = {"sin",    "cos",  "tan",    "cot",    "sec",    "csc",     "arcsin",  "arccos",
                                                         "arctan", "asin", "acos",   "atan",   "sinh",   "cosh",    "tanh",    "ln",
                                                         "log",    "exp",  "abs",    "min",    "max",    "gcd",     "lcm",     "floor",
                                                         "ceil",   "cbrt", "arccot", "arcsec", "arccsc", "arcsinh", "arccosh", "arctanh"};
const std::unordered_set<std::string_view> kTrigonometric = {"sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh"};
// Signs of calculus: an opaque factor, with its limits.
const std::unordered_set<std::string_view> kOpaque = {"sum",    "prod",   "int",     "lim",   "iint", "oint",
                                                      "bigcup", "bigcap", "partial", "nabla", "Delta"};
// Relations and quantifiers that stand between or before things: no factors, so that order counts.
const std::unordered_set<std::string_view> kUnreadSigns = {
    "subset", "supset", "subseteq", "supseteq", "subsetneq",  "supsetneq", "notin",   "ni",   "parallel",       "perp",
    "sim",    "cong",   "prec",     "succ",     "Rightarrow", "Leftarrow", "implies", "iff",  "Leftrightarrow", "leftrightarrow",
    "mapsto", "models", "vdash",    "nmid",     "forall",     "exists",    "neg",     "lnot", "oplus",          "otimes"};
const std::unordered_set<std::string_view> kEnvironments = {"pmatrix", "bmatrix", "Bmatrix", "vmatrix", "matrix", "smallmatrix", "array"};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// 0.1(6) = (16 - 1) / 90: digits with the repeated ones once, less those without, over nines and zeros.
mpq_class repeating(std::string_view text) {
  const size_t point = text.find('.'), open = text.find('('), close = text.find(')');
  const std::string head = std::string(text.substr(0, point)) + std::string(text.substr(point + 1, open - point - 1));
  const std::string again(text.substr(open + 1, close - open - 1));
  mpz_class nines, zeros;
  mpz_ui_pow_ui(nines.get_mpz_t(), 10, again.size());
  mpz_ui_pow_ui(zeros.get_mpz_t(), 10, open - point - 1);
  const mpz_class with(head + again, 10), without(head.empty() ? "0" : head, 10);
  mpq_class value(with - without, (nines - 1) * zeros);
  value.canonicalize();
  return value;
}

mpq_class literal(std::string_view text, int& decimals) {
  if (text.find('(') != text.npos) return decimals = -1, repeating(text);
  std::string digits;
  long exponent = 0;
  decimals = -1;
  size_t i = 0;
  for (; i < text.size() && text[i] != 'e'; ++i) {
    if (text[i] == '.') {
      decimals = 0;
      continue;
    }
    digits += text[i];
    if (decimals >= 0) ++decimals;
  }
  if (i < text.size()) {
    if (text.size() - i > kMaxExponentDigits + 2) throw ParseError("an exponent of more than four digits");
    exponent = std::stol(std::string(text.substr(i + 1)));
  }
  mpz_class n(digits.empty() ? "0" : digits, 10);
  const long shift = exponent - std::max(decimals, 0);
  mpz_class power;
  mpz_ui_pow_ui(power.get_mpz_t(), 10, static_cast<unsigned long>(std::labs(shift)));
  mpq_class value = shift >= 0 ? mpq_class(n * power) : mpq_class(n, power);
  value.canonicalize();
  if (decimals >= 0) decimals = int(std::max(0L, -shift));
  return value;
}

// The significant digits of a literal with a point, and the power of ten of its last one; 0 digits without a point.
void note_precision(std::string_view text, Node& node) {
  const size_t e = std::min(text.find('e'), text.size()), point = text.find('.');
  if (point >= e || text.find('(') != text.npos) return;
  const std::string_view mantissa = text.substr(0, e);
  const size_t first = mantissa.find_first_of("123456789");
  node.digits = first == mantissa.npos ? 0 : int(mantissa.size() - first - (first < point));
  node.place = -int(mantissa.size() - point - 1);
  if (e < text.size()) node.place += int(std::strtol(std::string(text.substr(e + 1)).c_str(), nullptr, 10));
}

class Parser {
 public:
  // `typeset`: the text is LaTeX between its marks, where plain braces group and show nothing; elsewhere {1, 3} is a set.
  Parser(std::vector<Token> tokens, bool typeset) : t_(std::move(tokens)), typeset_(typeset) {}

  Node whole() {
    Node node = list(false);
    while (accept(".")) continue;
    if (cur().kind != TokenKind::kEnd) error("unexpected '" + cur().text + "'");
    return node;
  }

 private:
  const Token& cur(size_t ahead = 0) const { return t_[std::min(at_ + ahead, t_.size() - 1)]; }
  bool sign(std::string_view text, size_t ahead = 0) const { return cur(ahead).kind == TokenKind::kSign && cur(ahead).text == text; }
  bool command(std::string_view text) const { return cur().kind == TokenKind::kCommand && cur().text == text; }
  bool accept(std::string_view text) {
    if (!sign(text)) return false;
    ++at_;
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) error("expected '" + std::string(text) + "' before '" + cur().text + "'");
  }
  [[noreturn]] static void error(const std::string& why) { throw ParseError(why); }

  struct Deeper {
    explicit Deeper(Parser& p) : p(p) {
      if (++p.depth_ > kMaxDepth) error("nested more than " + std::to_string(kMaxDepth) + " deep");
    }
    ~Deeper() { --p.depth_; }
    Parser& p;
  };

  bool ends_element() const {
    return cur().kind == TokenKind::kEnd || sign(")") || sign("]") || sign("}") || sign(".}") || sign(",") || sign(";") || sign("and") ||
           sign("or") || sign("land") || sign("lor") || sign("&") || sign("\\\\") || (sign(".") && cur(1).kind == TokenKind::kEnd);
  }
  // Signs and words between members. `word`: "and", "or", or "mixed" if both have been seen.
  bool separator(std::string* word = nullptr) {
    bool any = false;
    for (; sign(",") || sign(";") || sign("and") || sign("or") || sign("land") || sign("lor"); ++at_, any = true) {
      if (sign("land") || sign("lor")) {
        t_[at_].text = t_[at_].text.substr(1);
        logic_ = true;
      }
      if (word && (sign("and") || sign("or"))) *word = word->empty() || *word == cur().text ? cur().text : "mixed";
    }
    return any;
  }

  // a, b and c; groups of commas between semicolons become tuples. `inside` brackets both separate alike.
  Node list(bool inside) {
    Deeper deeper(*this);
    std::vector<Node> elements, groups;
    std::string word;
    const auto close = [&] {
      if (elements.empty()) return;
      groups.push_back(elements.size() == 1 ? elements[0] : call_node(Kind::kTuple, elements, "()"));
      elements.clear();
    };
    separator();
    while (!ends_element()) {
      elements.push_back(relation());
      if (sign(";") && !inside) {
        ++at_;
        close();
        while (sign(";") || sign(",")) ++at_;
        continue;
      }
      if (!separator(&word)) break;
    }
    if (!groups.empty()) {
      close();
      return groups.size() == 1 ? groups[0] : call_node(Kind::kList, groups);
    }
    if (elements.empty()) error("nothing there");
    if (elements.size() == 1) return elements[0];
    const bool relations = std::any_of(elements.begin(), elements.end(), [](const Node& n) { return n.kind == Kind::kRelation; });
    if (logic_ && !relations) error("a formula of logic");
    return call_node(Kind::kList, std::move(elements), relations || word == "or" ? word : "");
  }

  Node relation() {
    skip_name();
    Node first = chain_member();
    if (!relation_sign()) return first;
    bool congruence = false;
    Node node = call_node(Kind::kRelation, {std::move(first)});
    while (relation_sign()) {
      congruence |= sign("===");
      node.ops.push_back(relation_name());
      if (node.ops.back() == "=" && ends_element()) {  // "x ="
        node.ops.pop_back();
        break;
      }
      node.kids.push_back(chain_member());
    }
    Node& last = node.kids.back();
    const bool minus = last.kind == Kind::kMul && last.kids.size() == 2 && last.kids[0].kind == Kind::kNumber && last.kids[0].value == -1;
    Node& modulus = minus ? last.kids[1] : last;
    if (congruence && modulus.kind == Kind::kFunction && modulus.name == "mod") {  // -12 \\bmod 15
      modulus.name = "congruent";
      if (minus) modulus.kids[0] = negative(std::move(modulus.kids[0])), last = Node(std::move(modulus));
    }
    return node.ops.empty() ? node.kids[0] : node;
  }
  // "Area =", "\\text{speed} =": a name in words says nothing that the value does not.
  void skip_name() {
    size_t words = 0;
    for (; words < 6 && (cur(words).kind == TokenKind::kText || cur(words).kind == TokenKind::kWord); ++words) {
      const std::string word = lower(cur(words).text);
      if (word == "not" || word == "no" || word == "never") return;
    }
    if (!words || !sign("=", words)) return;
    at_ += words + 1;
    while (sign("&")) ++at_;
  }
  bool relation_sign() const {
    return cur().kind == TokenKind::kSign &&
           (cur().text == "=" || cur().text == "!=" || cur().text == "<" || cur().text == "<=" || cur().text == ">" || cur().text == ">=" ||
            cur().text == "~" || cur().text == "in" || cur().text == "->" || cur().text == "===");
  }
  std::string relation_name() {
    std::string name = cur().text;
    ++at_;
    if (name == "===") name = "=";
    if ((name == "<" || name == ">") && accept("=")) name += '=';
    while (sign("&") && name == "=") ++at_;
    return name;
  }

  Node chain_member() {
    Node left = ratio();
    for (;;) {
      Kind kind;
      if (accept("cup"))
        kind = Kind::kUnion;
      else if (accept("cap"))
        kind = Kind::kIntersection;
      else if (accept("setminus"))
        kind = Kind::kDifference;
      else
        return left;
      Node right = ratio();
      for (Node* side : {&left, &right})
        if (side->kind == Kind::kList) *side = as_set(std::move(*side));  // {1, 3} \\cup {2}
      if (left.kind == kind && kind != Kind::kDifference)
        left.kids.push_back(std::move(right));
      else if (++depth_ > kMaxDepth)
        error("nested more than " + std::to_string(kMaxDepth) + " deep");
      else
        left = call_node(kind, {std::move(left), std::move(right)});
    }
  }
  Node ratio() {
    Node left = additive();
    if (!sign(":")) return left;
    Node node = call_node(Kind::kRatio, {std::move(left)});
    while (accept(":")) node.kids.push_back(additive());
    return node;
  }

  Node additive() {
    std::vector<Node> terms;
    bool first = true;
    for (;;) {
      std::string how = "+";
      bool any = false;
      while (sign("+") || sign("-") || sign("+-") || sign("-+")) {
        const std::string s = cur().text;
        ++at_;
        any = true;
        if (s == "+") continue;
        how = s == "-" ? (how == "+" ? "-" : how == "-" ? "+" : how) : s;
      }
      if (!first && !any) break;
      if (!first && any && ends_element()) error("a sum that ends in its sign");
      Node term = product();
      if (how == "-") term = negative(std::move(term));
      if (how == "+-" || how == "-+") term = call_node(Kind::kPlusMinus, {std::move(term)}, how);
      terms.push_back(std::move(term));
      first = false;
    }
    Node sum = terms.size() == 1 ? std::move(terms[0]) : call_node(Kind::kAdd, std::move(terms));
    while (command("pmod") || command("mod") || bracketed_modulus()) sum = modulus(std::move(sum));  // of the whole: -12 (mod 15)
    return sum;
  }
  static Node negative(Node node) {
    if (node.kind == Kind::kNumber && !node.base) {
      node.value = -node.value;
      return node;
    }
    // a unit or percent sign stays outside
    if (node.kind == Kind::kUnit || node.kind == Kind::kPercent || node.kind == Kind::kDegrees) {
      node.kids[0] = negative(std::move(node.kids[0]));
      return node;
    }
    return call_node(Kind::kMul, {number_node(-1), std::move(node)});
  }

  bool starts_factor() const {
    const Token& t = cur();
    switch (t.kind) {
      case TokenKind::kNumber:
        return true;
      case TokenKind::kLetter:
        return true;
      case TokenKind::kCommand:
        return t.text != "end" && t.text != "over" && t.text != "choose" && t.text != "pmod" && t.text != "bmod" && t.text != "mod";
      case TokenKind::kText:
        return false;
      case TokenKind::kSign:
        return (t.text == "(" && !bracketed_modulus()) || t.text == "[" || t.text == "{" || t.text == "{." ||
               ((t.text == "|" || t.text == "||") && !in_bars_) || t.text == "floor(" || t.text == "ceil(";
      default:
        return false;
    }
  }

  Node product() {
    std::vector<Node> factors;
    factors.push_back(power());
    for (;;) {
      if (sign("*") || sign("/")) {
        const bool divide = sign("/");
        ++at_;
        bool minus = false;
        while (sign("-") || sign("+")) minus ^= sign("-"), ++at_;
        Node f = power();
        if (minus) f = negative(std::move(f));
        if (divide && factors.size() == 1 && factors[0].kind == Kind::kNumber && f.kind == Kind::kNumber && f.value == 0)
          error("division by zero");
        factors.push_back(divide ? call_node(Kind::kPow, {std::move(f), number_node(-1)}) : std::move(f));
        continue;
      }
      if (!starts_factor()) break;
      if (cur().kind == TokenKind::kNumber && factors.back().kind == Kind::kNumber) {
        if (!plain_mixed(factors.back())) error("two numbers side by side");
        continue;
      }
      if (cur().kind == TokenKind::kNumber && factors.back().kind == Kind::kUnit) {
        if (!smaller_part(factors.back())) error("a number after a unit");
        continue;
      }
      if (command("frac") && factors.size() == 1 && bare_ && latex_mixed(factors.back())) continue;
      factors.push_back(power());
    }
    if (factors.size() == 1) return std::move(factors[0]);
    return of_the_whole(std::move(factors));
  }
  // 5 ft 6 in: what follows is added in the first unit, if both measure the same.
  bool smaller_part(Node& whole) {
    const Node part = power();
    if (part.kind != Kind::kUnit) return false;
    const std::vector<Unit> first = unit_meanings(whole.name), second = unit_meanings(part.name);
    if (first.size() != 1 || second.size() != 1 || first[0].dimension.empty() || first[0].dimension != second[0].dimension ||
        first[0].offset != 0 || second[0].offset != 0 || second[0].factor >= first[0].factor)
      return false;
    const mpq_class share = second[0].factor / first[0].factor;
    whole.kids[0] = call_node(Kind::kAdd, {whole.kids[0], call_node(Kind::kMul, {number_node(share), part.kids[0]})});
    return true;
  }
  // A unit after the last factor belongs to the product: 2\sqrt3 cm, 1/2 m; so does the percent or degree sign of a plain fraction: 1/2 %.
  static Node of_the_whole(std::vector<Node> factors) {
    Node& last = factors.back();
    const bool below = last.kind == Kind::kPow && last.kids[1].kind == Kind::kNumber && last.kids[1].value == -1;
    Node& holder = below ? last.kids[0] : last;
    const auto plain = [](const Node& n) { return n.kind != Kind::kUnit && !(n.kind == Kind::kPow && n.kids[0].kind == Kind::kUnit); };
    const bool unit = holder.kind == Kind::kUnit && std::all_of(factors.begin(), factors.end() - 1, plain);
    const bool sign = (holder.kind == Kind::kPercent || holder.kind == Kind::kDegrees) && below && factors.size() == 2 &&
                      integer(factors[0]) && integer(holder.kids[0]);
    if (!unit && !sign) return call_node(Kind::kMul, std::move(factors));
    const Kind kind = holder.kind;
    const std::string name = holder.name;
    Node inside = std::move(holder.kids[0]);
    holder = std::move(inside);
    return call_node(kind, {call_node(Kind::kMul, std::move(factors))}, name);
  }
  static bool integer(const Node& n) { return n.kind == Kind::kNumber && n.decimals < 0 && !n.base && n.value.get_den() == 1; }
  // 3\frac12 and 3\frac{1}{2}: a mixed number. Looks at the tokens only.
  bool latex_mixed(Node& whole) {
    if (!integer(whole)) return false;
    size_t ahead = 1;
    std::string parts[2];
    for (int i = 0; i < 2; ++i) {
      if (cur(ahead).kind == TokenKind::kNumber) {
        if (i == 0 && cur(ahead).text.size() == 2) {
          parts[0] = cur(ahead).text.substr(0, 1), parts[1] = cur(ahead).text.substr(1);
          ++ahead;
          break;
        }
        if (cur(ahead).text.size() != 1) return false;
        parts[i] = cur(ahead++).text;
      } else if (sign("{", ahead) && cur(ahead + 1).kind == TokenKind::kNumber && sign("}", ahead + 2)) {
        parts[i] = cur(ahead + 1).text;
        ahead += 3;
      } else {
        return false;
      }
    }
    int d1, d2;
    const mpq_class a = literal(parts[0], d1), b = literal(parts[1], d2);
    if (d1 >= 0 || d2 >= 0 || a <= 0 || a >= b) return false;
    at_ += ahead;
    whole = number_node(whole.value >= 0 ? mpq_class(whole.value + a / b) : mpq_class(whole.value - a / b));
    return true;
  }
  // "3 1/2"
  bool plain_mixed(Node& whole) {
    if (!integer(whole) || !sign("/", 1) || cur(2).kind != TokenKind::kNumber) return false;
    int d1, d2;
    const mpq_class a = literal(cur().text, d1), b = literal(cur(2).text, d2);
    if (d1 >= 0 || d2 >= 0 || b == 0 || a >= b) return false;
    at_ += 3;
    whole = number_node(whole.value + a / b);
    return true;
  }

  // base, then any of ^ _ ! % ' degrees units
  Node power() {
    Node node = base();
    for (int postfixes = 0;; ++postfixes) {
      if (postfixes > 20) error("more than 20 powers, factorials and signs on one thing");
      if (sign("^")) {
        ++at_;
        if (accept("deg")) {
          node = degrees(std::move(node));
          continue;
        }
        if (sign("{") && sign("deg", 1) && sign("}", 2)) {
          at_ += 3;
          node = degrees(std::move(node));
          continue;
        }
        if (sign("'") || command("prime")) continue;
        node = call_node(Kind::kPow, {std::move(node), script()});
      } else if (sign("_") && node.kind == Kind::kNumber) {
        ++at_;
        node = in_base(std::move(node), script());
      } else if (accept("!")) {
        node = call_node(Kind::kFunction, {std::move(node)}, "factorial");
      } else if (accept("%")) {
        node = call_node(Kind::kPercent, {std::move(node)});
      } else if (accept("deg")) {
        node = degrees(std::move(node));
      } else if (accept("'") || command("prime")) {
        if (command("prime")) ++at_;
        if (node.kind == Kind::kSymbol) node.name += '\'';
        if (node.kind == Kind::kNumber) node = with_unit(std::move(node), "prime");  // 60': minutes, feet
      } else if (cur().kind == TokenKind::kText) {
        node = unit(std::move(node));
      } else if (command("frac") && sign("{", 1) && cur(2).kind == TokenKind::kText && sign("}", 3) && sign("{", 4) &&
                 cur(5).kind == TokenKind::kText && sign("}", 6)) {  // \\frac{\\text{km}}{\\text{h}}
        const std::string name = cur(2).text + "/" + cur(5).text;
        at_ += 7;
        refuse_qualifier(name);
        node = with_unit(std::move(node), name);
      } else if (command("bmod")) {
        node = modulus(std::move(node));
      } else {
        return node;
      }
    }
  }
  // 20 degrees C: a temperature.
  Node degrees(Node node) {
    const std::string scale =
        cur().kind == TokenKind::kLetter || cur().kind == TokenKind::kText || cur().kind == TokenKind::kWord ? lower(cur().text) : "";
    if (scale == "c" || scale == "celsius" || scale == "f" || scale == "fahrenheit") {
      ++at_;
      return call_node(Kind::kUnit, {std::move(node)}, scale[0] == 'c' ? "degC" : "degF");
    }
    return call_node(Kind::kDegrees, {std::move(node)});
  }
  bool bracketed_modulus() const {
    return sign("(") && cur(1).kind == TokenKind::kCommand && (cur(1).text == "mod" || cur(1).text == "bmod");
  }
  // 3 (mod 7) is a class of numbers; 17 \\bmod 5 is a number.
  Node modulus(Node node) {
    const bool number = command("bmod");
    Node by;
    if (bracketed_modulus()) {
      at_ += 2;
      by = additive();
      expect(")");
    } else {
      const bool argument_follows = command("pmod");
      ++at_;
      if (!starts_factor()) return node;
      by = argument_follows ? argument() : power();
    }
    return call_node(Kind::kFunction, {std::move(node), std::move(by)}, number ? "mod" : "congruent");
  }
  Node unit(Node node) {
    std::string name = t_[at_++].text;
    const auto unit_letter = [this](size_t ahead) { return cur(ahead).kind == TokenKind::kLetter && known_unit(cur(ahead).text); };
    const auto words = [this](size_t ahead) {
      return cur(ahead).kind == TokenKind::kText || (cur(ahead).kind == TokenKind::kWord && !prose_word(lower(cur(ahead).text)));
    };
    for (;;) {  // cm^2, km/h, square meters
      if (sign("^")) {
        ++at_;
        const Node p = script();
        name += '^';
        name += p.kind == Kind::kNumber ? p.value.get_str() : "?";
      } else if (sign("/") && (words(1) || cur(1).kind == TokenKind::kLetter)) {
        name += '/' + cur(1).text;
        at_ += 2;
      } else if (words(0) || unit_letter(0)) {
        name += ' ' + t_[at_++].text;
      } else if (sign("*") && (words(1) || unit_letter(1))) {
        ++at_;
      } else {
        break;
      }
    }
    refuse_qualifier(name);
    const std::string small = lower(name.substr(std::min(name.find_first_not_of(' '), name.size())));
    if (small == "%" || small == "percent" || small == "pct" || small == "percentage") return call_node(Kind::kPercent, {std::move(node)});
    if (small == "degrees" || small == "degree" || small == "deg") return call_node(Kind::kDegrees, {std::move(node)});
    for (const char* scale : {"celsius", "fahrenheit", "c", "f"})
      for (const char* degrees : {"degrees ", "degree ", "deg "})
        if (small == std::string(degrees) + scale) name = scale[0] == 'c' ? "degC" : "degF";
    if (small.empty()) return node;
    return with_unit(std::move(node), name);
  }
  // "not 5", "5 or more": words that change what the number beside them says.
  static void refuse_qualifier(const std::string& text) {
    static const std::unordered_set<std::string_view> kQualifiers = {
        "not",     "no",     "never", "less",    "more",    "greater", "fewer",      "than",       "except",  "excluding", "either",
        "neither", "least",  "most",  "between", "or",      "nor",     "isn't",      "wrong",      "false",   "incorrect", "unless",
        "without", "cannot", "non",   "larger",  "smaller", "below",   "above",      "beyond",     "instead", "when",      "where",
        "if",      "for",    "on",    "at",      "as",      "while",   "increasing", "decreasing", "is",      "are",       "has",
        "does",    "be",     "every", "any",     "only",    "some",    "whenever"};
    const std::string small = lower(text);
    for (size_t i = 0; i < small.size();) {
      size_t end = i;
      while (end < small.size() && (std::isalpha(static_cast<unsigned char>(small[end])) || small[end] == '\'')) ++end;
      if (kQualifiers.count(std::string_view(small).substr(i, end - i))) error("'" + text + "' beside a value");
      i = std::max(end, i + 1);
    }
  }
  // "the answer is": a verb at the end leads to the value.
  static std::string without_verb(const std::string& text) {
    std::string s = text;
    while (!s.empty() && (s.back() == ' ' || s.back() == ':')) s.pop_back();
    for (std::string_view verb : {" is", " are", " equals"})
      if (s.ends_with(verb)) return s.substr(0, s.size() - verb.size());
    return text;
  }
  static Node with_unit(Node node, std::string name) {
    if (node.kind != Kind::kUnit) return call_node(Kind::kUnit, {std::move(node)}, std::move(name));
    node.name += ' ' + name;
    return node;
  }

  static Node in_base(Node number, const Node& base) {
    if (base.kind != Kind::kNumber || base.value.get_den() != 1 || base.value < 2 || base.value > 36 || number.decimals >= 0)
      error("an index on a number that is no base");
    const std::string digits = number.value.get_str();
    number.base = int(base.value.get_num().get_si());
    mpz_class value;
    if (digits.find_first_of("/-") != std::string::npos || value.set_str(digits, number.base) != 0) error("a digit beyond its base");
    number.value = value;
    number.name = digits;
    return number;
  }

  // What stands after ^ or _: a group or one token.
  Node script() {
    Deeper deeper(*this);
    if (accept("{")) {
      if (accept("}")) return symbol_node("");
      const bool bare = std::exchange(bare_, false);
      Node node = list(true);
      bare_ = bare;
      expect("}");
      return node;
    }
    if (accept("-")) return negative(script());
    if (accept("+") || accept("*")) return symbol_node("*");
    if (cur().kind == TokenKind::kNumber && at_ > 0 && cur().text.size() > 1 && latex_digit_) return number();
    if (cur().kind == TokenKind::kText) return symbol_node(t_[at_++].text);
    return base();
  }

  Node number() {
    Node node;
    node.value = literal(cur().text, node.decimals);
    note_precision(cur().text, node);
    ++at_;
    return node;
  }

  // One digit of a number token: \frac12, \sqrt3.
  Node one_digit() {
    Token& t = t_[at_];
    if (t.kind != TokenKind::kNumber) return base();
    if (t.text.size() == 1 || t.text.find('.') != std::string::npos) return number();
    Node node = number_node(t.text[0] - '0');
    t.text.erase(0, 1);
    return node;
  }
  Node argument() {
    Deeper deeper(*this);
    if (accept("{")) {
      const bool bare = std::exchange(bare_, true);
      const bool bars = std::exchange(in_bars_, false);
      Node node = list(true);
      bare_ = bare, in_bars_ = bars;
      expect("}");
      return node;
    }
    return one_digit();
  }

  Node base() {
    Deeper deeper(*this);
    if (++nodes_ > int(kMaxTokens)) error("too many parts");
    const Token t = cur();
    switch (t.kind) {
      case TokenKind::kNumber:
        return number();
      case TokenKind::kLetter:
        ++at_;
        return symbol(t.text);
      case TokenKind::kCommand:
        ++at_;
        return named(t.text);
      case TokenKind::kSign:
        return bracketed(t.text);
      case TokenKind::kText:
        refuse_qualifier(without_verb(t.text));
        if (at_ + 1 < t_.size() && cur(1).kind != TokenKind::kEnd && starts_factor_at(1)) {
          ++at_;
          return base();
        }
        error("text '" + t.text + "'");
      case TokenKind::kCurrency: {
        ++at_;
        const bool minus = accept("-");
        Node amount = power();
        if (minus) amount = negative(std::move(amount));
        if (amount.kind != Kind::kUnit) return with_unit(std::move(amount), t.text);
        amount.name = t.text + ' ' + amount.name;  // $5 per hour
        return amount;
      }
      case TokenKind::kWord:
        error("word '" + t.text + "'");
      case TokenKind::kEnd:
        error("ends too early");
    }
    error("?");
  }
  bool starts_factor_at(size_t ahead) {
    at_ += ahead;
    const bool yes = starts_factor();
    at_ -= ahead;
    return yes;
  }

  Node symbol(std::string name) {
    if (name == "e" || name == "i") {
      if (!sign("_")) return symbol_node(name);
      name += "#";  // e_1 is no constant
    }
    if (accept("_")) name += "_" + index_text(script());
    while (accept("'")) name += '\'';
    // f(x): a call; x(x+1): a product
    static const std::string kCalled = "fghFGHPQW";
    if (kCalled.find(name[0]) == std::string::npos || !accept("(")) return symbol_node(name);
    Node arguments = list(true);
    expect(")");
    std::vector<Node> kids = arguments.kind == Kind::kList ? std::move(arguments.kids) : std::vector<Node>{std::move(arguments)};
    return call_node(Kind::kFunction, std::move(kids), "?" + name);
  }
  static std::string index_text(const Node& node) {
    return node.kind == Kind::kSymbol ? node.name : node.kind == Kind::kNumber ? node.value.get_str() : key_of(node);
  }

  Node named(const std::string& name) {
    if (name == "frac") {
      Node a = argument(), b = argument();
      return quotient(std::move(a), std::move(b));
    }
    if (name == "sqrt") return root();
    if (name == "cbrt") return call_node(Kind::kRoot, {argument(), number_node(3)});
    if (name == "binom") {
      Node a = argument(), b = argument();
      return call_node(Kind::kFunction, {std::move(a), std::move(b)}, "binomial");
    }
    if (name == "pi") return symbol_node("pi");
    if (name == "infty" || name == "inf" || name == "infinity" || name == "oo") return symbol_node("oo");
    if (name == "emptyset" || name == "varnothing") return call_node(Kind::kSet, {});
    if (name == "begin") return environment();
    if (name == "not") {
      if (accept("=")) error("a stray \\not");
      return base();
    }
    if (kFunctions.count(name)) return function(name);
    if (kOpaque.count(name)) return opaque(name);
    if (name == "end" || name == "item" || name == "cline") error("\\" + name + " out of place");
    if (kUnreadSigns.count(name)) error("\\" + name + " is compared as text");
    return symbol(name);
  }

  Node root() {
    Node degree = number_node(2);
    if (accept("[")) {
      degree = additive();
      expect("]");
    }
    const bool paren = sign("(");
    Node body = paren ? base() : argument();
    return call_node(Kind::kRoot, {std::move(body), std::move(degree)});
  }

  Node opaque(const std::string& name) {
    std::string text = "\\" + name;
    for (int i = 0; i < 2; ++i) {
      const bool down = sign("_");
      if (!down && !sign("^")) break;
      ++at_;
      text += down ? '_' : '^';
      text += key_of(script());
    }
    return symbol_node(text);
  }

  Node function(std::string name) {
    Node log_base;
    bool has_base = false, has_power = false;
    Node exponent;
    for (int i = 0; i < 2; ++i) {
      if (sign("_")) {
        ++at_;
        log_base = script();
        has_base = true;
      } else if (sign("^")) {
        ++at_;
        exponent = script();
        has_power = true;
      }
    }
    const bool inverse = has_power && exponent.kind == Kind::kNumber && exponent.value == -1;
    if (inverse && (kTrigonometric.count(name))) name = "arc" + name, has_power = false;
    if (name.size() == 4 && name[0] == 'a' && name != "acos" && name != "abs") name = "arc" + name.substr(1);
    if (name == "acos") name = "arccos";
    std::vector<Node> kids;
    if (sign("(")) {
      ++at_;
      Node inside = list(true);
      expect(")");
      kids = inside.kind == Kind::kList ? std::move(inside.kids) : std::vector<Node>{std::move(inside)};
    } else {
      kids.push_back(function_argument());
    }
    if (has_base) kids.push_back(std::move(log_base));
    Node node = call_node(Kind::kFunction, std::move(kids), name);
    return has_power ? call_node(Kind::kPow, {std::move(node), std::move(exponent)}) : node;
  }
  // sin 2x cos y: the factors up to the next function
  Node function_argument() {
    std::vector<Node> factors;
    if (accept("-")) factors.push_back(number_node(-1));
    if (sign("{")) return argument();
    do factors.push_back(power());
    while (starts_factor() && !sign("(") && !(cur().kind == TokenKind::kCommand && kFunctions.count(cur().text)));
    return factors.size() == 1 ? std::move(factors[0]) : call_node(Kind::kMul, std::move(factors));
  }

  Node bracketed(const std::string& open) {
    const bool bare = std::exchange(bare_, true);
    const bool bars = std::exchange(in_bars_, false);
    Node node = bracketed_inside(open);
    bare_ = bare, in_bars_ = bars;
    return node;
  }
  Node bracketed_inside(const std::string& open) {
    if (open == "(" || open == "[") return round_or_square(open);
    if (open == "{") {
      ++at_;
      if (accept("}")) {
        if (starts_factor()) return base();
        error("empty braces");
      }
      Node node = list(true);
      if (command("over") || command("choose")) return over(std::move(node));
      expect("}");
      if (node.kind == Kind::kList && !typeset_) node = as_set(std::move(node));
      return node;
    }
    if (open == "{.") return set();
    if (open == "|" || open == "||") {
      ++at_;
      in_bars_ = true;
      Node node = additive();
      if (open == "|" && sign("||"))  // |x||y|: one bar closes, the other opens
        t_[at_].text = "|";
      else
        expect(open);
      return call_node(Kind::kFunction, {std::move(node)}, "abs");
    }
    if (open == "floor(" || open == "ceil(") {
      ++at_;
      Node node = additive();
      const std::string name = open.substr(0, open.size() - 1);
      expect(name + ")");
      return call_node(Kind::kFunction, {std::move(node)}, name);
    }
    if (open == "...") {
      ++at_;
      return symbol_node("...");
    }
    if (open == "^" || open == "_" || open == "*" || open == "/" || open == "=") error("'" + open + "' without what goes before");
    error("unexpected '" + open + "'");
  }
  static Node as_set(Node list) {
    list.kind = Kind::kSet;
    list.name.clear();
    return list;
  }
  // {a \over b}, {n \choose k}
  Node over(Node above) {
    const bool fraction = command("over");
    ++at_;
    Node below = list(true);
    expect("}");
    if (fraction) return quotient(std::move(above), std::move(below));
    return call_node(Kind::kFunction, {std::move(above), std::move(below)}, "binomial");
  }
  static Node quotient(Node a, Node b) {
    if (b.kind == Kind::kNumber && b.value == 0) error("division by zero");
    return call_node(Kind::kMul, {std::move(a), call_node(Kind::kPow, {std::move(b), number_node(-1)})});
  }
  Node round_or_square(const std::string& open) {
    ++at_;
    if (sign(")") || sign("]")) error("empty brackets");
    Node inside = list(true);
    const std::string close = sign(")") ? ")" : "]";
    if (!sign(")") && !sign("]")) error("a bracket that isn't closed");
    ++at_;
    if (inside.kind != Kind::kList) {
      if (open == "(" && close == ")") return inside;
      if (open == "[" && close == "]") return inside;
      error("an interval with one end");
    }
    return call_node(Kind::kTuple, std::move(inside.kids), open + close);
  }
  Node set() {
    ++at_;
    if (accept(".}")) return call_node(Kind::kSet, {});
    if (cur().kind == TokenKind::kLetter && sign(":", 1)) {  // { x : 0 < x < 1 }
      at_ += 2;
      Node condition = list(true);
      expect(".}");
      return call_node(Kind::kBuilder, {std::move(condition)});
    }
    in_bars_ = true;  // the bar of a set builder is no absolute value
    Node inside = list(true);
    in_bars_ = false;
    if (accept("|") || accept(":")) {
      Node condition = list(true);
      expect(".}");
      return call_node(Kind::kBuilder, {std::move(condition)});
    }
    expect(".}");
    if (inside.kind != Kind::kList) return call_node(Kind::kSet, {std::move(inside)});
    return as_set(std::move(inside));
  }

  std::string braced_name() {
    expect("{");
    std::string name;
    while (!sign("}") && cur().kind != TokenKind::kEnd) name += t_[at_++].text;
    expect("}");
    return name;
  }
  Node environment() {
    const std::string name = braced_name();
    if (!kEnvironments.count(name)) {
      if (name == "cases" || name == "aligned" || name == "align*" || name == "align" || name == "gathered") return system(name);
      error("environment " + name);
    }
    if (name == "array" && sign("{")) braced_name();
    Node matrix = call_node(Kind::kMatrix, {}), row = call_node(Kind::kTuple, {}, "()");
    const auto end_row = [&] {
      if (!row.kids.empty()) matrix.kids.push_back(std::exchange(row, call_node(Kind::kTuple, {}, "()")));
    };
    while (!command("end")) {
      if (cur().kind == TokenKind::kEnd) error("a matrix without its end");
      if (accept("&")) continue;
      if (accept("\\\\")) {
        end_row();
        continue;
      }
      row.kids.push_back(relation());
    }
    end_row();
    ++at_;
    braced_name();
    if (matrix.kids.empty()) error("an empty matrix");
    for (const Node& r : matrix.kids)
      if (r.kids.size() != matrix.kids[0].kids.size()) error("a ragged matrix");
    return name == "vmatrix" ? determinant_of(matrix) : matrix;
  }
  // Expanded along the first row.
  static Node determinant(const std::vector<std::vector<Node>>& m) {
    if (m.size() == 1) return m[0][0];
    Node sum = call_node(Kind::kAdd, {});
    for (size_t j = 0; j < m.size(); ++j) {
      std::vector<std::vector<Node>> minor;
      for (size_t i = 1; i < m.size(); ++i) {
        minor.push_back(m[i]);
        minor.back().erase(minor.back().begin() + long(j));
      }
      sum.kids.push_back(call_node(Kind::kMul, {number_node(j % 2 ? -1 : 1), m[0][j], determinant(minor)}));
    }
    return sum;
  }
  static Node determinant_of(const Node& matrix) {
    std::vector<std::vector<Node>> rows;
    for (const Node& r : matrix.kids) rows.push_back(r.kids);
    if (rows.size() != rows[0].size()) error("a determinant that is not square");
    if (rows.size() > 5) error("a determinant of more than five rows");
    for (const auto& row : rows)
      for (const Node& cell : row)
        if (any_large(cell)) error("a determinant of large parts");
    return determinant(rows);
  }
  static bool any_large(const Node& n) {
    return n.kids.size() > 20 || std::any_of(n.kids.begin(), n.kids.end(), [](const Node& k) { return !k.kids.empty() && any_large(k); });
  }
  // a system of equations: its lines as a list
  Node system(const std::string& name) {
    Node lines = call_node(Kind::kList, {});
    while (!command("end")) {
      if (cur().kind == TokenKind::kEnd) error("an environment without its end");
      if (accept("&") || accept("\\\\") || separator()) continue;
      lines.kids.push_back(relation());
      if (name == "cases" && sign("&") && !sign("=", 1)) error("a definition by cases");
    }
    ++at_;
    braced_name();
    if (lines.kids.empty()) error("an empty environment");
    return lines.kids.size() == 1 ? lines.kids[0] : lines;
  }

  std::vector<Token> t_;
  size_t at_ = 0;
  int depth_ = 0, nodes_ = 0;
  bool bare_ = true, in_bars_ = false, latex_digit_ = true, typeset_ = false, logic_ = false;
};

}  // namespace

Node number_node(const mpq_class& value) {
  Node node;
  node.value = value;
  return node;
}
Node symbol_node(std::string name) {
  Node node;
  node.kind = Kind::kSymbol;
  node.name = std::move(name);
  return node;
}
Node call_node(Kind kind, std::vector<Node> kids, std::string name) {
  Node node;
  node.kind = kind;
  node.name = std::move(name);
  node.kids = std::move(kids);
  return node;
}

Node parse_expression(std::string_view text, Commas commas) {
  const bool typeset = text.find('$') != text.npos || text.find("\\(") != text.npos || text.find("\\[") != text.npos;
  return Parser(tokenize(text, commas), typeset).whole();
}

std::string key_of(const Node& node) {
  if (node.kind == Kind::kNumber) return node.value.get_str() + (node.base ? "b" + std::to_string(node.base) : "");
  if (node.kind == Kind::kSymbol) return node.name;
  std::vector<std::string> keys;
  for (const Node& kid : node.kids) keys.push_back(key_of(kid));
  if (node.kind == Kind::kAdd || node.kind == Kind::kMul || node.kind == Kind::kSet) std::sort(keys.begin(), keys.end());
  std::string out = std::to_string(int(node.kind)) + node.name + "[";
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i) out += i - 1 < node.ops.size() ? node.ops[i - 1] : ",";
    out += keys[i];
  }
  return out + "]";
}

}  // namespace r1::verify
