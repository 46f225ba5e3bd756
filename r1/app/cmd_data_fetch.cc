// r1 data fetch: a list of URLs to a folder that r1 data run reads. docs/data.md, "From the network".
#include "r1/app/command.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/corpus/fetch.h"

namespace r1::app {
namespace {

int run_fetch(const corpus::FetchConfig& config, const CommonOptions& common) {
  install_interrupt_handler();
  const corpus::FetchCounts counts = corpus::fetch(config);
  if (common.json) {
    print_text(dump_json(counts.to_json()) + "\n");
  } else {
    print_text(str(counts.urls, " URLs: ", counts.done, " fetched (", human_bytes(double(counts.bytes)), "), ", counts.there,
                   " there already, ", counts.failed, " failed, ", counts.refused, " refused by robots.txt",
                   counts.repeated ? str("; ", counts.repeated, " lines of the list repeat others") : "", "\n"));
    for (const auto& [name, reason] : counts.reasons) {
      print_text(str("  ", name, ": ", reason.urls, "\n"));
      for (const std::string& example : reason.examples) print_text("    " + example + "\n");
      if (reason.urls > int64_t(reason.examples.size())) print_text("    ..\n");
    }
  }
  if (counts.unsized)
    log_warning(counts.unsized,
                " files came without their length: that they are whole cannot be known (\"length_known\": false in fetch.jsonl)");
  if (counts.failed) log_warning("the same command tries again what failed; ", config.output, "/fetch.jsonl has a line for each URL");
  return counts.failed ? 1 : 0;
}

}  // namespace

Command cmd_data_fetch() {
  return make_command<corpus::FetchConfig>("data fetch", "lists of URLs to a folder that r1 data run reads; goes on where it was stopped",
                                           run_fetch, {"urls"});
}

}  // namespace r1::app
