#include "r1/report/report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "r1/base/file.h"
#include "r1/base/progress.h"
#include "r1/base/utf8.h"
#include "r1/report/chart.h"
#include "r1/report/page.h"

namespace r1::report {
namespace {

// ---- which metric is called what ----

struct Known {
  const char *key, *title, *unit, *tone;
};
// In the order of the page; names of TRL and HF.
constexpr Known kKnown[] = {
    {"reward", "Reward", "mean", "teal"},
    {"rewards/accuracy/mean", "Accuracy reward", "mean", "teal"},
    {"rewards/accuracy_reward/mean", "Accuracy reward", "mean", "teal"},
    {"accuracy", "Accuracy", "", "teal"},
    {"eval_accuracy", "Held-out accuracy", "", "teal"},
    {"eval/accuracy", "Held-out accuracy", "greedy", "teal"},
    {"rewards/format/mean", "Format reward", "mean", "teal"},
    {"reward_std", "Reward spread in a group", "std", "teal"},
    {"completions/mean_length", "Completion length", "tokens", "violet"},
    {"completions/clipped_ratio", "Completions cut off", "share", "violet"},
    {"kl", "KL to the reference", "nats", "violet"},
    {"entropy", "Entropy", "nats a token", "violet"},
    {"clip_ratio/region_mean", "Clipped ratios", "share", "violet"},
    {"frac_reward_zero_std", "Groups without variance", "share", "violet"},
    {"loss", "Loss", "", "amber"},
    {"eval_loss", "Held-out loss", "", "amber"},
    {"mean_token_accuracy", "Token accuracy", "", "amber"},
    {"moe/max_load_over_mean", "Busiest expert over the mean", "largest over layers", "violet"},
    {"moe/balance_loss", "Balance loss", "mean over layers", "violet"},
    {"moe/bias_range", "Range of router biases", "largest over layers", "violet"},
    {"quantization_error", "Output error", "share of the squares lost, mean of a block", "amber"},
    {"grad_norm", "Gradient norm", "", "amber"},
    {"learning_rate", "Learning rate", "", "amber"},
    {"tokens_per_second", "Throughput", "tokens/s", "slate"},
    {"step_time", "Step time", "s", "slate"},
};

bool is_counter(const std::string& key) {
  return key.rfind("monitor/", 0) == 0 ||  // they have a section of their own
         key == "step" || key == "epoch" || key == "num_tokens" || key == "skipped_steps" || key == "time";
}

// Other numeric keys of a stage, in order of appearance.
std::vector<std::string> other_keys(const std::vector<Json>& lines) {
  std::vector<std::string> keys;
  std::set<std::string> seen;
  for (const Known& known : kKnown) seen.insert(known.key);
  for (const Json& line : lines) {
    for (const auto& [key, value] : line.items()) {
      if (value.is_number() && !is_counter(key) && seen.insert(key).second) keys.push_back(key);
    }
  }
  return keys;
}

// ---- text ----

std::string element(const char* tag, const std::string& text) {
  return str("<", tag, ">", html_escape(text), "</", tag, ">");
}

void append_escaped_byte(std::string& out, char c) {
  switch (c) {
    case '&':
      out += "&amp;";
      break;
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '"':
      out += "&quot;";
      break;
    case '\'':
      out += "&#39;";
      break;
    default:
      out += c;
  }
}

// Characters that turn the direction of text or take no room: they would make a page say what is not there.
bool hides(uint32_t c) {
  return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

// <think>..</think> grey, <answer>..</answer> bold, tags faint; everything else as it is. Works on unescaped text, escapes each piece.
std::string marked_up(std::string_view text) {
  static constexpr std::pair<const char*, const char*> kTags[] = {
      {"<think>", "thought"}, {"</think>", ""}, {"<answer>", "answer"}, {"</answer>", ""}};
  std::string out, state;
  const auto emit = [&](std::string_view piece) {
    if (piece.empty()) return;
    out += state.empty() ? html_escape(piece) : str("<span class=\"", state, "\">", html_escape(piece), "</span>");
  };
  while (!text.empty()) {
    size_t at = std::string_view::npos;
    const std::pair<const char*, const char*>* found = nullptr;
    for (const auto& tag : kTags) {
      if (const size_t here = text.find(tag.first); here < at) at = here, found = &tag;
    }
    emit(text.substr(0, at));
    if (!found) break;
    out += str("<span class=\"tag\">", html_escape(found->first), "</span>");
    state = found->second;
    text.remove_prefix(at + std::string_view(found->first).size());
  }
  return out;
}

// ---- sections ----

std::string tiles_html(const std::vector<ReportTile>& tiles) {
  std::string out = tiles.empty() ? "" : "<section class=\"grid tiles\">";
  for (const ReportTile& t : tiles)
    out += str("<div class=\"card tile\">", element("span", t.label), element("b", t.value), element("i", t.note), "</div>");
  return out + (tiles.empty() ? "" : "</section>");
}

std::string alarms_html(const ReportData& data) {
  std::vector<std::string> alarms = data.alarms;
  for (const ReportStage& stage : data.stages) {
    for (const std::string& alarm : find_alarms(stage)) alarms.push_back(stage.name + ": " + alarm);
    for (const ReportMonitor& m : stage.monitors)
      if (m.state == "alarm") alarms.push_back(str(stage.name, ": monitor \"", m.title, "\" alarms at the end of the run"));
  }
  if (alarms.empty()) return "";
  std::string out = "<section class=\"alarms\" role=\"note\"><b>Look at this</b><ul>";
  for (const std::string& alarm : alarms) out += element("li", alarm);
  return out + "</ul></section>";
}

// Digits of a column stand under each other: shares with three, lengths with one.
std::string table_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, std::abs(value) <= 1 ? "%.3f" : "%.1f", value);
  return text;
}

std::string accuracy_bar(const ReportEvaluation& e) {
  const auto x = [](double share) { return 200 * std::clamp(share, 0.0, 1.0); };
  std::string svg =
      str("<svg viewBox=\"0 0 200 16\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" y=\"4\" width=\"200\" "
          "height=\"8\" rx=\"2\"/>",
          "<rect class=\"fill\" y=\"4\" height=\"8\" rx=\"2\" width=\"", x(e.accuracy), "\"/>");
  if (e.hi > e.lo) {
    svg += str("<path class=\"ci\" vector-effect=\"non-scaling-stroke\" d=\"M", x(e.lo), " 8H", x(e.hi), "M", x(e.lo), " 4.5V11.5M",
               x(e.hi), " 4.5V11.5\"/>");
  }
  const std::string interval = e.hi > e.lo ? str("<small>", table_number(e.lo), " – ", table_number(e.hi), "</small>") : "";
  return str("<td class=\"bar\"><div><b>", table_number(e.accuracy), "</b>", svg, "</svg>", interval, "</div></td>");
}

std::string evaluations_html(const std::vector<ReportEvaluation>& evaluations) {
  if (evaluations.empty()) return "";
  std::vector<std::string> columns;
  bool several_tasks = false;
  double best = 0;
  for (const ReportEvaluation& e : evaluations) {
    several_tasks |= e.task != evaluations[0].task;
    best = std::max(best, e.accuracy);
    for (const auto& [name, value] : e.others) {
      if (std::find(columns.begin(), columns.end(), name) == columns.end()) columns.push_back(name);
    }
  }
  std::string out = str("<h2>Evaluation<small>", html_escape(several_tasks ? "" : evaluations[0].task),
                        "</small></h2><div class=\"card scroll\"><table><thead><tr><th>model</th>", several_tasks ? "<th>task</th>" : "",
                        "<th class=\"bar\">accuracy, 95 % interval</th>");
  for (const std::string& column : columns) out += element("th", column);
  out += "<th>problems</th></tr></thead><tbody>";
  for (const ReportEvaluation& e : evaluations) {
    out += str(e.accuracy == best && evaluations.size() > 1 && !several_tasks ? "<tr class=\"best\">" : "<tr>", element("td", e.model),
               several_tasks ? element("td", e.task) : "", accuracy_bar(e));
    for (const std::string& column : columns) {
      const auto it = std::find_if(e.others.begin(), e.others.end(), [&](const auto& o) { return o.first == column; });
      out += it == e.others.end() ? "<td><small>–</small></td>" : element("td", table_number(it->second));
    }
    out += str("<td>", e.n, "</td></tr>");
  }
  return out + "</tbody></table></div>";
}

std::string completion_html(const ReportCompletion& c) {
  std::string facts = c.tokens > 0 ? str(c.tokens, " tokens") : "";
  if (c.reward)
    facts += str(facts.empty() ? "" : " · ", "<span class=\"", *c.reward > 0 ? "good" : "bad", "\">reward ", format_number(*c.reward),
                 "</span>");
  return str("<div class=\"turn\"><header>", element("b", c.when), "<span>", facts, "</span></header><pre>", marked_up(c.text),
             "</pre></div>");
}

std::string samples_html(const std::vector<ReportSample>& samples) {
  if (samples.empty()) return "";
  std::string out = "<h2>What it says<small>the same problems along the way</small></h2>";
  for (const ReportSample& s : samples) {
    out += str("<article class=\"card sample\"><p>", html_escape(s.problem),
               s.answer.empty() ? "" : str("<small>answer ", html_escape(s.answer), "</small>"), "</p><div class=\"grid turns\">");
    for (const ReportCompletion& c : s.completions) out += completion_html(c);
    out += "</div></article>";
  }
  return out;
}

// "alarmed at step 20", "alarmed at steps 20, 45 and 3 more"
std::string onsets_text(const std::vector<int64_t>& steps) {
  std::string out = steps.size() == 1 ? "alarmed at step " : "alarmed at steps ";
  for (size_t i = 0; i < std::min<size_t>(steps.size(), 3); ++i) out += str(i ? ", " : "", steps[i]);
  return steps.size() > 3 ? str(out, " and ", steps.size() - 3, " more") : out;
}

std::string monitor_html(const ReportMonitor& m, const std::vector<Json>& lines) {
  const bool past = !m.onsets.empty() && m.state != "alarm";
  const char* tone = m.state == "alarm" ? "bad" : past ? "was" : m.state == "quiet" ? "good" : "none";
  const std::string state = m.state == "alarm" ? "alarm" : past ? "quiet again" : m.state;
  std::string text = m.meaning + "; limit " + format_number(m.limit);
  if (m.state == "no data") text = m.meaning + "; there was nothing to measure";
  return str("<div class=\"card monitor ", tone, "\"><header>", element("b", m.title), element("span", state), "</header>",
             element("p", text), m.onsets.empty() ? "" : element("p", onsets_text(m.onsets) + ". What to do: " + m.advice),
             small_chart(m.title, series_of(lines, "monitor/" + m.name), m.limit), "</div>");
}

// Those that alarm first, then those that did, then the quiet ones.
std::string monitors_html(const ReportStage& stage) {
  if (stage.monitors.empty()) return "";
  const auto rank = [](const ReportMonitor& m) { return m.state == "alarm" ? 0 : !m.onsets.empty() ? 1 : m.state == "quiet" ? 2 : 3; };
  auto all = stage.monitors;
  std::stable_sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  std::string out = str("<h2>Is the reward being gamed?<small>", html_escape(stage.name),
                        ": what watched the run; the dashed line is the limit</small></h2><section class=\"grid monitors\">");
  for (const auto& m : all) out += monitor_html(m, stage.lines);
  return out + "</section>";
}

std::string stage_html(const ReportStage& stage) {
  if (stage.lines.empty()) return "";
  const std::string steps = json_get_or<Json>(stage.lines.back(), "step", 0, "metrics").dump();
  std::string out =
      str("<h2>", html_escape(stage.name), "<small>", html_escape(steps), " steps</small></h2><section class=\"grid charts\">");
  std::set<std::vector<double>> drawn;  // with accuracy as the only reward, three names have one curve
  for (const Known& known : kKnown) {
    const Series series = series_of(stage.lines, known.key);
    if (std::all_of(series.y.begin(), series.y.end(), [](double y) { return y == 0; })) continue;  // switched off: KL with beta 0
    if (series.y.size() > 1 && std::string_view(known.tone) == "teal" && !drawn.insert(series.y).second) continue;
    out += chart_card(known.title, known.unit, known.tone, series, std::string_view(known.key) == "learning_rate");
  }
  out += "</section>";
  const std::vector<std::string> others = other_keys(stage.lines);
  if (others.empty()) return out;
  out += str("<details><summary>", others.size(), " more ", others.size() == 1 ? "metric" : "metrics",
             "</summary><section class=\"grid charts\">");
  for (const std::string& key : others) out += chart_card(key, "", "slate", series_of(stage.lines, key));
  return out + "</section></details>";
}

void flatten(const Json& value, const std::string& prefix, std::vector<std::pair<std::string, std::string>>& out, int depth = 0) {
  if (value.is_object() && depth < 16) {
    for (const auto& [key, child] : value.items()) flatten(child, prefix.empty() ? key : prefix + "." + key, out, depth + 1);
  } else {
    out.emplace_back(prefix, value.is_string() ? value.get<std::string>() : dump_json(value));
  }
}

std::string keys_html(const char* title, const Json& value, bool open) {
  std::vector<std::pair<std::string, std::string>> rows;
  flatten(value, "", rows);
  if (value.empty()) return "";
  std::string out = str("<details", open ? " open" : "", "><summary>", title, "</summary><div class=\"card keys\">");
  for (const auto& [key, text] : rows) out += str("<div>", element("span", key), element("code", text), "</div>");
  return out + "</div></details>";
}

// The hash that lets this one script run: sha256 in base64.
std::string script_policy(const std::string& script) {
  static constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::string hex = sha256(std::string_view(script));
  std::string bits, out;
  for (size_t i = 0; i < hex.size(); i += 2) bits += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  for (size_t i = 0; i < bits.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bits.size() ? uint8_t(bits[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) out += i + k > bits.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63];
  }
  return "sha256-" + out;
}

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    uint32_t code;
    const int length = decode_utf8(text.data(), text.data() + text.size(), &code);
    if (code == kInvalidChar) {
      out += "\uFFFD";
    } else if (hides(code)) {
      char shown[16];
      std::snprintf(shown, sizeof shown, "\\u{%X}", code);
      out += shown;
    } else if (length == 1) {
      append_escaped_byte(out, text[0]);
    } else {
      out += text.substr(0, size_t(length));
    }
    text.remove_prefix(size_t(std::max(1, length)));
  }
  return out;
}

std::vector<std::string> find_alarms(const ReportStage& stage) {
  std::vector<std::string> alarms;
  int64_t bad_losses = 0, skipped = 0;
  std::map<std::string, int64_t> reasons;
  const int64_t all = std::max(stage.logged, int64_t(stage.lines.size()));
  for (const Json& line : stage.lines) {
    bad_losses += line.contains("loss") && line["loss"].is_null();
    const auto skip = line.find("skipped");
    if (skip == line.end() || *skip == false || *skip == 0 || skip->is_null()) continue;
    ++skipped;
    ++reasons[skip->is_string() ? skip->get<std::string>() : "NaN or Inf"];  // or true
  }
  if (bad_losses) alarms.push_back(str(bad_losses, " of ", all, " steps have a loss that is not finite"));
  if (skipped) {
    const auto most = std::max_element(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    alarms.push_back(str(skipped, " of ", all, " steps were skipped (", reasons.size() > 1 ? "mostly: " : "", most->first, ")"));
  }
  // The end of the smoothed curve against a limit.
  const auto end_of = [&](const char* key) {
    const Series s = series_of(stage.lines, key);
    return s.y.empty() ? std::nan("") : smoothed(s.y).back();
  };
  if (end_of("frac_reward_zero_std") > 0.9 && !(end_of("reward") > 0.9)) {
    alarms.push_back(
        "over 90 % of the groups have no variance of reward at the end, and the reward is not high: there is nothing to learn from");
  }
  if (end_of("completions/clipped_ratio") > 0.3) alarms.push_back("over 30 % of the completions are cut off at max_completion_length");
  if (end_of("verdicts/unparsed") > 0.05) alarms.push_back("over 5 % of the answers could not be parsed");
  const Series entropy = series_of(stage.lines, "entropy");
  if (entropy.y.size() > 10 && end_of("entropy") < 0.02 * entropy.y.front() && !(end_of("reward") > 0.9)) {
    alarms.push_back("the entropy has vanished though the reward is not high: the policy has stopped exploring");
  }
  return alarms;
}

std::string report_html(const ReportData& data) {
  std::string out =
      str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
          "content=\"width=device-width,initial-scale=1\">",
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src '",
          script_policy(kReportScript), "'\">", element("title", data.title), "<style>", kReportStyle,
          "</style></head><body><main><header>", element("h1", data.title), data.subtitle.empty() ? "" : element("p", data.subtitle),
          data.command.empty() ? "" : element("code", data.command), "</header>");
  out += tiles_html(data.tiles) + alarms_html(data) + evaluations_html(data.evaluations) + samples_html(data.samples);
  for (auto stage = data.stages.rbegin(); stage != data.stages.rend(); ++stage)
    out += monitors_html(*stage) + stage_html(*stage);  // the last stage is what people look for
  if (!data.config.empty() || !data.environment.empty()) out += "<h2>How it was made</h2>";
  out += keys_html("Resolved config", data.config, true) + keys_html("Machine and build", data.environment, false);
  return out +
         "<footer>Written by r1.cpp. Thin lines are the values of single steps, bold ones their moving average.</footer></main><script>" +
         kReportScript + "</script></body></html>\n";
}

void write_report(const std::filesystem::path& path, const ReportData& data) {
  write_file_atomic(path, report_html(data));
}

}  // namespace r1::report
