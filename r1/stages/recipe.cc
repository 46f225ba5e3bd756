#include "r1/stages/recipe.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/stages/evaluate.h"
#include "r1/stages/grpo.h"
#include "r1/stages/learn_tokenizer.h"
#include "r1/stages/pretrain.h"
#include "r1/stages/rejection.h"
#include "r1/stages/sft.h"
#include "r1/stages/watch.h"

namespace r1::stages {

namespace {

template <class Config, Json (*kRun)(const Config&)>
StageKind kind() {
  StageKind out;
  out.known_keys = [] {
    Config config;
    return Fields(config).names(true);
  };
  out.check = [](const std::vector<Setting>& settings) {
    Config config;
    check_against_fields(Fields(config), settings);
  };
  out.run = [](const std::vector<Setting>& settings) {
    Config config;
    apply_settings(config, settings);
    return kRun(config);
  };
  return out;
}

constexpr const char* kMinutes = "${minutes}";  // in the summary: how long it took

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

// "accuracy>=0.9"
struct Requirement {
  std::string text, key, op;
  double value = 0;
};

struct StageEntry {
  std::string name, kind, where, title;
  std::vector<Requirement> require;
  std::vector<Setting> settings;
};

struct Recipe {
  std::string output_dir, title = "recipe", subtitle;
  Json seed;
  std::vector<Setting> common, summary, tiles;
  std::vector<std::string> closing;
  std::vector<StageEntry> stages;
};

std::string text_of(const Setting& s) {
  if (!s.value.is_string()) fail_usage(s.where, ": '", s.key, "' takes one text, got ", printable(dump_json(s.value)));
  return s.value.get<std::string>();
}

std::vector<std::string> texts_of(const Setting& s) {
  std::vector<std::string> texts;
  for (const Json& item : string_items(s)) texts.push_back(text_of({s.key, s.where, item}));
  return texts;
}

Requirement parse_requirement(const std::string& text, const std::string& where) {
  Requirement r{text, "", "", 0};
  size_t at = std::string::npos;
  for (const char* candidate : {">=", "<=", ">", "<"}) {
    at = text.find(candidate);
    if (at == std::string::npos) continue;
    r.op = candidate;
    break;
  }
  const auto trimmed = [](std::string part) {
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    return part;
  };
  r.key = trimmed(text.substr(0, at));
  const std::string value = r.op.empty() ? "" : trimmed(text.substr(at + r.op.size()));
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), r.value);
  if (r.key.empty() || value.empty() || error != std::errc() || end != value.data() + value.size())
    fail_usage(where, ": require '", printable(text), "' is no bound of a result; write e.g. accuracy>=0.9");
  return r;
}

// A stage's folder stands below the recipe's.
void check_stage_name(const std::string& name, const std::string& where) {
  const bool plain =
      !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; });
  if (!plain) fail_usage(where, ": stage name '", printable(name), "' expected letters, digits, _ and - (it names a folder)");
  if (name == "output_dir") fail_usage(where, ": a stage can't be called output_dir: ${output_dir} is the recipe's");
}

void read_stage_key(Recipe& recipe, const Setting& s) {
  const size_t dot = s.key.find('.', 7);
  const std::string name = s.key.substr(7, dot - 7), key = s.key.substr(dot + 1);
  auto it = std::find_if(recipe.stages.begin(), recipe.stages.end(), [&](const auto& e) { return e.name == name; });
  if (it == recipe.stages.end()) {
    check_stage_name(name, s.where);
    it = recipe.stages.insert(recipe.stages.end(), StageEntry{name, "", s.where, name, {}, {}});
  }
  if (key == "stage") {
    it->kind = text_of(s);
  } else if (key == "title") {
    it->title = text_of(s);
  } else if (key == "require") {
    it->require.clear();
    for (const std::string& text : texts_of(s)) it->require.push_back(parse_requirement(text, s.where));
  } else {
    it->settings.push_back({key, s.where, s.value});
  }
}

Recipe read_recipe(const std::vector<Setting>& settings) {
  Recipe recipe;
  for (const auto& s : settings) {
    check_recipe_key(s);
    if (s.value.is_null()) continue;
    if (s.key == "output_dir") {
      recipe.output_dir = text_of(s);
    } else if (s.key == "title") {
      recipe.title = text_of(s);
    } else if (s.key == "subtitle") {
      recipe.subtitle = text_of(s);
    } else if (s.key == "seed") {
      recipe.seed = s.value;
    } else if (starts_with(s.key, "common.")) {
      recipe.common.push_back({s.key.substr(7), s.where, s.value});
    } else if (starts_with(s.key, "summary.")) {
      recipe.summary.push_back({s.key.substr(8), s.where, s.value});
    } else if (starts_with(s.key, "tiles.")) {
      recipe.tiles.push_back({s.key.substr(6), s.where, s.value});
    } else if (s.key == "closing") {
      recipe.closing = texts_of(s);
    } else {
      read_stage_key(recipe, s);
    }
  }
  if (recipe.output_dir.empty()) fail_usage("recipe: output_dir is missing");
  if (recipe.stages.empty()) fail_usage("recipe: it has no stages");
  return recipe;
}

// A number inside a sentence.
std::string in_words(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_float()) return dump_json(value);
  char text[32];
  std::snprintf(text, sizeof text, std::abs(value.get<double>()) <= 1 ? "%.3f" : "%.1f", value.get<double>());
  return text;
}

// Replaces ${name} and ${name.key}. A value that is one reference alone keeps its type.
Json resolve(const Json& value, const std::map<std::string, Json>& results, const std::string& output_dir, const std::string& where) {
  if (value.is_array()) {
    Json out = Json::array();
    for (const auto& item : value) out.push_back(resolve(item, results, output_dir, where));
    return out;
  }
  if (!value.is_string()) return value;
  std::string text = value;
  for (size_t begin = text.find("${"); begin != std::string::npos; begin = text.find("${", begin + 1)) {
    const size_t end = text.find('}', begin);
    if (end == std::string::npos) fail_usage(where, ": '", text, "' has a ${ without }");
    const std::string reference = text.substr(begin + 2, end - begin - 2);
    const size_t dot = reference.find('.');
    const std::string name = reference.substr(0, dot);
    Json found;
    if (name == "output_dir") {
      found = output_dir;
    } else if (const auto it = results.find(name); it == results.end()) {
      std::vector<std::string> known;
      for (const auto& [key, unused] : results) known.push_back(key);
      fail_usage(where, ": ${", reference, "}: no earlier stage is called '", name, "'", did_you_mean(name, known));
    } else if (dot == std::string::npos) {
      found = output_dir + "/" + name;
    } else if (const std::string key = reference.substr(dot + 1); it->second.contains(key)) {
      found = it->second.at(key);
    } else {
      std::vector<std::string> known;
      for (const auto& [k, unused] : it->second.items()) known.push_back(k);
      fail_usage(where, ": stage '", name, "' has no result '", key, "'", did_you_mean(key, known));
    }
    if (begin == 0 && end + 1 == text.size()) return found;
    text.replace(begin, end - begin + 1, in_words(found));
  }
  return text;
}

void check_requirement(const Requirement& r, const StageEntry& stage, const Json& results) {
  if (!results.contains(r.key) || !results.at(r.key).is_number())
    fail_usage(stage.where, ": require '", r.text, "' names no number among the results of stage '", stage.name, "'");
  const double have = results.at(r.key), want = r.value;
  const bool ok = r.op == ">=" ? have >= want : r.op == "<=" ? have <= want : r.op == ">" ? have > want : have < want;
  if (!ok)
    fail("recipe: stage '", stage.name, "' reached ", r.key, " = ", have, ", but ", r.text,
         " is required; later stages would build on sand");
}

// The settings of a stage with their references as they stand.
std::vector<Setting> stage_settings(const Recipe& recipe, const StageEntry& stage, const std::vector<std::string>& known) {
  const auto knows = [&](const std::string& key) {
    return std::any_of(known.begin(), known.end(), [&](const auto& k) { return k == key || starts_with(key, k + "."); });
  };
  std::vector<Setting> out;
  if (knows("output_dir")) out.push_back({"output_dir", "recipe", recipe.output_dir + "/" + stage.name});
  if (knows("output_file")) out.push_back({"output_file", "recipe", recipe.output_dir + "/" + stage.name + ".jsonl"});
  if (!recipe.seed.is_null() && knows("seed")) out.push_back({"seed", "recipe", recipe.seed});
  for (const auto& s : recipe.common)
    if (knows(s.key)) out.push_back({s.key, "common", s.value});
  out.insert(out.end(), stage.settings.begin(), stage.settings.end());
  return out;
}

bool has_reference(const Json& value) {
  if (value.is_array()) return std::any_of(value.begin(), value.end(), has_reference);
  return value.is_string() && value.get_ref<const std::string&>().find("${") != std::string::npos;
}

// References must name a stage before this one; which results it will have is not known yet.
void check_references(const Json& value, const std::vector<std::string>& earlier, const std::string& where) {
  if (value.is_array()) {
    for (const Json& item : value) check_references(item, earlier, where);
  }
  if (!value.is_string()) return;
  const auto& text = value.get_ref<const std::string&>();
  for (size_t begin = text.find("${"); begin != std::string::npos; begin = text.find("${", begin + 2)) {
    const size_t end = text.find('}', begin);
    if (end == std::string::npos) fail_usage(where, ": '", printable(text), "' has a ${ without }");
    const std::string reference = text.substr(begin + 2, end - begin - 2), name = reference.substr(0, reference.find('.'));
    if (name == "output_dir") continue;
    if (std::find(earlier.begin(), earlier.end(), name) == earlier.end())
      fail_usage(where, ": ${", printable(reference), "}: no earlier stage is called '", printable(name), "'", did_you_mean(name, earlier));
  }
}

using KnownKeys = std::map<std::string, std::vector<std::string>>;  // by kind of stage

void check_common(const Recipe& recipe, const KnownKeys& known_keys) {
  for (const auto& s : recipe.common) {
    bool known = false;
    std::vector<std::string> all;
    for (const auto& stage : recipe.stages) {
      for (const auto& key : known_keys.at(stage.kind)) {
        known |= key == s.key || starts_with(s.key, key + ".");
        all.push_back(key);
      }
    }
    if (!known) fail_usage(s.where, ": no stage of the recipe knows common key '", printable(s.key), "'", did_you_mean(s.key, all));
  }
}

KnownKeys known_keys_of(const std::map<std::string, StageKind>& kinds) {
  KnownKeys known;
  for (const auto& [name, kind] : kinds) known[name] = kind.known_keys();
  return known;
}

void check_stages(const Recipe& recipe, const std::map<std::string, StageKind>& kinds, const KnownKeys& known) {
  std::vector<std::string> names, earlier;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  for (const auto& stage : recipe.stages) {
    if (!kinds.count(stage.kind))
      fail_usage(stage.where, ": stage '", stage.name, "' has unknown kind '", printable(stage.kind), "'", did_you_mean(stage.kind, names));
  }
  check_common(recipe, known);
  for (const auto& stage : recipe.stages) {
    auto settings = stage_settings(recipe, stage, known.at(stage.kind));
    for (Setting& s : settings) {
      check_references(s.value, earlier, s.where);
      if (has_reference(s.value)) s.value = nullptr;
    }
    kinds.at(stage.kind).check(settings);
    earlier.push_back(stage.name);
  }
  for (const auto* list : {&recipe.tiles, &recipe.summary})
    for (const auto& s : *list)
      if (s.value != kMinutes) check_references(s.value, earlier, s.where);
  for (const auto& line : recipe.closing) check_references(line, earlier, "closing");
}

train::ReportEvaluation report_evaluation(const StageEntry& stage, const Json& result) {
  train::ReportEvaluation out{
      stage.title, result.at("task"), result.at("n"), result.at("accuracy"), result.at("ci95")[0], result.at("ci95")[1], {}};
  for (const auto& [key, value] : result.items())
    if (starts_with(key, "pass@")) out.others.emplace_back(key, value.get<double>());
  out.others.emplace_back("format", result.at("format").get<double>());
  out.others.emplace_back("mean length", result.at("mean_length").get<double>());
  return out;
}

// One page for the whole road: every training stage's curves, the evaluations side by side, the watched problem.
void write_recipe_report(const Recipe& recipe, const std::map<std::string, Json>& results) {
  train::ReportData report;
  report.title = recipe.title;
  report.subtitle = recipe.subtitle;
  report.environment = environment_json();
  for (const auto& tile : recipe.tiles) {  // "0.994 | from 0.042"
    const std::string text = in_words(resolve(tile.value, results, recipe.output_dir, tile.where));
    const size_t bar = text.find(" | ");
    report.tiles.push_back({tile.key, text.substr(0, bar), bar == std::string::npos ? "" : text.substr(bar + 3)});
  }
  for (const auto& stage : recipe.stages) {
    const Json& result = results.at(stage.name);
    const fs::path folder = fs::path(recipe.output_dir) / stage.name;
    if (fs::exists(folder / "metrics.jsonl")) {
      const auto monitors = report_monitors(result.value("monitors", Json::object()));
      report.stages.push_back({stage.title, train::read_metrics(folder / "metrics.jsonl"), monitors});
    }
    if (stage.kind == "eval") report.evaluations.push_back(report_evaluation(stage, result));
    if (result.contains("watched")) report.samples.push_back(watched_sample(result.at("watched")));
    if (fs::exists(folder / "config.yaml")) report.config[stage.name] = parse_json_file(folder / "config.yaml");
  }
  train::write_report(fs::path(recipe.output_dir) / "report.html", report);
}

// The evaluations side by side, as the report has them.
void print_evaluations(const Recipe& recipe, const std::map<std::string, Json>& results) {
  constexpr int kBar = 24;
  size_t width = 0;
  for (const auto& stage : recipe.stages)
    if (stage.kind == "eval") width = std::max(width, stage.title.size());
  if (width == 0) return;
  std::string table = str("\n", std::string(width + 4, ' '), "accuracy", std::string(kBar + 4, ' '), "tokens");
  for (const auto& stage : recipe.stages) {
    if (stage.kind != "eval") continue;
    const Json& result = results.at(stage.name);
    const double accuracy = result.at("accuracy"), length = result.at("mean_length");
    std::string bar;
    for (int i = 0; i < kBar; ++i) bar += i < int(std::lround(accuracy * kBar)) ? "█" : "░";
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "  %6.1f", length);
    table += str("\n  ", stage.title, std::string(width - stage.title.size() + 2, ' '), in_words(accuracy), "  ", bar, numbers);
    for (const auto& [key, value] : result.items())
      if (starts_with(key, "pass@")) table += str("   ", key, " ", in_words(value));
  }
  log_info(table);
}

}  // namespace

void check_recipe_key(const Setting& setting) {
  static const std::vector<std::string> kPlain = {"output_dir", "seed", "title", "subtitle", "closing"},
                                        kGroups = {"common.", "tiles.", "summary."};
  const std::string& key = setting.key;
  const auto begins = [&](const std::string& group) { return starts_with(key, group); };
  if (std::find(kPlain.begin(), kPlain.end(), key) != kPlain.end() || std::any_of(kGroups.begin(), kGroups.end(), begins)) return;
  if (starts_with(key, "stages.") && key.find('.', 7) != std::string::npos) return;
  std::vector<std::string> known = kPlain;
  known.insert(known.end(), kGroups.begin(), kGroups.end());
  known.push_back("stages.");
  fail_usage(setting.where, ": unknown recipe key '", printable(key), "'", did_you_mean(key, known),
             " (a recipe has output_dir, seed, title, subtitle, common.*, stages.<name>.*, tiles.*, closing, summary.*)");
}

std::map<std::string, StageKind> stage_kinds() {
  return {{"tokenizer", kind<TokenizerConfig, learn_tokenizer>()},
          {"pretrain", kind<PretrainConfig, pretrain>()},
          {"sft", kind<SftConfig, sft>()},
          {"grpo", kind<GrpoConfig, grpo>()},
          {"rejection", kind<RejectionConfig, rejection>()},
          {"eval", kind<EvalConfig, evaluate>()}};
}

void check_recipe(const std::vector<Setting>& settings) {
  const Recipe recipe = read_recipe(settings);
  const auto kinds = stage_kinds();
  check_stages(recipe, kinds, known_keys_of(kinds));
}

RecipeResult run_recipe(const std::vector<Setting>& settings) {
  const auto begin = std::chrono::steady_clock::now();
  const Recipe recipe = read_recipe(settings);
  const auto kinds = stage_kinds();
  const KnownKeys known = known_keys_of(kinds);
  check_stages(recipe, kinds, known);

  RecipeResult out;
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const auto& stage = recipe.stages[i];
    log_info("\n[", i + 1, "/", recipe.stages.size(), "] ", stage.title, stage.title == stage.name ? "" : " -> " + stage.name);
    auto stage_values = stage_settings(recipe, stage, known.at(stage.kind));
    for (auto& s : stage_values) s.value = resolve(s.value, out.results, recipe.output_dir, s.where);
    out.results[stage.name] = kinds.at(stage.kind).run(stage_values);
    for (const auto& requirement : stage.require) check_requirement(requirement, stage, out.results[stage.name]);
  }
  write_recipe_report(recipe, out.results);
  const double minutes = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 60;
  print_evaluations(recipe, out.results);
  log_info("\nreport: ", (fs::path(recipe.output_dir) / "report.html").string());
  for (const auto& line : recipe.closing) log_info(in_words(resolve(line, out.results, recipe.output_dir, "closing")));
  for (const auto& s : recipe.summary)
    out.summary[s.key] =
        s.value == kMinutes ? Json(std::round(minutes * 100) / 100) : resolve(s.value, out.results, recipe.output_dir, s.where);
  return out;
}

}  // namespace r1::stages
