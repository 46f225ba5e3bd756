// The dashboard's routes over a RunStore (runs.h), all GET, answers JSON unless said otherwise:
//   /api/runs                                          the list
//   /api/runs/details?run=                             one run without its points
//   /api/runs/series?run=&keys=&points=&from_step=&to_step=&smoothing=   thinned curves; keys: names between commas, or a JSON list
//   /api/runs/metrics?run=&from=&limit=                lines after a cursor, as they are
//   /api/runs/stream?runs=&from=                       server-sent events: what is appended to up to 16 runs, names and cursors between commas
//   /api/runs/completions?run=&step=&id=&verdict=&reward_min=&reward_max=&search=&offset=&limit=
//   /api/runs/compare?runs=
//   /api/runs/report?run=                              report.html, in a sandbox of its own: a run folder may be anybody's
// A parameter that is unknown, missing or out of range is a 400 that names it. Events of a stream: "rows" {"run", "rows", "cursor"}, "reset"
// {"run"} (read the series again), "gone" {"run"}.
#pragma once

#include <string>
#include <vector>

#include "r1/api/openapi.h"
#include "r1/base/config.h"
#include "r1/http/router.h"

namespace r1::api {

struct RunsConfig {
  std::vector<std::string> runs;  // roots; none: an empty list
  double poll_interval = 0.5;     // seconds between two looks at a streamed run
  int64_t max_run_streams = 64;

  void visit(Fields& v);
};

// Usage error if a root is no folder.
void add_runs_routes(http::Router& router, const RunsConfig& config);
// Their rows in /openapi.json.
std::vector<Operation> runs_operations();

}  // namespace r1::api
