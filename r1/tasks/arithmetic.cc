#include "r1/tasks/arithmetic.h"

#include <algorithm>

#include "r1/tasks/generated.h"
#include "r1/tasks/number_score.h"

namespace r1::tasks {
namespace {

constexpr int kMaxTotal = 99, kMinOperand = 2, kMaxOperand = 9;

int apply(char op, int a, int b) {
  return op == '+' ? a + b : op == '-' ? a - b : a * b;
}

std::string tagged(const std::string& thought, const std::string& answer) {
  return "<think>" + thought + "</think><answer>" + answer + "</answer>";
}

// Shares of documents and completions, options of both styles.
struct Shares {
  double drill, full, sft_empty, sft_full;
};

Shares read_shares(OptionReader& o) {
  Shares s{};
  s.drill = o.number("drill_share", 0.15, 0, 1);
  s.full = o.number("full_share", 0.60, 0, 1);
  s.sft_empty = o.number("sft_empty_share", 0.70, 0, 1);
  s.sft_full = o.number("sft_full_share", 0.18, 0, 1);
  if (s.sft_empty + s.sft_full > 1 + 1e-9) fail_usage("task arithmetic: sft_empty_share + sft_full_share expected at most 1");
  return s;
}

std::string read_operators(OptionReader& o, const std::string& fallback, const std::string& allowed) {
  const std::string operators = o.text("operators", fallback);
  for (const char c : operators) {
    if (allowed.find(c) == std::string::npos)
      fail_usage("task arithmetic: option 'operators' expected signs out of ", allowed, ", got '", operators, "'");
  }
  if (operators.empty()) fail_usage("task arithmetic: option 'operators' is empty");
  return operators;
}

// ---- chain

struct Chain {
  std::string expression;          // 7*9+3-6
  std::vector<std::string> steps;  // 7*9=63, 63+3=66, ...
  int total = 0;
  bool ok() const { return true; }
  const std::string& key() const { return expression; }
  std::string prompt() const { return "start " + expression + ":"; }
  std::string first_steps(size_t n) const {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += (i ? " " : "") + steps[i];
    return text;
  }
};

class ChainTask : public GeneratedTask {
 public:
  explicit ChainTask(OptionReader& o) : GeneratedTask("arithmetic", o), shares_(read_shares(o)) {
    steps_ = size_t(o.integer("steps", 5, 1, 50));
    operators_ = read_operators(o, "+-*", "+-*");
    o.finish();
  }

  Problem problem(const std::string& split, int64_t index) const override {
    const Stream stream = stream_of(split, index);
    Rng rng = rng_for(stream, index);
    const Chain chain = draw_on_side(stream == kTest, rng, [this](Rng& r) { return draw(r); });
    Problem p;
    p.id = str("arithmetic/", split, "/", index);
    p.question = "Compute " + chain.expression + " strictly from left to right, without operator precedence.";
    p.prompt = chain.prompt();
    p.messages = {{"user", p.question}};
    p.gold = std::to_string(chain.total);
    p.solution = tagged(chain.first_steps(steps_), p.gold);
    p.extra["expression"] = chain.expression;
    p.extra["steps"] = chain.steps;
    return p;
  }

  Score score(const Problem& problem, const std::string& completion) const override {
    return score_number(problem.gold, completion, strict_);
  }

  std::string pretrain_document(int64_t index) const override {
    Rng rng = rng_for(kDocuments, index);
    if (rng.uniform() < shares_.drill) return drills(rng);
    const bool full = rng.uniform() < shares_.full;
    const size_t written = full ? steps_ : rng.below(steps_);
    const Chain chain = draw_on_side(false, rng, [this](Rng& r) { return draw(r); });
    return chain.prompt() + (written ? " " : "") + chain.first_steps(written) + " so answer " + std::to_string(chain.total);
  }

  std::string sft_completion(const Problem& problem, int64_t index) const override {
    Rng rng = rng_for(kSft, index);
    const double u = rng.uniform();
    size_t written = 0;
    if (u >= shares_.sft_empty) written = u < shares_.sft_empty + shares_.sft_full || steps_ == 1 ? steps_ : 1 + rng.below(steps_ - 1);
    std::string thought;
    for (size_t i = 0; i < written; ++i) thought += (i ? " " : "") + problem.extra.at("steps").at(i).get<std::string>();
    return tagged(thought, problem.gold);
  }

  std::vector<std::string> vocabulary() const override {
    // Word for word the plain format is the tagged one: " " is <think>, " so" </think>, " answer " <answer>. So what the base does at a
    // word, "copy the total two words back" above all, is what SFT has to move to a tag. With a space of its own in front of the answer, or
    // one word less between total and answer, two hundred SFT steps do not teach the copying anew.
    std::vector<std::string> tokens = {"<think>", "</think>", "<answer>", "</answer>", "start ", " so", " answer ", " ", ":", "="};
    for (const char op : operators_) tokens.push_back(std::string(1, op));
    for (int n = 0; n <= kMaxTotal; ++n) tokens.push_back(std::to_string(n));
    return tokens;
  }

 private:
  char draw_operator(Rng& rng) const { return operators_[rng.below(operators_.size())]; }

  Chain draw(Rng& rng) const {
    for (;;) {
      Chain chain;
      chain.total = int(rng.between(kMinOperand, kMaxOperand));
      chain.expression = std::to_string(chain.total);
      if (extend(chain, rng)) return chain;
    }
  }

  // False at a dead end (a total that no allowed operator can continue from).
  bool extend(Chain& chain, Rng& rng) const {
    while (chain.steps.size() < steps_) {
      int tries = 0, next = -1, b = 0;
      char op = 0;
      while (next < 0 || next > kMaxTotal) {
        if (++tries > 200) return false;
        op = draw_operator(rng);
        b = int(rng.between(kMinOperand, kMaxOperand));
        next = apply(op, chain.total, b);
      }
      chain.expression += op + std::to_string(b);
      chain.steps.push_back(str(chain.total, op, b, "=", next));
      chain.total = next;
    }
    return true;
  }

  // As many single steps as a chain has, every pair of operands equally likely.
  std::string drills(Rng& rng) const {
    std::string text;
    for (size_t i = 0; i < steps_; ++i) {
      const char op = draw_operator(rng);
      const int b = int(rng.between(kMinOperand, kMaxOperand));
      const int a = int(op == '+' ? rng.between(0, kMaxTotal - b) : op == '-' ? rng.between(b, kMaxTotal) : rng.between(0, kMaxTotal / b));
      text += str(i ? " " : "", a, op, b, "=", apply(op, a, b));
    }
    return text;
  }

  Shares shares_;
  size_t steps_ = 5;
  std::string operators_;
};

// ---- columns

using Wide = __int128;

std::string wide_text(Wide v) {
  if (v < 0) return "-" + wide_text(-v);
  std::string s;
  do s.insert(s.begin(), char('0' + int(v % 10)));
  while (v /= 10);
  return s;
}

struct Sum {
  int64_t a = 0, b = 0;
  char op = '+';
  bool ok() const { return true; }
  std::string key() const { return str(a, op, b); }
  Wide value() const {
    const Wide x = a, y = b;
    return op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
  }
};

int digit_at(int64_t v, int place) {
  while (place-- > 0) v /= 10;
  return int(v % 10);
}

int digit_count(int64_t v) {
  return int(std::to_string(v).size());
}

// 58+67: "8+7=15 5 carry 1 5+6+1=12 2 carry 1"; 52-38: "12-8=4 borrow 1 5-3-1=1"
std::string column_thought(const Sum& s) {
  std::string text;
  int carry = 0;
  const int places = std::max(digit_count(s.a), digit_count(s.b));
  for (int p = 0; p < places; ++p) {
    int x = digit_at(s.a, p);
    const int y = digit_at(s.b, p);
    const std::string extra = carry ? str(s.op, carry) : "";
    int result = s.op == '+' ? x + y + carry : x - y - carry;
    const bool borrow = result < 0;
    if (borrow) x += 10, result += 10;
    text += str(p ? " " : "", x, s.op, y, extra, "=", result);
    carry = s.op == '+' ? result / 10 : int(borrow);
    if (carry) text += s.op == '+' ? str(" ", result % 10, " carry ", carry) : str(" borrow ", carry);
  }
  return text;
}

// 123*45: "123*5=615 123*40=4920 615+4920=5535"
std::string product_thought(const Sum& s) {
  std::string text;
  Wide total = 0, place = 1;
  bool first = true;
  for (int p = 0; p < digit_count(s.b); ++p, place *= 10) {
    const Wide factor = digit_at(s.b, p) * place;
    if (factor == 0) continue;
    const Wide part = s.a * factor;
    text += (first ? "" : " ") + str(s.a, "*") + wide_text(factor) + "=" + wide_text(part);
    if (!first) text += " " + wide_text(total) + "+" + wide_text(part) + "=" + wide_text(total + part);
    total += part;
    first = false;
  }
  return first ? str(s.a, "*0=0") : text;
}

std::string thought_of(const Sum& s) {
  if (s.op == '*') return product_thought(s);
  if (s.op == '/') return product_thought({s.b, s.a / s.b, '*'});
  return column_thought(s);
}

class ColumnsTask : public GeneratedTask {
 public:
  explicit ColumnsTask(OptionReader& o) : GeneratedTask("arithmetic", o), shares_(read_shares(o)) {
    digits_ = int(o.integer("digits", 3, 1, 18));
    operators_ = read_operators(o, "+-", "+-*/");
    o.finish();
    if (digits_ > 9 && operators_.find('/') != std::string::npos)
      fail_usage("task arithmetic: division takes at most 9 digits, got ", digits_);
  }

  Problem problem(const std::string& split, int64_t index) const override {
    const Stream stream = stream_of(split, index);
    Rng rng = rng_for(stream, index);
    const Sum s = draw_on_side(stream == kTest, rng, [this](Rng& r) { return draw(r); });
    Problem p;
    p.id = str("arithmetic/", split, "/", index);
    p.question = str("What is ", s.a, " ", s.op, " ", s.b, "?");
    p.prompt = s.key() + "=";
    p.messages = {{"user", p.question}};
    p.gold = wide_text(s.value());
    p.extra["thought"] = thought_of(s);
    p.solution = tagged(p.extra["thought"], p.gold);
    return p;
  }

  // In the plain format the model continues "123+456=", so its first or only number may be bare.
  Score score(const Problem& problem, const std::string& completion) const override {
    return score_number(problem.gold, completion, false);
  }

  std::string pretrain_document(int64_t index) const override {
    Rng rng = rng_for(kDocuments, index);
    if (rng.uniform() < shares_.drill) return drills(rng);
    const bool full = rng.uniform() < shares_.full;
    const Sum s = draw_on_side(false, rng, [this](Rng& r) { return draw(r); });
    return s.key() + "=" + (full ? " " + thought_of(s) + " answer " : "") + wide_text(s.value());
  }

  std::string sft_completion(const Problem& problem, int64_t index) const override {
    Rng rng = rng_for(kSft, index);
    const double u = rng.uniform();
    const std::string thought = problem.extra.at("thought").get<std::string>();
    if (u < shares_.sft_empty) return tagged("", problem.gold);
    if (u < shares_.sft_empty + shares_.sft_full) return tagged(thought, problem.gold);
    std::vector<size_t> ends;  // cut after a word
    for (size_t i = 0; i < thought.size(); ++i) {
      if (thought[i] == ' ') ends.push_back(i);
    }
    return tagged(ends.empty() ? "" : thought.substr(0, ends[rng.below(ends.size())]), problem.gold);
  }

  std::vector<std::string> vocabulary() const override {
    std::vector<std::string> tokens = {"<think>", "</think>", "<answer>", "</answer>", "answer", "carry", "borrow", " ", "="};
    for (const char op : std::string("+-*/")) tokens.push_back(std::string(1, op));
    for (int n = 0; n <= 9; ++n) tokens.push_back(std::to_string(n));
    return tokens;
  }

 private:
  Sum draw(Rng& rng) const {
    int64_t lo = 1;
    for (int i = 1; i < digits_; ++i) lo *= 10;
    const int64_t hi = lo * 9 + (lo - 1);
    if (digits_ == 1) lo = 0;
    Sum s{rng.between(lo, hi), rng.between(lo, hi), operators_[rng.below(operators_.size())]};
    if (s.op == '-' && s.a < s.b) std::swap(s.a, s.b);
    if (s.op == '/') {  // a*b : b = a
      if (s.b == 0) s.b = 1;
      s.a *= s.b;
    }
    return s;
  }

  // One-digit facts.
  std::string drills(Rng& rng) const {
    std::string text;
    for (int i = 0; i < 5; ++i) {
      Sum s{rng.between(0, 9), rng.between(0, 9), operators_[rng.below(operators_.size())]};
      if (s.op == '-' && s.a < s.b) s.a += 10;
      if (s.op == '/') s.b = std::max<int64_t>(s.b, 1), s.a *= s.b;
      text += str(i ? " " : "", s.key(), "=") + wide_text(s.value());
    }
    return text;
  }

  Shares shares_;
  int digits_ = 3;
  std::string operators_;
};

}  // namespace

std::unique_ptr<Task> make_arithmetic(const Json& options) {
  OptionReader o(options, "task arithmetic");
  const std::string style = o.one_of("style", "chain", {"chain", "columns"});
  if (style == "chain") return std::make_unique<ChainTask>(o);
  return std::make_unique<ColumnsTask>(o);
}

}  // namespace r1::tasks
