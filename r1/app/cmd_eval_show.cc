// r1 eval show RUN [--wrong] [N]: the samples of an evaluation, question by question.
#include <algorithm>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/eval/harness.h"
#include "r1/eval/saved.h"

namespace r1::app {
namespace {

struct ShowConfig {
  std::string run;
  eval::ShowOptions options;

  void visit(Fields& v) {
    v("run", run, "folder of an evaluation (result.json, samples.jsonl)", Required{});
    v("n", options.n, "samples to show", Range{0, 1e12});
    v("wrong", options.wrong, "only those that are not right");
    v("verdict", options.verdict, "only those of this verdict", OneOf{"", "right", "wrong", "unparsed", "timeout", "crash"});
    v("id", options.id, "only problems whose id has this in it");
  }
};

int run(const ShowConfig& config, const CommonOptions& common) {
  const fs::path folder = config.run;
  if (!common.json && fs::exists(folder / "result.json")) print_text(eval::result_text(parse_json_file(folder / "result.json")) + "\n");
  const int64_t fitting = eval::show_samples(
      folder, config.options, [&](const Json& sample) { print_text(common.json ? dump_json(sample) + "\n" : eval::sample_text(sample)); });
  if (fitting > config.options.n) log_info(config.options.n, " of ", fitting, " samples shown; --n=", fitting, " shows all");
  if (fitting == 0) log_info("no sample fits");
  return 0;
}

// "--wrong 3": a number after a flag is N.
Arguments with_number(Arguments arguments) {
  for (size_t i = 0; i + 1 < arguments.size(); ++i) {
    const std::string& next = arguments[i + 1];
    const bool number = !next.empty() && std::ranges::all_of(next, [](char c) { return c >= '0' && c <= '9'; });
    if (arguments[i] == "--wrong" && number) arguments[i + 1] = "--n=" + next;
  }
  return arguments;
}

}  // namespace

Command cmd_eval_show() {
  Command command =
      make_command<ShowConfig>("eval show", "the samples of an evaluation: prompt, completion, answer, verdict", run, {"run", "n"});
  command.run = [inner = std::move(command.run)](const Command& self, const Arguments& arguments) {
    return inner(self, with_number(arguments));
  };
  return command;
}

}  // namespace r1::app
