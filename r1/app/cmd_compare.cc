// r1 compare A B: two evaluations or two training runs: what differs in their configs, their numbers side by side, and for evaluations which
// problems flipped and whether that could be chance.
#include "r1/app/command.h"
#include "r1/eval/saved.h"

namespace r1::app {
namespace {

struct CompareConfig {
  std::string a, b;
  int64_t flips = 10;

  void visit(Fields& v) {
    v("a", a, "folder of an evaluation or run", Required{});
    v("b", b, "folder of another one, which is compared with it", Required{});
    v("flips", flips, "problems shown of those that only one of them solves, of each side", Range{0, 1e12});
  }
};

int run(const CompareConfig& config, const CommonOptions& common) {
  const Json comparison = eval::compare_runs(config.a, config.b);
  print_text(common.json ? dump_json(comparison) + "\n" : eval::comparison_text(comparison, config.flips));
  return 0;
}

}  // namespace

Command cmd_compare() {
  return make_command<CompareConfig>("compare", "two evaluations or runs: config, numbers, which problems flipped, paired test", run,
                                     {"a", "b"});
}

}  // namespace r1::app
