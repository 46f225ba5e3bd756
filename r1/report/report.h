// One self-contained report.html for a run: how it went, what it can do now, what it says, how it was made. No network, no external file;
// light and dark. A pure function of ReportData, so the same run gives the same file. Everything shown may come from a model and is
// untrusted: text is escaped, control and direction characters are made visible, and the page's own policy forbids any script but the one
// of its charts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "r1/base/json.h"

namespace r1::report {

// What watches a stage for a fault: its curve is the metric monitor/<name>.
struct ReportMonitor {
  std::string name, title, meaning, advice;  // "language_drift", "Language drift", what the number is, what to do if it alarms
  std::string state;                         // "quiet", "alarm" (at the end), "no data"
  double limit = 0;
  std::vector<int64_t> onsets;  // steps at which it began to alarm
};

// One metrics.jsonl: a stage of the run.
struct ReportStage {
  std::string name;         // "GRPO"
  std::vector<Json> lines;  // read_metrics(...)
  std::vector<ReportMonitor> monitors = {};
  int64_t logged = 0;  // lines in all, if `lines` are some of them; 0: these are all
};

struct ReportEvaluation {
  std::string model;  // "base", "SFT", "GRPO"
  std::string task;   // "chained arithmetic, held out"
  int64_t n = 0;
  double accuracy = 0, lo = 0, hi = 0;                 // shares, with a 95 % interval; lo == hi: none
  std::vector<std::pair<std::string, double>> others;  // "pass@8" 0.71, "mean length" 25.3; columns in order of first appearance
};

struct ReportCompletion {
  std::string when;  // "before", "step 20", "after"
  std::string text;
  std::optional<double> reward;
  int64_t tokens = 0;
};
struct ReportSample {
  std::string problem, answer;
  std::vector<ReportCompletion> completions;
};

struct ReportTile {
  std::string label, value, note;  // "held-out accuracy", "0.99", "from 0.03"
};

struct ReportData {
  std::string title, subtitle, command;
  std::vector<ReportTile> tiles;
  std::vector<ReportStage> stages;  // in the order of the page: the one that people look for first
  std::vector<ReportEvaluation> evaluations;
  std::vector<ReportSample> samples;
  std::vector<std::string> alarms;  // beside those that find_alarms sees in the stages
  Json config = Json::object(), environment = Json::object();
};

std::string report_html(const ReportData& data);
void write_report(const std::filesystem::path& path, const ReportData& data);

// What a reader should not overlook, from the numbers alone: skipped steps, NaN, groups without variance, cut-off completions, vanished
// entropy, unparsed answers.
std::vector<std::string> find_alarms(const ReportStage& stage);

// For HTML text and attribute values; invalid UTF-8 and control characters are shown as U+FFFD or their code.
std::string html_escape(std::string_view text);

}  // namespace r1::report
