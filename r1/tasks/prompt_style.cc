#include "r1/tasks/prompt_style.h"

#include "r1/base/error.h"

namespace r1::tasks {
namespace {

constexpr char kBoxed[] = "Please reason step by step, and put your final answer within \\boxed{}.";
constexpr char kHashes[] = "Think step by step. End with a line \"#### N\", where N is the answer as a number.";
constexpr char kR1Zero[] =
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first thinks about "
    "the reasoning "
    "process in the mind and then provides the user with the answer. The reasoning process and answer are enclosed within <think> </think> "
    "and "
    "<answer> </answer> tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>.";

}  // namespace

const std::vector<std::string>& prompt_styles() {
  static const std::vector<std::string> styles = {"plain", "hashes", "boxed", "r1_zero"};
  return styles;
}

void apply_prompt_style(Problem& problem, const std::string& style, const std::string& system) {
  std::string rules = system, user = problem.question;
  if (style == "plain") {
    problem.prompt = "Question: " + problem.question + "\nAnswer:";
  } else if (style == "hashes") {
    user += std::string("\n") + kHashes;
    problem.prompt = "Question: " + user + "\nAnswer:";
  } else if (style == "boxed") {
    user += std::string("\n") + kBoxed;
    problem.prompt = "Question: " + user + "\nAnswer:";
  } else if (style == "r1_zero") {
    rules += (rules.empty() ? "" : "\n") + std::string(kR1Zero);
    problem.prompt = std::string(kR1Zero) + " User: " + problem.question + " Assistant:";
  } else {
    fail("[prompt_style] unknown style '", style, "'");
  }
  problem.messages.clear();
  if (!rules.empty()) problem.messages.push_back({"system", rules});
  problem.messages.push_back({"user", user});
}

std::string styled_solution(const std::string& style, const std::string& thought, const std::string& answer) {
  if (style == "boxed") return thought + "\n\\boxed{" + answer + "}";
  if (style == "r1_zero") return "<think>\n" + thought + "\n</think>\n<answer>\n" + answer + "\n</answer>";
  return thought + "\n#### " + answer;
}

}  // namespace r1::tasks
