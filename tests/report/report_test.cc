#include "r1/report/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/report/chart.h"
#include "r1/report/metrics.h"
#include "tests/temporary_folder.h"

namespace r1::report {
namespace {

std::vector<Json> grpo_lines(int steps) {
  Rng rng(4);
  std::vector<Json> lines;
  for (int s = 1; s <= steps; ++s) {
    const double learned = 1 / (1 + std::exp(-(s - 0.25 * steps) / (0.06 * steps))), noise = rng.normal();
    lines.push_back({{"step", s},
                     {"reward", std::clamp(0.06 + 0.93 * learned + 0.04 * noise, 0.0, 1.0)},
                     {"rewards/accuracy/mean", std::clamp(0.05 + 0.94 * learned + 0.04 * rng.normal(), 0.0, 1.0)},
                     {"reward_std", 0.45 * std::exp(-4 * std::pow(learned - 0.5, 2)) + 0.02 * rng.uniform()},
                     {"completions/mean_length", 3 + 22 * learned + rng.normal()},
                     {"kl", 0.08 * learned + 0.01 * rng.uniform()},
                     {"entropy", 0.9 - 0.7 * learned + 0.03 * rng.normal()},
                     {"loss", 0.02 * rng.normal()},
                     {"grad_norm", 0.4 + 0.2 * rng.uniform() + (s == steps / 3 ? 3 : 0)},
                     {"learning_rate", 3e-4 * (1 - 0.8 * s / steps)},
                     {"frac_reward_zero_std", 0.2 + 0.6 * learned},
                     {"tokens_per_second", 24000 + 1500 * rng.normal()},
                     {"step_time", 0.55 + 0.03 * rng.normal()},
                     {"timing/rollout", 0.35 + 0.02 * rng.normal()},
                     {"num_tokens", 12000 * s}});
  }
  return lines;
}

std::vector<Json> loss_lines(int steps, double from, double to) {
  Rng rng(9);
  std::vector<Json> lines;
  for (int s = 1; s <= steps; ++s) {
    lines.push_back({{"step", s},
                     {"loss", to + (from - to) * std::exp(-5.0 * s / steps) + 0.05 * rng.normal()},
                     {"grad_norm", 0.5 + 0.3 * rng.uniform()},
                     {"learning_rate", 4e-3 * std::min(1.0, s / 30.0) * (s > 0.8 * steps ? 5.0 * (steps - s) / steps : 1)},
                     {"tokens_per_second", 21500 + 800 * rng.normal()}});
  }
  return lines;
}

ReportData sample_report() {
  ReportData data;
  data.title = "R1-Zero in a nutshell";
  data.subtitle =
      "A 0.82 M parameter model learns to think before it answers: pretrained from scratch, taught the form, then left alone with a reward "
      "for right answers.";
  data.command = "r1 run --config recipes/tiny.yaml --seed 1";
  data.tiles = {{"Held-out accuracy", "0.992", "from 0.028 by GRPO alone"},
                {"With an empty thought", "0.024", "the thought does the work"},
                {"Thought length", "25 tokens", "from 0"},
                {"Time", "4m 12s", "2 cores"}};
  data.stages = {{"GRPO", grpo_lines(120)}, {"SFT", loss_lines(160, 2.4, 0.6)}, {"Pretraining", loss_lines(1100, 4.7, 0.9)}};
  const std::string task = "chained arithmetic, 500 held-out problems, greedy";
  data.evaluations = {{"base", task, 500, 0.012, 0.005, 0.026, {{"pass@8", 0.06}, {"format", 0.11}, {"mean length", 31.0}}},
                      {"SFT", task, 500, 0.028, 0.017, 0.046, {{"pass@8", 0.53}, {"format", 0.99}, {"mean length", 3.2}}},
                      {"GRPO", task, 500, 0.992, 0.980, 0.997, {{"pass@8", 1.0}, {"format", 1.0}, {"mean length", 25.3}}},
                      {"GRPO, empty thought", task, 500, 0.024, 0.014, 0.042, {{"format", 1.0}}}};
  data.samples = {{"start 7*9+3-6+8-2:",
                   "66",
                   {{"before", "<think></think><answer>81</answer>", 0.0, 5},
                    {"step 20", "<think>7*9=63 63+3=66 66-6=60</think><answer>60</answer>", 0.0, 19},
                    {"after", "<think>7*9=63 63+3=66 66-6=60 60+8=68 68-2=66</think><answer>66</answer>", 1.0, 29}}},
                  {"start 4+8*2-9+5*3:",
                   "60",
                   {{"before", "<think></think><answer>24</answer>", 0.0, 5},
                    {"step 20", "<think>4+8=12 12*2=24 24-9=15 15+5=20 20*3=60</think><answer>60</answer>", 1.0, 29},
                    {"after", "<think>4+8=12 12*2=24 24-9=15 15+5=20 20*3=60</think><answer>60</answer>", 1.0, 29}}}};
  data.config = {{"model", {{"preset", "tiny"}, {"hidden_size", 128}, {"num_hidden_layers", 4}}},
                 {"grpo", {{"num_generations", 8}, {"beta", 0.0}, {"epsilon", 0.2}, {"learning_rate", 3e-4}, {"temperature", 1.0}}},
                 {"seed", 1},
                 {"task", "chain"}};
  data.environment = {{"version", "0.1.0"}, {"cpu", "2 x EPYC"}, {"libtorch", "2.11.0"}};
  return data;
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

// Every opened element is closed in order; void elements and self-closed ones aside.
void expect_well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = 0; (at = html.find('<', at)) != std::string::npos; ++at) {
    if (html.compare(at, 2, "<!") == 0) continue;
    const size_t end = html.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const bool closing = html[at + 1] == '/';
    const size_t from = at + 1 + size_t(closing);
    const std::string name = html.substr(from, html.find_first_of(" >/", from) - from);
    if (closing) {
      ASSERT_FALSE(open.empty()) << name;
      ASSERT_EQ(open.back(), name) << html.substr(at > 200 ? at - 200 : 0, 260);
      open.pop_back();
    } else if (html[end - 1] != '/' && name != "meta") {
      open.push_back(name);
    }
    if (!closing && (name == "script" || name == "style")) at = html.find("</" + name, at) - 1;  // their bodies are no markup
  }
  EXPECT_TRUE(open.empty());
}

TEST(Report, WholePage) {
  const std::string html = report_html(sample_report());
  expect_well_formed(html);
  EXPECT_EQ(html, report_html(sample_report())) << "a pure function";
  for (const char* part :
       {"R1-Zero in a nutshell", "0.992", "GRPO, empty thought", "Completion length", "pass@8", "7*9=63 63+3=66", "Resolved config"}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(html.find("http:"), std::string::npos);
  EXPECT_EQ(html.find("https:"), std::string::npos);
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_LT(html.size(), 1u << 20);
  if (const char* path = std::getenv("R1_REPORT_SAMPLE")) write_report(path, sample_report());
}

TEST(Report, ModelTextIsText) {
  ReportData data = sample_report();
  const std::string attack =
      "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\"' &lt; \xff\xc0\xaf \xe2\x80\xae reversed \x1b[31m \xef\xbb\xbf";
  data.title = data.subtitle = data.command = attack;
  data.tiles = {{attack, attack, attack}};
  data.stages = {{attack, {{{"step", 1}, {attack, 3.0}, {"loss", 1}}}}};
  data.evaluations = {{attack, attack, 1, 0.5, 0.4, 0.6, {{attack, 1.0}}}};
  data.samples = {{attack, attack, {{attack, attack + "<think>" + attack + "</think>", 1.0, 3}}}};
  data.alarms = {attack};
  data.config = {{attack, attack}};
  const std::string html = report_html(data);
  expect_well_formed(html);
  EXPECT_EQ(count(html, "<script>"), 1u);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(html.find("\xe2\x80\xae"), std::string::npos) << "a direction override got through";
  EXPECT_EQ(html.find('\x1b'), std::string::npos);
  EXPECT_EQ(html.find('\xff'), std::string::npos);
  EXPECT_NE(html.find("\\u{202E}"), std::string::npos);
}

TEST(Report, EscapesEveryByteSequence) {
  Rng rng(8);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t k = rng.below(12); k-- > 0;) text += char(rng.below(256));
    const std::string out = html_escape(text);
    EXPECT_EQ(out.find_first_of("<>\"'"), std::string::npos);
    EXPECT_TRUE(Json::parse(Json(out).dump()).is_string());  // dump() throws on invalid UTF-8
  }
  EXPECT_EQ(html_escape("a\n\tb é 你"), "a\n\tb é 你");
}

TEST(Report, Monitors) {
  ReportData data;
  ReportStage stage{"GRPO", {}};
  for (int s = 1; s <= 50; ++s) {
    stage.lines.push_back(
        {{"step", s}, {"reward", 0.5}, {"monitor/unparsed", 0.01 * s}, {"monitor/crash", 0.0}, {"monitor/alarms", s > 5}});
  }
  stage.monitors = {{"crash", "Checks <crashed>", "share", "look", "quiet", 0.05, {}},
                    {"timeout", "Timed out", "share", "wait", "no data", 0, {}},
                    {"length", "Longer", "growth", "shorten", "quiet", 0.25, {3, 9, 12, 20}},
                    {"unparsed", "No answer", "share of them", "read some", "alarm", 0.05, {10}}};
  data.stages = {stage};
  const std::string html = report_html(data);
  expect_well_formed(html);
  EXPECT_NE(html.find("alarmed at step 10. What to do: read some"), std::string::npos);
  EXPECT_NE(html.find("alarmed at steps 3, 9, 12 and 1 more"), std::string::npos);
  EXPECT_NE(html.find("quiet again"), std::string::npos);
  EXPECT_NE(html.find("nothing to measure"), std::string::npos);
  EXPECT_NE(html.find("monitor &quot;No answer&quot; alarms"), std::string::npos);
  EXPECT_LT(html.find("No answer</b>"), html.find("Longer</b>")) << "what alarms comes first";
  EXPECT_LT(html.find("Longer</b>"), html.find("Checks &lt;crashed&gt;</b>"));
  EXPECT_EQ(count(html, "class=\"limit\""), 2u) << "two have a curve";
  EXPECT_EQ(html.find(">monitor/"), std::string::npos) << "not once more among the other metrics";
}

TEST(Report, EmptyAndOddData) {
  expect_well_formed(report_html({}));
  ReportData data;
  data.stages = {{"none", {}},
                 {"one", {{{"step", 1}, {"loss", 2.0}}}},
                 {"null", {{{"step", 1}, {"loss", nullptr}}, {{"step", 2}, {"reward", "x"}}}},
                 {"flat", {{{"step", 1}, {"loss", 0}}, {{"step", 2}, {"loss", 0}}}},
                 {"big", {{{"step", 1}, {"loss", 1e300}}, {{"step", 2}, {"loss", -1e300}}}}};
  const std::string html = report_html(data);
  expect_well_formed(html);
  EXPECT_NE(html.find("not finite"), std::string::npos) << "a null loss is an alarm";
}

TEST(Report, AnySeriesHasItsChart) {
  Rng rng(12);
  for (int round = 0; round < 300; ++round) {
    const double middle = round % 7 == 0 ? 0 : std::ldexp(rng.normal(), int(rng.below(2040)) - 1020);
    ReportStage stage{"GRPO", {}};
    for (int s = 0; s < int(rng.below(5)) + 1; ++s) {
      const double noise = rng.below(3) == 0 ? 0 : middle * 1e-16 * rng.normal();
      stage.lines.push_back(
          {{"step", s}, {"loss", middle + noise}, {"completions/mean_length", 6 + 1e-15 * double(s)}, {"monitor/x", middle}});
    }
    stage.monitors = {{"x", "X", "", "", "quiet", round % 5 == 0 ? INFINITY : middle, {}}};
    ReportData data;
    data.stages = {stage};
    const std::string html = report_html(data);
    expect_well_formed(html);
    for (const char* wrong : {"nan", "inf\"", "inf,", "inf "}) ASSERT_EQ(html.find(wrong), std::string::npos) << wrong << middle;
    ASSERT_LT(html.size(), 1u << 18) << middle;
  }
}

TEST(Report, ASkippedStepSaysWhy) {
  std::vector<Json> lines = grpo_lines(60);
  lines[3]["skipped"] = lines[4]["skipped"] = "no token to learn from";
  lines[9]["skipped"] = "NaN in loss";
  const auto alarms = find_alarms({"some", lines});
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0], "3 of 60 steps were skipped (mostly: no token to learn from)");
}

TEST(Report, Alarms) {
  EXPECT_TRUE(find_alarms({"good", grpo_lines(60)}).empty());
  std::vector<Json> lines = grpo_lines(60);
  for (Json& line : lines)
    line["frac_reward_zero_std"] = 0.97, line["reward"] = 0.1, line["completions/clipped_ratio"] = 0.6, line["verdicts/unparsed"] = 0.2;
  lines[5]["skipped"] = "NaN in gradient of layers.2.mlp.gate (first layer: 2)";
  lines[7]["loss"] = nullptr;
  EXPECT_EQ(find_alarms({"bad", lines}).size(), 5u);
}

TEST(ReportChart, SmoothingAndThinning) {
  EXPECT_EQ(smoothed({5, 5, 5}), (std::vector<double>{5, 5, 5}));
  std::vector<double> ramp;
  for (int i = 0; i < 200; ++i) ramp.push_back(i);
  EXPECT_NEAR(smoothed(ramp)[100], 100, 1e-9) << "no lag";
  Series series;
  for (int i = 0; i < 10000; ++i) series.x.push_back(i), series.y.push_back(i == 7777 ? 100 : 0);
  const Series thin = thinned(series, 200);
  EXPECT_LE(thin.x.size(), 400u);
  EXPECT_EQ(*std::max_element(thin.y.begin(), thin.y.end()), 100) << "spikes stay";
  EXPECT_TRUE(std::is_sorted(thin.x.begin(), thin.x.end()));
  const std::vector<double> soft = smoothed(series.y);
  EXPECT_LT(*std::max_element(soft.begin(), soft.end()), 10);
}

TEST(Alarms, CountOfAllLinesWhereSomeAreShown) {
  ReportStage stage;
  stage.name = "SFT";
  stage.logged = 5000;
  stage.lines = {{{"step", 1}, {"loss", 1}}, {{"step", 2}, {"skipped", "NaN"}}};
  const auto alarms = find_alarms(stage);
  ASSERT_EQ(alarms.size(), 1u);
  EXPECT_EQ(alarms[0], "1 of 5000 steps were skipped (NaN)");
}

}  // namespace
}  // namespace r1::report
