#include "r1/api/runs.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <set>

#include "r1/base/config_io.h"
#include "r1/http/error.h"
#include "r1/report/report.h"

namespace r1::api {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kPiece = 64 << 20;           // bytes of a log read under one lock
constexpr double kListSeconds = 1;             // a list is as good as new for so long
constexpr double kQuiet = 180, kFirst = 1800;  // seconds without a sign after which a run counts as stopped; before its first line
constexpr size_t kMaxFaults = 20;

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "/" + name;
}

// A root's name in requests: its folder's, with what no name may have replaced.
std::string root_name(const fs::path& path) {
  std::string name = path.filename().string();
  if (name.empty() || name == "." || name == "..") name = fs::weakly_canonical(path).filename().string();
  for (char& c : name)
    if (!is_plain_path(std::string(1, c)) && c != '.') c = '-';
  name = name.substr(0, 100);
  return is_plain_path(name) ? name : "runs";
}

bool is_inside_a_run(const std::string& name) {
  return name[0] == '.' || name.rfind("checkpoint-", 0) == 0 || name.rfind("tmp-checkpoint-", 0) == 0 || name == "token_shards";
}

bool is_run(const FilesBelow& files, const std::string& path) {
  return files.status(join(path, "metrics.jsonl")) ||
         (files.status(join(path, "config.yaml")) && files.status(join(path, "configs.jsonl")));
}

// A JSON file of a run, or null and a fault.
Json read_json(const FilesBelow& files, const std::string& path, int64_t most, std::vector<std::string>* faults = nullptr) {
  std::string fault;
  const auto text = files.read(path, most, &fault);
  const std::string name = path.substr(path.rfind('/') + 1);
  if (!text) {
    if (!fault.empty() && faults) faults->push_back(name + " " + fault);
    return {};
  }
  try {
    return parse_json(*text, name);
  } catch (const Error& error) {
    if (faults) faults->push_back(error.what());
    return {};
  }
}

// The resolved config. r1 writes JSON, which is YAML; another program's may be YAML that is no JSON.
Json read_config(const FilesBelow& files, const std::string& path, std::vector<std::string>* faults = nullptr) {
  const std::string file = join(path, "config.yaml");
  Json config = read_json(files, file, RunStore::kMaxConfig);
  if (config.is_object()) return config;
  std::string fault;
  const auto text = files.read(file, RunStore::kMaxConfig, &fault);
  if (!text) {
    if (!fault.empty() && faults) faults->push_back("config.yaml " + fault);
    return Json::object();
  }
  try {
    config = parse_yaml_document(*text, "config.yaml");
  } catch (const Error& error) {
    if (faults) faults->push_back(error.what());
  }
  return config.is_object() ? config : Json::object();
}

Json object_in(const Json& value, const char* key) {
  const auto it = value.is_object() ? value.find(key) : value.end();
  return value.is_object() && it != value.end() && it->is_object() ? *it : Json::object();
}

double number_in(const Json& value, const char* key, double fallback) {
  if (!value.is_object()) return fallback;
  const auto it = value.find(key);
  if (it == value.end()) return fallback;
  if (it->is_number()) return it->get<double>();
  if (!it->is_string()) return fallback;
  try {
    return std::stod(it->get<std::string>());
  } catch (const std::exception&) {
    return fallback;
  }
}

std::string string_in(const Json& value, const char* key) {
  if (!value.is_object()) return {};
  const auto it = value.find(key);
  return it != value.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// What kind of stage wrote a folder that is not finished: each has settings that only it knows.
std::string stage_of(const Json& stage, const Json& config) {
  if (const std::string name = string_in(stage, "stage"); !name.empty()) return name.substr(0, 40);
  if (config.contains("teacher_name_or_path")) return "distill";
  if (config.contains("num_generations")) return "grpo";
  if (config.contains("text_field")) return "pretrain";
  if (config.contains("packing_strategy")) return "sft";
  return "";
}

double value_of(const MetricsRow& row, const char* key) {
  for (const auto& [name, value] : row.numbers)
    if (name == key) return value;
  return std::numeric_limits<double>::quiet_NaN();
}

double step_seconds(const MetricsRow& row) {
  double seconds = 0;
  for (const char* key : {"step_time", "time/sampling", "time/rewards", "time/update"})
    if (const double value = value_of(row, key); std::isfinite(value) && value > 0) seconds += value;
  return seconds;
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

// json_settings() recurses no deeper than the file's depth limit; a config that it refuses has no differences to show.
std::map<std::string, Json> flat(const Json& config) {
  std::map<std::string, Json> out;
  try {
    for (const auto& setting : json_settings(config, "config")) out[setting.key] = setting.value;
  } catch (const Error&) {
    out.clear();
  }
  return out;
}

}  // namespace

struct RunStore::Place {
  std::string name;  // of the run
  std::shared_ptr<const FilesBelow> files;
  std::string path;  // below the root

  std::string file(const std::string& name) const { return join(path, name); }
};

// What was read of a run; `mutex` is held while it is read on and looked at.
struct RunStore::Cached {
  std::mutex mutex;
  RunMetrics metrics;
  RunCompletions completions;
  StepTimes times;
  int64_t used = 0;
  std::atomic<size_t> points = 0;

  void refresh_metrics(const Place& place) {
    if (const auto file = place.files->file(place.file("metrics.jsonl")))
      while (metrics.refresh(*file, kPiece)) {
      }
    points = metrics.points();
  }
  void refresh_times(const Place& place) {
    std::string newest;
    for (const auto& entry : place.files->entries(place.path, 1'000))
      if (entry.name.rfind("events.out.tfevents.", 0) == 0) newest = std::max(newest, entry.name);
    if (newest.empty()) return;
    if (const auto file = place.files->file(place.file(newest)))
      while (times.refresh(*file, kPiece)) {
      }
  }
};

struct RunStore::Walk {
  Json runs = Json::array();
  std::set<std::pair<uint64_t, uint64_t>> seen;  // folders: links can lead in circles
  size_t entries = 0;
  int64_t skipped = 0;
  bool more = false;
};

RunStore::RunStore(const std::vector<std::string>& roots, size_t max_points) : max_points_(max_points) {
  std::set<std::string> taken;
  for (const std::string& root : roots) {
    if (!fs::is_directory(root)) fail_usage("runs: no folder '", printable(root), "'; name folders that hold runs, or a run's own");
    std::string name = root_name(root);
    for (int i = 2; !taken.insert(name).second; ++i) name = str(root_name(root), "-", i);
    roots_.push_back({name, fs::absolute(root)});
  }
}
RunStore::~RunStore() = default;

RunStore::Place RunStore::find(const std::string& name) const {
  if (!is_plain_path(name))
    throw http::ApiError(400,
                         str("run: '", printable(name), "' is no run's name: parts of letters, digits, '.', '_' and '-' between slashes"),
                         "run", "invalid_run_name");
  const size_t slash = std::min(name.find('/'), name.size());
  const auto root = std::find_if(roots_.begin(), roots_.end(), [&](const Root& r) { return r.name == name.substr(0, slash); });
  if (root != roots_.end()) {
    Place place{name, std::make_shared<FilesBelow>(root->path), slash < name.size() ? name.substr(slash + 1) : std::string()};
    if (is_run(*place.files, place.path)) return place;
  }
  throw http::ApiError(404, str("run: there is no run '", name, "'; GET /api/runs lists them"), "run", "run_not_found");
}

std::shared_ptr<RunStore::Cached> RunStore::cached(const std::string& name) {
  const std::lock_guard lock(mutex_);
  auto& entry = cache_[name];
  if (!entry) entry = std::make_shared<Cached>();
  const auto found = entry;
  found->used = ++uses_;
  const auto points = [&] {
    size_t all = 0;
    for (const auto& [run, kept] : cache_) all += kept->points;
    return all;
  };
  while (cache_.size() > 1 && (cache_.size() > kMaxCached || points() > max_points_))
    cache_.erase(
        std::min_element(cache_.begin(), cache_.end(), [](const auto& a, const auto& b) { return a.second->used < b.second->used; }));
  return found;
}

// ---- the list ----

void RunStore::walk(const Place& here, size_t depth, Walk& walk) {
  const auto folder = here.files->folder(here.path);
  if (!folder) return;
  const FileStatus status = folder->status();
  if (!walk.seen.insert({status.device, status.inode}).second) return;
  if (is_run(*here.files, here.path)) {
    if (walk.runs.size() >= kMaxRuns) {
      walk.more = true;
      return;
    }
    walk.runs.push_back(summary(here));
  }
  if (depth == kMaxDepth) return;
  const auto entries = here.files->entries(here.path, kMaxEntries - std::min(kMaxEntries, walk.entries));
  walk.entries += entries.size();
  walk.more |= walk.entries >= kMaxEntries;
  for (const FolderEntry& entry : entries) {
    if (!entry.may_be_folder || is_inside_a_run(entry.name)) continue;
    if (!is_plain_path(entry.name)) {
      ++walk.skipped;
      continue;
    }
    this->walk({here.name + "/" + entry.name, here.files, join(here.path, entry.name)}, depth + 1, walk);
  }
}

Json RunStore::list() {
  const std::lock_guard lock(mutex_);
  if (now() - listed_at_ < kListSeconds) return listed_;
  Walk walk;
  Json roots = Json::array();
  for (const Root& root : roots_) {
    roots.push_back(root.name);
    this->walk({root.name, std::make_shared<FilesBelow>(root.path), ""}, 0, walk);
  }
  std::set<std::string> there;
  for (const Json& run : walk.runs) there.insert(run.at("name").get<std::string>());
  std::erase_if(last_rows_, [&](const auto& entry) { return !there.contains(entry.first); });
  listed_ = {{"runs", std::move(walk.runs)}, {"roots", roots}, {"skipped", walk.skipped}, {"more", walk.more}};
  listed_at_ = now();
  return listed_;
}

// From the ends of the files only: a list of hundreds of long runs has to be quick.
Json RunStore::summary(const Place& place) {
  const auto status = place.files->status(place.file("metrics.jsonl"));
  auto& [seen, row] = last_rows_[place.name];
  if (status && !(*status == seen)) {
    seen = *status;
    row = {};
    const auto file = place.files->file(place.file("metrics.jsonl"));
    constexpr int64_t kTail = 256 << 10;
    std::string tail = file ? file->read(std::max<int64_t>(0, status->size - kTail), kTail) : "";
    tail.resize(tail.find_last_of('\n') == std::string::npos ? 0 : tail.find_last_of('\n'));
    for (int tries = 0; tries < 20 && !tail.empty(); ++tries) {
      const size_t begin = tail.find_last_of('\n');
      if (parse_metrics_line(std::string_view(tail).substr(begin == std::string::npos ? 0 : begin + 1), row)) break;
      row = {};
      tail.resize(begin == std::string::npos ? 0 : begin);
    }
  }
  const Json stage = read_json(*place.files, place.file("stage.json"), kMaxStage), config = read_config(*place.files, place.path);
  const auto config_status = place.files->status(place.file("config.yaml"));
  const double modified = std::max(status ? status->modified : 0, config_status ? config_status->modified : 0);
  const double quiet =
      status && status->size > 0 ? std::max(kQuiet, 6 * step_seconds(row) * std::max(1.0, number_in(config, "logging_steps", 1))) : kFirst;
  const double max_steps = stage.is_object() ? number_in(stage, "steps", 0) : number_in(config, "max_steps", 0);
  Json last = Json::object();
  for (const char* key :
       {"reward", "accuracy", "eval/accuracy", "eval_accuracy", "loss", "eval_loss", "tokens_per_second", "sampling/tokens_per_second"})
    if (const double value = value_of(row, key); std::isfinite(value)) last[key] = value;
  const double alarms = value_of(row, "monitor/alarms");
  return {{"name", place.name},
          {"title", place.name.substr(place.name.rfind('/') + 1)},
          {"stage", stage_of(stage, config)},
          {"state", stage.is_object()          ? "finished"
                    : now() - modified < quiet ? "running"
                                               : "stopped"},
          {"step", row.step},
          {"total_steps", max_steps > 0 ? Json(max_steps) : Json()},
          {"modified", modified},
          {"last", last},
          {"alarms", alarms > 0 && alarms < 1e6 ? int64_t(alarms) : 0}};
}

// ---- one run ----

namespace {

// {"count", "not_finite", "last", "min", "max"}
Json range_of(const std::vector<Point>& points) {
  double lo = std::numeric_limits<double>::infinity(), hi = -lo;
  int64_t odd = 0;
  for (const Point& p : points) {
    if (!std::isfinite(p.value)) {
      ++odd;
      continue;
    }
    lo = std::min(lo, p.value);
    hi = std::max(hi, p.value);
  }
  return {{"count", points.size()},
          {"not_finite", odd},
          {"last", points.empty() ? Json() : number_json(points.back().value)},
          {"min", number_or_null(lo)},
          {"max", number_or_null(hi)}};
}

// What the report warns of at the end of a run, from the numbers so far: the same rules.
std::vector<std::string> advice(const RunMetrics& metrics) {
  constexpr size_t kLines = 1'000;
  std::map<double, Json> lines;
  for (const char* key : {"reward", "frac_reward_zero_std", "completions/clipped_ratio", "verdicts/unparsed", "entropy"}) {
    const auto* points = metrics.series(key);
    if (!points) continue;
    const size_t stride = points->size() / kLines + 1;
    for (size_t i = points->size() % stride; i < points->size(); i += stride) {
      Json& line = lines[(*points)[i].step];
      line["step"] = (*points)[i].step;
      if (std::isfinite((*points)[i].value)) line[key] = (*points)[i].value;
    }
  }
  report::ReportStage stage;
  for (auto& [step, line] : lines) stage.lines.push_back(std::move(line));
  return report::find_alarms(stage);
}

Json config_history(const FilesBelow& files, const std::string& path) {
  Json out = Json::array();
  const auto text = files.read(path, RunStore::kMaxConfig);
  Json before;
  for (size_t begin = 0, end; text && out.size() < 100 && (end = text->find('\n', begin)) != std::string::npos; begin = end + 1) {
    try {
      const Json line = parse_json(text->substr(begin, end - begin), "configs.jsonl");
      const Json config = object_in(line, "config");
      out.push_back({{"step", number_in(line, "step", 0)},
                     {"version", string_in(line, "version")},
                     {"changes", before.is_object() ? json_diff(before, config) : ""}});
      before = config;
    } catch (const Error&) {
      continue;
    }
  }
  return out;
}

Json checkpoints_of(const FilesBelow& files, const std::string& path) {
  std::vector<int64_t> steps;
  for (const auto& entry : files.entries(path, 1'000)) {
    const std::string_view digits = std::string_view(entry.name).substr(std::min<size_t>(11, entry.name.size()));
    if (entry.name.rfind("checkpoint-", 0) == 0 && !digits.empty() && digits.size() < 16 &&
        digits.find_first_not_of("0123456789") == std::string_view::npos)
      steps.push_back(std::stoll(std::string(digits)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

}  // namespace

// Newest first; each {"kind", "step", "time", "monitor", "text", "value", "limit"}, what does not apply is null.
Json RunStore::alarms(const Cached& cached, const Json& stage) {
  std::vector<Json> found;
  const auto add = [&](const MetricsEvent& event) {
    const auto time = cached.times.at(event.step);
    found.push_back({{"kind", event.kind},
                     {"step", event.step},
                     {"time", time ? Json(*time) : Json()},
                     {"monitor", event.monitor.empty() ? Json() : Json(event.monitor)},
                     {"text", event.text},
                     {"value", number_or_null(event.value)},
                     {"limit", number_or_null(event.limit)}});
  };
  std::set<std::pair<std::string, double>> seen;
  for (const MetricsEvent& event : cached.metrics.events()) {
    if (event.kind == "monitor") seen.insert({event.monitor, event.step});
    add(event);
  }
  // A finished run's summary has the onsets of an older run whose lines had no texts.
  const Json monitors = object_in(object_in(stage, "results"), "monitors");
  for (const auto& [name, monitor] : monitors.items()) {
    const auto onsets = monitor.is_object() ? monitor.find("onsets") : monitor.end();
    if (!monitor.is_object() || onsets == monitor.end() || !onsets->is_array()) continue;
    for (const Json& onset : *onsets) {
      if (!onset.is_number() || seen.contains({name, onset.get<double>()}) || found.size() > 2 * RunMetrics::kMaxEvents) continue;
      add({onset.get<double>(), "monitor", name.substr(0, 100), "monitor " + name.substr(0, 100) + " began to alarm",
           std::numeric_limits<double>::quiet_NaN(), number_in(monitor, "limit", std::numeric_limits<double>::quiet_NaN())});
    }
  }
  for (const std::string& key : {std::string("loss"), std::string("reward")}) {
    const auto* points = cached.metrics.series(key);
    const auto odd = points ? std::find_if(points->begin(), points->end(), [](const Point& p) { return !std::isfinite(p.value); })
                            : std::vector<Point>::const_iterator();
    if (points && odd != points->end()) add({odd->step, "not_finite", "", key + " is not finite for the first time", odd->value, NAN});
  }
  std::stable_sort(found.begin(), found.end(), [](const Json& a, const Json& b) { return a.at("step") > b.at("step"); });
  Json out = Json::array();
  for (const std::string& text : advice(cached.metrics))
    out.push_back({{"kind", "advice"},
                   {"step", nullptr},
                   {"time", nullptr},
                   {"monitor", nullptr},
                   {"text", text},
                   {"value", nullptr},
                   {"limit", nullptr}});
  for (Json& alarm : found) out.push_back(std::move(alarm));
  return out;
}

Json RunStore::details(const std::string& name) {
  const Place place = find(name);
  Json out;
  {
    const std::lock_guard lock(mutex_);
    out = summary(place);
  }
  const auto cached = this->cached(name);
  const std::lock_guard lock(cached->mutex);
  cached->refresh_metrics(place);
  cached->refresh_times(place);
  std::vector<std::string> faults;
  const Json stage = read_json(*place.files, place.file("stage.json"), kMaxStage, &faults);
  const RunMetrics& metrics = cached->metrics;
  if (metrics.broken())
    faults.push_back(str("metrics.jsonl: ", metrics.broken(), " of ", metrics.lines(), " lines are broken and left out"));
  if (metrics.keys_left_out())
    faults.push_back(str("metrics.jsonl: more than ", RunMetrics::kMaxKeys, " metrics; the others are left out"));
  Json keys = Json::array();
  for (const std::string& key : metrics.keys()) {
    Json range = range_of(*metrics.series(key));
    range["key"] = key;
    keys.push_back(std::move(range));
  }
  out["config"] = read_config(*place.files, place.path, &faults);
  out["config_history"] = config_history(*place.files, place.file("configs.jsonl"));
  out["version"] = string_in(stage, "version").substr(0, 400);
  out["results"] = object_in(stage, "results");
  out["metrics"] = std::move(keys);
  out["cursor"] = metrics.cursor().text();
  out["lines"] = metrics.lines();
  out["skipped_steps"] = metrics.skipped();
  out["thinned"] = metrics.thinned() > 0;
  out["alarm_list"] = alarms(*cached, stage);
  const auto& steps = cached->times.steps();
  out["started"] = steps.empty() ? Json() : Json(steps.front().second);
  out["seconds_per_step"] = Json();
  if (steps.size() > 1) {
    // Of the last steps: a pause before them, where the run was stopped, is no time of theirs.
    const auto& [s0, t0] = steps[steps.size() > 20 ? steps.size() - 20 : 0];
    out["seconds_per_step"] = (steps.back().second - t0) / (steps.back().first - s0);
  }
  out["checkpoints"] = checkpoints_of(*place.files, place.path);
  out["has_completions"] = place.files->status(place.file("completions.jsonl")).has_value();
  out["has_report"] = place.files->status(place.file("report.html")).has_value();
  if (faults.size() > kMaxFaults) faults.resize(kMaxFaults);
  out["faults"] = faults;
  return out;
}

namespace {

// Parallel lists of steps and values.
void add_points(Json& out, const char* steps, const char* values, const std::vector<Point>& points) {
  Json x = Json::array(), y = Json::array();
  for (const Point& p : points) {
    x.push_back(p.step);
    y.push_back(number_json(p.value));
  }
  out[steps] = std::move(x);
  out[values] = std::move(y);
}

// The points from the last before the range to the first after it.
std::span<const Point> part(std::span<const Point> points, const SeriesQuery& query) {
  const auto before = [](const Point& p, double step) { return p.step < step; };
  auto begin = query.from_step ? std::lower_bound(points.begin(), points.end(), *query.from_step, before) : points.begin();
  auto end = query.to_step ? std::lower_bound(points.begin(), points.end(), *query.to_step, before) : points.end();
  if (begin != points.begin()) --begin;
  if (end != points.end()) ++end;
  return begin < end ? std::span<const Point>(begin, end) : std::span<const Point>();
}

Json one_series(const std::vector<Point>& points, const SeriesQuery& query) {
  Json out = Json::object();
  add_points(out, "step", "value", thin(part(points, query), query.points));
  out["count"] = points.size();
  Smoothing smoothing{query.smoothing};
  std::vector<Point> smooth;
  if (query.smoothing > 0) {
    smooth.reserve(points.size());
    for (const Point& p : points) {
      const double value = smoothing.add(p.value);
      if (std::isfinite(p.value)) smooth.push_back({p.step, value});
    }
    smooth = thin(part(smooth, query), std::max<size_t>(1, query.points / 2));
  }
  add_points(out, "smooth_step", "smooth", smooth);
  out["smoothing"] = {{"sum", smoothing.sum}, {"mass", smoothing.mass}};
  return out;
}

}  // namespace

Json RunStore::series(const std::string& name, const SeriesQuery& query) {
  const Place place = find(name);
  const auto cached = this->cached(name);
  const std::lock_guard lock(cached->mutex);
  cached->refresh_metrics(place);
  cached->refresh_times(place);
  Json series = Json::object();
  for (const std::string& key : query.keys)
    if (const auto* points = cached->metrics.series(key)) series[key] = one_series(*points, query);
  std::vector<Point> times;
  for (const auto& [step, time] : cached->times.steps()) times.push_back({step, time});
  Json clock = Json::object();
  add_points(clock, "step", "time", thin(part(times, query), 200));
  return {{"run", name}, {"cursor", cached->metrics.cursor().text()}, {"series", series}, {"times", clock}};
}

Json RunStore::rows(const std::string& name, const std::string& cursor_text, int64_t limit) {
  const auto cursor = LineCursor::parse(cursor_text);
  if (!cursor)
    throw http::ApiError(400, str("from: '", printable(cursor_text), "' is no cursor; take the one that series or metrics gave, or 0-0"),
                         "from", "invalid_cursor");
  const Place place = find(name);
  constexpr int64_t kMost = 4 << 20;
  const auto file = place.files->file(place.file("metrics.jsonl"));
  Json rows = Json::array();
  if (!file) return {{"reset", cursor->offset > 0}, {"rows", rows}, {"cursor", LineCursor{}.text()}, {"more", false}, {"broken", 0}};
  if (!holds(*file, *cursor)) return {{"reset", true}, {"rows", rows}, {"cursor", LineCursor{}.text()}, {"more", true}, {"broken", 0}};
  const std::string text = file->read(cursor->offset, kMost);
  int64_t broken = 0;
  size_t begin = 0;
  bool more = int64_t(text.size()) == kMost;
  MetricsRow row;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    if (int64_t(rows.size()) + broken >= limit) {
      more = true;
      break;
    }
    if (parse_metrics_line(std::string_view(text).substr(begin, end - begin), row)) {
      rows.push_back(row_json(row));
    } else {
      ++broken;
    }
  }
  // A line that does not fit is nothing to wait for.
  const bool stuck = begin == 0 && int64_t(text.size()) == kMost;
  return {{"reset", stuck},
          {"rows", std::move(rows)},
          {"cursor", cursor_at(*file, cursor->offset + int64_t(begin)).text()},
          {"more", more},
          {"broken", broken}};
}

Json RunStore::completions(const std::string& name, const CompletionQuery& query) {
  const Place place = find(name);
  const auto cached = this->cached(name);
  const std::lock_guard lock(cached->mutex);
  const auto file = place.files->file(place.file("completions.jsonl"));
  if (!file)
    throw http::ApiError(404, str("run: '", name, "' has no completions.jsonl (r1 grpo keeps log_completions of each rollout)"), "run",
                         "no_completions");
  while (cached->completions.refresh(*file, kPiece)) {
  }
  return cached->completions.find(*file, query);
}

Json RunStore::compare(const std::vector<std::string>& names) {
  if (names.empty() || names.size() > kMaxCompared)
    throw http::ApiError(400, str("runs: expected 1 to ", kMaxCompared, " runs between commas, got ", names.size()), "runs",
                         "invalid_value");
  std::vector<std::map<std::string, Json>> configs;
  std::vector<std::map<std::string, double>> last;
  std::vector<std::string> keys;
  std::set<std::string> seen, settings;
  for (const std::string& name : names) {
    const Place place = find(name);
    configs.push_back(flat(read_config(*place.files, place.path)));
    for (const auto& [key, value] : configs.back()) settings.insert(key);
    const auto cached = this->cached(name);
    const std::lock_guard lock(cached->mutex);
    cached->refresh_metrics(place);
    auto& values = last.emplace_back();
    for (const std::string& key : cached->metrics.keys()) {
      if (seen.insert(key).second) keys.push_back(key);
      if (const auto* points = cached->metrics.series(key); !points->empty()) values[key] = points->back().value;
    }
  }
  Json config = Json::array(), metrics = Json::array();
  for (const std::string& key : settings) {
    Json values = Json::array();
    for (const auto& c : configs) values.push_back(c.contains(key) ? c.at(key) : Json());
    if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end()) continue;
    config.push_back({{"key", key}, {"values", std::move(values)}});
  }
  for (const std::string& key : keys) {
    Json values = Json::array();
    for (const auto& l : last) values.push_back(l.contains(key) ? number_json(l.at(key)) : Json());
    metrics.push_back({{"key", key}, {"values", std::move(values)}});
  }
  return {{"runs", names}, {"config", config}, {"metrics", metrics}};
}

std::optional<std::string> RunStore::report(const std::string& name) {
  const Place place = find(name);
  return place.files->read(place.file("report.html"), kMaxReport);
}

FileStatus RunStore::metrics_status(const std::string& name) {
  const Place place = find(name);
  return place.files->status(place.file("metrics.jsonl")).value_or(FileStatus{});
}

}  // namespace r1::api
