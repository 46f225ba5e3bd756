#include "r1/stages/table.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/model/footprint.h"
#include "r1/model/weights_io.h"
#include "r1/stages/evaluate.h"

namespace r1::stages {

namespace {

// "name = value"
struct Named {
  std::string name, value;
};

std::string trimmed(std::string text) {
  text.erase(0, text.find_first_not_of(' '));
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

Named named(const std::string& text, const char* key) {
  const size_t equals = text.find(" = ");
  Named out{trimmed(text.substr(0, equals)), equals == std::string::npos ? "" : trimmed(text.substr(equals + 3))};
  if (out.name.empty() || out.value.empty() || out.name.find('/') != std::string::npos || out.name == "." || out.name == "..")
    fail_usage(key, ": '", printable(text), "' is no name and value; write e.g. '",
               key == std::string("tasks") ? "sums = arithmetic steps=3" : "pruned = runs/pruned",
               "' (a name without /, for it names a folder)");
  return out;
}

// Each name is a folder: two of one name would be one.
void check_names(const std::vector<std::string>& texts, const char* key) {
  std::set<std::string> names;
  for (const std::string& text : texts)
    if (!names.insert(named(text, key).name).second)
      fail_usage(key, ": '", printable(named(text, key).name), "' names two of them; give each a name of its own");
}

// "arithmetic style=chain steps=3"
TaskArgs task_of(const std::string& text) {
  std::istringstream words(text);
  TaskArgs args;
  words >> args.task;
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) fail_usage("tasks: '", printable(word), "' is no option=value of task ", args.task);
    if (word.substr(0, equals) == "data")
      args.data = word.substr(equals + 1);
    else
      args.options[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return args;
}

struct Variant {
  std::string name;
  int64_t parameters = 0, bytes = 0, weight_bytes = 0;
  double tokens_per_second = 0;
  std::vector<Json> results;  // by task
};

int64_t bytes_on_disk(const fs::path& model) {
  if (fs::is_regular_file(model)) return int64_t(fs::file_size(model));
  int64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.path().extension() == ".safetensors" || entry.path().extension() == ".gguf") bytes += int64_t(entry.file_size());
  return bytes;
}

InferenceArgs inference_of(const TableConfig& config, const Named& variant) {
  InferenceArgs args;
  args.model_name_or_path = variant.value;
  args.dtype = config.dtype;
  return args;
}

Variant measured(const TableConfig& config, const Named& variant) {
  const fs::path path = model::find_model(variant.value);
  const auto device = tensor::parse_device(config.device);
  Variant out{.name = variant.name, .parameters = model::parameter_count(model::read_model_config(path)), .bytes = bytes_on_disk(path)};
  {
    const auto loaded = eval::load(inference_of(config, variant), device, TokenizerUse::kNone);
    for (const model::WeightRow& row : loaded.model->weights())
      out.weight_bytes += row.weight && row.weight->packed() ? row.weight->packed_bytes() : int64_t(row.tensor->nbytes());
  }
  int64_t tokens = 0;
  double seconds = 0;
  for (const std::string& text : config.tasks) {
    const Named task = named(text, "tasks");
    EvalConfig e;
    e.output_dir = (fs::path(config.output_dir) / variant.name / task.name).string();
    e.device = config.device;
    e.model = inference_of(config, variant);
    e.task = task_of(task.value);
    e.prompt = config.prompt;
    e.eval = config.eval;
    e.engine = config.engine;
    const Json result = out.results.emplace_back(evaluate(e));
    const double rate = result.value("tokens_per_second", 0.0), took = result.at("seconds");
    tokens += int64_t(rate * took), seconds += took;
  }
  out.tokens_per_second = seconds > 0 ? double(tokens) / seconds : 0;
  return out;
}

std::string digits(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string markdown(const TableConfig& config, const std::vector<Variant>& variants) {
  std::string out = "| model | parameters | file | weights in memory | tokens/s |", line = "|---|---|---|---|---|";
  for (const std::string& task : config.tasks) out += str(" ", named(task, "tasks").name, " |"), line += "---|";
  out += "\n" + line + "\n";
  for (const Variant& v : variants) {
    out += str("| ", v.name, " | ", human_count(double(v.parameters)), " | ", human_bytes(double(v.bytes)), " | ",
               human_bytes(double(v.weight_bytes)), " | ", digits("%.0f", v.tokens_per_second), " |");
    for (const Json& result : v.results)
      out += str(" ", digits("%.3f", result.at("accuracy")), " (", digits("%.3f", result.at("ci95")[0]), " to ",
                 digits("%.3f", result.at("ci95")[1]), ") |");
    out += "\n";
  }
  return out;
}

}  // namespace

std::vector<std::string> table_cells(const TableConfig& config) {
  std::vector<std::string> out;
  for (const std::string& variant : config.variants) {
    const std::string name = named(variant, "variants").name;
    for (const char* column : {"parameters", "bytes", "weight_bytes", "tokens_per_second"}) out.push_back(name + "/" + column);
    for (const std::string& task : config.tasks) out.push_back(name + "/" + named(task, "tasks").name);
  }
  return out;
}

void check(const TableConfig& config, const Preflight& preflight) {
  check_device(config.device, preflight);
  if (preflight.knows("tasks")) {
    if (config.tasks.empty()) fail_usage("missing: --tasks 'name = task option=value'");
    check_names(config.tasks, "tasks");
    for (const std::string& task : config.tasks) check_task(task_of(named(task, "tasks").value), preflight);
  }
  if (!preflight.knows("variants")) return;
  if (config.variants.empty()) fail_usage("missing: --variants 'name = model'");
  check_names(config.variants, "variants");
  for (const std::string& variant : config.variants) check_model({.model_name_or_path = named(variant, "variants").value}, preflight);
}

Json table(const TableConfig& config) {
  check(config, {.quick = true});
  make_folder(config.output_dir);
  std::vector<Variant> variants;
  Json results, rows = Json::array();
  for (const std::string& text : config.variants) {
    const Variant v = variants.emplace_back(measured(config, named(text, "variants")));
    Json row{{"model", v.name},
             {"parameters", v.parameters},
             {"bytes", v.bytes},
             {"weight_bytes", v.weight_bytes},
             {"tokens_per_second", v.tokens_per_second}};
    for (const char* column : {"parameters", "bytes", "weight_bytes", "tokens_per_second"}) results[v.name + "/" + column] = row.at(column);
    for (size_t t = 0; t < config.tasks.size(); ++t) {
      const std::string task = named(config.tasks[t], "tasks").name;
      const Json& result = v.results[t];
      row["tasks"][task] = {{"accuracy", result.at("accuracy")},
                            {"ci95", result.at("ci95")},
                            {"n", result.at("n")},
                            {"mean_length", result.at("mean_length")}};
      results[v.name + "/" + task] = result.at("accuracy");
    }
    rows.push_back(std::move(row));
  }
  const fs::path folder = config.output_dir;
  const std::string shown = markdown(config, variants);
  write_file_atomic(folder / "table.md", shown);
  write_file_atomic(folder / "table.json", dump_json(Json{{"config", config_to_json(config)}, {"rows", rows}}, 2) + "\n");
  results["file"] = (folder / "table.md").string();
  log_info("\n", shown);
  return results;
}

void TableConfig::visit(Fields& v) {
  v("output_dir", output_dir, "where table.md, table.json and the evaluations go", Required{});
  v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  v("dtype", dtype, "dtype the models are held in", OneOf{"auto", "float32", "bfloat16"});
  v("variants", variants, "models, a row each: 'pruned = runs/pruned'");
  v("tasks", tasks, "tasks, a column each: 'sums = arithmetic style=chain steps=3'");
  v.group("", prompt);
  v.group("", eval);
  v.group("engine", engine);
}

}  // namespace r1::stages
