#include "r1/tasks/task_help.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/tasks/registry.h"

namespace r1::tasks {
namespace {

constexpr std::pair<const char*, const char*> kHelp[] = {
    {"answer_field", "key of a row that holds the known answer (unset: the usual names)"},
    {"boxes", "which \\boxed{} counts where there are several"},
    {"columns", "another name for a key of rows: --columns.question=Text says that the question stands under Text"},
    {"count", "how many numbers"},
    {"data", "a file (its rows are split test), or the folder with the files of both splits; --data says the same"},
    {"deadline", "seconds for judging one answer"},
    {"digits", "digits of a number"},
    {"drill_share", "share of pretraining documents that drill single steps"},
    {"first_index", "what an answer that is a number counts from"},
    {"full_share", "share of the other pretraining documents that write every step down"},
    {"id_field", "key of a row that holds its name"},
    {"judge_workers", "programs judged at a time; 0: as many as CPUs"},
    {"language", "of programs, where a row names none"},
    {"limit", "problems of a split; 0: all"},
    {"max_number", "largest of the given numbers"},
    {"max_target", "largest target"},
    {"max_tries", "attempts that a worked solution writes down"},
    {"max_value", "largest number on the way"},
    {"memory_mb", "memory of a judged program"},
    {"min_number", "smallest of the given numbers"},
    {"numbers", "how many numbers are given"},
    {"operators", "signs that may be used"},
    {"options_field", "key of a row that holds the options"},
    {"partial_credit", "accuracy is the share of passed tests, not all or nothing"},
    {"prompt_style", "how the question is put, and in which form the answer is asked for"},
    {"published_split", "train and test by task_id, as published; false: as the file is given"},
    {"question_field", "key of a row that holds the question"},
    {"relative", "numbers that differ by at most this share of the known one are the same; 0: off"},
    {"rounding_digits", "a decimal of at least that many digits may stand for the value it rounds; 0: never"},
    {"seed", "what is drawn follows from it"},
    {"sft_empty_share", "share of supervised examples without a thought"},
    {"sft_full_share", "share of supervised examples with the whole thought"},
    {"shots", "worked examples in front of the plain prompt"},
    {"shown_tests", "tests that the prompt shows"},
    {"shuffle", "options in an order drawn from seed"},
    {"skip_untested", "leave out rows without tests, instead of an error"},
    {"solution_field", "key of a row that holds a worked solution"},
    {"steps", "operations of a chain"},
    {"strict", "only a marked answer counts (<answer>, \\boxed{}, ####)"},
    {"style", "which kind of problems"},
    {"system", "system message of the chat prompt"},
    {"test", "file, folder or pattern of split test"},
    {"test_seconds", "seconds that one test of a program may take"},
    {"test_size", "problems of split test"},
    {"tolerance", "how near a number must come to the known one"},
    {"train", "file, folder or pattern of split train"},
    {"train_fraction", "share of a file without a split of its own that becomes split train"},
    {"train_size", "problems of split train"},
    {"use_all", "every given number must be used"},
    {"warm", "sandboxes kept ready"},
    {"workers", "processes for hard comparisons"},
};

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

std::string example(const TaskInfo& info) {
  return str("r1 eval MODEL --task ", info.name, info.options.empty() ? "" : " ", info.options);
}

}  // namespace

std::string option_help(const std::string& key) {
  for (const auto& [name, help] : kHelp)
    if (key == name) return help;
  return "";
}

std::string tasks_overview() {
  std::string text;
  for (const std::string& name : task_names()) {
    const TaskInfo info = task_info(name);
    std::string options;
    for (const OptionInfo& option : task_options(name)) options += (options.empty() ? "" : ", ") + option.key;
    text += padded(name, 17) + info.what + "\n";
    if (!info.files.empty()) text += "  files    " + info.files + "\n";
    text += "  options  " + options + "\n  example  " + example(info) + "\n\n";
  }
  return text +
         "An option is written --task_options.<option>=<value>. r1 eval --help TASK says more of one task.\n"
         "A file may be JSON lines, JSON, CSV or TSV, also .gz, .zst, .bz2 or .xz. Without --data a task looks for $R1_DATA/<task>/.\n";
}

std::string task_help(const std::string& name) {
  const TaskInfo info = task_info(name);
  std::string text = str("task ", name, ": ", info.what, "\n\n", example(info), "\n\n");
  if (!info.files.empty()) text += "files: " + info.files + "\n\n";
  for (const OptionInfo& option : task_options(name)) {
    const std::string fallback = option.fallback.empty() ? "" : " (" + option.fallback + ")";
    const std::string written = option.key == "columns" ? "--columns.NAME=KEY" : "--task_options." + option.key;
    text +=
        "  " + padded(written, 34) + option_help(option.key) + fallback + (option.limits.empty() ? "" : " [" + option.limits + "]") + "\n";
  }
  return text;
}

}  // namespace r1::tasks
