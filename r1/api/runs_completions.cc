#include "r1/api/runs_completions.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "r1/base/strings.h"

namespace r1::api {
namespace {

constexpr size_t kMaxOthers = 50;

// What goes out again has to be shallow: printing it recurses, reading does not.
Json shallow_json(const std::string& text) {
  try {
    return parse_json(text, "completions.jsonl");
  } catch (const Error&) {
    return {};
  }
}

uint64_t hash_of(const std::string& id) {
  return std::hash<std::string>{}(id);
}

std::string text_of(const Json& row, const char* key) {
  const auto it = row.find(key);
  return it != row.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool has_text(const Json& row, const std::string& wanted) {
  for (const char* key : {"completion", "question", "id", "extracted", "gold"})
    if (lower_ascii(text_of(row, key)).find(wanted) != std::string::npos) return true;
  return false;
}

}  // namespace

RunCompletions::Verdict RunCompletions::verdict_of(std::string_view name) {
  constexpr std::string_view kNames[] = {"right", "wrong", "unparsed", "timeout", "crash"};
  const auto* it = std::find(std::begin(kNames), std::end(kNames), name);
  return Verdict(it - std::begin(kNames));
}

bool RunCompletions::refresh(const OpenFile& file, int64_t most) {
  if (reader_.begin(file)) rows_.clear(), broken_ = left_out_ = 0;
  return reader_.read(file, most, [this](std::string_view line, int64_t offset) { take(line, offset); });
}

void RunCompletions::take(std::string_view line, int64_t offset) {
  const Json row = line.empty() ? Json() : Json::parse(line, nullptr, false);
  const auto step = row.is_object() ? row.find("step") : row.end();
  if (!row.is_object() || step == row.end() || !step->is_number() || !(std::abs(step->get<double>()) <= 1e15)) {
    ++broken_;
    return;
  }
  if (rows_.size() >= kMaxRows) {
    ++left_out_;
    return;
  }
  const auto reward = row.find("reward");
  rows_.push_back({int64_t(step->get<double>()), offset, hash_of(text_of(row, "id")),
                   reward != row.end() && reward->is_number() ? reward->get<double>() : std::numeric_limits<double>::quiet_NaN(),
                   uint32_t(line.size()), verdict_of(text_of(row, "verdict"))});
}

bool RunCompletions::fits(const Row& row, const CompletionQuery& query, std::optional<Verdict> verdict, uint64_t id) const {
  if (query.step && row.step != *query.step) return false;
  if (!query.id.empty() && row.id != id) return false;
  if (query.verdict == "wrong" ? row.verdict == Verdict::kRight : verdict && row.verdict != *verdict) return false;
  if (query.reward_min && !(row.reward >= *query.reward_min)) return false;  // without a reward: in no range
  return !query.reward_max || row.reward <= *query.reward_max;
}

Json RunCompletions::other_steps(const Row& row) const {
  Json out = Json::array();
  for (const Row& other : rows_) {
    if (other.id != row.id || other.step == row.step || (!out.empty() && out.back() == other.step)) continue;
    if (out.size() >= kMaxOthers) break;
    out.push_back(other.step);
  }
  return out;
}

Json RunCompletions::find(const OpenFile& file, const CompletionQuery& query) const {
  const uint64_t id = hash_of(query.id);
  std::optional<Verdict> verdict;
  if (!query.verdict.empty()) verdict = verdict_of(query.verdict);
  const std::string wanted = lower_ascii(query.search);
  Json rows = Json::array(), next;
  int64_t found = 0, searched = 0, answered = 0;
  bool more = left_out_ > 0;
  const auto all = int64_t(rows_.size());
  for (int64_t i = 0; i < all; ++i) {
    // One step's rows as they were sampled, a problem's by time; all of them from the newest.
    const Row& row = rows_[size_t(query.step || !query.id.empty() ? i : all - 1 - i)];
    if (!fits(row, query, verdict, id)) continue;
    const bool shown = found >= query.offset && int64_t(rows.size()) < query.limit && answered < kMaxAnswer;
    if (!shown && wanted.empty() && query.id.empty()) {
      if (found++ >= query.offset && next.is_null()) next = found - 1;
      continue;
    }
    if (searched >= kMaxSearched) {
      more = true;
      break;
    }
    searched += row.length;
    Json json = shallow_json(file.read(row.offset, row.length));
    if (!json.is_object()) continue;  // the file is being written anew
    if (!query.id.empty() && text_of(json, "id") != query.id) continue;
    if (!wanted.empty() && !has_text(json, wanted)) continue;
    if (found++ < query.offset) continue;
    if (!shown) {
      if (next.is_null()) next = found - 1;
      continue;
    }
    json["other_steps"] = other_steps(row);
    answered += row.length;
    rows.push_back(std::move(json));
  }
  std::vector<int64_t> steps;
  for (const Row& row : rows_) steps.push_back(row.step);
  std::sort(steps.begin(), steps.end());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  Json shown_steps = Json::array();
  const size_t stride = (steps.size() + kMaxSteps - 1) / kMaxSteps;
  for (size_t i = 0; i < steps.size(); ++i)
    if (i % stride == 0 || i + 1 == steps.size()) shown_steps.push_back(steps[i]);
  return {{"rows", std::move(rows)}, {"found", found},    {"more", more},     {"next", next},
          {"steps", shown_steps},    {"rows_total", all}, {"broken", broken_}};
}

}  // namespace r1::api
