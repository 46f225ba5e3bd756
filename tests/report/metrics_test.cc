#include "r1/report/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/report/event_file.h"
#include "tests/temporary_folder.h"

namespace r1::report {
namespace {

namespace fs = std::filesystem;

fs::path event_path(const fs::path& folder) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) == 0) {
      EXPECT_TRUE(found.empty()) << "two event files";
      found = entry.path();
    }
  }
  return found;
}

Json values_of(int64_t step) {
  return {{"loss", 1.0 / double(step + 1)}, {"learning_rate", 1e-3}, {"rewards/accuracy/mean", 0.25 * double(step % 4)}};
}

TEST(EventFile, Crc32cKnownAnswers) {
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);              // the check value of CRC-32C
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);    // RFC 3720 B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);  // RFC 3720 B.4
}

TEST(EventFile, RoundTripAndTornTails) {
  std::string file = encode_event({.wall_time = 1.5, .file_version = "brain.Event:2"});
  file += encode_event({.wall_time = 2.5, .step = 3, .tag = "train/loss", .scalar = 0.125f});
  file += encode_event({.wall_time = 3.5, .step = int64_t{1} << 40, .tag = "completions", .text = std::string("<think>\n\0é", 11)});
  const auto records = decode_events(file);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].event.file_version, "brain.Event:2");
  EXPECT_EQ(records[1].event.tag, "train/loss");
  EXPECT_EQ(records[1].event.scalar, 0.125f);
  EXPECT_EQ(records[2].event.step, int64_t{1} << 40);
  EXPECT_EQ(records[2].event.text->size(), 11u);
  for (size_t cut = 0; cut < file.size(); ++cut) EXPECT_LT(decode_events(std::string_view(file).substr(0, cut)).size(), 3u);
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {  // a flipped bit ends the file there, quietly
    std::string bad = file;
    bad[rng.below(bad.size())] ^= char(1 << rng.below(8));
    EXPECT_LT(decode_events(bad).size(), 3u);
  }
}

TEST(Metrics, WritesLinesAndEvents) {
  TemporaryFolder folder("metrics");
  {
    MetricsWriter writer(folder.path());
    for (int64_t s = 1; s <= 5; ++s) writer.write(s, values_of(s));
    writer.write(6, {{"loss", std::nan("")}, {"grad_norm", INFINITY}, {"note", "text stays"}, {"eval_accuracy", 0.5}});
    writer.write_text(6, "completions", "2 + 2 = 4");
    EXPECT_EQ(writer.non_finite(), 2);
  }
  const std::vector<Json> lines = read_metrics(folder.path() / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[4]["step"], 5);
  EXPECT_DOUBLE_EQ(lines[4]["loss"].get<double>(), 1.0 / 6);
  EXPECT_TRUE(lines[5]["loss"].is_null());
  EXPECT_EQ(lines[5]["note"], "text stays");
  std::map<std::string, int> tags;
  const std::string bytes = read_file(event_path(folder.path()));
  for (const auto& record : decode_events(bytes)) ++tags[record.event.tag];
  EXPECT_EQ(tags["train/loss"], 5);
  EXPECT_EQ(tags["eval/accuracy"], 1);
  EXPECT_EQ(tags["train/rewards/accuracy/mean"], 5);
  EXPECT_EQ(tags["completions"], 1);
}

TEST(Metrics, ResumedFilesEqualUninterruptedOnes) {
  TemporaryFolder whole("whole"), parts("parts");
  MetricsWriter writer(whole.path());
  for (int64_t s = 1; s <= 9; ++s) writer.write(s, values_of(s));
  {
    MetricsWriter first(parts.path());
    for (int64_t s = 1; s <= 7; ++s) first.write(s, values_of(s));  // killed after 7, last checkpoint at 4
  }
  append_file(parts.path() / "metrics.jsonl", "{\"step\":8,\"lo");
  append_file(event_path(parts.path()), "torn");
  MetricsWriter second(parts.path(), 4);
  for (int64_t s = 5; s <= 9; ++s) second.write(s, values_of(s));
  EXPECT_EQ(read_file(parts.path() / "metrics.jsonl"), read_file(whole.path() / "metrics.jsonl"));
  std::vector<std::pair<int64_t, float>> a, b;
  const std::string bytes_a = read_file(event_path(whole.path())), bytes_b = read_file(event_path(parts.path()));
  for (const auto& r : decode_events(bytes_a)) a.emplace_back(r.event.step, r.event.scalar.value_or(0));
  for (const auto& r : decode_events(bytes_b)) b.emplace_back(r.event.step, r.event.scalar.value_or(0));
  EXPECT_EQ(a, b);
}

TEST(Metrics, ANewRunSetsTheOldLinesAside) {
  TemporaryFolder folder("again");
  { MetricsWriter(folder.path()).write(1, values_of(1)); }
  { MetricsWriter(folder.path()).write(1, values_of(2)); }
  EXPECT_EQ(read_metrics(folder.path() / "metrics.jsonl").size(), 1u);
  EXPECT_EQ(read_metrics(folder.path() / "metrics.jsonl.old").size(), 1u);
  EXPECT_FALSE(event_path(folder.path()).empty());
}

TEST(Metrics, AFullDiskLosesNothing) {
  TemporaryFolder folder("full");
  MetricsWriter writer(folder.path());
  writer.write(1, values_of(1));
  set_file_fault([](const char* call) { return std::string(call) == "write" ? ENOSPC : 0; });
  for (int64_t s = 2; s <= 4; ++s) EXPECT_NO_THROW(writer.write(s, values_of(s)));
  set_file_fault(nullptr);
  writer.write(5, values_of(5));
  const std::vector<Json> lines = read_metrics(folder.path() / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 5u);
  for (int64_t s = 1; s <= 5; ++s) EXPECT_EQ(lines[size_t(s - 1)]["step"], s);
  const std::string bytes = read_file(event_path(folder.path()));
  EXPECT_EQ(decode_events(bytes).size(), 1u + 5 * 3);
}

TEST(Metrics, TensorBoardReadsThem) {
  const char* python = std::getenv("R1_ORACLE_PYTHON");
  if (!python) GTEST_SKIP() << "R1_ORACLE_PYTHON is not set";
  TemporaryFolder folder("tensorboard");
  {
    MetricsWriter writer(folder.path());
    for (int64_t s = 1; s <= 20; ++s) writer.write(s, values_of(s));
    writer.write_text(20, "completions", "<think>é 7*9=63</think>");
  }
  const std::string out = (folder.path() / "out.json").string();
  const std::string command = str(python, " ", R1_SOURCE_DIR, "/tests/oracles/train_tensorboard.py ", folder.path().string(), " > ", out);
  ASSERT_EQ(std::system(command.c_str()), 0);
  const Json read = parse_json_file(out);
  ASSERT_EQ(read["scalars"]["train/loss"].size(), 20u);
  for (int64_t s = 1; s <= 20; ++s) {
    EXPECT_EQ(read["scalars"]["train/loss"][size_t(s - 1)][0], s);
    EXPECT_EQ(read["scalars"]["train/loss"][size_t(s - 1)][1].get<float>(), float(1.0 / double(s + 1)));
  }
  EXPECT_EQ(read["texts"]["completions"][0][1], "<think>é 7*9=63</think>");
}

// A page of a long run: some of its lines, all that happens seldom, and how many there were.
TEST(ReadMetrics, ALongFileIsThinnedAndWhatIsRareStays) {
  TemporaryFolder folder("metrics_thin");
  const fs::path path = folder.path() / "metrics.jsonl";
  std::string text;
  for (int step = 1; step <= 1000; ++step) {
    Json line{{"step", step}, {"loss", step == 555 ? Json() : Json(1.0 / step)}};
    if (step % 250 == 7) line["eval_loss"] = 0.5;
    if (step == 123) line["skipped"] = "NaN";
    if (step == 124) line["alarms"] = Json::array();
    text += dump_json(line) + "\n";
  }
  write_file_atomic(path, text + "{\"step\": 1001, \"lo");
  int64_t all = 0;
  const auto lines = read_metrics(path, 100, &all);
  EXPECT_EQ(all, 1000);
  EXPECT_GE(lines.size(), 100u);
  EXPECT_LE(lines.size(), 110u);
  std::set<int64_t> steps;
  for (const Json& line : lines) steps.insert(line.at("step").get<int64_t>());
  for (const int64_t step : {1, 7, 123, 124, 257, 507, 555, 757, 1000}) EXPECT_TRUE(steps.count(step)) << step;
  EXPECT_EQ(steps.size(), lines.size()) << "each once";
  EXPECT_EQ(read_metrics(path).size(), 1000u);
  EXPECT_EQ(read_metrics(path, 5000).size(), 1000u);
  EXPECT_TRUE(read_metrics(folder.path() / "none", 10, &all).empty());
  EXPECT_EQ(all, 0);
}

TEST(MetricsWriter, NoEarlierLogIsWrittenOver) {
  TemporaryFolder folder("metrics_old");
  for (int run = 1; run <= 3; ++run) MetricsWriter(folder.path()).write(run, {{"loss", run}});
  const auto first_step = [&](const char* name) { return read_metrics(folder.path() / name).at(0).at("step").get<int>(); };
  EXPECT_EQ(first_step("metrics.jsonl"), 3);
  EXPECT_EQ(first_step("metrics.jsonl.old"), 1);
  EXPECT_EQ(first_step("metrics.jsonl.old2"), 2);
}

}  // namespace
}  // namespace r1::report
