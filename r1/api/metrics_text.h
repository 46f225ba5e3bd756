// Prometheus' text exposition format 0.0.4: metrics in, the text of /metrics out. Of every name HELP and TYPE stand once and the samples
// together, in the order in which names were first added; labels are escaped. What Prometheus could not read is an error (kFailed): a bad
// name, one name with two types, a sample that is there twice, a counter that goes down from zero, a histogram whose counts don't fit its
// bounds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1::api {

class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

  // By convention a counter's name ends in _total, and units are base units: _seconds, _bytes.
  void counter(const std::string& name, const std::string& help, double value, const Labels& labels = {});
  void gauge(const std::string& name, const std::string& help, double value, const Labels& labels = {});
  // `bounds`: upper, ascending, without +Inf; `counts`: of each bound by itself, and one more for what is over the last.
  void histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds, const std::vector<int64_t>& counts,
                 double sum, const Labels& labels = {});
  std::string str() const;

 private:
  struct Sample {
    std::string labels, text;  // text: its lines
  };
  struct Family {
    std::string name, help;
    const char* type;
    std::vector<Sample> samples;
  };
  Sample& add(const std::string& name, const std::string& help, const char* type, const Labels& labels);

  std::vector<Family> families_;
};

}  // namespace r1::api
