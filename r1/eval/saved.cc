#include "r1/eval/saved.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/data/jsonl.h"
#include "r1/eval/statistics.h"
#include "r1/verify/marks.h"

namespace r1::eval {
namespace {

constexpr const char *kResult = "result.json", *kSamples = "samples.jsonl";

std::string text_at(const Json& row, const char* key) {
  const auto at = row.find(key);
  return at == row.end() || at->is_null() ? "" : at->is_string() ? at->get<std::string>() : dump_json(*at);
}

double number_at(const Json& row, const char* key) {
  const auto at = row.find(key);
  return at != row.end() && at->is_number() ? at->get<double>() : 0;
}

// The rule's name in words.
std::string rule_words(const std::string& rule) {
  using verify::AnswerPlace;
  for (const AnswerPlace place :
       {AnswerPlace::kAnswerTag, AnswerPlace::kHashes, AnswerPlace::kBoxed, AnswerPlace::kPhrase, AnswerPlace::kLastNumber})
    if (rule == verify::answer_place_name(place)) return verify::answer_place_rule(place);
  return rule == "none" ? "" : rule;
}

// "gold      18", or, over several lines, the name and then the text, indented.
std::string block(std::string name, const std::string& text) {
  name.resize(std::max<size_t>(name.size() + 1, 12), ' ');
  if (text.find('\n') == std::string::npos) return name + text + "\n";
  std::string out = std::string(trim(name)) + "\n";
  for (size_t at = 0, end; at < text.size(); at = end + 1) {
    end = std::min(text.find('\n', at), text.size());
    out += "    " + text.substr(at, end - at) + "\n";
  }
  return out;
}

void check_evaluation(const fs::path& folder) {
  if (!fs::exists(folder)) fail_usage("no folder '", folder.string(), "'");
  if (!fs::exists(folder / kSamples))
    fail_usage(folder.string(), " holds no evaluation (no ", kSamples,
               "); r1 eval keeps one in its output_dir, by default below runs/eval");
}

}  // namespace

std::string sample_text(const Json& s) {
  const std::string question = text_at(s, "question"), prompt = text_at(s, "prompt"), rule = rule_words(text_at(s, "rule"));
  std::string rewards;
  if (const auto at = s.find("rewards"); at != s.end() && at->is_object())
    for (const auto& [name, value] : at->items())
      rewards += str(rewards.empty() ? "" : "  ", name, " ", value.is_number() ? three_digits(value.get<double>()) : "none");
  std::string out = str("--- ", text_at(s, "id"), number_at(s, "sample") > 0 ? str(", sample ", int64_t(number_at(s, "sample"))) : "", ": ",
                        text_at(s, "verdict"), "\n");
  // What was sent has the question in it, if the task did not change it.
  if (prompt.find(question) == std::string::npos) out += block("question", question);
  out += block("prompt", prompt);
  out += block("gold", text_at(s, "gold"));
  out += block("completion", text_at(s, "completion"));
  const std::string extracted = text_at(s, "extracted");
  out += block("extracted", extracted.empty() ? "nothing" : extracted);
  if (!rule.empty()) out += block("found by", rule);
  if (const std::string reason = text_at(s, "reason"); !reason.empty()) out += block("verdict", text_at(s, "verdict") + ": " + reason);
  if (!rewards.empty()) out += block("rewards", rewards);
  return out + block("length", str(text_at(s, "tokens"), " tokens", text_at(s, "finish_reason") == "length" ? ", cut off" : "")) + "\n";
}

int64_t show_samples(const fs::path& folder, const ShowOptions& options, const std::function<void(const Json&)>& show) {
  check_evaluation(folder);
  data::JsonlReader reader(folder / kSamples);
  int64_t fitting = 0;
  while (const auto row = reader.next()) {
    const std::string verdict = text_at(*row, "verdict");
    if (options.wrong && verdict == "right") continue;
    if (!options.verdict.empty() && verdict != options.verdict) continue;
    if (!options.id.empty() && text_at(*row, "id").find(options.id) == std::string::npos) continue;
    if (fitting++ < options.n) show(*row);
  }
  return fitting;
}

namespace {

struct Answered {
  std::string question;
  double sum = 0;
  int64_t samples = 0;
  double accuracy() const { return sum / double(samples); }
};

std::map<std::string, Answered> answered(const fs::path& folder) {
  std::map<std::string, Answered> out;
  data::JsonlReader reader(folder / kSamples);
  while (const auto row = reader.next()) {
    Answered& problem = out[text_at(*row, "id")];
    problem.question = text_at(*row, "question");
    problem.sum += number_at(*row, "accuracy");
    ++problem.samples;
  }
  return out;
}

// The numbers at the top of an object, and those one level below it ("verdicts.right").
Json numbers(const Json& object) {
  Json out = Json::object();
  for (const auto& [key, value] : object.items()) {
    if (value.is_number()) out[key] = value;
    if (!value.is_object() || key == "sampling" || key == "config") continue;
    for (const auto& [inner, number] : value.items())
      if (number.is_number()) out[key + "." + inner] = number;
  }
  return out;
}

Json side_by_side(const Json& a, const Json& b) {
  const Json left = numbers(a), right = numbers(b);
  Json out = Json::object();
  for (const auto& [key, value] : left.items()) out[key] = {value, right.value(key, Json())};
  for (const auto& [key, value] : right.items())
    if (!left.contains(key)) out[key] = {nullptr, value};
  return out;
}

struct Side {
  fs::path folder;
  bool evaluation = false;
  Json config, results;
};

// A run's last line of metrics stands for its results while it is not done.
Json last_metrics(const fs::path& file) {
  Json last = Json::object();
  data::JsonlReader reader(file);
  try {
    while (auto row = reader.next()) last = std::move(*row);
  } catch (const Error&) {  // the line that is being written
  }
  return last;
}

Side read_side(const fs::path& folder) {
  Side side{folder, false, Json::object(), Json::object()};
  if (fs::exists(folder / kResult)) {
    side.evaluation = true;
    side.results = parse_json_file(folder / kResult);
    side.config = side.results.value("config", Json::object());
    side.results.erase("config");
    side.results.erase("seed");
    return side;
  }
  if (fs::exists(folder / "stage.json")) {
    const Json stage = parse_json_file(folder / "stage.json");
    side.config = stage.value("config", Json::object());
    side.results = stage.value("results", Json::object());
    return side;
  }
  if (!fs::exists(folder / "config.yaml") || !fs::exists(folder / "metrics.jsonl"))
    fail_usage(
        "'", folder.string(), "' is ",
        fs::exists(folder) ? "neither an evaluation (result.json) nor a run (stage.json, or config.yaml and metrics.jsonl)" : "not there");
  side.config = parse_json_file(folder / "config.yaml");
  side.results = last_metrics(folder / "metrics.jsonl");
  return side;
}

void compare_problems(const Side& a, const Side& b, Json& out) {
  const auto left = answered(a.folder), right = answered(b.folder);
  std::vector<double> differences;
  Json flips = Json::array();
  int64_t other_question = 0, only_a = 0, only_b = 0, common = 0;
  bool single = true;
  for (const auto& [id, x] : left) {
    const auto at = right.find(id);
    if (at == right.end()) continue;
    const Answered& y = at->second;
    if (x.question != y.question) {
      ++other_question;
      continue;
    }
    ++common;
    const double p = x.accuracy(), q = y.accuracy();
    single &= x.samples == 1 && y.samples == 1 && (p == 0 || p == 1) && (q == 0 || q == 1);
    differences.push_back(q - p);
    only_a += p > q;
    only_b += q > p;
    if (std::abs(q - p) >= 0.5) flips.push_back({{"id", id}, {"a", p}, {"b", q}});
  }
  out["problems"] = common;
  out["different_questions"] = other_question;
  out["only_a"] = int64_t(left.size()) - common - other_question;
  out["only_b"] = int64_t(right.size()) - common - other_question;
  std::stable_sort(flips.begin(), flips.end(), [](const Json& f, const Json& g) {
    return f["b"].get<double>() - f["a"].get<double>() < g["b"].get<double>() - g["a"].get<double>();
  });
  out["flips"] = flips;
  if (common == 0) return;
  const PairedBootstrap paired = paired_bootstrap(differences);
  out["paired"] = {{"test", single ? "McNemar, exact" : "paired bootstrap"},
                   {"a_only", only_a},
                   {"b_only", only_b},
                   {"difference", paired.mean},
                   {"ci95", {paired.low, paired.high}},
                   {"p", single ? mcnemar_exact(only_a, only_b) : paired.p}};
}

Json hashes(const Json& facts) {
  Json out = Json::array();
  for (const Json& file : facts) out.push_back(file.value("sha256", Json()));
  return out;
}

}  // namespace

Json compare_runs(const fs::path& a, const fs::path& b) {
  const Side left = read_side(a), right = read_side(b);
  if (left.evaluation != right.evaluation)
    fail_usage("'", (left.evaluation ? a : b).string(), "' is an evaluation, '", (left.evaluation ? b : a).string(),
               "' a training run; compare two of a kind");
  Json out{{"a", a.string()}, {"b", b.string()}, {"kind", left.evaluation ? "eval" : "run"}};
  Json old_config = left.config, new_config = right.config;
  for (Json* config : {&old_config, &new_config}) {
    if (!config->is_object()) *config = Json::object();
    for (const char* key : {"output_dir", "overwrite_output_dir"}) config->erase(key);
  }
  out["config"] = json_diff(old_config, new_config);
  out["metrics"] = side_by_side(left.results, right.results);
  if (!left.evaluation) return out;
  if (left.results.contains("model") && right.results.contains("model"))
    out["same_model"] = left.results["model"].value("sha256", Json()) == right.results["model"].value("sha256", Json());
  if (left.results.contains("data") && right.results.contains("data"))
    out["same_data"] = hashes(left.results["data"]) == hashes(right.results["data"]);
  out["without_samples"] = Json::array();
  for (const fs::path& folder : {a, b})
    if (!fs::exists(folder / kSamples)) out["without_samples"].push_back(folder.string());
  if (out["without_samples"].empty()) compare_problems(left, right, out);
  return out;
}

namespace {

std::string cell(const Json& value) {
  if (!value.is_number()) return "-";
  return value.is_number_integer() ? std::to_string(value.get<int64_t>()) : three_digits(value.get<double>());
}

std::string difference_cell(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number() || a == b) return "";
  const bool whole = a.is_number_integer() && b.is_number_integer();
  const std::string text = cell(whole ? Json(b.get<int64_t>() - a.get<int64_t>()) : Json(b.get<double>() - a.get<double>()));
  return text.starts_with("-") ? text : "+" + text;
}

std::string signed_digits(double x) {
  return (x < 0 ? "" : "+") + three_digits(x);
}

std::string row_text(const std::string& name, const std::string& a, const std::string& b, const std::string& more = "") {
  char text[256];
  std::snprintf(text, sizeof text, "  %-24s %12s %12s", name.c_str(), a.c_str(), b.c_str());
  return std::string(text) + (more.empty() ? "" : "   " + more) + "\n";
}

std::string paired_text(const Json& c) {
  const int64_t n = c.at("problems");
  std::string out = str("\n", n, " problems in both");
  for (const auto& [key, words] : std::initializer_list<std::pair<const char*, const char*>>{
           {"only_a", " in A alone"}, {"only_b", " in B alone"}, {"different_questions", " with another question under the same id"}})
    if (c.at(key).get<int64_t>() > 0) out += str("; ", c.at(key).get<int64_t>(), words, " (left out)");
  out += "\n";
  if (!c.contains("paired")) return out;
  const Json& p = c.at("paired");
  const double difference = p.at("difference"), value = p.at("p");
  out += str("  A alone does better on ", p.at("a_only").get<int64_t>(), ", B alone on ", p.at("b_only").get<int64_t>(),
             "\n  B - A = ", signed_digits(difference), "  (95 % interval ", signed_digits(p.at("ci95")[0].get<double>()), " to ",
             signed_digits(p.at("ci95")[1].get<double>()), ")\n  ", p.at("test").get<std::string>(),
             ": p = ", value < 0.001 ? "below 0.001" : three_digits(value));
  return out + (value < 0.05 ? str(": ", difference > 0 ? "B" : "A", " is better\n") : ": no difference that could not be chance\n");
}

std::string flips_text(const Json& flips, int64_t most) {
  std::string out;
  for (const bool gained : {false, true}) {
    int64_t shown = 0, all = 0;
    std::string list;
    for (const Json& flip : flips) {
      const double a = flip.at("a"), b = flip.at("b");
      if ((b > a) != gained) continue;
      if (++all > most) continue;
      ++shown;
      list += "  " + flip.at("id").get<std::string>() +
              ((a == 0 || a == 1) && (b == 0 || b == 1) ? "" : "  " + three_digits(a) + " -> " + three_digits(b)) + "\n";
    }
    if (all == 0) continue;
    out += str("\n", gained ? "gained" : "lost", " in B: ", all, "\n", list);
    if (all > shown) out += str("  .. and ", all - shown, " more (--flips ", all, ")\n");
  }
  return out;
}

}  // namespace

std::string comparison_text(const Json& c, int64_t most_flips) {
  std::string out = str("A  ", c.at("a").get<std::string>(), "\nB  ", c.at("b").get<std::string>(), "\n");
  if (c.contains("same_model")) out += c.at("same_model").get<bool>() ? "the same weights\n" : "different weights\n";
  if (c.contains("same_data") && !c.at("same_data").get<bool>()) out += "different data files\n";
  const std::string config = c.at("config");
  out += config.empty() ? "\nthe same config\n" : "\nconfig\n";
  for (size_t at = 0, end; at < config.size(); at = end + 1) {
    end = std::min(config.find('\n', at), config.size());
    out += "  " + config.substr(at, end - at) + "\n";
  }
  out += "\n" + row_text("", "A", "B");
  for (const auto& [name, pair] : c.at("metrics").items())
    out += row_text(name, cell(pair[0]), cell(pair[1]), difference_cell(pair[0], pair[1]));
  for (const Json& folder : c.value("without_samples", Json::array()))
    out += str("\nno paired test: ", folder.get<std::string>(), " has no ", kSamples, "\n");
  if (c.contains("problems")) out += paired_text(c) + flips_text(c.at("flips"), most_flips);
  return out;
}

}  // namespace r1::eval
