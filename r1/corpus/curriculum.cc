#include "r1/corpus/curriculum.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1::corpus {
namespace {

// Scalars of YAML are strings.
double number_of(const Json& value, const std::string& where) {
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(number)) fail_usage(where, ": '", printable(text), "' is no number");
  return number;
}

void refuse_unknown(const Json& object, const std::vector<std::string>& known, const std::string& where) {
  for (const auto& [key, value] : object.items())
    if (std::ranges::find(known, key) == known.end()) fail_usage(where, ": unknown key '", printable(key), "'", did_you_mean(key, known));
}

}  // namespace

Curriculum Curriculum::load(const std::string& path, size_t sources) {
  if (!fs::is_regular_file(path)) fail_usage("curriculum: there is no file '", printable(path), "'");
  return parse(read_file(path), path, sources);
}

Curriculum Curriculum::parse(std::string_view yaml, const std::string& where, size_t sources) {
  const Json file = parse_yaml_document(yaml, where);
  if (!file.is_object() || !file.contains("stages") || !file["stages"].is_array() || file["stages"].empty())
    fail_usage(where, ": no stages; expected a list `stages` of {until, weights}");
  refuse_unknown(file, {"stages", "steps", "interpolate"}, where);
  const double steps = file.contains("steps") ? number_of(file["steps"], where + ", steps") : 1;
  if (!(steps > 0)) fail_usage(where, ": steps is ", steps, "; it is how many there are in all");
  Curriculum out;
  if (file.contains("interpolate")) {
    const std::string text = file["interpolate"].is_string() ? file["interpolate"].get<std::string>() : file["interpolate"].dump();
    if (text != "true" && text != "false") fail_usage(where, ": interpolate is true or false, not '", printable(text), "'");
    out.interpolate = text == "true";
  }
  double before = 0;
  for (size_t i = 0; i < file["stages"].size(); ++i) {
    const Json& row = file["stages"][i];
    const std::string here = str(where, ", stage ", i + 1);
    if (!row.is_object() || !row.contains("until") || !row.contains("weights") || !row["weights"].is_array())
      fail_usage(here, ": expected until and a list of weights");
    refuse_unknown(row, {"until", "weights"}, here);
    Stage stage{.until = number_of(row["until"], here) / steps};
    if (!(stage.until > before) || stage.until > 1 + 1e-9)
      fail_usage(here, ": until is ", stage.until * steps, "; it is above that of the stage before (", before * steps, ") and at most ",
                 steps);
    before = stage.until = std::min(1.0, stage.until);
    if (row["weights"].size() != sources) fail_usage(here, ": ", row["weights"].size(), " weights, but ", sources, " sources");
    double sum = 0;
    for (const Json& w : row["weights"]) {
      stage.weights.push_back(number_of(w, here));
      if (stage.weights.back() < 0) fail_usage(here, ": ", stage.weights.back(), " is no weight; they are 0 or more");
      sum += stage.weights.back();
    }
    if (!(sum > 0)) fail_usage(here, ": all weights are 0");
    for (double& w : stage.weights) w /= sum;
    out.stages.push_back(std::move(stage));
  }
  if (std::abs(before - 1) > 1e-9)
    fail_usage(where, ": the last stage ends at ", before * steps, ", the mixture at ", steps, "; make its until ", steps);
  return out;
}

size_t Curriculum::stage_at(double progress) const {
  size_t i = 0;
  while (i + 1 < stages.size() && progress >= stages[i].until) ++i;
  return i;
}

std::vector<double> Curriculum::shares_at(double progress) const {
  const size_t i = stage_at(progress);
  if (!interpolate) return stages[i].weights;
  const auto middle = [&](size_t k) { return ((k > 0 ? stages[k - 1].until : 0) + stages[k].until) / 2; };
  const bool later = progress >= middle(i);
  if ((later && i + 1 == stages.size()) || (!later && i == 0)) return stages[i].weights;
  const size_t a = later ? i : i - 1;
  const double t = (progress - middle(a)) / (middle(a + 1) - middle(a));
  std::vector<double> out;
  for (size_t k = 0; k < stages[a].weights.size(); ++k)
    out.push_back(stages[a].weights[k] + t * (stages[a + 1].weights[k] - stages[a].weights[k]));
  return out;
}

Json Curriculum::to_json() const {
  Json list = Json::array();
  for (const Stage& s : stages) list.push_back({{"until", s.until}, {"weights", s.weights}});
  return {{"interpolate", interpolate}, {"stages", list}};
}

}  // namespace r1::corpus
