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
#include "r1/base/terminal.h"
#include "r1/stages/distill.h"
#include "r1/stages/evaluate.h"
#include "r1/stages/grpo.h"
#include "r1/stages/learn_tokenizer.h"
#include "r1/stages/parallel.h"
#include "r1/stages/prepare_data.h"
#include "r1/stages/pretrain.h"
#include "r1/stages/prune.h"
#include "r1/stages/quantize.h"
#include "r1/stages/rejection.h"
#include "r1/stages/sft.h"
#include "r1/stages/table.h"
#include "r1/stages/watch.h"

namespace r1::stages {

namespace {

template <class Config>
Config config_of(const std::vector<Setting>& settings) {
  Config config;
  check_against_fields(Fields(config), settings);
  return config;
}

// What is known of a stage before it runs.
Preflight preflight_of(const Fields& fields, const std::vector<Setting>& settings) {
  Preflight preflight{.quick = true};
  for (const Setting& s : settings) {
    if (!s.value.is_null()) continue;
    const Field* field = fields.find(s.key);
    preflight.pending.insert(field ? field->key : s.key);
  }
  return preflight;
}

template <class Config, Json (*kRun)(const Config&)>
StageKind kind(std::vector<std::string> (*results)(const Config&, const Preflight&), bool makes_model = false,
               bool makes_tokenizer = false) {
  StageKind out;
  out.known_keys = [] {
    Config config;
    return Fields(config).names(true);
  };
  out.check = [](const std::vector<Setting>& settings) {
    Config config;
    const Fields fields(config);
    check_against_fields(fields, settings);
    check(config, preflight_of(fields, settings));
  };
  out.results = [results](const std::vector<Setting>& settings) {
    Config config;
    const Fields fields(config);
    check_against_fields(fields, settings);
    return results(config, preflight_of(fields, settings));
  };
  out.config = [](const std::vector<Setting>& settings) { return config_to_json(config_of<Config>(settings)); };
  out.run = [](const std::vector<Setting>& settings, bool in_recipe) {
    Config config;
    apply_settings(config, settings);
    if constexpr (requires { config.run.in_recipe; }) config.run.in_recipe = in_recipe;
    if constexpr (requires { config.sft.run.in_recipe; }) config.sft.run.in_recipe = in_recipe;
    if constexpr (requires { config.in_recipe; }) config.in_recipe = in_recipe;
    return kRun(config);
  };
  out.makes_model = makes_model;
  out.makes_tokenizer = makes_model || makes_tokenizer;
  return out;
}

// ---- the results of each kind of stage: what `require` and ${stage.result} can name ----

std::vector<std::string> data_results(const DataConfig&, const Preflight&) {
  return {"documents_in", "documents", "bytes", "tokens", "documents/*"};
}

std::vector<std::string> tokenizer_results(const TokenizerConfig&, const Preflight&) {
  return {"vocab_size", "merges", "bytes"};
}

template <class Config>
std::vector<std::string> supervised_results(const Config& config, const Preflight& preflight) {
  std::vector<std::string> out = {"train_loss",  "num_tokens", "tokens_per_second", "train_runtime", "skipped_steps",
                                  "empty_steps", "moe/*"};
  if (!config.eval_files.empty() || !preflight.knows("eval_files")) out.push_back("eval_loss");
  return out;
}

std::vector<std::string> grpo_results(const GrpoConfig& config, const Preflight&) {
  std::vector<std::string> out = {"reward", "accuracy",   "completions/mean_length", "watched",       "monitors",
                                  "steps",  "num_tokens", "train_runtime",           "skipped_steps", "empty_steps"};
  if (config.eval_steps > 0) out.push_back("eval/accuracy");
  return out;
}

std::vector<std::string> distill_results(const DistillConfig& config, const Preflight& preflight) {
  auto out = supervised_results(config.sft, preflight);
  for (const char* name : {"divergence", "cross_entropy"}) out.push_back(name);
  if (!config.hidden_layers.empty()) out.push_back("hidden_loss");
  return out;
}

std::vector<std::string> prune_results(const PruneConfig&, const Preflight&) {
  return {"parameters_before", "parameters", "loss_before", "loss", "zeros", "layers", "kv_heads", "ffn_channels", "bytes"};
}

std::vector<std::string> quantize_results(const QuantizeConfig&, const Preflight&) {
  return {"output", "scheme", "weight_bytes", "parameters", "mean_error", "loss_before", "loss_after", "resumed", "report", "errors"};
}

std::vector<std::string> rejection_results(const RejectionConfig&, const Preflight&) {
  return {"samples", "right", "kept", "dropped", "problems", "file"};
}

std::vector<std::string> table_results(const TableConfig& config, const Preflight& preflight) {
  if (!preflight.knows("variants") || !preflight.knows("tasks")) return {"file", "*"};
  auto cells = table_cells(config);
  cells.push_back("file");
  return cells;
}

// What else an evaluation says is its own; these are there always.
std::vector<std::string> eval_results(const EvalConfig& config, const Preflight&) {
  std::vector<std::string> out = {
      "task",   "n",        "samples", "output_dir",        "accuracy",        "ci95", "mean_length", "clipped_ratio",
      "format", "verdicts", "seconds", "tokens_per_second", "draft_acceptance"};
  std::vector<int64_t> ks = config.eval.pass_at;
  if (ks.empty()) ks = {1};
  for (const int64_t k : ks) out.push_back(str("pass@", k)), out.push_back(str("cons@", k));
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
  std::string where;
};

std::vector<std::string> without_stars(std::vector<std::string> names) {
  std::erase_if(names, [](const std::string& name) { return name.ends_with("*"); });
  return names;
}

bool names_result(const std::vector<std::string>& results, const std::string& name) {
  return std::any_of(results.begin(), results.end(), [&](const std::string& known) {
    return known == name || (known.ends_with("*") && starts_with(name, known.substr(0, known.size() - 1)));
  });
}

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
  Requirement r{text, "", "", 0, where};
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

// What it lacks, or nothing.
std::optional<FailedGate> failed_gate(const Requirement& r, const StageEntry& stage, const Json& results) {
  if (!results.contains(r.key) || !results.at(r.key).is_number())
    fail_usage(r.where, ": require '", r.text, "' names no number among the results of stage '", stage.name, "'");
  const double have = results.at(r.key), want = r.value;
  const bool ok = r.op == ">=" ? have >= want : r.op == "<=" ? have <= want : r.op == ">" ? have > want : have < want;
  if (ok) return std::nullopt;
  return FailedGate{stage.name, r.text, r.key, have,
                    str("recipe: stage '", stage.name, "' reached ", r.key, " = ", have, ", but ", r.text, " is required (", r.where,
                        "); later stages would build on sand")};
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

// The stages before, by name: what they are and what their results are called.
struct Earlier {
  std::string kind;
  std::vector<std::string> results;
};
using Stages = std::map<std::string, Earlier>;

// References must name a stage before this one, and one of its results.
void check_references(const Json& value, const Stages& earlier, const std::string& where) {
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
    const auto it = earlier.find(name);
    if (it == earlier.end()) {
      std::vector<std::string> names;
      for (const auto& [key, unused] : earlier) names.push_back(key);
      fail_usage(where, ": ${", printable(reference), "}: no earlier stage is called '", printable(name), "'", did_you_mean(name, names));
    }
    const size_t dot = reference.find('.');
    if (dot == std::string::npos) continue;
    const std::string key = reference.substr(dot + 1);
    if (!names_result(it->second.results, key))
      fail_usage(where, ": ${", printable(reference), "}: stage '", name, "' (", it->second.kind, ") has no result '", printable(key), "'",
                 did_you_mean(key, without_stars(it->second.results)));
  }
}

// The stage that a value names as a whole, "${base}"; "" if it is something else.
std::string stage_reference(const Json& value) {
  if (!value.is_string()) return "";
  const auto& text = value.get_ref<const std::string&>();
  if (!starts_with(text, "${") || text.find('}') + 1 != text.size() || text.find('.') != std::string::npos) return "";
  return text.substr(2, text.size() - 3);
}

// A model comes from a stage that makes one; a file from a result, not from the folder of a stage.
void check_kind_of_reference(const Setting& s, const Stages& earlier, const std::map<std::string, StageKind>& kinds) {
  std::vector<Json> values = {s.value};
  if (s.value.is_array()) values.assign(s.value.begin(), s.value.end());
  for (const Json& value : values) {
    const auto it = earlier.find(stage_reference(value));
    if (it == earlier.end()) continue;
    const StageKind& made = kinds.at(it->second.kind);
    const bool model = s.key == "model" || s.key == "model_name_or_path",
               tokenizer = s.key == "tokenizer" || s.key == "tokenizer_name_or_path",
               files = s.key == "train_files" || s.key == "eval_files";
    if ((model && !made.makes_model) || (tokenizer && !made.makes_tokenizer))
      fail_usage(s.where, ": ", s.key, ": stage '", it->first, "' is of kind ", it->second.kind, ", which makes no ",
                 model ? "model" : "tokenizer");
    if (files && names_result(it->second.results, "file"))
      fail_usage(s.where, ": ", s.key, ": write ${", it->first, ".file} for the file that stage '", it->first, "' makes");
  }
}

// The line of the recipe that a complaint is about: of the setting whose value or name it quotes, else of the stage.
std::string place_of(const std::string& complaint, const std::vector<Setting>& settings, const StageEntry& stage) {
  for (auto s = settings.rbegin(); s != settings.rend(); ++s) {
    std::vector<Json> values = {s->value};
    if (s->value.is_array()) values.assign(s->value.begin(), s->value.end());
    for (const Json& value : values)
      if (value.is_string() && value.get_ref<const std::string&>().size() > 3 &&
          complaint.find(value.get_ref<const std::string&>()) != std::string::npos && s->where.find(':') != std::string::npos)
        return s->where;
  }
  const auto named = [&](const std::function<std::string(const std::string&)>& name_of) -> std::string {
    for (auto s = settings.rbegin(); s != settings.rend(); ++s)
      if (complaint.find(name_of(s->key)) != std::string::npos && s->where.find(':') != std::string::npos) return s->where;
    return "";
  };
  const std::string whole = named([](const std::string& key) { return key; });
  const std::string leaf = named([](const std::string& key) { return key.substr(key.rfind('.') + 1); });
  return !whole.empty() ? whole : !leaf.empty() ? leaf : stage.where;
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
  std::vector<std::string> names;
  Stages earlier;
  for (const auto& [name, kind] : kinds) names.push_back(name);
  std::string stages;
  for (const auto& stage : recipe.stages)
    if (!stage.kind.empty()) stages += (stages.empty() ? "" : ", ") + stage.name;
  for (const auto& stage : recipe.stages) {
    if (stage.kind.empty() && !stages.empty())
      fail_usage(stage.where, ": the recipe has no stage '", stage.name, "' (or it lacks its kind); stages: ", stages);
    if (!kinds.count(stage.kind))
      fail_usage(stage.where, ": stage '", stage.name, "' has unknown kind '", printable(stage.kind), "'", did_you_mean(stage.kind, names));
  }
  check_common(recipe, known);
  // Names first, in all stages; then what takes a look at the disk.
  std::vector<std::vector<Setting>> settings;
  for (const auto& stage : recipe.stages) {
    auto& values = settings.emplace_back(stage_settings(recipe, stage, known.at(stage.kind)));
    const StageKind& kind = kinds.at(stage.kind);
    for (Setting& s : values) {
      check_references(s.value, earlier, s.where);
      check_kind_of_reference(s, earlier, kinds);
      if (has_reference(s.value)) s.value = nullptr;
    }
    const auto results = kind.results(values);
    for (const Requirement& r : stage.require)
      if (!names_result(results, r.key))
        fail_usage(r.where, ": require '", printable(r.text), "' names no number among the results of stage '", stage.name, "' (",
                   stage.kind, ")", did_you_mean(r.key, without_stars(results)));
    earlier[stage.name] = {stage.kind, results};
  }
  for (const auto* list : {&recipe.tiles, &recipe.summary})
    for (const auto& s : *list)
      if (s.value != kMinutes) check_references(s.value, earlier, s.where);
  for (const auto& line : recipe.closing) check_references(line, earlier, "closing");
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const StageEntry& stage = recipe.stages[i];
    try {
      kinds.at(stage.kind).check(settings[i]);
    } catch (const Error& error) {
      const std::string what = error.what();
      const bool placed =
          std::any_of(settings[i].begin(), settings[i].end(), [&](const Setting& s) { return starts_with(what, s.where + ":"); });
      if (placed) throw;
      fail_usage(place_of(what, settings[i], stage), ": stage '", stage.name, "': ", what);
    }
  }
}

// ---- all of it, written out ----

void write_yaml(std::string& out, const std::string& key, const Json& value, const std::string& indent) {
  if (value.is_object()) {
    if (value.empty()) return;
    out += str(indent, key, ":\n");
    for (const auto& [name, item] : value.items()) write_yaml(out, name, item, indent + "  ");
    return;
  }
  // A JSON value is a YAML one.
  const bool plain = !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  out += str(indent, plain ? key : dump_json(Json(key)), ": ", dump_json(value), "\n");
}

std::string resolved(const Recipe& recipe, const std::map<std::string, StageKind>& kinds, const KnownKeys& known) {
  std::string out;
  const auto texts = [](const std::vector<Setting>& settings) {
    Json group = Json::object();
    for (const Setting& s : settings) group[s.key] = s.value;
    return group;
  };
  write_yaml(out, "output_dir", recipe.output_dir, "");
  write_yaml(out, "title", recipe.title, "");
  if (!recipe.subtitle.empty()) write_yaml(out, "subtitle", recipe.subtitle, "");
  out += "stages:\n";
  for (const StageEntry& stage : recipe.stages) {
    auto settings = stage_settings(recipe, stage, known.at(stage.kind));
    std::vector<Setting> references;
    for (Setting& s : settings) {
      if (!has_reference(s.value)) continue;
      references.push_back(s);
      s.value = nullptr;
    }
    Json config = kinds.at(stage.kind).config(settings);
    for (const char* own : {"output_dir", "output_file"}) config.erase(own);  // the recipe's
    Json values{{"stage", stage.kind}};
    if (stage.title != stage.name) values["title"] = stage.title;
    values.update(config);
    const auto long_name = [&](const std::string& key) {
      return key == "model" || key == "tokenizer" || key == "teacher" ? key + "_name_or_path" : key;
    };
    for (const Setting& s : references) values[long_name(s.key)] = s.value;
    for (const Requirement& r : stage.require) values["require"].push_back(r.text);
    // What is empty says nothing, and an empty list is no value of a recipe.
    for (auto it = values.begin(); it != values.end();) it = it.value().is_array() && it.value().empty() ? values.erase(it) : std::next(it);
    write_yaml(out, stage.name, values, "  ");
  }
  write_yaml(out, "tiles", texts(recipe.tiles), "");
  if (!recipe.closing.empty()) write_yaml(out, "closing", Json(recipe.closing), "");
  write_yaml(out, "summary", texts(recipe.summary), "");
  return out;
}

report::ReportEvaluation report_evaluation(const StageEntry& stage, const Json& result) {
  report::ReportEvaluation out{
      stage.title, result.at("task"), result.at("n"), result.at("accuracy"), result.at("ci95")[0], result.at("ci95")[1], {}};
  for (const auto& [key, value] : result.items())
    if (starts_with(key, "pass@")) out.others.emplace_back(key, value.get<double>());
  out.others.emplace_back("format", result.at("format").get<double>());
  out.others.emplace_back("mean length", result.at("mean_length").get<double>());
  return out;
}

// Every stage that the value names has results.
bool all_known(const Json& value, const std::map<std::string, Json>& results) {
  if (value.is_array()) return std::all_of(value.begin(), value.end(), [&](const Json& item) { return all_known(item, results); });
  if (!value.is_string()) return true;
  const auto& text = value.get_ref<const std::string&>();
  for (size_t begin = text.find("${"); begin != std::string::npos; begin = text.find("${", begin + 2)) {
    const std::string name = text.substr(begin + 2, text.find_first_of(".}", begin) - begin - 2);
    if (name != "output_dir" && results.count(name) == 0) return false;
  }
  return true;
}

// One page for the whole road: every training stage's curves, the evaluations side by side, the watched problem. `end`: how it ended, if not
// well.
void write_recipe_report(const Recipe& recipe, const std::map<std::string, Json>& results, const std::string& end) {
  report::ReportData report;
  report.title = recipe.title;
  report.subtitle = recipe.subtitle;
  report.environment = environment_json();
  report.subtitle += end.empty() ? "" : str(recipe.subtitle.empty() ? "" : "; ", end);
  for (const auto& tile : recipe.tiles) {  // "0.994 | from 0.042"
    if (!all_known(tile.value, results)) continue;
    const std::string text = in_words(resolve(tile.value, results, recipe.output_dir, tile.where));
    const size_t bar = text.find(" | ");
    report.tiles.push_back({tile.key, text.substr(0, bar), bar == std::string::npos ? "" : text.substr(bar + 3)});
  }
  for (const auto& stage : recipe.stages) {
    const auto found = results.find(stage.name);
    const Json result = found == results.end() ? Json::object() : found->second;
    const fs::path folder = fs::path(recipe.output_dir) / stage.name;
    if (fs::exists(folder / "metrics.jsonl")) {
      report::ReportStage& page = report.stages.emplace_back();
      page.name = stage.title;
      page.lines = report::read_metrics(folder / "metrics.jsonl", report::kMostLines, &page.logged);
      page.monitors = report_monitors(result.value("monitors", Json::object()));
    }
    if (stage.kind == "eval" && found != results.end()) report.evaluations.push_back(report_evaluation(stage, result));
    if (result.contains("watched")) report.samples.push_back(watched_sample(result.at("watched")));
    if (fs::exists(folder / "config.yaml")) report.config[stage.name] = parse_json_file(folder / "config.yaml");
  }
  report::write_report(fs::path(recipe.output_dir) / "report.html", report);
}

// The evaluations side by side, as the report has them.
void print_evaluations(const Recipe& recipe, const std::map<std::string, Json>& results) {
  const int bar_width = log_to_terminal() ? 24 : 0;  // no charts in logs
  size_t width = 0;
  for (const auto& stage : recipe.stages)
    if (stage.kind == "eval" && results.count(stage.name)) width = std::max(width, stage.title.size());
  if (width == 0) return;
  std::string table = str("\n", std::string(width + 4, ' '), "accuracy", std::string(size_t(bar_width) + 4, ' '), "tokens");
  for (const auto& stage : recipe.stages) {
    if (stage.kind != "eval" || results.count(stage.name) == 0) continue;
    const Json& result = results.at(stage.name);
    const double accuracy = result.at("accuracy"), length = result.at("mean_length");
    std::string bar;
    const bool utf8 = utf8_locale();
    for (int i = 0; i < bar_width; ++i) bar += i < int(std::lround(accuracy * bar_width)) ? (utf8 ? "█" : "#") : (utf8 ? "░" : ".");
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
  return {{"data", kind<DataConfig, prepare_data>(data_results)},
          {"tokenizer", kind<TokenizerConfig, learn_tokenizer>(tokenizer_results, false, true)},
          {"pretrain", kind<PretrainConfig, pretrain>(supervised_results<PretrainConfig>, true)},
          {"sft", kind<SftConfig, sft>(supervised_results<SftConfig>, true)},
          {"distill", kind<DistillConfig, distill>(distill_results, true)},
          {"grpo", kind<GrpoConfig, grpo>(grpo_results, true)},
          {"prune", kind<PruneConfig, prune>(prune_results, true)},
          {"quantize", kind<QuantizeConfig, quantize>(quantize_results, true)},
          {"rejection", kind<RejectionConfig, rejection>(rejection_results)},
          {"table", kind<TableConfig, table>(table_results)},
          {"eval", kind<EvalConfig, evaluate>(eval_results)}};
}

void check_recipe(const std::vector<Setting>& settings) {
  const Recipe recipe = read_recipe(settings);
  const auto kinds = stage_kinds();
  check_stages(recipe, kinds, known_keys_of(kinds));
}

std::string resolved_recipe(const std::vector<Setting>& settings) {
  const Recipe recipe = read_recipe(settings);
  const auto kinds = stage_kinds();
  const KnownKeys known = known_keys_of(kinds);
  check_stages(recipe, kinds, known);
  return resolved(recipe, kinds, known);
}

namespace {

// Runs the stages into out.results, up to a gate that fails.
void run_stages(const Recipe& recipe, const std::map<std::string, StageKind>& kinds, const KnownKeys& known, RecipeResult& out) {
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const auto& stage = recipe.stages[i];
    log_info("\n[", i + 1, "/", recipe.stages.size(), "] ", stage.title, stage.title == stage.name ? "" : " -> " + stage.name);
    auto stage_values = stage_settings(recipe, stage, known.at(stage.kind));
    for (auto& s : stage_values) s.value = resolve(s.value, out.results, recipe.output_dir, s.where);
    out.results[stage.name] = kinds.at(stage.kind).run(stage_values, /*in_recipe=*/true);
    for (const auto& requirement : stage.require) {
      out.failed = failed_gate(requirement, stage, out.results[stage.name]);
      if (out.failed) return;
    }
    if (i + 1 < recipe.stages.size())
      show("the report", [&] { write_recipe_report(recipe, out.results, str("after stage ", i + 1, " of ", recipe.stages.size())); });
  }
}

}  // namespace

RecipeResult run_recipe(const std::vector<Setting>& settings) {
  const auto begin = std::chrono::steady_clock::now();
  const Recipe recipe = read_recipe(settings);
  const auto kinds = stage_kinds();
  const KnownKeys known = known_keys_of(kinds);
  for (const auto& stage : recipe.stages) check_alone(stage.kind);
  check_stages(recipe, kinds, known);

  const std::string page = (fs::path(recipe.output_dir) / "report.html").string();
  RecipeResult out;
  try {
    run_stages(recipe, kinds, known, out);
  } catch (const Error& error) {
    // What was reached is shown, whatever the end was.
    if (fs::exists(recipe.output_dir)) {
      show("the report", [&] { write_recipe_report(recipe, out.results, error.what()); });
      log_info("report: ", page);
    }
    throw;
  }
  show("the report", [&] { write_recipe_report(recipe, out.results, out.failed ? out.failed->message : ""); });
  const double minutes = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / 60;
  show("the table", [&] { print_evaluations(recipe, out.results); });
  log_info("\nreport: ", page);
  if (out.failed) return out;
  for (const auto& line : recipe.closing) log_info(in_words(resolve(line, out.results, recipe.output_dir, "closing")));
  for (const auto& s : recipe.summary)
    out.summary[s.key] =
        s.value == kMinutes ? Json(std::round(minutes * 100) / 100) : resolve(s.value, out.results, recipe.output_dir, s.where);
  return out;
}

}  // namespace r1::stages
