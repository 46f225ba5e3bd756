// Runs as the dashboard reads them. The folders are written by what training writes them with (report::MetricsWriter), by hand, and by
// somebody who means harm.
#include "r1/api/runs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <limits>
#include <set>
#include <thread>

#include "r1/api/runs_routes.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/http/error.h"
#include "r1/report/metrics.h"
#include "tests/temporary_folder.h"

namespace r1::api {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A run as a stage leaves it on its way.
void make_run(const fs::path& folder, int64_t steps, double base = 0) {
  report::MetricsWriter writer(folder, 0);
  for (int64_t s = 1; s <= steps; ++s)
    writer.write(s, {{"loss", base + 1.0 / double(s)}, {"reward", base + 0.01 * double(s)}, {"step_time", 0.5}, {"monitor/alarms", 0}});
  write(folder / "config.yaml", R"({"learning_rate": 1e-5, "max_steps": 40, "num_generations": 8, "monitor": {"patience": 5}})");
  write(folder / "configs.jsonl", R"({"step":0,"version":"r1","config":{"learning_rate":1e-5}})"
                                  "\n");
}

int status_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const http::ApiError& error) {
    return error.status;
  }
  return 200;
}

struct RunsFolder : testing::Test {
  TemporaryFolder temporary{"runs"};
  fs::path root = temporary.path() / "runs";
  RunsFolder() { fs::create_directories(root); }
  RunStore store() const { return RunStore({root.string()}); }
};

OpenFile opened(const fs::path& path) {
  auto file = FilesBelow(path.parent_path()).file(path.filename().string());
  if (!file) fail("cannot open ", path.string());
  return std::move(*file);
}

// ---- one line ----

// What the JSON parser makes of it; nothing if the line is no object with a step.
bool by_definition(const std::string& line, MetricsRow& row) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("step") || !json["step"].is_number() || !(std::abs(json["step"].get<double>()) <= 1e15))
    return false;
  row = {};
  row.step = json["step"].get<double>();
  for (const auto& [key, value] : json.items()) {
    if (key == "step" || (key == "skipped" && !value.is_number())) continue;
    if (value.is_number()) row.numbers.emplace_back(key, value.get<double>());
    if (value.is_null()) row.numbers.emplace_back(key, kNan);
    if (!value.is_string()) continue;
    const std::string text = value.get<std::string>();
    if (text == "NaN" || text == "nan") row.numbers.emplace_back(key, kNan);
    if (text == "Infinity" || text == "inf" || text == "+inf") row.numbers.emplace_back(key, kInf);
    if (text == "-Infinity" || text == "-inf") row.numbers.emplace_back(key, -kInf);
  }
  return true;
}

bool same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

TEST(MetricsLine, SaysWhatTheJsonParserSays) {
  const std::vector<std::string> lines = {
      R"({"step":1,"loss":0.5,"a/b":-1e-3,"n":null,"t":true,"f":false,"text":"x","inf":"Infinity","m":"-inf","q":"NaN"})",
      R"({ "step" : 2.5 , "x\u0041\n" : 1E+2 , "nested" : {"a":[1,{"b":"}]"}]} , "list" : [ ] , "skipped" : "NaN in weight" })",
      R"({"step":3,"alarms":[{"monitor":"repetition","step":3,"value":0.5,"limit":0.4,"text":"so"}],"big":123456789012345678901234567890})",
      R"({"step":-0,"":1,"x":0.0,"y":1e308,"z":-5e-324,"u":"\ud83d\ude00"})"};
  Rng rng(7);
  int64_t accepted = 0;
  for (int i = 0; i < 40'000; ++i) {
    std::string line = lines[size_t(rng.below(lines.size()))];
    for (auto changes = i < 4 ? 0 : rng.below(4); changes > 0; --changes) {
      const size_t at = size_t(rng.below(line.size()));
      static constexpr std::string_view kBytes = "{}[]\",:0123456789.eE+-ntfNI\\ u\x01\xff";
      if (rng.below(2))
        line[at] = kBytes[size_t(rng.below(kBytes.size()))];
      else
        line.erase(at, 1 + size_t(rng.below(3)));
    }
    MetricsRow expected, row;
    if (!by_definition(line, expected)) {
      parse_metrics_line(line, row);  // more is taken than JSON (NaN, 01): it only has to end
      continue;
    }
    ++accepted;
    ASSERT_TRUE(parse_metrics_line(line, row)) << line;
    std::map<std::string, double> last, wanted;  // of a key that is there twice the later counts
    for (const auto& [key, value] : row.numbers) last[key] = value;
    for (const auto& [key, value] : expected.numbers) wanted[key] = value;
    ASSERT_EQ(row.step, expected.step) << line;
    for (const auto& [key, value] : wanted) {
      ASSERT_TRUE(last.contains(key)) << line << " lacks " << key;
      ASSERT_TRUE(same(last[key], value)) << line << " " << key;
    }
  }
  EXPECT_GT(accepted, 8'000);
}

TEST(MetricsLine, TakesWhatOtherProgramsWriteForNumbersThatAreNone) {
  MetricsRow row;
  ASSERT_TRUE(parse_metrics_line(R"({"step": 4, "a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999, "e": -1e999, "f": 1e-999})", row));
  ASSERT_EQ(row.numbers.size(), 6u);
  EXPECT_TRUE(std::isnan(row.numbers[0].second));
  EXPECT_EQ(row.numbers[1].second, kInf);
  EXPECT_EQ(row.numbers[2].second, -kInf);
  EXPECT_EQ(row.numbers[3].second, kInf);
  EXPECT_EQ(row.numbers[4].second, -kInf);
  EXPECT_EQ(row.numbers[5].second, 0);
  const Json json = row_json(row);
  EXPECT_EQ(dump_json(json), R"({"step":4.0,"a":null,"b":"inf","c":"-inf","d":"inf","e":"-inf","f":0.0})");
  for (const char* bad : {"", "{", "{}", "[1]", "{\"step\":}", "{\"step\":1,}", "{\"step\":\"x\"}", "{\"step\":1} x", "{\"step\":NaN}",
                          "{\"step\":1e16}", "{\"loss\":1}", "{\"step\":1,\"x\":[}", "{\"step\":1,\"x\":\"a", "null", "{\"step\":tru}"})
    EXPECT_FALSE(parse_metrics_line(bad, row)) << bad;
  // A bracket a byte: read without recursion.
  EXPECT_TRUE(parse_metrics_line("{\"step\":1,\"x\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}", row));
}

// ---- thinning ----

TEST(Thin, KeepsExtremesAndWhatIsNotFiniteInEveryBucket) {
  Rng rng(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<Point> points;
    const size_t n = 1 + size_t(rng.below(3'000)), buckets = 1 + size_t(rng.below(120));
    double step = double(rng.below(100));
    for (size_t i = 0; i < n; ++i) {
      step += rng.below(20) == 0 ? double(rng.below(5'000)) : 1;
      const auto kind = rng.below(60);
      points.push_back({step, kind == 0 ? kNan : kind == 1 ? kInf : kind == 2 ? -kInf : rng.uniform() * (rng.below(100) == 0 ? 1e6 : 1)});
    }
    const auto kept = thin(points, buckets);
    ASSERT_LE(kept.size(), std::max(2 * buckets, 3 * buckets + 2));
    if (n <= 2 * buckets) {
      ASSERT_EQ(kept.size(), n);
    }
    // A subsequence, with both ends.
    size_t at = 0;
    for (const Point& p : kept) {
      while (at < n && !(points[at].step == p.step && same(points[at].value, p.value))) ++at;
      ASSERT_LT(at++, n);
    }
    ASSERT_EQ(kept.front().step, points.front().step);
    ASSERT_EQ(kept.back().step, points.back().step);
    if (n <= 2 * buckets) continue;
    // Bucket by bucket, by the definition.
    struct Range {
      double lo = kInf, hi = -kInf;
      bool odd = false;
      bool operator==(const Range&) const = default;
    };
    const double first = points.front().step, width = points.back().step - first;
    const auto ranges = [&](const std::vector<Point>& list) {
      std::map<size_t, Range> out;
      for (const Point& p : list) {
        Range& r = out[std::min(buckets - 1, size_t(double(buckets) * ((p.step - first) / width)))];
        if (std::isfinite(p.value))
          r.lo = std::min(r.lo, p.value), r.hi = std::max(r.hi, p.value);
        else
          r.odd = true;
      }
      return out;
    };
    ASSERT_EQ(ranges(kept), ranges(points));
  }
}

TEST(SmoothingTest, HasNoBiasToTheFirstValueAndPassesOverNan) {
  Smoothing s{0.9};
  EXPECT_TRUE(std::isnan(s.add(kNan)));
  EXPECT_NEAR(s.add(5), 5, 1e-12);  // of one value: that value
  // By the definition: weights 0.9^k, normalised.
  std::vector<double> values = {5};
  Rng rng(3);
  for (int i = 0; i < 50; ++i) {
    const double x = rng.uniform() * 10;
    if (i % 7 == 3) s.add(i % 2 ? kInf : kNan);
    values.push_back(x);
    double sum = 0, mass = 0;
    for (size_t k = 0; k < values.size(); ++k)
      sum += std::pow(0.9, double(values.size() - 1 - k)) * values[k], mass += std::pow(0.9, double(values.size() - 1 - k));
    ASSERT_NEAR(s.add(x), sum / mass, 1e-9);
  }
}

// ---- a file that grows ----

std::string lines(int64_t from, int64_t to) {
  std::string out;
  for (int64_t s = from; s <= to; ++s) out += str("{\"step\":", s, ",\"loss\":", 1000 + s, ",\"only_even\":", s % 2 ? "null" : "1", "}\n");
  return out;
}

void read_all(RunMetrics& metrics, const fs::path& path, int64_t piece = 1 << 20) {
  const OpenFile file = opened(path);
  while (metrics.refresh(file, piece)) {
  }
}

TEST_F(RunsFolder, AFileThatGrowsByAnyPiecesIsReadAsTheWhole) {
  const fs::path path = root / "metrics.jsonl";
  const std::string text = lines(1, 200) + "broken\n\n" + lines(201, 220);
  Rng rng(5);
  for (int round = 0; round < 40; ++round) {
    RunMetrics metrics;
    fs::remove(path);
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min(text.size() - at, 1 + size_t(rng.below(round % 2 ? 40 : 3'000)));
      std::ofstream(path, std::ios::app | std::ios::binary) << text.substr(at, n);
      at += n;
      read_all(metrics, path, 1 + int64_t(rng.below(500)));
      // Only whole lines are there.
      const auto whole = std::count(text.begin(), text.begin() + std::ptrdiff_t(at), '\n');
      ASSERT_EQ(metrics.lines(), whole);
    }
    ASSERT_EQ(metrics.broken(), 2);
    const auto& loss = *metrics.series("loss");
    ASSERT_EQ(loss.size(), 220u);
    for (size_t i = 0; i < loss.size(); ++i) {
      ASSERT_EQ(loss[i].step, double(i + 1));
      ASSERT_EQ(loss[i].value, double(1001 + i));
    }
  }
}

TEST_F(RunsFolder, AFileThatWasCutReplacedOrRewrittenIsReadAnew) {
  const fs::path path = root / "metrics.jsonl";
  RunMetrics metrics;
  write(path, lines(1, 100));
  read_all(metrics, path);
  ASSERT_EQ(metrics.series("loss")->size(), 100u);
  // Cut in place, then grown beyond where it was between two looks.
  fs::resize_file(path, lines(1, 50).size());
  read_all(metrics, path);
  EXPECT_EQ(metrics.series("loss")->size(), 50u);
  EXPECT_EQ(metrics.last_step(), 50);
  write(path, "{\"step\":1,\"loss\":7}\n" + lines(2, 120));
  read_all(metrics, path);
  EXPECT_EQ(metrics.series("loss")->size(), 120u);
  EXPECT_EQ(metrics.series("loss")->front().value, 7);
  // Replaced by another file of the same length.
  std::string other = lines(1, 120);
  std::replace(other.begin(), other.end(), '1', '2');
  write_file_atomic(path, other);
  read_all(metrics, path);
  EXPECT_EQ(metrics.series("loss")->front().value, 2002);
  // Emptied.
  write(path, "");
  read_all(metrics, path);
  EXPECT_EQ(metrics.series("loss"), nullptr);
  EXPECT_EQ(metrics.lines(), 0);
}

TEST_F(RunsFolder, ATornLineThatBecomesAnotherIsNotGluedToItsSuccessor) {
  const fs::path path = root / "metrics.jsonl";
  RunMetrics metrics;
  write(path, "{\"step\":1,\"loss\":1}\n{\"step\":2,\"lo");
  read_all(metrics, path);
  EXPECT_EQ(metrics.lines(), 1);
  write_file_atomic(path, "{\"step\":1,\"loss\":1}\n{\"step\":2}\n{\"step\":3,\"loss\":3}\n");
  read_all(metrics, path);
  EXPECT_EQ(metrics.lines(), 3);
  EXPECT_EQ(metrics.broken(), 0);
  EXPECT_EQ(metrics.last_step(), 3);
}

TEST_F(RunsFolder, AResumedRunHasNoZigzag) {
  // As the stages do it: the lines after the checkpoint go.
  make_run(root, 30);
  RunMetrics metrics;
  read_all(metrics, root / "metrics.jsonl");
  ASSERT_EQ(metrics.last_step(), 30);
  {
    report::MetricsWriter writer(root, 20);
    for (int64_t s = 21; s <= 25; ++s) writer.write(s, {{"loss", 9.0}});
  }
  read_all(metrics, root / "metrics.jsonl");
  const auto& loss = *metrics.series("loss");
  ASSERT_EQ(loss.size(), 25u);
  for (size_t i = 0; i < loss.size(); ++i) EXPECT_EQ(loss[i].step, double(i + 1));
  EXPECT_EQ(loss[19].value, 1.0 / 20);
  EXPECT_EQ(loss[20].value, 9);

  // As others do it: the steps stand twice in the file. The later counts, for the series that have it.
  write(root / "metrics.jsonl", lines(1, 30) + "{\"step\":10,\"eval_loss\":3}\n" + "{\"step\":21,\"loss\":9}\n{\"step\":22,\"loss\":9}\n");
  read_all(metrics, root / "metrics.jsonl");
  const auto& again = *metrics.series("loss");
  ASSERT_EQ(again.size(), 22u);
  EXPECT_EQ(again[19].value, 1020);
  EXPECT_EQ(again[21].value, 9);
  EXPECT_EQ(metrics.series("only_even")->size(), 30u);
  ASSERT_EQ(metrics.series("eval_loss")->size(), 1u);
  EXPECT_EQ(std::count_if(metrics.events().begin(), metrics.events().end(), [](const auto& e) { return e.kind == "rewound"; }), 1);
}

TEST_F(RunsFolder, MemoryHasAnEndAndExtremesOutliveIt) {
  std::string text;
  for (int64_t s = 1; s <= 20'000; ++s)
    text += str("{\"step\":", s, ",\"a\":", s == 777 ? -5 : s == 13'131 ? 99 : 1, ",\"b\":", s % 3, "}\n");
  write(root / "metrics.jsonl", text);
  RunMetrics metrics(3'000);
  read_all(metrics, root / "metrics.jsonl");
  EXPECT_LE(metrics.points(), 3'001u);
  EXPECT_GT(metrics.thinned(), 0);
  const auto& a = *metrics.series("a");
  EXPECT_TRUE(std::any_of(a.begin(), a.end(), [](const Point& p) { return p.step == 777 && p.value == -5; }));
  EXPECT_TRUE(std::any_of(a.begin(), a.end(), [](const Point& p) { return p.step == 13'131 && p.value == 99; }));
  EXPECT_EQ(a.front().step, 1);
  EXPECT_EQ(a.back().step, 20'000);

  std::string wide = "{\"step\":1";
  for (int i = 0; i < 5'000; ++i) wide += str(",\"k", i, "\":1");
  write(root / "metrics.jsonl", wide + "}\n" + "{\"step\":2,\"" + std::string(500, 'x') + "\":1}\n");
  read_all(metrics, root / "metrics.jsonl");
  EXPECT_EQ(metrics.keys().size(), RunMetrics::kMaxKeys);
  EXPECT_EQ(metrics.keys_left_out(), 4'001);
}

TEST_F(RunsFolder, ALineWithoutEndCostsNoMemoryAndEndsWithItself) {
  const fs::path path = root / "metrics.jsonl";
  write(path, lines(1, 3) + std::string(3 << 20, 'x'));
  RunMetrics metrics;
  read_all(metrics, path);
  EXPECT_EQ(metrics.lines(), 3);
  std::ofstream(path, std::ios::app) << "\n" << lines(4, 5);
  read_all(metrics, path);
  EXPECT_EQ(metrics.lines(), 6);
  EXPECT_EQ(metrics.broken(), 1);
  EXPECT_EQ(metrics.last_step(), 5);
}

// ---- names and links ----

TEST_F(RunsFolder, NothingOutsideOfTheRootIsReached) {
  make_run(root / "good", 3);
  make_run(temporary.path() / "secret", 3);
  fs::create_directory_symlink(temporary.path() / "secret", root / "link");
  fs::create_directory_symlink("../secret", root / "relative");
  fs::create_directory_symlink("good", root / "latest");  // inside: fine
  fs::create_directory_symlink(".", root / "loop");
  fs::create_directory_symlink("..", root / "up");
  fs::create_directories(root / "stolen");
  write(root / "stolen" / "config.yaml", "{}");
  write(root / "stolen" / "configs.jsonl", "");
  fs::create_symlink("/etc/passwd", root / "stolen" / "metrics.jsonl");
  fs::create_symlink(temporary.path() / "secret" / "config.yaml", root / "stolen" / "stage.json");
  fs::create_symlink("/etc/passwd", root / "stolen" / "report.html");
  fs::create_symlink("/etc/passwd", root / "stolen" / "completions.jsonl");
  make_run(root / "bad name", 1);
  fs::create_directories(root / "pipe");
  ASSERT_EQ(::mkfifo((root / "pipe" / "metrics.jsonl").c_str(), 0600), 0);
  fs::create_directories(root / "folder" / "metrics.jsonl");

  RunStore runs = store();
  const Json list = runs.list();
  std::set<std::string> names;
  for (const Json& run : list.at("runs")) names.insert(run.at("name").get<std::string>());
  EXPECT_EQ(names.size(), 2u) << list.dump(1);
  EXPECT_TRUE(names.contains("runs/good") || names.contains("runs/latest"));
  EXPECT_TRUE(names.contains("runs/stolen"));
  EXPECT_EQ(list.at("skipped"), 1);
  EXPECT_EQ(runs.details("runs/latest").at("step"), 3);
  for (const char* name :
       {"runs/link", "runs/relative", "runs/up", "runs/up/secret", "runs/pipe", "runs/folder", "secret", "runs/none", "other/good"})
    EXPECT_EQ(status_of([&] { runs.details(name); }), 404) << name;
  for (const char* name : {"", "..", "runs/../secret", "/etc", "runs/bad name", "runs//good", "runs/good/", "runs/good\n"}) {
    EXPECT_EQ(status_of([&] { runs.details(name); }), 400) << name;
    EXPECT_EQ(status_of([&] { runs.series(name, {}); }), 400) << name;
    EXPECT_EQ(status_of([&] { runs.rows(name, "0-0", 1); }), 400) << name;
    EXPECT_EQ(status_of([&] { runs.completions(name, {}); }), 400) << name;
    EXPECT_EQ(status_of([&] { runs.report(name); }), 400) << name;
    EXPECT_EQ(status_of([&] { runs.compare({name}); }), 400) << name;
  }
  const Json stolen = runs.details("runs/stolen");
  EXPECT_EQ(dump_json(stolen).find("root:"), std::string::npos);
  EXPECT_EQ(stolen.at("state"), "running");  // no stage.json that counts
  EXPECT_EQ(runs.report("runs/stolen"), std::nullopt);
  EXPECT_EQ(status_of([&] { runs.completions("runs/stolen", {}); }), 404);
}

TEST_F(RunsFolder, AGigabyteOfNothingIsReadInBoundedTimeAndMemory) {
  make_run(root / "sparse", 5);
  for (const char* name : {"metrics.jsonl", "stage.json", "config.yaml", "completions.jsonl", "configs.jsonl", "report.html"}) {
    std::ofstream(root / "sparse" / name, std::ios::app) << "";
    fs::resize_file(root / "sparse" / name, 1'000'000'000);
  }
  RunStore runs = store();
  const Json details = runs.details("runs/sparse");
  EXPECT_EQ(details.at("lines"), 5);
  EXPECT_EQ(details.at("metrics").size(), 4u);
  const std::string faults = dump_json(details.at("faults"));
  EXPECT_NE(faults.find("stage.json is 954 MiB"), std::string::npos) << faults;
  EXPECT_NE(faults.find("config.yaml is 954 MiB"), std::string::npos) << faults;
  EXPECT_EQ(runs.completions("runs/sparse", {}).at("rows_total"), 0);
  EXPECT_EQ(runs.report("runs/sparse"), std::nullopt);
  EXPECT_EQ(runs.list().at("runs").size(), 1u);
  EXPECT_TRUE(runs.rows("runs/sparse", details.at("cursor"), 10).at("reset").get<bool>());  // a line that no cursor gets over
}

// ---- the store ----

TEST_F(RunsFolder, ListSaysStageStateStepAndLastValues) {
  make_run(root / "recipe" / "zero", 12);
  make_run(root / "done", 40);
  write(root / "done" / "stage.json", R"({"stage":"grpo","version":"r1 1","steps":40,"results":{"reward":0.4}})");
  make_run(root / "old", 7);
  for (const char* name : {"metrics.jsonl", "config.yaml"})
    fs::last_write_time(root / "old" / name, fs::file_time_type::clock::now() - std::chrono::hours(5));
  make_run(root / "done" / "checkpoint-20", 3);  // no run of its own
  write(root / "notes" / "config.yaml", "a: 1\n");
  write(root / "yaml" / "config.yaml", "text_field: body\nmax_steps: 9\n");
  write(root / "yaml" / "configs.jsonl", "");
  const Json list = store().list();
  std::map<std::string, Json> runs;
  for (const Json& run : list.at("runs")) runs[run.at("name")] = run;
  ASSERT_EQ(runs.size(), 4u) << list.dump(1);
  EXPECT_EQ(runs["runs/recipe/zero"].at("state"), "running");
  EXPECT_EQ(runs["runs/recipe/zero"].at("stage"), "grpo");
  EXPECT_EQ(runs["runs/recipe/zero"].at("step"), 12);
  EXPECT_EQ(runs["runs/recipe/zero"].at("total_steps"), 40);
  EXPECT_EQ(runs["runs/recipe/zero"].at("title"), "zero");
  EXPECT_DOUBLE_EQ(runs["runs/recipe/zero"].at("last").at("reward").get<double>(), 0.12);
  EXPECT_EQ(runs["runs/done"].at("state"), "finished");
  EXPECT_EQ(runs["runs/old"].at("state"), "stopped");
  EXPECT_EQ(runs["runs/yaml"].at("stage"), "pretrain");
  EXPECT_EQ(runs["runs/yaml"].at("total_steps"), 9);
  EXPECT_EQ(runs["runs/yaml"].at("step"), 0);

  // A run as the root itself, and two roots of one name.
  RunStore two({(root / "done").string(), (root / "recipe" / "zero").string(), (temporary.path() / "runs" / "old").string() + "/../old"});
  std::set<std::string> names;
  const Json both = two.list();
  for (const Json& run : both.at("runs")) names.insert(run.at("name").get<std::string>());
  EXPECT_EQ(names, (std::set<std::string>{"done", "zero", "old"}));
  EXPECT_EQ(two.details("zero").at("step"), 12);
  EXPECT_THROW(RunStore({(root / "nowhere").string()}), Error);
}

TEST_F(RunsFolder, DetailsHaveConfigHistoryResultsAlarmsAndTimes) {
  const fs::path folder = root / "zero";
  const double before = double(::time(nullptr)) - 1;
  {
    report::MetricsWriter writer(folder, 0);
    for (int64_t s = 1; s <= 20; ++s) {
      Json line{{"loss", s == 9 ? kNan : 1.0}, {"reward", 0.1}, {"frac_reward_zero_std", 1.0}};
      if (s == 5) line["skipped"] = "NaN in weight layers.2.mlp.gate (layer 2)";
      if (s == 14)
        line["alarms"] =
            Json::array({{{"monitor", "repetition"}, {"step", 13}, {"value", 0.7}, {"limit", 0.6}, {"text", "Repetition: <b>much</b>"}}});
      writer.write(s, line);
    }
  }
  write(folder / "config.yaml", R"({"num_generations":8,"max_steps":20})");
  write(folder / "configs.jsonl",
        "{\"step\":0,\"version\":\"v\",\"config\":{\"lr\":1}}\nbroken\n{\"step\":10,\"version\":\"v\",\"config\":{\"lr\":2}}\n");
  write(folder / "stage.json",
        R"({"stage":"grpo","steps":20,"results":{"monitors":{"repetition":{"state":"alarm","value":0.7,"limit":0.6,"onsets":[13]},
      "unparsed":{"state":"quiet","limit":0.05,"onsets":[3]}}}})");
  write(folder / "checkpoint-20" / "manifest.json", "{}");
  write(folder / "checkpoint-3" / "manifest.json", "{}");
  write(folder / "checkpoint-x" / "manifest.json", "{}");
  const Json d = store().details("runs/zero");
  EXPECT_EQ(d.at("checkpoints"), Json({3, 20}));
  ASSERT_EQ(d.at("config_history").size(), 2u);
  EXPECT_EQ(d.at("config_history")[1].at("changes"), "lr: 1 -> 2\n");
  EXPECT_EQ(d.at("skipped_steps"), 1);
  std::map<std::string, std::vector<Json>> alarms;
  for (const Json& alarm : d.at("alarm_list")) alarms[alarm.at("kind")].push_back(alarm);
  ASSERT_EQ(alarms["monitor"].size(), 2u);  // the text of the line, and the onset that only the summary has; 13 once
  EXPECT_EQ(alarms["monitor"][0].at("step"), 13);
  EXPECT_EQ(alarms["monitor"][0].at("text"), "Repetition: <b>much</b>");
  EXPECT_EQ(alarms["monitor"][1].at("monitor"), "unparsed");
  ASSERT_EQ(alarms["skipped"].size(), 1u);
  EXPECT_EQ(alarms["skipped"][0].at("text"), "NaN in weight layers.2.mlp.gate (layer 2)");
  ASSERT_EQ(alarms["not_finite"].size(), 1u);
  EXPECT_EQ(alarms["not_finite"][0].at("step"), 9);
  ASSERT_EQ(alarms["advice"].size(), 1u);  // groups without variance
  for (const Json& alarm : alarms["monitor"]) {
    ASSERT_TRUE(alarm.at("time").is_number());
    EXPECT_GE(alarm.at("time").get<double>(), before);
    EXPECT_LE(alarm.at("time").get<double>(), double(::time(nullptr)) + 1);
  }
  for (const Json& metric : d.at("metrics")) {
    if (metric.at("key") != "loss") continue;
    EXPECT_EQ(metric.at("count"), 20);
    EXPECT_EQ(metric.at("not_finite"), 1);
  }
}

TEST_F(RunsFolder, SeriesAreThinnedZoomedAndSmoothedOverAllPoints) {
  std::string text;
  for (int64_t s = 1; s <= 50'000; ++s) text += str("{\"step\":", s, ",\"loss\":", s == 31'337 ? 1e6 : double(s % 100), "}\n");
  write(root / "metrics.jsonl", text);
  RunStore runs = store();
  const auto loss = [&](SeriesQuery query) {
    return runs.series("runs", (query.keys = {"loss", "nothing"}, query)).at("series").at("loss");
  };
  const Json all = loss({.points = 100, .smoothing = 0.99});
  EXPECT_EQ(all.at("count"), 50'000);
  EXPECT_LE(all.at("step").size(), 302u);
  EXPECT_NE(std::find(all.at("value").begin(), all.at("value").end(), 1e6), all.at("value").end());
  EXPECT_FALSE(all.at("smooth").empty());
  // The same smoothed end however few points are drawn (a curve smoothed after thinning would differ).
  const Json coarse = loss({.points = 10, .smoothing = 0.99}), fine = loss({.points = 10'000, .smoothing = 0.99});
  EXPECT_EQ(coarse.at("smooth").back(), fine.at("smooth").back());
  EXPECT_EQ(coarse.at("smoothing"), fine.at("smoothing"));
  // A part at its full resolution, with a neighbour on each side.
  const Json part = loss({.points = 100, .from_step = 1'000, .to_step = 1'050});
  EXPECT_EQ(part.at("step").front(), 999);
  EXPECT_EQ(part.at("step").back(), 1'050);
  EXPECT_EQ(part.at("step").size(), 52u);
  EXPECT_EQ(loss({.from_step = 1e9}).at("step").size(), 1u);
  EXPECT_FALSE(runs.series("runs", {.keys = {"nothing"}}).at("series").contains("nothing"));
}

TEST_F(RunsFolder, ACursorBringsWhatWasAppendedAndNoticesAnotherFile) {
  const fs::path path = root / "metrics.jsonl";
  write(path, lines(1, 10));
  RunStore runs = store();
  std::string cursor = runs.series("runs", {}).at("cursor");
  EXPECT_TRUE(runs.rows("runs", cursor, 100).at("rows").empty());
  std::ofstream(path, std::ios::app) << lines(11, 12) << "broken\n"
                                     << "{\"step\":13";
  Json news = runs.rows("runs", cursor, 100);
  EXPECT_FALSE(news.at("reset").get<bool>());
  ASSERT_EQ(news.at("rows").size(), 2u);
  EXPECT_EQ(news.at("rows")[0].at("step"), 11);
  EXPECT_EQ(news.at("broken"), 1);
  cursor = news.at("cursor");
  std::ofstream(path, std::ios::app) << ",\"loss\":1}\n";
  news = runs.rows("runs", cursor, 100);
  ASSERT_EQ(news.at("rows").size(), 1u);
  EXPECT_EQ(news.at("rows")[0].at("step"), 13);
  // In small helpings.
  cursor = "0-0";
  std::vector<double> steps;
  for (int i = 0; i < 20; ++i) {
    news = runs.rows("runs", cursor, 3);
    for (const Json& row : news.at("rows")) steps.push_back(row.at("step"));
    cursor = news.at("cursor");
    if (!news.at("more").get<bool>()) break;
  }
  EXPECT_EQ(steps.size(), 13u);
  // A resumed run whose lines are the same ones again is the same file; one with others is not.
  const std::string whole = read_file(path);
  write_file_atomic(path, whole);
  EXPECT_FALSE(runs.rows("runs", cursor, 3).at("reset").get<bool>());
  write_file_atomic(path, lines(1, 9) + std::string(whole.size() - lines(1, 9).size() + 50, ' '));
  EXPECT_TRUE(runs.rows("runs", cursor, 3).at("reset").get<bool>());
  for (const char* bad :
       {"", "x", "5", "-1-0", "5-", "5-0", "0-0123456789abcdef", "5-xyz", "99999999999999999999-0123456789abcdef", "1-0123456789abcdef0"})
    EXPECT_EQ(status_of([&] { runs.rows("runs", bad, 3); }), 400) << bad;
  EXPECT_TRUE(runs.rows("runs", "5-0123456789abcdef", 3).at("reset").get<bool>());
}

TEST_F(RunsFolder, CompareShowsWhatDiffers) {
  make_run(root / "a", 5);
  make_run(root / "b", 8, 1.0);
  write(root / "b" / "config.yaml",
        R"({"learning_rate": 2e-5, "max_steps": 40, "num_generations": 8, "extra": "x", "monitor": {"patience": 6}})");
  RunStore runs = store();
  const Json c = runs.compare({"runs/a", "runs/b"});
  std::map<std::string, Json> config, metrics;
  for (const Json& row : c.at("config")) config[row.at("key")] = row.at("values");
  for (const Json& row : c.at("metrics")) metrics[row.at("key")] = row.at("values");
  EXPECT_EQ(config.size(), 3u);
  EXPECT_EQ(config["learning_rate"], Json({1e-5, 2e-5}));
  EXPECT_EQ(config["monitor.patience"], Json({5, 6}));
  EXPECT_EQ(config["extra"], Json({nullptr, "x"}));
  EXPECT_EQ(metrics["loss"], Json({0.2, 1.125}));
  EXPECT_EQ(status_of([&] { runs.compare({}); }), 400);
  EXPECT_EQ(status_of([&] { runs.compare(std::vector<std::string>(17, "runs/a")); }), 400);
}

TEST_F(RunsFolder, WhatWasForgottenForWantOfRoomIsReadAgain) {
  for (const char* name : {"a", "b", "c"}) make_run(root / name, 50);
  RunStore runs({root.string()}, 250);  // a run has 200 points
  for (int round = 0; round < 3; ++round)
    for (const char* name : {"runs/a", "runs/b", "runs/c"}) {
      EXPECT_EQ(runs.series(name, {.keys = {"loss"}}).at("series").at("loss").at("count"), 50);
      std::ofstream(root / std::string(name).substr(5) / "metrics.jsonl", std::ios::app) << "{\"step\":" << 51 + round << ",\"other\":1}\n";
      EXPECT_EQ(runs.details(name).at("lines"), 51 + round);
    }
}

// ---- completions ----

std::string completion(int64_t step, const std::string& id, const std::string& text, const std::string& verdict, Json reward) {
  return dump_json({{"step", step},
                    {"id", id},
                    {"question", "What is " + id + "?"},
                    {"gold", "10"},
                    {"completion", text},
                    {"extracted", "9"},
                    {"verdict", verdict},
                    {"reward", reward},
                    {"rewards", {{"accuracy", reward}}},
                    {"tokens", 3},
                    {"finish", "stop"}}) +
         "\n";
}

TEST_F(RunsFolder, CompletionsAreFilteredSearchedAndFoundAgainAtOtherSteps) {
  make_run(root / "zero", 3);
  std::string text;
  for (int64_t s = 1; s <= 40; ++s) {
    text +=
        completion(s, str("math/", s % 4), str("at ", s, " Needle", s == 7 ? " SEVEN" : ""), s % 3 ? "wrong" : "right", s % 3 ? 0.1 : 0.7);
    text += completion(s, "math/x", "other", s == 9 ? "timeout" : "unparsed", nullptr);
  }
  text += "broken\n{\"no\":\"step\"}\n" + std::string(300'000, '[') + "\n";
  write(root / "zero" / "completions.jsonl", text);
  RunStore runs = store();
  const auto find = [&](CompletionQuery query) { return runs.completions("runs/zero", query); };
  const Json all = find({});
  EXPECT_EQ(all.at("found"), 80);
  EXPECT_EQ(all.at("rows").size(), 50u);
  EXPECT_EQ(all.at("rows")[0].at("step"), 40);  // the newest first
  EXPECT_EQ(all.at("next"), 50);
  EXPECT_EQ(all.at("broken"), 3);
  EXPECT_EQ(all.at("steps").size(), 40u);
  const Json rest = find({.offset = 50});
  EXPECT_EQ(rest.at("rows").size(), 30u);
  EXPECT_EQ(rest.at("next"), nullptr);
  EXPECT_EQ(find({.step = 7}).at("found"), 2);
  EXPECT_EQ(find({.step = 7}).at("rows")[0].at("id"), "math/3");
  EXPECT_EQ(find({.verdict = "right"}).at("found"), 13);
  EXPECT_EQ(find({.verdict = "wrong"}).at("found"), 67);  // all that is not right
  EXPECT_EQ(find({.verdict = "timeout"}).at("found"), 1);
  EXPECT_EQ(find({.reward_min = 0.7}).at("found"), 13);  // without a reward: in no range
  EXPECT_EQ(find({.reward_max = 0.1}).at("found"), 27);
  EXPECT_EQ(find({.search = "needle seven"}).at("found"), 1);
  EXPECT_EQ(find({.search = "NEEDLE", .limit = 2}).at("found"), 40);
  EXPECT_EQ(find({.search = "math/x", .limit = 200}).at("found"), 40);
  const Json one = find({.step = 8, .id = "math/0"});
  ASSERT_EQ(one.at("found"), 1);
  EXPECT_EQ(one.at("rows")[0].at("other_steps"), Json({4, 12, 16, 20, 24, 28, 32, 36, 40}));
  const Json history = find({.id = "math/0"});
  EXPECT_EQ(history.at("found"), 10);
  EXPECT_EQ(history.at("rows")[0].at("step"), 4);
  // It grows, and a resume takes its end away.
  std::ofstream(root / "zero" / "completions.jsonl", std::ios::app) << completion(41, "new", "x", "right", 1);
  EXPECT_EQ(find({.step = 41}).at("found"), 1);
  write_file_atomic(root / "zero" / "completions.jsonl", completion(1, "math/1", "again", "right", 1));
  EXPECT_EQ(find({}).at("found"), 1);
}

// ---- hostile contents ----

TEST_F(RunsFolder, MutatedFilesAreNeverMoreThanAFault) {
  const fs::path folder = root / "zero";
  make_run(folder, 6);
  std::map<std::string, std::string> files;
  for (const char* name : {"metrics.jsonl", "config.yaml", "configs.jsonl"}) files[name] = read_file(folder / name);
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("events.")) files[entry.path().filename()] = read_file(entry.path());
  files["stage.json"] =
      R"({"stage":"grpo","steps":6,"version":"v","results":{"monitors":{"unparsed":{"onsets":[1,"x",null],"limit":"0.5"}},"watched":{}}})";
  files["completions.jsonl"] = completion(1, "a", "text", "right", 1) + completion(2, "a", "text", "wrong", nullptr);
  Rng rng(13);
  for (int round = 0; round < 300; ++round) {
    for (const auto& [name, original] : files) {
      std::string bytes = original;
      for (auto changes = rng.below(6); changes > 0 && !bytes.empty(); --changes) {
        const size_t at = size_t(rng.below(bytes.size()));
        switch (rng.below(4)) {
          case 0:
            bytes[at] = char(rng.below(256));
            break;
          case 1:
            bytes.erase(at, 1 + size_t(rng.below(20)));
            break;
          case 2:
            bytes.insert(at, bytes.substr(size_t(rng.below(bytes.size())), size_t(rng.below(30))));
            break;
          default:
            bytes.insert(at, std::vector<std::string>{"1e999", "null", "[[[[", "\"\\ud800\"", "{\"a\":", "-", "\n",
                                                      "\xff\xfe"}[size_t(rng.below(8))]);
        }
      }
      write(folder / name, bytes);
    }
    RunStore runs = store();
    const auto survives = [&](const char* what, const std::function<Json()>& work) {
      try {
        dump_json(work());
      } catch (const http::ApiError& error) {
        ASSERT_EQ(error.status, 404) << what << ": " << error.what();
      }
    };
    survives("list", [&] { return runs.list(); });
    survives("details", [&] { return runs.details("runs/zero"); });
    survives("series", [&] { return runs.series("runs/zero", {.keys = {"loss", "reward"}, .points = 2, .smoothing = 0.5}); });
    survives("rows", [&] { return runs.rows("runs/zero", "0-0", 100); });
    survives("completions", [&] { return runs.completions("runs/zero", {.search = "t"}); });
    survives("compare", [&] { return runs.compare({"runs/zero", "runs/zero"}); });
  }
}

// ---- routes ----

class Listener : public http::Responder {
 public:
  void send(http::Response given) override {
    const std::lock_guard lock(mutex_);
    response = std::move(given);
  }
  void begin(int status, std::string content_type, http::Headers) override {
    const std::lock_guard lock(mutex_);
    response.status = status;
    response.content_type = std::move(content_type);
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    text_ += piece;
    changed_.notify_all();
  }
  void end() override {}
  bool gone() const override { return gone_; }
  void on_gone(std::function<void()>) override {}

  void hang_up() { gone_ = true; }
  // True when the stream has said it.
  bool hears(const std::string& wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return text_.find(wanted) != std::string::npos; });
  }

  http::Response response;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  std::atomic<bool> gone_ = false;
};

struct Dashboard {
  http::Router router;
  explicit Dashboard(const RunsConfig& config) { add_runs_routes(router, config); }

  // The status of the answer or of the error that the server would make of it; `error` is what a client is told.
  std::shared_ptr<Listener> get(const std::string& path, std::map<std::string, std::string> query = {}) {
    const auto listener = std::make_shared<Listener>();
    auto request = std::make_shared<http::Request>();
    request->method = "GET";
    request->path = path;
    request->query = std::move(query);
    const http::Match match = router.find("GET", path);
    if (!match.route) fail("no route ", path);
    try {
      match.route->handler(request, listener);
    } catch (const std::exception& error) {
      listener->send(http::error_response(error));
    }
    return listener;
  }
};

TEST_F(RunsFolder, RoutesAnswerAndRefuseWithTheNameOfWhatIsWrong) {
  make_run(root / "zero", 5);
  write(root / "zero" / "completions.jsonl", completion(1, "a", "text", "right", 1));
  write(root / "zero" / "report.html", "<script>alert(1)</script>");
  Dashboard dashboard({.runs = {root.string()}});
  using Query = std::map<std::string, std::string>;
  const auto ok = [&](const std::string& path, const Query& query) {
    const auto answer = dashboard.get(path, query);
    EXPECT_EQ(answer->response.status, 200) << path << answer->response.body;
    return answer->response;
  };
  EXPECT_EQ(Json::parse(ok("/api/runs", {}).body).at("runs").size(), 1u);
  EXPECT_EQ(Json::parse(ok("/api/runs/details", {{"run", "runs/zero"}}).body).at("step"), 5);
  const Json series = Json::parse(
      ok("/api/runs/series", {{"run", "runs/zero"}, {"keys", R"(["loss","a,b"])"}, {"points", "50"}, {"smoothing", "0.9"}}).body);
  EXPECT_EQ(series.at("series").at("loss").at("count"), 5);
  EXPECT_TRUE(Json::parse(ok("/api/runs/series", {{"run", "runs/zero"}, {"keys", "loss,reward"}}).body).at("series").contains("reward"));
  EXPECT_EQ(Json::parse(ok("/api/runs/metrics", {{"run", "runs/zero"}, {"limit", "2"}}).body).at("rows").size(), 2u);
  EXPECT_EQ(Json::parse(ok("/api/runs/completions", {{"run", "runs/zero"}, {"step", "1"}}).body).at("found"), 1);
  EXPECT_EQ(Json::parse(ok("/api/runs/compare", {{"runs", "runs/zero,runs/zero"}}).body).at("runs").size(), 2u);
  const http::Response report = ok("/api/runs/report", {{"run", "runs/zero"}});
  EXPECT_EQ(report.content_type, "text/html; charset=utf-8");
  bool sandboxed = false;
  for (const auto& [name, value] : report.headers)
    sandboxed |= name == "content-security-policy" && value.starts_with("sandbox allow-scripts;");
  EXPECT_TRUE(sandboxed);

  const std::string run = "runs/zero";
  struct Wrong {
    std::string path;
    Query query;
    int status;
    std::string param;
  };
  for (const Wrong& wrong : std::vector<Wrong>{
           {"/api/runs", {{"x", "1"}}, 400, "x"},
           {"/api/runs/details", {}, 400, "run"},
           {"/api/runs/details", {{"run", ""}}, 400, "run"},
           {"/api/runs/details", {{"run", "../etc"}}, 400, "run"},
           {"/api/runs/details", {{"run", "runs/none"}}, 404, "run"},
           {"/api/runs/details", {{"runs", run}, {"run", run}}, 400, "runs"},
           {"/api/runs/series", {{"run", run}, {"points", "9"}}, 400, "points"},
           {"/api/runs/series", {{"run", run}, {"points", "10001"}}, 400, "points"},
           {"/api/runs/series", {{"run", run}, {"points", "1e3"}}, 400, "points"},
           {"/api/runs/series", {{"run", run}, {"points", "99999999999999999999"}}, 400, "points"},
           {"/api/runs/series", {{"run", run}, {"smoothing", "1"}}, 400, "smoothing"},
           {"/api/runs/series", {{"run", run}, {"smoothing", "nan"}}, 400, "smoothing"},
           {"/api/runs/series", {{"run", run}, {"from_step", "inf"}}, 400, "from_step"},
           {"/api/runs/series", {{"run", run}, {"from_step", "2"}, {"to_step", "1"}}, 400, "to_step"},
           {"/api/runs/series", {{"run", run}, {"keys", "[1]"}}, 400, "keys"},
           {"/api/runs/series", {{"run", run}, {"keys", "["}}, 400, "keys"},
           {"/api/runs/series", {{"run", run}, {"keys", std::string(1'000, ',')}}, 400, "keys"},
           {"/api/runs/metrics", {{"run", run}, {"from", "x"}}, 400, "from"},
           {"/api/runs/metrics", {{"run", run}, {"limit", "0"}}, 400, "limit"},
           {"/api/runs/completions", {{"run", run}, {"step", "-1"}}, 400, "step"},
           {"/api/runs/completions", {{"run", run}, {"verdict", "good"}}, 400, "verdict"},
           {"/api/runs/completions", {{"run", run}, {"reward_min", "x"}}, 400, "reward_min"},
           {"/api/runs/completions", {{"run", run}, {"limit", "201"}}, 400, "limit"},
           {"/api/runs/compare", {}, 400, "runs"},
           {"/api/runs/compare", {{"runs", "runs/none"}}, 404, "run"},
           {"/api/runs/stream", {}, 400, "runs"},
           {"/api/runs/stream", {{"runs", run}, {"from", "0-0,0-0"}}, 400, "from"},
           {"/api/runs/stream", {{"runs", run}, {"from", "x"}}, 400, "from"},
           {"/api/runs/stream", {{"runs", "runs/none"}}, 404, "run"},
       }) {
    const auto answer = dashboard.get(wrong.path, wrong.query);
    EXPECT_EQ(answer->response.status, wrong.status) << wrong.path << " " << wrong.param;
    const Json error = Json::parse(answer->response.body).at("error");
    EXPECT_EQ(error.at("param"), wrong.param) << wrong.path << " " << answer->response.body;
  }
}

TEST_F(RunsFolder, AStreamTellsWhatIsAppendedRewrittenAndGone) {
  make_run(root / "zero", 5);
  make_run(root / "other", 5);
  Dashboard dashboard({.runs = {root.string()}, .poll_interval = 0.01, .max_run_streams = 2});
  const std::string cursor = Json::parse(dashboard.get("/api/runs/series", {{"run", "runs/zero"}})->response.body).at("cursor");
  const auto stream = dashboard.get("/api/runs/stream", {{"runs", "runs/zero"}, {"from", cursor}});
  EXPECT_EQ(stream->response.content_type, "text/event-stream");
  const auto both = dashboard.get("/api/runs/stream", {{"runs", "runs/zero,runs/other"}});
  EXPECT_EQ(dashboard.get("/api/runs/stream", {{"runs", "runs/zero"}})->response.status, 503);
  {
    report::MetricsWriter writer(root / "zero", 5);
    writer.write(6, {{"loss", kNan}});
  }
  EXPECT_TRUE(stream->hears(R"(event: rows)"));
  EXPECT_TRUE(stream->hears(R"("rows":[{"step":6.0,"loss":null}])"));
  EXPECT_TRUE(both->hears(R"("run":"runs/zero","rows":[{"step":6.0)"));
  std::ofstream(root / "other" / "metrics.jsonl", std::ios::app) << "{\"step\":6,\"loss\":\"Infinity\"}\n";
  EXPECT_TRUE(both->hears(R"("run":"runs/other","rows":[{"step":6.0,"loss":"inf"}])"));
  // Another file under the same name, then more of it.
  write_file_atomic(root / "zero" / "metrics.jsonl", lines(1, 2));
  EXPECT_TRUE(stream->hears("event: reset"));
  std::ofstream(root / "zero" / "metrics.jsonl", std::ios::app) << "{\"step\":77,\"loss\":1}\n";
  EXPECT_TRUE(stream->hears("\"step\":77.0"));
  // More at once than a stream brings.
  std::ofstream(root / "zero" / "metrics.jsonl", std::ios::app) << lines(100, 900);
  EXPECT_TRUE(both->hears("event: reset"));
  fs::remove_all(root / "zero");
  EXPECT_TRUE(stream->hears("event: gone"));
  // Whoever hangs up makes room.
  stream->hang_up();
  EXPECT_EQ(dashboard.get("/api/runs/stream", {{"runs", "runs/other"}})->response.status, 200);
}

TEST_F(RunsFolder, SeveralReadersWhileARunIsWritten) {
  make_run(root / "zero", 1);
  RunStore runs = store();
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  std::atomic<int64_t> looks = 0, wrong = 0;
  for (int r = 0; r < 3; ++r)
    readers.emplace_back([&] {
      while (!done) {
        const Json loss = runs.series("runs/zero", {.keys = {"loss"}, .points = 5'000}).at("series").at("loss");
        double last = 0;
        for (const Json& step : loss.at("step")) wrong += !(step.get<double>() == last + 1), last = step.get<double>();
        runs.details("runs/zero");
        runs.list();
        ++looks;
      }
    });
  {
    report::MetricsWriter writer(root / "zero", 1);
    for (int64_t s = 2; s <= 400; ++s) writer.write(s, {{"loss", double(s)}});
  }
  while (looks < 6) std::this_thread::yield();
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(runs.details("runs/zero").at("step"), 400);
}

}  // namespace
}  // namespace r1::api
