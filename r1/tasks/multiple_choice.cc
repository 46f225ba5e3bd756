#include "r1/tasks/multiple_choice.h"

#include <algorithm>
#include <cctype>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/base/strings.h"
#include "r1/tasks/file_task.h"
#include "r1/tasks/generated.h"
#include "r1/tasks/prompt_style.h"
#include "r1/tasks/tagged.h"
#include "r1/verify/choice.h"
#include "r1/verify/verify.h"

namespace r1::tasks {
namespace {

constexpr size_t kMostOptions = 10;  // A-J
constexpr char kWish[] = "Answer with the letter of the right option.";

// "B) 12 m" of the second option is "12 m".
std::string without_letter(const std::string& text, size_t index) {
  const std::string s = trimmed(text);
  const size_t open = s.starts_with("(") ? 1 : 0;
  if (s.size() < open + 2 || s[open] != char('A' + index)) return s;
  const char sign = s[open + 1];
  if (sign == ')' || (!open && (sign == '.' || sign == ':'))) return trimmed(s.substr(open + 2));
  return s;
}

std::vector<std::string> option_texts(const Json& value, const std::string& where) {
  std::vector<std::string> texts;
  const auto list = [&](const Json& items) {
    for (const Json& item : items) texts.push_back(without_letter(field_text(item, "an option", where), texts.size()));
  };
  if (value.is_array()) {
    list(value);
  } else if (value.is_object() && value.contains("text") && value["text"].is_array()) {
    list(value["text"]);
  } else if (value.is_object()) {
    for (size_t i = 0; i < value.size(); ++i) {
      const auto at = value.find(std::string(1, char('A' + i)));
      if (at == value.end()) fail(where, ": expected options under the keys A, B, .. in a row, ", char('A' + i), " is missing");
      texts.push_back(field_text(*at, "an option", where));
    }
  } else {
    fail(where, ": expected the options as a list or an object, got ", value.type_name());
  }
  if (texts.size() < 2 || texts.size() > kMostOptions) fail(where, ": expected 2 to ", kMostOptions, " options, got ", texts.size());
  return texts;
}

// Does the option speak of other options by place or letter?
bool refers(const std::string& text) {
  const std::string l = lower_ascii(text);
  if (l.starts_with("none") || l.starts_with("neither") || l.starts_with("all of") || l.starts_with("both") ||
      l.find(" of the above") != l.npos || l.find(" of these") != l.npos || l.find("cannot be determined") != l.npos)
    return true;
  return false;
}
bool names_letters(const std::string& text) {
  for (size_t i = 0; i + 6 < text.size(); ++i)  // "A and B", "C or D"
    if (text[i] >= 'A' && text[i] <= 'J' && (text.compare(i + 1, 5, " and ") == 0 || text.compare(i + 1, 4, " or ") == 0)) {
      const size_t next = i + (text[i + 2] == 'a' ? 6 : 5);
      if (next < text.size() && text[next] >= 'A' && text[next] <= 'J' &&
          (next + 1 == text.size() || !std::isalnum(static_cast<unsigned char>(text[next + 1]))))
        return true;
    }
  return false;
}

class MultipleChoice : public FileTask {
 public:
  MultipleChoice(const char* name, const Json& options) : FileTask(name) {
    OptionReader o(options, std::string("task ") + name);
    const Files files = file_options(o);
    question_field_ = o.text("question_field", "");
    options_field_ = o.text("options_field", "");
    answer_field_ = o.text("answer_field", "");
    solution_field_ = o.text("solution_field", "");
    id_field_ = o.text("id_field", "");
    style_ = o.one_of("prompt_style", "boxed", {"plain", "boxed", "r1_zero"});
    system_ = o.text("system", "");
    strict_ = o.boolean("strict", false);
    shuffle_ = o.boolean("shuffle", false);
    seed_ = o.integer("seed", 0, 0, INT64_MAX);
    first_index_ = o.integer("first_index", 0, 0, 1);
    o.finish();
    load(files);
  }

  // Thread-safe: reads only what the constructor made.
  Score score(const Problem& problem, const std::string& completion) const override {
    auto choice = verify::extract_choice(completion, strict_);
    if (!choice && !strict_) {  // no letter anywhere: an option's text, then
      if (auto said = verify::extract_answer(completion)) choice = verify::Choice{'\0', std::move(said->text), said->place};
    } else if (choice && !choice->letter && choice->place == verify::AnswerPlace::kPhrase) {
      return {Verdict::kUnparsed, 0, choice->text, verify::answer_place_name(choice->place), "names two letters"};
    }
    if (!choice) return {Verdict::kUnparsed, 0, "", "none", "no letter is said to be the answer"};
    const std::string rule = verify::answer_place_name(choice->place);
    const char letter = choice->letter ? choice->letter : letter_of_text(problem.extra["options"], choice->text);
    if (!letter) return {Verdict::kUnparsed, 0, choice->text.substr(0, 200), rule, "neither a letter nor the text of exactly one option"};
    const bool right = problem.gold == std::string(1, letter);
    return {right ? Verdict::kRight : Verdict::kWrong, right ? 1.0 : 0.0, std::string(1, letter), rule,
            right ? "the same option" : std::string(1, letter) + " is not " + problem.gold};
  }

 private:
  // The letter of the one option whose text this is; '\0' if it is none's or fits several.
  static char letter_of_text(const Json& options, const std::string& text) {
    if (text.empty() || text.size() > 1'000) return '\0';
    char found = '\0';
    for (size_t i = 0; i < options.size(); ++i) {
      bool exhausted = false;
      const auto c = verify::check_texts(options[i].get_ref<const std::string&>(), text, {}, verify::kSmallBudget, &exhausted);
      if (c.verdict != verify::AnswerVerdict::kRight) continue;
      if (found) return '\0';
      found = char('A' + i);
    }
    return found;
  }

  size_t right_option(const Json& answer, const std::vector<std::string>& texts, const Json& options, const std::string& where) const {
    if (answer.is_number_integer()) {
      const int64_t index = answer.get<int64_t>() - first_index_;
      if (index < 0 || index >= int64_t(texts.size())) fail(where, ": the answer ", answer.dump(), " is no option's number");
      return size_t(index);
    }
    const std::string text = trimmed(field_text(answer, "the answer", where));
    if (options.is_object() && options.contains("label"))
      for (size_t i = 0; i < options["label"].size() && i < texts.size(); ++i)
        if (options["label"][i] == text) return i;
    if (const char c = verify::option_letter(text); c && text.size() <= 4 && size_t(c - 'A') < texts.size()) return size_t(c - 'A');
    const auto at = std::find(texts.begin(), texts.end(), text);
    if (at == texts.end()) fail(where, ": the answer '", text, "' is neither an option's letter nor its text");
    return size_t(at - texts.begin());
  }

  // Positions of the options in their new order.
  std::vector<size_t> order_of(const std::vector<std::string>& texts, const std::string& question) const {
    std::vector<size_t> order(texts.size()), free;
    for (size_t i = 0; i < texts.size(); ++i) order[i] = i;
    if (!shuffle_ || std::any_of(texts.begin(), texts.end(), names_letters)) return order;
    for (size_t i = 0; i < texts.size(); ++i)
      if (!refers(texts[i])) free.push_back(i);
    Rng rng(uint64_t(seed_), problem_hash(question));
    std::vector<size_t> drawn = free;
    rng.shuffle(drawn);
    for (size_t i = 0; i < free.size(); ++i) order[free[i]] = drawn[i];
    return order;
  }

  std::optional<Problem> read_row(const Json& row, const std::string& where) override {
    const Json* question = field(row, question_field_, {"question", "problem", "prompt"}, where);
    const Json* options = field(row, options_field_, {"options", "choices"}, where);
    const Json* answer = field(row, answer_field_, {"correct", "answer", "answerKey", "label", "gold"}, where);
    if (!question || !options || !answer) {
      const char* what = !question ? "question" : !options ? "options" : "answer";
      fail(where, ": no ", what, " in the row", found_keys(row, what));
    }
    const std::string asked = trimmed(field_text(*question, "the question", where));
    const std::vector<std::string> texts = option_texts(*options, where);
    const size_t right = right_option(*answer, texts, *options, where);
    const std::vector<size_t> order = order_of(texts, asked);
    Problem p;
    p.question = asked + "\n";
    p.extra["options"] = Json::array();
    for (size_t i = 0; i < order.size(); ++i) {
      const char letter = char('A' + i);
      p.question += str(letter, ") ", texts[order[i]], "\n");
      p.extra["options"].push_back(texts[order[i]]);
      if (order[i] == right) p.gold = std::string(1, letter);
    }
    p.question += kWish;
    const Json* id = field(row, id_field_, {"id"}, where);
    if (id) p.id = field_text(*id, "the id", where);
    const Json* solution = field(row, solution_field_, {"rationale", "explanation", "solution"}, where);
    // a worked solution that names the letters of the old order would teach the wrong one
    if (solution && std::is_sorted(order.begin(), order.end()))
      p.solution = styled_solution(style_, trimmed(field_text(*solution, "the solution", where)), p.gold);
    apply_prompt_style(p, style_, system_);
    return p;
  }

  std::string question_field_, options_field_, answer_field_, solution_field_, id_field_, style_, system_;
  bool strict_ = false, shuffle_ = false;
  int64_t seed_ = 0, first_index_ = 0;
};

}  // namespace

std::unique_ptr<Task> make_multiple_choice(const Json& options) {
  return std::make_unique<MultipleChoice>("multiple_choice", options);
}
std::unique_ptr<Task> make_aqua(const Json& options) {
  return std::make_unique<MultipleChoice>("aqua", options);
}

}  // namespace r1::tasks
