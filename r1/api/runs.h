// Training runs as the dashboard shows them: found below given folders, listed, their numbers, completions and alarms read while they grow,
// several compared. Reads only; what is broken in a folder (a torn line, a file that is none, a stage.json of somebody else) is counted or
// named under "faults" and never an error. Safe from several threads.
//
// A run is a folder that r1's training stages write (stages/run.h): metrics.jsonl, or config.yaml beside configs.jsonl. Its name is that of
// its root and the way below it, "runs/r1-zero-tiny/zero". Names are checked (base/files_below.h); one that is no name is http::ApiError 400, one
// that nothing stands under 404.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "r1/api/runs_completions.h"
#include "r1/api/runs_metrics.h"
#include "r1/api/runs_times.h"
#include "r1/base/json.h"

namespace r1::api {

struct SeriesQuery {
  std::vector<std::string> keys;             // empty: none
  size_t points = 800;                       // buckets a series is thinned to; up to three points each
  std::optional<double> from_step, to_step;  // a part; the points around it come along
  double smoothing = 0;                      // weight of the past, 0 .. 0.9999; over all points before they are thinned
};

class RunStore {
 public:
  static constexpr size_t kMaxRuns = 1'000, kMaxDepth = 4, kMaxEntries = 20'000, kMaxCompared = 16, kMaxCached = 24;
  static constexpr int64_t kMaxConfig = 1 << 20, kMaxStage = 16 << 20, kMaxReport = 64 << 20;

  // Each root must be a folder (usage error); it may be a run itself. Runs that were not asked for lately are forgotten, and read again when
  // they are, so that about `max_points` points (16 bytes each) are kept in all.
  explicit RunStore(const std::vector<std::string>& roots, size_t max_points = 24'000'000);
  ~RunStore();

  // {"runs": [{"name", "title", "stage", "state": "running" | "finished" | "stopped", "step", "total_steps" (null: not known), "modified",
  //   "last": {metric: value} of the last line, "alarms": how many monitors alarm}], "roots", "skipped": folders whose names no request could
  //   have, "more": there are more than kMaxRuns}
  Json list();
  // All but the points: config and its changes, results, metrics with count and range, alarms with step and time, checkpoints, faults.
  Json details(const std::string& name);
  // {"run", "cursor", "series": {key: {"step": [], "value": [], "smooth_step": [], "smooth": [], "count", "smoothing": {"sum", "mass"}}},
  //  "times": {"step": [], "time": []}}. Values that are not finite are null, "inf" and "-inf". From `cursor` on, rows() has what came later.
  Json series(const std::string& name, const SeriesQuery& query);
  // {"rows": [{"step", key: value}], "cursor", "more", "broken"}, or {"reset": true, "cursor"}: the file is not the one of that cursor any
  // more, or there is more than `limit` at a time; read the series again.
  Json rows(const std::string& name, const std::string& cursor, int64_t limit);
  Json completions(const std::string& name, const CompletionQuery& query);
  // {"runs", "config": [{"key", "values"}] of what differs, "metrics": [{"key", "values": the last ones}]}
  Json compare(const std::vector<std::string>& names);
  // report.html, if there is one.
  std::optional<std::string> report(const std::string& name);
  // Changes when the run's metrics do.
  FileStatus metrics_status(const std::string& name);

 private:
  struct Root {
    std::string name;
    std::filesystem::path path;
  };
  struct Place;
  struct Cached;
  struct Walk;

  Place find(const std::string& name) const;
  std::shared_ptr<Cached> cached(const std::string& name);
  void walk(const Place& here, size_t depth, Walk& walk);
  Json summary(const Place& place);
  static Json alarms(const Cached& cached, const Json& stage);

  std::vector<Root> roots_;
  size_t max_points_;
  std::mutex mutex_;  // of what follows
  std::map<std::string, std::shared_ptr<Cached>> cache_;
  std::map<std::string, std::pair<FileStatus, MetricsRow>> last_rows_;
  int64_t uses_ = 0;
  double listed_at_ = 0;
  Json listed_;
};

}  // namespace r1::api
