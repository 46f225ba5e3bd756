#include "r1/api/metrics_text.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/error.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

TEST(MetricsText, WritesEveryKindOfMetric) {
  MetricsText text;
  text.gauge("r1_requests_running", "Requests that run.", 3);
  text.counter("r1_requests_total", "Requests by why they ended.", 5, {{"reason", "stop"}});
  text.histogram("r1_first_token_seconds", "Time to the first token.", {0.1, 0.5, 2}, {4, 0, 2, 1}, 6.25, {{"model", "tiny"}});
  text.counter("r1_requests_total", "Requests by why they ended.", 12345678901, {{"reason", "length"}});
  EXPECT_EQ(text.str(),
            "# HELP r1_requests_running Requests that run.\n"
            "# TYPE r1_requests_running gauge\n"
            "r1_requests_running 3\n"
            "# HELP r1_requests_total Requests by why they ended.\n"
            "# TYPE r1_requests_total counter\n"
            "r1_requests_total{reason=\"stop\"} 5\n"
            "r1_requests_total{reason=\"length\"} 12345678901\n"
            "# HELP r1_first_token_seconds Time to the first token.\n"
            "# TYPE r1_first_token_seconds histogram\n"
            "r1_first_token_seconds_bucket{model=\"tiny\",le=\"0.1\"} 4\n"
            "r1_first_token_seconds_bucket{model=\"tiny\",le=\"0.5\"} 4\n"
            "r1_first_token_seconds_bucket{model=\"tiny\",le=\"2\"} 6\n"
            "r1_first_token_seconds_bucket{model=\"tiny\",le=\"+Inf\"} 7\n"
            "r1_first_token_seconds_sum{model=\"tiny\"} 6.25\n"
            "r1_first_token_seconds_count{model=\"tiny\"} 7\n");
}

TEST(MetricsText, EscapesLabelsAndHelp) {
  MetricsText text;
  text.gauge("vllm:x", "a \\ b\nc \"d\"", 1, {{"model_name", "q\"u\\o\nte"}, {"empty", ""}});
  EXPECT_EQ(text.str(),
            "# HELP vllm:x a \\\\ b\\nc \"d\"\n"
            "# TYPE vllm:x gauge\n"
            "vllm:x{model_name=\"q\\\"u\\\\o\\nte\",empty=\"\"} 1\n");
}

TEST(MetricsText, NumbersThatAreNone) {
  MetricsText text;
  text.gauge("a", "h", INFINITY);
  text.gauge("b", "h", -INFINITY);
  text.gauge("c", "h", NAN);
  text.gauge("d", "h", 0.1);
  const std::string out = text.str();
  for (const char* line : {"\na +Inf\n", "\nb -Inf\n", "\nc NaN\n", "\nd 0.1\n"}) EXPECT_NE(out.find(line), std::string::npos) << line;
}

TEST(MetricsText, RefusesWhatPrometheusCouldNotRead) {
  const auto message = [](auto work) {
    MetricsText text;
    text.gauge("a", "h", 1, {{"x", "1"}});
    return message_of([&] { work(text); });
  };
  using T = MetricsText;
  EXPECT_EQ(message([](T& t) { t.gauge("a-b", "h", 1); }), "[metrics] 'a-b' can't be a metric's name");
  EXPECT_EQ(message([](T& t) { t.gauge("1a", "h", 1); }), "[metrics] '1a' can't be a metric's name");
  EXPECT_EQ(message([](T& t) { t.counter("a", "h", 1); }), "[metrics] a: was a gauge, now a counter");
  EXPECT_EQ(message([](T& t) { t.gauge("a", "h", 2, {{"x", "1"}}); }), "[metrics] a{x=\"1\"} is there twice");
  EXPECT_EQ(message([](T& t) { t.gauge("a", "h", 2, {{"x", "2"}}); }), "no error");
  EXPECT_EQ(message([](T& t) { t.gauge("b", "h", 2, {{"le", "2"}}); }), "[metrics] b: 'le' can't be a label's name");
  EXPECT_EQ(message([](T& t) { t.gauge("b", "h", 2, {{"x:y", "2"}}); }), "[metrics] b: 'x:y' can't be a label's name");
  EXPECT_EQ(message([](T& t) { t.gauge("b", "h", 2, {{"x", "2"}, {"x", "3"}}); }), "[metrics] b: label 'x' is there twice");
  EXPECT_EQ(message([](T& t) { t.counter("b", "h", -1); }), "[metrics] b: a counter is not negative, got -1");
  EXPECT_EQ(message([](T& t) { t.histogram("b", "h", {1}, {1}, 1); }), "[metrics] b: expected 2 counts, got 1");
  EXPECT_EQ(message([](T& t) { t.histogram("b", "h", {2, 1}, {1, 1, 1}, 1); }), "[metrics] b: expected ascending bounds without infinity");
}

}  // namespace
}  // namespace r1::api
