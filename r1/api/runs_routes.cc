#include "r1/api/runs_routes.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <thread>

#include "r1/api/runs.h"
#include "r1/base/config_io.h"
#include "r1/base/log.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

constexpr size_t kMaxKeysAsked = 400, kMaxNames = 16;
constexpr int64_t kStreamRows = 200;

[[noreturn]] void bad(const std::string& param, const std::string& what) {
  throw http::ApiError(400, param + ": " + what, param, "invalid_value");
}

// A request's parameters: each is asked for once, then finish() refuses what nobody asked for.
class Query {
 public:
  explicit Query(const http::Request& request) : request_(request) {}

  std::optional<std::string> text(const char* name) {
    known_.emplace_back(name);
    const auto it = request_.query.find(name);
    if (it == request_.query.end() || it->second.empty()) return {};
    return it->second;
  }
  std::string needed(const char* name, const char* what) {
    const auto value = text(name);
    if (!value) throw http::ApiError(400, str(name, ": missing; ", what), name, "missing_parameter");
    return *value;
  }
  std::optional<double> number(const char* name, double lo, double hi) {
    const auto value = text(name);
    if (!value) return {};
    double x = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), x);
    if (error != std::errc() || end != value->data() + value->size() || !(x >= lo && x <= hi))
      bad(name, str("expected a number from ", lo, " to ", hi, ", got '", printable(*value), "'"));
    return x;
  }
  std::optional<int64_t> integer(const char* name, int64_t lo, int64_t hi) {
    const auto value = text(name);
    if (!value) return {};
    int64_t x = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), x);
    if (error != std::errc() || end != value->data() + value->size() || x < lo || x > hi)
      bad(name, str("expected a whole number from ", lo, " to ", hi, ", got '", printable(*value), "'"));
    return x;
  }
  // Names between commas, or a JSON list of strings.
  std::vector<std::string> names(const char* name, size_t most) {
    const std::string value = text(name).value_or("");
    std::vector<std::string> out;
    if (!value.empty() && value[0] == '[') {
      Json list;
      try {
        list = parse_json(value, name);
      } catch (const Error& error) {
        bad(name, error.what());
      }
      for (const Json& item : list) {
        if (!item.is_string()) bad(name, "expected a JSON list of strings");
        out.push_back(item.get<std::string>());
      }
    } else {
      for (size_t begin = 0; begin < value.size();) {
        const size_t end = std::min(value.find(',', begin), value.size());
        out.push_back(value.substr(begin, end - begin));
        begin = end + 1;
      }
    }
    if (out.size() > most) bad(name, str("expected at most ", most, " names, got ", out.size()));
    return out;
  }
  void finish() const {
    for (const auto& [name, value] : request_.query)
      if (std::find(known_.begin(), known_.end(), name) == known_.end())
        throw http::ApiError(400, str("unknown parameter '", printable(name), "'", did_you_mean(name, known_)), printable(name),
                             "unknown_parameter");
  }

 private:
  const http::Request& request_;
  std::vector<std::string> known_;
};

void send_json(const http::ResponderPtr& responder, const Json& value) {
  http::Response response;
  response.body = dump_json(value);
  response.headers = {{"cache-control", "no-store"}};
  responder->send(std::move(response));
}

CompletionQuery completion_query(Query& query) {
  CompletionQuery out;
  out.step = query.integer("step", 0, int64_t(1e15));
  out.id = query.text("id").value_or("");
  out.verdict = query.text("verdict").value_or("");
  static const std::vector<std::string> kVerdicts = {"right", "wrong", "unparsed", "timeout", "crash"};
  if (!out.verdict.empty() && std::find(kVerdicts.begin(), kVerdicts.end(), out.verdict) == kVerdicts.end())
    bad("verdict", str("expected right, wrong, unparsed, timeout or crash, got '", printable(out.verdict), "'"));
  out.reward_min = query.number("reward_min", -1e300, 1e300);
  out.reward_max = query.number("reward_max", -1e300, 1e300);
  out.search = query.text("search").value_or("");
  out.offset = query.integer("offset", 0, int64_t(1e12)).value_or(0);
  out.limit = query.integer("limit", 1, 200).value_or(50);
  return out;
}

// ---- what is appended, to those who listen ----

// One thread for all streams: looks at each watched file now and then, and reads those that changed.
class Streams {
 public:
  struct Watched {
    std::string run, cursor;
    FileStatus seen;
  };

  Streams(std::shared_ptr<RunStore> store, const RunsConfig& config)
      : store_(std::move(store)), interval_(config.poll_interval), most_(size_t(config.max_run_streams)) {}

  ~Streams() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void add(const http::ResponderPtr& responder, std::vector<Watched> watched) {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [](const Listener& l) { return l.responder->gone(); });
    if (listeners_.size() >= most_) {
      http::ApiError error(503, str("there are ", most_, " streams of runs open already (max_run_streams); close one, or ask again later"),
                           "", "too_many_streams");
      error.retry_after = 10;
      throw error;
    }
    responder->begin(200, "text/event-stream", {{"cache-control", "no-store"}, {"x-accel-buffering", "no"}});
    responder->write(": open\n\n");
    listeners_.push_back({responder, std::move(watched)});
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    wake_.notify_all();
  }

 private:
  struct Listener {
    http::ResponderPtr responder;
    std::vector<Watched> watched;
  };

  void work() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
      if (listeners_.empty()) {
        wake_.wait(lock, [&] { return stop_ || !listeners_.empty(); });
        continue;
      }
      for (Listener& listener : listeners_) tell(listener);
      std::erase_if(listeners_, [](const Listener& l) { return l.responder->gone(); });
      wake_.wait_for(lock, std::chrono::duration<double>(interval_), [&] { return stop_; });
    }
    for (Listener& listener : listeners_) listener.responder->end();
    listeners_.clear();
  }

  void tell(Listener& listener) {
    const auto send = [&](const char* event, const Json& value) { listener.responder->write(http::sse(dump_json(value), event)); };
    for (auto it = listener.watched.begin(); it != listener.watched.end();) {
      try {
        look(*it, send);
        ++it;
      } catch (const Error&) {
        send("gone", {{"run", it->run}});
        it = listener.watched.erase(it);
      }
    }
  }

  template <class Send>
  void look(Watched& watched, const Send& send) {
    const FileStatus status = store_->metrics_status(watched.run);
    if (status == watched.seen) return;
    watched.seen = status;
    const Json news = store_->rows(watched.run, watched.cursor, kStreamRows);
    if (news.at("reset") == true || news.at("more") == true) {
      // From where the file ends now; the listener reads the curves again and asks for a stream from there. Told after that end is known: what is
      // appended once it has heard is still to come.
      watched.cursor = store_->series(watched.run, {}).at("cursor").get<std::string>();
      send("reset", {{"run", watched.run}});
      return;
    }
    watched.cursor = news.at("cursor").get<std::string>();
    if (!news.at("rows").empty()) send("rows", {{"run", watched.run}, {"rows", news.at("rows")}, {"cursor", watched.cursor}});
  }

  std::shared_ptr<RunStore> store_;
  double interval_;
  size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Listener> listeners_;
  std::thread thread_;
  bool stop_ = false;
};

void add_stream(http::Router& router, const std::shared_ptr<RunStore>& store, const RunsConfig& config) {
  const auto streams = std::make_shared<Streams>(store, config);
  router.get("/api/runs/stream", [store, streams](const http::RequestPtr& request, const http::ResponderPtr& responder) {
    Query query(*request);
    const auto runs = query.names("runs", kMaxNames), from = query.names("from", kMaxNames);
    query.finish();
    if (runs.empty()) throw http::ApiError(400, "runs: missing; name the runs to follow", "runs", "missing_parameter");
    if (!from.empty() && from.size() != runs.size())
      bad("from", str("expected as many cursors as runs (", runs.size(), "), got ", from.size()));
    std::vector<Streams::Watched> watched;
    for (size_t i = 0; i < runs.size(); ++i) {
      // Checks name and cursor; a listener without a cursor hears what comes from now on.
      const std::string cursor = from.empty() ? store->series(runs[i], {}).at("cursor").get<std::string>() : from[i];
      store->rows(runs[i], cursor, 1);
      watched.push_back({runs[i], cursor, {}});
    }
    streams->add(responder, std::move(watched));
  });
}

}  // namespace

void RunsConfig::visit(Fields& v) {
  v("runs", runs, "folders that hold training runs, or run folders; the dashboard at /runs shows them");
  v("poll_interval", poll_interval, "seconds between two looks at a run that somebody watches", Range{0.01, 3600});
  v("max_run_streams", max_run_streams, "open pages that follow runs", Range{1, 4096});
}

void add_runs_routes(http::Router& router, const RunsConfig& config) {
  const auto store = std::make_shared<RunStore>(config.runs);
  const auto add = [&](const char* path, auto answer) {
    router.get(path, [store, answer](const http::RequestPtr& request, const http::ResponderPtr& responder) {
      Query query(*request);
      send_json(responder, answer(*store, query));
    });
  };
  const char* which = "which run? GET /api/runs lists them";
  add("/api/runs", [](RunStore& runs, Query& query) {
    query.finish();
    return runs.list();
  });
  add("/api/runs/details", [which](RunStore& runs, Query& query) {
    const std::string run = query.needed("run", which);
    query.finish();
    return runs.details(run);
  });
  add("/api/runs/series", [which](RunStore& runs, Query& query) {
    const std::string run = query.needed("run", which);
    SeriesQuery series;
    series.keys = query.names("keys", kMaxKeysAsked);
    series.points = size_t(query.integer("points", 10, 10'000).value_or(800));
    series.from_step = query.number("from_step", -1e15, 1e15);
    series.to_step = query.number("to_step", -1e15, 1e15);
    series.smoothing = query.number("smoothing", 0, 0.9999).value_or(0);
    query.finish();
    if (series.from_step && series.to_step && *series.from_step > *series.to_step) bad("to_step", "is before from_step");
    return runs.series(run, series);
  });
  add("/api/runs/metrics", [which](RunStore& runs, Query& query) {
    const std::string run = query.needed("run", which), from = query.text("from").value_or("0-0");
    const int64_t limit = query.integer("limit", 1, 10'000).value_or(1'000);
    query.finish();
    return runs.rows(run, from, limit);
  });
  add("/api/runs/completions", [which](RunStore& runs, Query& query) {
    const std::string run = query.needed("run", which);
    const CompletionQuery completions = completion_query(query);
    query.finish();
    return runs.completions(run, completions);
  });
  add("/api/runs/compare", [](RunStore& runs, Query& query) {
    const auto names = query.names("runs", kMaxNames);
    query.finish();
    return runs.compare(names);
  });
  router.get("/api/runs/report", [store, which](const http::RequestPtr& request, const http::ResponderPtr& responder) {
    Query query(*request);
    const std::string run = query.needed("run", which);
    query.finish();
    auto page = store->report(run);
    if (!page) throw http::ApiError(404, str("run: '", run, "' has no report.html"), "run", "no_report");
    http::Response response;
    response.body = std::move(*page);
    response.content_type = "text/html; charset=utf-8";
    response.headers = {
        {"cache-control", "no-store"},
        {"content-security-policy",
         "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'"}};
    responder->send(std::move(response));
  });
  add_stream(router, store, config);
}

std::vector<Operation> runs_operations() {
  const Json text = {{"type", "string"}}, number = {{"type", "number"}};
  const auto integer = [](int64_t least, int64_t most) { return Json{{"type", "integer"}, {"minimum", least}, {"maximum", most}}; };
  const Parameter run{"run", "query", "name of the run", text}, runs{"runs", "query", "names of runs between commas", text};
  std::vector<Operation> out;
  const auto row = [&out](const char* path, const char* summary, std::vector<Parameter> query, const char* type = "application/json") {
    out.push_back({.method = "GET",
                   .pattern = path,
                   .summary = summary,
                   .tag = "Runs",
                   .content_type = type,
                   .parameters = std::move(query),
                   .statuses = {404}});
  };
  row("/api/runs", "The training runs", {});
  row("/api/runs/details", "One run without its points", {run});
  row("/api/runs/series", "Curves of a run, thinned",
      {run,
       {"keys", "query", "names of metrics between commas", text},
       {"points", "query", "of a curve", integer(10, 10'000)},
       {"from_step", "query", "first step", number},
       {"to_step", "query", "last step", number},
       {"smoothing", "query", "weight of what came before", {{"type", "number"}, {"minimum", 0}, {"maximum", 0.9999}}}});
  row("/api/runs/metrics", "Lines of metrics after a cursor",
      {run, {"from", "query", "cursor of the last answer", text}, {"limit", "query", "lines", integer(1, 10'000)}});
  row("/api/runs/stream", "What is appended to runs, as server-sent events", {runs, {"from", "query", "cursors between commas", text}},
      "text/event-stream");
  row("/api/runs/completions", "Completions that a run has kept",
      {run,
       {"step", "query", "of this step", integer(0, int64_t(1e15))},
       {"id", "query", "this one", text},
       {"verdict", "query", "with this verdict", text},
       {"reward_min", "query", "least reward", number},
       {"reward_max", "query", "highest reward", number},
       {"search", "query", "text in it", text},
       {"offset", "query", "after so many", integer(0, int64_t(1e12))},
       {"limit", "query", "so many", integer(1, 200)}});
  row("/api/runs/compare", "Settings and results of runs side by side", {runs});
  row("/api/runs/report", "The run's report.html", {run}, "text/html");
  return out;
}

}  // namespace r1::api
