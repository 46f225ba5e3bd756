#include "r1/text/jinja_parser.h"

#include <algorithm>
#include <cstdlib>

#include "r1/base/error.h"
#include "r1/text/jinja_lexer.h"

namespace r1::text::jinja {
namespace {

// Trees come out no deeper than this, whatever the source: long chains (a + b + ..) nest to the left without recursion in the parser.
constexpr int kMaxTree = 300;

class Parser {
 public:
  Parser(std::string_view source, int max_depth) : tokens_(tokenize_template(source)), max_depth_(max_depth) {}

  Body parse() {
    Body body = statements({});
    if (!at(TokenKind::kEnd)) unexpected();
    return body;
  }

 private:
  using Words = std::vector<std::string_view>;

  struct Nest {
    explicit Nest(Parser& parser) : p(parser) {
      if (++p.depth_ > p.max_depth_) template_error(p.line(), str("nested deeper than ", p.max_depth_));
    }
    ~Nest() { --p.depth_; }
    Parser& p;
  };

  // ---- tokens ----
  const Token& now() const { return tokens_[at_]; }
  int line() const { return now().line; }
  bool at(TokenKind kind) const { return now().kind == kind; }
  bool is_op(std::string_view op) const { return at(TokenKind::kOperator) && now().text == op; }
  bool is_name(std::string_view name) const { return at(TokenKind::kName) && now().text == name; }
  bool take_op(std::string_view op) { return is_op(op) && (++at_, true); }
  bool take_name(std::string_view name) { return is_name(name) && (++at_, true); }
  Token next() { return at(TokenKind::kEnd) ? now() : tokens_[at_++]; }

  [[noreturn]] void unexpected() const {
    static const char* const names[] = {"text",   "begin of block", "end of block", "begin of print", "end of print",   "name",
                                        "string", "integer",        "float",        "operator",       "end of template"};
    template_error(line(), str("unexpected ", names[int(now().kind)], now().text.empty() ? "" : " '" + now().text.substr(0, 40) + "'"));
  }
  void expect_op(std::string_view op) {
    if (!take_op(op)) template_error(line(), str("expected '", op, "', got '", now().text.substr(0, 40), "'"));
  }
  std::string expect_name() {
    if (!at(TokenKind::kName)) unexpected();
    return next().text;
  }
  void expect_block_end() {
    if (!at(TokenKind::kBlockEnd)) unexpected();
    ++at_;
  }

  // ---- statements ----
  // Up to a block that begins with one of `ends`; stops at that name (its block begin is taken).
  Body statements(const Words& ends) {
    Nest nest(*this);
    Body body;
    for (;;) {
      switch (now().kind) {
        case TokenKind::kEnd:
          if (!ends.empty()) template_error(line(), str("unexpected end of template, expected '", ends.back(), "'"));
          return body;
        case TokenKind::kData: {
          auto s = make(StatementKind::kText);
          s->text = next().text;
          body.push_back(std::move(s));
          break;
        }
        case TokenKind::kVariableBegin: {
          auto s = make(StatementKind::kOutput);
          ++at_;
          s->exprs.push_back(tuple(true));
          if (!at(TokenKind::kVariableEnd)) unexpected();
          ++at_;
          body.push_back(std::move(s));
          break;
        }
        case TokenKind::kBlockBegin:
          ++at_;
          if (at(TokenKind::kName) && std::find(ends.begin(), ends.end(), now().text) != ends.end()) return body;
          body.push_back(statement());
          break;
        default:
          unexpected();
      }
    }
  }

  std::unique_ptr<Statement> make(StatementKind kind) const {
    auto s = std::make_unique<Statement>();
    s->kind = kind;
    s->line = line();
    return s;
  }

  std::unique_ptr<Statement> statement() {
    if (!at(TokenKind::kName)) unexpected();
    const std::string word = now().text;
    if (word == "if") return if_statement();
    if (word == "for") return for_statement();
    if (word == "set") return set_statement();
    if (word == "macro") return macro_statement();
    if (word == "call") return call_block();
    if (word == "filter") return filter_block();
    if (word == "with") return with_statement();
    if (word == "generation") return generation();
    if (word == "break" || word == "continue") {
      if (loops_ == 0) template_error(line(), str("'", word, "' outside of a loop"));
      auto s = make(word == "break" ? StatementKind::kBreak : StatementKind::kContinue);
      ++at_;
      expect_block_end();
      return s;
    }
    template_error(line(), str("unknown tag '", word, "'"));
  }

  // The end word has been reached: takes it and the block's end.
  void close() {
    ++at_;
    expect_block_end();
  }

  std::unique_ptr<Statement> if_statement() {
    auto s = make(StatementKind::kIf);
    ++at_;
    s->exprs.push_back(tuple(false));
    expect_block_end();
    s->bodies.push_back(statements({"elif", "else", "endif"}));
    for (;;) {
      if (take_name("elif")) {
        s->exprs.push_back(tuple(false));
        expect_block_end();
        s->bodies.push_back(statements({"elif", "else", "endif"}));
      } else if (take_name("else")) {
        expect_block_end();
        s->bodies.push_back(statements({"endif"}));
        break;
      } else {
        break;
      }
    }
    close();
    return s;
  }

  std::unique_ptr<Statement> for_statement() {
    auto s = make(StatementKind::kFor);
    ++at_;
    s->targets.push_back(target(false));
    if (!take_name("in")) template_error(line(), "expected 'in'");
    s->exprs.push_back(tuple(false, "recursive"));
    s->exprs.push_back(take_name("if") ? expression() : nullptr);
    s->recursive = take_name("recursive");
    expect_block_end();
    ++loops_;
    s->bodies.push_back(statements({"else", "endfor"}));
    --loops_;
    if (take_name("else")) {
      expect_block_end();
      s->bodies.push_back(statements({"endfor"}));
    }
    close();
    return s;
  }

  // name, ns.attribute (only `set`), or a tuple of them
  Target target(bool attributes) {
    Nest nest(*this);
    std::vector<Target> parts;
    bool comma = false;
    for (;;) {
      if (!parts.empty() && !(at(TokenKind::kName) && !is_name("in")) && !is_op("(")) break;
      if (take_op("(")) {
        parts.push_back(target(attributes));
        expect_op(")");
      } else {
        Target t;
        t.name = expect_name();
        for (const char* word : {"true", "false", "none", "True", "False", "None", "in", "if", "else", "and", "or", "not", "is"}) {
          if (t.name == word) template_error(line(), str("can't assign to '", word, "'"));
        }
        if (attributes && take_op(".")) t.attribute = expect_name();
        parts.push_back(std::move(t));
      }
      if (!take_op(",")) break;
      comma = true;
    }
    if (parts.size() == 1 && !comma) return std::move(parts[0]);
    Target all;
    all.parts = std::move(parts);
    return all;
  }

  std::unique_ptr<Statement> set_statement() {
    auto s = make(StatementKind::kSet);
    ++at_;
    s->targets.push_back(target(true));
    if (take_op("=")) {
      s->exprs.push_back(tuple(true));
      expect_block_end();
      return s;
    }
    s->kind = StatementKind::kSetBlock;
    s->exprs.push_back(is_op("|") ? filters(nullptr) : nullptr);
    expect_block_end();
    s->bodies.push_back(inner_body("endset"));
    return s;
  }

  // A body that is a scope of its own; break and continue don't reach out of it.
  Body inner_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Body body = statements({end});
    loops_ = loops;
    close();
    return body;
  }

  void signature(Statement& s) {
    expect_op("(");
    while (!is_op(")")) {
      if (!s.parameters.empty()) expect_op(",");
      if (is_op(")")) break;
      s.parameters.push_back(expect_name());
      if (take_op("="))
        s.defaults.push_back(expression());
      else if (!s.defaults.empty())
        template_error(line(), "parameter without default after one with");
    }
    expect_op(")");
  }

  std::unique_ptr<Statement> macro_statement() {
    auto s = make(StatementKind::kMacro);
    ++at_;
    s->text = expect_name();
    signature(*s);
    expect_block_end();
    s->bodies.push_back(inner_body("endmacro"));
    return s;
  }

  std::unique_ptr<Statement> call_block() {
    auto s = make(StatementKind::kCallBlock);
    ++at_;
    if (is_op("(")) signature(*s);
    s->exprs.push_back(expression());
    if (s->exprs[0]->kind != ExprKind::kCall) template_error(line(), "expected a call");
    expect_block_end();
    s->bodies.push_back(inner_body("endcall"));
    return s;
  }

  std::unique_ptr<Statement> filter_block() {
    auto s = make(StatementKind::kFilterBlock);
    ++at_;
    s->exprs.push_back(filters(nullptr, true));
    expect_block_end();
    s->bodies.push_back(inner_body("endfilter"));
    return s;
  }

  std::unique_ptr<Statement> with_statement() {
    auto s = make(StatementKind::kWith);
    ++at_;
    while (!at(TokenKind::kBlockEnd)) {
      if (!s->targets.empty()) expect_op(",");
      Target t;
      t.name = expect_name();
      s->targets.push_back(std::move(t));
      expect_op("=");
      s->exprs.push_back(expression());
    }
    expect_block_end();
    s->bodies.push_back(statements({"endwith"}));
    close();
    return s;
  }

  std::unique_ptr<Statement> generation() {
    auto s = make(StatementKind::kGeneration);
    ++at_;
    expect_block_end();
    s->bodies.push_back(inner_body("endgeneration"));
    return s;
  }

  // ---- expressions ----
  ExprPtr node(ExprKind kind, int line) const {
    auto e = std::make_unique<Expr>();
    e->kind = kind;
    e->line = line;
    return e;
  }
  void adopt(Expr& parent, ExprPtr child) const {
    if (child) parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMaxTree) template_error(parent.line, "expression too long or too deeply nested");
    parent.children.push_back(std::move(child));
  }
  ExprPtr binary(ExprKind kind, std::string op, ExprPtr a, ExprPtr b) const {
    auto e = node(kind, a->line);
    e->name = std::move(op);
    adopt(*e, std::move(a));
    adopt(*e, std::move(b));
    return e;
  }

  ExprPtr expression() { return condition(); }

  ExprPtr condition() {
    Nest nest(*this);
    ExprPtr then = either();
    while (take_name("if")) {
      auto e = node(ExprKind::kCondition, then->line);
      adopt(*e, either());
      adopt(*e, std::move(then));
      adopt(*e, take_name("else") ? condition() : nullptr);
      then = std::move(e);
    }
    return then;
  }

  ExprPtr either() {
    ExprPtr left = both();
    while (take_name("or")) left = binary(ExprKind::kOr, "", std::move(left), both());
    return left;
  }

  ExprPtr both() {
    ExprPtr left = negation();
    while (take_name("and")) left = binary(ExprKind::kAnd, "", std::move(left), negation());
    return left;
  }

  ExprPtr negation() {
    if (!is_name("not")) return comparison();
    Nest nest(*this);
    auto e = node(ExprKind::kNot, line());
    ++at_;
    adopt(*e, negation());
    return e;
  }

  ExprPtr comparison() {
    ExprPtr first = sum();
    ExprPtr e;
    for (;;) {
      std::string op;
      for (const char* candidate : {"==", "!=", "<=", ">=", "<", ">"}) {
        if (take_op(candidate)) {
          op = candidate;
          break;
        }
      }
      if (op.empty() && take_name("in")) op = "in";
      if (op.empty() && is_name("not") && tokens_[at_ + 1].kind == TokenKind::kName && tokens_[at_ + 1].text == "in")
        at_ += 2, op = "not in";
      if (op.empty()) return e ? std::move(e) : std::move(first);
      if (!e) {
        e = node(ExprKind::kCompare, first->line);
        adopt(*e, std::move(first));
      }
      e->names.push_back(op);
      adopt(*e, sum());
    }
  }

  ExprPtr sum() {
    ExprPtr left = concatenation();
    for (;;) {
      if (take_op("+"))
        left = binary(ExprKind::kBinary, "+", std::move(left), concatenation());
      else if (take_op("-"))
        left = binary(ExprKind::kBinary, "-", std::move(left), concatenation());
      else
        return left;
    }
  }

  ExprPtr concatenation() {
    ExprPtr first = product();
    if (!is_op("~")) return first;
    auto e = node(ExprKind::kConcat, first->line);
    adopt(*e, std::move(first));
    while (take_op("~")) adopt(*e, product());
    return e;
  }

  ExprPtr product() {
    ExprPtr left = power();
    for (;;) {
      std::string op;
      for (const char* candidate : {"*", "/", "//", "%"}) {
        if (take_op(candidate)) {
          op = candidate;
          break;
        }
      }
      if (op.empty()) return left;
      left = binary(ExprKind::kBinary, op, std::move(left), power());
    }
  }

  ExprPtr power() {
    ExprPtr left = unary(true);
    while (take_op("**")) left = binary(ExprKind::kBinary, "**", std::move(left), unary(true));
    return left;
  }

  ExprPtr unary(bool with_filters) {
    Nest nest(*this);
    ExprPtr e;
    if (is_op("-") || is_op("+")) {
      e = node(is_op("-") ? ExprKind::kNeg : ExprKind::kPos, line());
      ++at_;
      adopt(*e, unary(false));
    } else {
      e = primary();
    }
    e = postfix(std::move(e));
    return with_filters ? filters_and_tests(std::move(e)) : std::move(e);
  }

  ExprPtr constant(Value value, int line) const {
    auto e = node(ExprKind::kConst, line);
    e->constant = std::move(value);
    return e;
  }

  ExprPtr primary() {
    const Token& t = now();
    const int where = t.line;
    switch (t.kind) {
      case TokenKind::kName: {
        const std::string name = next().text;
        if (name == "true" || name == "True") return constant(Value::boolean(true), where);
        if (name == "false" || name == "False") return constant(Value::boolean(false), where);
        if (name == "none" || name == "None") return constant(Value::none(), where);
        auto e = node(ExprKind::kName, where);
        e->name = name;
        return e;
      }
      case TokenKind::kString: {
        std::string text = next().text;
        while (at(TokenKind::kString)) text += next().text;
        return constant(Value::string(std::move(text)), where);
      }
      case TokenKind::kInteger:
        return constant(integer(next().text, where), where);
      case TokenKind::kFloat:
        return constant(Value::real(std::strtod(next().text.c_str(), nullptr)), where);
      case TokenKind::kOperator:
        break;
      default:
        unexpected();
    }
    if (take_op("(")) {
      ExprPtr e = tuple(true, "", true);
      expect_op(")");
      return e;
    }
    if (is_op("[")) return list();
    if (is_op("{")) return dict();
    unexpected();
  }

  static Value integer(const std::string& text, int line) {
    errno = 0;
    const bool radix = text.size() > 1 && text[0] == '0' && !(text[1] >= '0' && text[1] <= '9');
    const char kind = radix ? char(text[1] | 32) : '0';
    const char* digits = text.c_str() + (radix ? 2 : 0);
    char* end = nullptr;
    const long long v = std::strtoll(digits, &end, kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10);
    if (errno || *end || !*digits) template_error(line, "integer '" + text.substr(0, 40) + "' is malformed or too large");
    if (!radix && text.size() > 1 && text[0] == '0' && v != 0) template_error(line, "integer with a leading zero");
    return Value::integer(v);
  }

  ExprPtr list() {
    auto e = node(ExprKind::kList, line());
    expect_op("[");
    while (!is_op("]")) {
      if (!e->children.empty()) expect_op(",");
      if (is_op("]")) break;
      adopt(*e, expression());
    }
    expect_op("]");
    return e;
  }

  ExprPtr dict() {
    auto e = node(ExprKind::kDict, line());
    expect_op("{");
    while (!is_op("}")) {
      if (!e->children.empty()) expect_op(",");
      if (is_op("}")) break;
      adopt(*e, expression());
      expect_op(":");
      adopt(*e, expression());
    }
    expect_op("}");
    return e;
  }

  bool tuple_ends(std::string_view extra) const {
    return at(TokenKind::kVariableEnd) || at(TokenKind::kBlockEnd) || is_op(")") || (!extra.empty() && is_name(extra));
  }

  // One expression, or several with commas. with_condition: `a if b else c` may stand in it.
  ExprPtr tuple(bool with_condition, std::string_view extra_end = "", bool parentheses = false) {
    const int where = line();
    std::vector<ExprPtr> items;
    bool comma = false;
    for (;;) {
      if (!items.empty() && !comma) break;
      if (tuple_ends(extra_end)) break;
      items.push_back(with_condition ? condition() : either());
      comma = take_op(",");
      if (!comma && items.size() == 1) return std::move(items[0]);
    }
    if (items.empty() && !parentheses) template_error(line(), "expected an expression");
    auto e = node(ExprKind::kTuple, where);
    for (ExprPtr& item : items) adopt(*e, std::move(item));
    return e;
  }

  ExprPtr postfix(ExprPtr e) {
    for (;;) {
      if (is_op(".") || is_op("["))
        e = subscript(std::move(e));
      else if (is_op("("))
        e = call(std::move(e));
      else
        return e;
    }
  }

  ExprPtr subscript(ExprPtr object) {
    const int where = line();
    if (take_op(".")) {
      if (at(TokenKind::kName)) {
        auto e = node(ExprKind::kGetattr, where);
        e->name = next().text;
        adopt(*e, std::move(object));
        return e;
      }
      if (!at(TokenKind::kInteger)) template_error(line(), "expected a name or number after '.'");
      auto e = node(ExprKind::kGetitem, where);
      adopt(*e, std::move(object));
      adopt(*e, constant(integer(next().text, where), where));
      return e;
    }
    expect_op("[");
    auto e = node(ExprKind::kGetitem, where);
    adopt(*e, std::move(object));
    std::vector<ExprPtr> keys;
    while (!is_op("]")) {
      if (!keys.empty()) expect_op(",");
      keys.push_back(subscribed());
    }
    expect_op("]");
    if (keys.empty()) template_error(where, "expected something between '[' and ']'");
    if (keys.size() == 1) {
      adopt(*e, std::move(keys[0]));
    } else {
      auto all = node(ExprKind::kTuple, where);
      for (ExprPtr& key : keys) adopt(*all, std::move(key));
      adopt(*e, std::move(all));
    }
    return e;
  }

  // a key, or start:stop:step
  ExprPtr subscribed() {
    const int where = line();
    ExprPtr start;
    if (!is_op(":")) {
      start = expression();
      if (!is_op(":")) return start;
    }
    auto e = node(ExprKind::kSlice, where);
    adopt(*e, std::move(start));
    expect_op(":");
    const auto part = [&]() -> ExprPtr { return is_op(":") || is_op("]") || is_op(",") ? nullptr : expression(); };
    adopt(*e, part());
    adopt(*e, take_op(":") ? part() : nullptr);
    return e;
  }

  void arguments(Expr& e) {
    expect_op("(");
    bool first = true;
    while (!is_op(")")) {
      if (!first) expect_op(",");
      first = false;
      if (is_op(")")) break;
      if (take_op("**")) {
        if (e.double_star) unexpected();
        e.double_star = keep_depth(e, expression());
      } else if (take_op("*")) {
        if (e.star) unexpected();
        e.star = keep_depth(e, expression());
      } else if (at(TokenKind::kName) && tokens_[at_ + 1].kind == TokenKind::kOperator && tokens_[at_ + 1].text == "=") {
        std::string name = next().text;
        ++at_;
        e.keywords.emplace_back(std::move(name), keep_depth(e, expression()));
      } else {
        if (!e.keywords.empty() || e.star || e.double_star) template_error(line(), "positional argument after a keyword argument");
        adopt(e, expression());
      }
    }
    expect_op(")");
  }

  ExprPtr keep_depth(Expr& parent, ExprPtr child) const {
    parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMaxTree) template_error(parent.line, "expression too long or too deeply nested");
    return child;
  }

  ExprPtr call(ExprPtr callee) {
    auto e = node(ExprKind::kCall, line());
    adopt(*e, std::move(callee));
    arguments(*e);
    return e;
  }

  ExprPtr filters_and_tests(ExprPtr e) {
    for (;;) {
      if (is_op("|"))
        e = filters(std::move(e));
      else if (is_name("is"))
        e = test(std::move(e));
      else if (is_op("("))
        e = call(std::move(e));
      else
        return e;
    }
  }

  std::string dotted_name() {
    std::string name = expect_name();
    while (take_op(".")) name += "." + expect_name();
    return name;
  }

  // `| name(..) | name`; with `first_without_bar` the first bar is left out (filter blocks).
  ExprPtr filters(ExprPtr e, bool first_without_bar = false) {
    while (first_without_bar || take_op("|")) {
      first_without_bar = false;
      auto f = node(ExprKind::kFilter, line());
      f->name = dotted_name();
      adopt(*f, std::move(e));
      if (is_op("(")) arguments(*f);
      e = std::move(f);
    }
    return e;
  }

  ExprPtr test(ExprPtr subject) {
    auto t = node(ExprKind::kTest, line());
    ++at_;
    const bool negated = take_name("not");
    t->name = dotted_name();
    adopt(*t, std::move(subject));
    if (is_op("(")) {
      arguments(*t);
    } else if (starts_argument()) {
      if (is_name("is")) template_error(line(), "tests can't be chained with 'is'");
      adopt(*t, postfix(primary()));
    }
    if (!negated) return t;
    auto n = node(ExprKind::kNot, t->line);
    adopt(*n, std::move(t));
    return n;
  }

  bool starts_argument() const {
    if (at(TokenKind::kString) || at(TokenKind::kInteger) || at(TokenKind::kFloat) || is_op("[") || is_op("{")) return true;
    return at(TokenKind::kName) && !is_name("else") && !is_name("or") && !is_name("and");
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int max_depth_, depth_ = 0, loops_ = 0;
};

}  // namespace

Body parse_template(std::string_view source, int max_depth) {
  return Parser(source, max_depth).parse();
}

}  // namespace r1::text::jinja
