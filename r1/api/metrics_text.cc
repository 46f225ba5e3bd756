#include "r1/api/metrics_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "r1/base/error.h"

namespace r1::api {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char out[32];
  return {out, std::to_chars(out, out + sizeof out, value).ptr};
}

bool is_name(std::string_view name, bool colons) {
  const auto letter = [&](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':'); };
  const auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name[0]) && std::ranges::all_of(name, fits);
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

// a="1",b="2"
std::string label_text(const std::string& name, const MetricsText::Labels& labels) {
  std::string out;
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto& [key, value] = labels[i];
    check(is_name(key, false) && !key.starts_with("__") && key != "le" && key != "quantile", "[metrics] ", name, ": '", printable(key),
          "' can't be a label's name");
    for (size_t j = 0; j < i; ++j) check(labels[j].first != key, "[metrics] ", name, ": label '", key, "' is there twice");
    out += (i ? "," : "") + key + "=\"" + escaped(value, true) + "\"";
  }
  return out;
}

std::string line(const std::string& name, const std::string& labels, const std::string& value) {
  return name + (labels.empty() ? "" : "{" + labels + "}") + " " + value + "\n";
}

}  // namespace

MetricsText::Sample& MetricsText::add(const std::string& name, const std::string& help, const char* type, const Labels& labels) {
  check(is_name(name, true), "[metrics] '", printable(name), "' can't be a metric's name");
  auto family = std::ranges::find(families_, name, &Family::name);
  if (family == families_.end()) family = families_.insert(family, {name, help, type, {}});
  check(std::string_view(family->type) == type, "[metrics] ", name, ": was a ", family->type, ", now a ", type);
  std::string text = label_text(name, labels);
  check(std::ranges::find(family->samples, text, &Sample::labels) == family->samples.end(), "[metrics] ", name, "{", text,
        "} is there twice");
  return family->samples.emplace_back(Sample{std::move(text), {}});
}

void MetricsText::counter(const std::string& name, const std::string& help, double value, const Labels& labels) {
  check(value >= 0, "[metrics] ", name, ": a counter is not negative, got ", value);
  Sample& sample = add(name, help, "counter", labels);
  sample.text = line(name, sample.labels, number(value));
}

void MetricsText::gauge(const std::string& name, const std::string& help, double value, const Labels& labels) {
  Sample& sample = add(name, help, "gauge", labels);
  sample.text = line(name, sample.labels, number(value));
}

void MetricsText::histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds,
                            const std::vector<int64_t>& counts, double sum, const Labels& labels) {
  check(counts.size() == bounds.size() + 1, "[metrics] ", name, ": expected ", bounds.size() + 1, " counts, got ", counts.size());
  for (size_t i = 0; i < bounds.size(); ++i)
    check(std::isfinite(bounds[i]) && (i == 0 || bounds[i - 1] < bounds[i]), "[metrics] ", name,
          ": expected ascending bounds without infinity");
  Sample& sample = add(name, help, "histogram", labels);
  const std::string comma = sample.labels.empty() ? "" : sample.labels + ",";
  int64_t total = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    check(counts[i] >= 0, "[metrics] ", name, ": a count is not negative, got ", counts[i]);
    total += counts[i];
    const std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
    sample.text += line(name + "_bucket", comma + "le=\"" + bound + "\"", std::to_string(total));
  }
  sample.text += line(name + "_sum", sample.labels, number(sum));
  sample.text += line(name + "_count", sample.labels, std::to_string(total));
}

std::string MetricsText::str() const {
  std::string out;
  for (const Family& family : families_) {
    out += "# HELP " + family.name + " " + escaped(family.help, false) + "\n";
    out += "# TYPE " + family.name + " " + family.type + "\n";
    for (const Sample& sample : family.samples) out += sample.text;
  }
  return out;
}

}  // namespace r1::api
