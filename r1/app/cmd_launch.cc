// r1 launch --nproc_per_node N -- pretrain ...: ranks of a stage on this machine (dist/launch.h). Other machines' launchers need no command:
// the stages read their variables (dist/ranks.h).
#include <algorithm>
#include <filesystem>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/dist/launch.h"
#include "r1/dist/ranks.h"
#include "r1/stages/parallel.h"

namespace r1::app {
namespace {

struct LaunchConfig {
  int64_t nproc_per_node = 1, max_restarts = 0, port = 0;
  double timeout = 60;
  std::string output = "all";
  std::vector<std::string> argv;
  void visit(Fields& v) {
    v("nproc_per_node", nproc_per_node, "ranks to start", Range{1, 4096});
    v("max_restarts", max_restarts, "times that all ranks are started again, from the last checkpoint, when one has failed", Range{0, 1e6});
    v("timeout", timeout, "seconds without a sign of life after which a rank counts as lost", Range{1, 1e6});
    v("port", port, "where the ranks meet, on this machine; 0: a free one", Range{0, 65535});
    v("output", output, "all: the lines of the other ranks too, behind their number; first: rank 0 alone", OneOf{"all", "first"});
    v("argv", argv, "the stage and its options; also what stands after --");
  }
};

bool is_shared_stage(const std::string& word) {
  return std::ranges::find(stages::kSharedStages, word) != std::end(stages::kSharedStages);
}

// As other launchers are called: no "--" before the stage, -n for the number.
Arguments as_we_write_it(const Arguments& arguments) {
  Arguments out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--" || is_shared_stage(word)) {
      if (word != "--") out.push_back("--");
      out.insert(out.end(), arguments.begin() + std::ptrdiff_t(i), arguments.end());
      return out;
    }
    if (word.starts_with("--nnodes") || word.starts_with("--node_rank") || word.starts_with("--node-rank"))
      fail_usage("r1 launch: ", word.substr(0, word.find('=')),
                 ": it starts ranks on this machine alone; on several, srun, mpirun or torchrun start the stage (docs/parallel.md)");
    out.push_back(word == "-n" || word == "--nproc" ? "--nproc_per_node" : word);
  }
  return out;
}

// What all ranks would say, each by itself, is said once.
void check_stage(const Arguments& words) {
  const Arguments rest(words.begin() + 1, words.end());
  const auto command = std::ranges::find(commands(), words[0], &Command::name);
  command->check(*command, rest);
}

bool only_shows(const Arguments& words) {
  return std::ranges::any_of(words, [](const std::string& w) {
    return w == "--help" || w == "-h" || w.starts_with("--print_config") || w.starts_with("--print-config");
  });
}

int run(const LaunchConfig& config, const CommonOptions&) {
  if (const dist::Ranks outer = dist::ranks_of_this_process(); outer.size > 1)
    fail_usage("r1 launch: this is one of ", outer.size, " processes already (", outer.source,
               "), and each would start a run of its own; start the stage without r1 launch, or r1 launch once");
  std::string known;
  for (const char* name : stages::kSharedStages) known += str(known.empty() ? "" : ", ", name);
  if (config.argv.empty()) fail_usage("missing: what the ranks run, e.g. r1 launch --nproc_per_node 2 -- pretrain --config run.yaml");
  const std::string& stage = config.argv[0];
  if (!is_shared_stage(stage)) fail_usage("r1 launch: '", printable(stage), "' does not share its work between ranks; these do: ", known);
  if (only_shows(config.argv)) return run_program(config.argv);
  check_stage(config.argv);
  return dist::launch({.processes = config.nproc_per_node,
                       .max_restarts = config.max_restarts,
                       .timeout = config.timeout,
                       .port = int(config.port),
                       .quiet = config.output == "first",
                       .program = std::filesystem::read_symlink("/proc/self/exe").string(),
                       .arguments = config.argv});
}

}  // namespace

Command cmd_launch() {
  auto command = make_command<LaunchConfig>("launch", "start a stage as several ranks on this machine, and again when one fails", run);
  command.rest = "argv";
  command.run = [body = command.run](const Command& self, const Arguments& arguments) { return body(self, as_we_write_it(arguments)); };
  return command;
}

}  // namespace r1::app
