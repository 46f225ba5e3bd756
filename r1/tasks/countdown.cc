#include "r1/tasks/countdown.h"

#include <algorithm>
#include <set>

#include "r1/tasks/generated.h"
#include "r1/verify/countdown_expression.h"
#include "r1/verify/number_answer.h"

namespace r1::tasks {
namespace {

struct Rules {
  int numbers = 3, min_number = 1, max_number = 20, max_target = 99, max_value = 199, max_tries = 27;
  std::string operators = "+-*";
  bool use_all = true;
};

// A value on the table: what it is, and the expression that made it.
struct Item {
  int value;
  std::string text;
  bool compound;
  std::string operand() const { return compound ? "(" + text + ")" : text; }
};

struct Try {
  std::vector<std::string> steps;  // 3*7=21, 21+8=29
  std::string expression;          // (3*7)+8
  int value = 0;
};

// The pair's result under `op` with the larger number in front of - and /; false if it leaves the rules.
bool combine(char op, Item a, Item b, const Rules& rules, Item& out, std::string& step) {
  if ((op == '-' || op == '/') && a.value < b.value) std::swap(a, b);
  int value = 0;
  if (op == '+')
    value = a.value + b.value;
  else if (op == '-')
    value = a.value - b.value;
  else if (op == '*')
    value = a.value * b.value;
  else if (b.value == 0 || a.value % b.value != 0)
    return false;
  else
    value = a.value / b.value;
  if (value > rules.max_value) return false;
  step = str(a.value, op, b.value, "=", value);
  out = {value, a.operand() + op + b.operand(), true};
  return true;
}

// All whole searches in methodical order, without repeats. 3 numbers and 3 operators: at most 27; 4 and 4: some thousands.
void enumerate(const std::vector<Item>& table, const Rules& rules, std::vector<std::string>& steps, std::set<std::string>& seen,
               std::vector<Try>& out) {
  if (table.size() == 1) {
    if (seen.insert(table[0].text).second) out.push_back({steps, table[0].text, table[0].value});
    return;
  }
  for (size_t i = 0; i < table.size(); ++i) {
    for (size_t j = i + 1; j < table.size(); ++j) {
      for (const char op : rules.operators) {
        Item made;
        std::string step;
        if (!combine(op, table[i], table[j], rules, made, step)) continue;
        std::vector<Item> rest = {made};
        for (size_t k = 0; k < table.size(); ++k) {
          if (k != i && k != j) rest.push_back(table[k]);
        }
        steps.push_back(step);
        enumerate(rest, rules, steps, seen, out);
        steps.pop_back();
      }
    }
  }
}

std::vector<Try> all_tries(const std::vector<int64_t>& numbers, const Rules& rules) {
  std::vector<Item> table;
  for (const int64_t n : numbers) table.push_back({int(n), std::to_string(n), false});
  std::vector<std::string> steps;
  std::set<std::string> seen;
  std::vector<Try> out;
  enumerate(table, rules, steps, seen, out);
  return out;
}

struct Game {
  std::vector<int64_t> numbers;
  int target = 0;
  bool ok() const { return !numbers.empty(); }
  // The order of the numbers does not make another problem.
  std::string key() const {
    std::vector<int64_t> sorted = numbers;
    std::sort(sorted.begin(), sorted.end());
    std::string text;
    for (const int64_t n : sorted) text += str(n, " ");
    return text + "= " + std::to_string(target);
  }
  std::string listed(const char* separator) const {
    std::string text;
    for (const int64_t n : numbers) text += str(text.empty() ? "" : separator, n);
    return text;
  }
  std::string prompt() const { return "numbers " + listed(" ") + str(" target ", target, ":"); }
};

// The first `count` tries as a walk through the tree: a step that the try before has already taken is not taken again, each leaf is checked
// against the target. No trailing space.
std::string search_text(const std::vector<Try>& tries, size_t count, int target) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    const auto& steps = tries[i].steps;
    size_t k = 0;
    while (i > 0 && k + 1 < steps.size() && steps[k] == tries[i - 1].steps[k]) ++k;
    for (; k < steps.size(); ++k) text += (text.empty() ? "" : " ") + steps[k];
    text += tries[i].value == target ? " yes" : " no";
  }
  return text;
}

// The answer of a completion: <answer>, or what follows the last "answer" in the plain format; a trailing "= value" is dropped.
std::string answer_expression(const std::string& completion, bool strict) {
  const auto rest = verify::after_thought(completion);
  if (!rest) return "";
  const verify::AnswerBlock block = verify::answer_block(*rest);
  const verify::Boxes boxes = verify::boxes_of(*rest);
  std::string_view text;
  if (block.cut || (!block.body && boxes.cut)) return "";
  if (block.body) {
    text = *block.body;
  } else if (!boxes.closed.empty()) {
    text = boxes.closed.back().body;
  } else if (const size_t at = rest->rfind("answer "); at != rest->npos) {
    text = rest->substr(at + 7);
  } else if (!strict) {
    text = rest->substr(std::min(rest->size(), rest->find_last_of('\n') + 1));
  }
  text = text.substr(0, text.find('='));
  const size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
  return begin == text.npos ? "" : std::string(text.substr(begin, end - begin + 1));
}

class Countdown : public GeneratedTask {
 public:
  explicit Countdown(OptionReader& o) : GeneratedTask("countdown", o) {
    rules_.numbers = int(o.integer("numbers", 3, 2, 4));
    rules_.min_number = int(o.integer("min_number", 1, 1, 999));
    rules_.max_number = int(o.integer("max_number", 20, 1, 999));
    rules_.max_target = int(o.integer("max_target", 99, 1, 9999));
    rules_.max_value = int(o.integer("max_value", 199, 1, 99999));
    rules_.max_tries = int(o.integer("max_tries", 27, 1, 1000));
    rules_.operators = o.text("operators", "+-*");
    rules_.use_all = o.boolean("use_all", true);
    drill_share_ = o.number("drill_share", 0.15, 0, 1);
    full_share_ = o.number("full_share", 0.95, 0, 1);
    sft_empty_share_ = o.number("sft_empty_share", 0.60, 0, 1);
    sft_full_share_ = o.number("sft_full_share", 0.35, 0, 1);
    o.finish();
    if (rules_.operators.empty() || rules_.operators.find_first_not_of("+-*/") != std::string::npos) {
      fail_usage("task countdown: option 'operators' expected signs out of +-*/, got '", rules_.operators, "'");
    }
    if (rules_.min_number > rules_.max_number) fail_usage("task countdown: min_number is larger than max_number");
    if (rules_.max_value < rules_.max_target || rules_.max_value < rules_.max_number)
      fail_usage("task countdown: max_value is smaller than max_target or max_number");
  }

  Problem problem(const std::string& split, int64_t index) const override {
    const Stream stream = stream_of(split, index);
    Rng rng = rng_for(stream, index);
    const Game game = draw_on_side(stream == kTest, rng, [this](Rng& r) { return draw(r); });
    Problem p;
    p.id = str("countdown/", split, "/", index);
    p.question = str("Using the numbers ", game.listed(", "), ", write an expression that equals ", game.target, ". Use each number ",
                     rules_.use_all ? "exactly" : "at most", " once and only the operators ", spaced_operators(), " and parentheses.");
    p.prompt = game.prompt();
    p.messages = {{"user", p.question + " Give the expression within <answer> </answer> tags."}};
    p.extra["numbers"] = game.numbers;
    p.extra["target"] = game.target;
    const auto tries = search(game, rng);
    p.gold = tries.back().expression;
    p.solution = tagged(tries, tries.size(), p.gold, game.target);
    return p;
  }

  Score score(const Problem& problem, const std::string& completion) const override {
    const std::string expression = answer_expression(completion, strict_);
    if (expression.empty()) return {Verdict::kUnparsed, 0, "", "none", "no expression in it"};
    const auto numbers = problem.extra.at("numbers").get<std::vector<int64_t>>();
    switch (verify::check_countdown(expression, numbers, problem.extra.at("target").get<int64_t>(), rules_.use_all)) {
      case verify::CountdownCheck::kRight:
        return {Verdict::kRight, 1, expression, "expression", "reaches the target"};
      case verify::CountdownCheck::kUnparsed:
        return {Verdict::kUnparsed, 0, expression, "expression", "cannot be read"};
      case verify::CountdownCheck::kWrongValue:
        return {Verdict::kWrong, 0, expression, "expression", "does not reach the target"};
      default:
        return {Verdict::kWrong, 0, expression, "expression", "uses other numbers than the given ones"};
    }
  }

  std::string pretrain_document(int64_t index) const override {
    Rng rng = rng_for(kDocuments, index);
    if (rng.uniform() < drill_share_) return rng.uniform() < 0.5 ? comparisons(rng) : operations(rng);
    const bool full = rng.uniform() < full_share_;
    const Game game = draw_on_side(false, rng, [this](Rng& r) { return draw(r); });
    const auto tries = search(game, rng);
    const std::string text = game.prompt() + (full ? " " + search_text(tries, tries.size(), game.target) : "");
    return text + " answer " + tries.back().expression;
  }

  std::string sft_completion(const Problem& problem, int64_t index) const override {
    Rng rng = rng_for(kSft, index);
    const Game game{problem.extra.at("numbers").get<std::vector<int64_t>>(), problem.extra.at("target").get<int>()};
    const double u = rng.uniform();
    const auto tries = search(game, rng);
    const size_t written = u < sft_empty_share_ ? 0 : u < sft_empty_share_ + sft_full_share_ ? tries.size() : rng.below(tries.size());
    return tagged(tries, written, tries.back().expression, game.target);
  }

  std::vector<std::string> vocabulary() const override {
    // Words own their spaces (see arithmetic.cc): what stands in front of an operand, a verdict or an answer is one word in every format.
    std::vector<std::string> tokens = {"<think>", "</think>", "<answer>", "</answer>", "numbers ", " target ", " answer ", " yes",
                                       " no ",    " no",      " ",        ":",         "=",        "(",        ")"};
    for (const char op : rules_.operators) tokens.push_back(std::string(1, op));
    for (int n = 0; n <= rules_.max_value; ++n) tokens.push_back(std::to_string(n));
    return tokens;
  }

 private:
  std::string spaced_operators() const {
    std::string text;
    for (const char op : rules_.operators) text += (text.empty() ? "" : " ") + std::string(1, op);
    return text;
  }

  Game draw(Rng& rng) const {
    Game game;
    std::vector<Item> table;
    for (int i = 0; i < rules_.numbers; ++i) {
      game.numbers.push_back(rng.between(rules_.min_number, rules_.max_number));
      table.push_back({int(game.numbers.back()), "", false});
    }
    while (table.size() > 1) {  // a random way to put them together gives a target that can be reached
      rng.shuffle(table);
      Item made;
      std::string step;
      if (!combine(rules_.operators[rng.below(rules_.operators.size())], table[0], table[1], rules_, made, step)) return {};
      table.erase(table.begin());
      table[0] = made;
    }
    game.target = table[0].value;
    if (game.target < 1 || game.target > rules_.max_target) return {};
    const bool given = std::find(game.numbers.begin(), game.numbers.end(), game.target) != game.numbers.end();
    if (given && !rules_.use_all) return {};  // one number alone would be the answer
    return game;
  }

  // Tries in methodical order up to the first that hits. Longer searches than max_tries start later in the order, at a random place.
  std::vector<Try> search(const Game& game, Rng& rng) const {
    std::vector<Try> tries = all_tries(game.numbers, rules_);
    const auto hit = std::find_if(tries.begin(), tries.end(), [&](const Try& t) { return t.value == game.target; });
    if (hit == tries.end()) fail("[countdown] no expression reaches ", game.target, " from ", game.listed(" "));
    tries.erase(hit + 1, tries.end());
    const int64_t extra = int64_t(tries.size()) - rules_.max_tries;
    if (extra > 0) tries.erase(tries.begin(), tries.begin() + rng.between(extra, int64_t(tries.size()) - 1));
    return tries;
  }

  static std::string tagged(const std::vector<Try>& tries, size_t written, const std::string& answer, int target) {
    return "<think>" + search_text(tries, written, target) + "</think><answer>" + answer + "</answer>";
  }

  // The check of a search by itself: "numbers 0 target 29: 29 yes 18 no ..", as many yes as no.
  std::string comparisons(Rng& rng) const {
    const int64_t target = rng.between(1, rules_.max_target);
    std::string text = str("numbers ", rng.between(rules_.min_number, rules_.max_number), " target ", target, ":");
    for (int i = 0; i < 8; ++i) {
      int64_t value = target;
      if (rng.uniform() < 0.5) {
        do value = rng.uniform() < 0.5 ? target + rng.between(-10, 10) : rng.between(0, rules_.max_value);
        while (value == target || value < 0 || value > rules_.max_value);
      }
      text += str(" ", value, value == target ? " yes" : " no");
    }
    return text;
  }

  // Operations as searches need them: a running value and a given number.
  std::string operations(Rng& rng) const {
    std::string text;
    for (int i = 0; i < 6;) {
      const int most = rules_.max_value;
      const char op = rules_.operators[rng.below(rules_.operators.size())];
      const int b = int(rng.between(rules_.min_number, rules_.max_number));
      const int a = int(op == '+'   ? rng.between(0, std::max(0, most - b))
                        : op == '*' ? rng.between(0, most / b)
                        : op == '/' ? b * rng.between(0, most / b)
                                    : rng.between(0, most));
      Item made;
      std::string step;
      if (!combine(op, {a, "", false}, {b, "", false}, rules_, made, step)) continue;
      text += (i++ ? " " : "") + step;
    }
    return text;
  }

  Rules rules_;
  double drill_share_ = 0, full_share_ = 0, sft_empty_share_ = 0, sft_full_share_ = 0;
};

}  // namespace

std::unique_ptr<Task> make_countdown(const Json& options) {
  OptionReader o(options, "task countdown");
  return std::make_unique<Countdown>(o);
}

}  // namespace r1::tasks
