// r1 models: what is on this machine to run: names that every command with a model takes, and the presets, which are shapes without weights.
#include <algorithm>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/progress.h"
#include "r1/base/terminal.h"
#include "r1/model/local_models.h"
#include "r1/model/presets.h"

namespace r1::app {
namespace {

struct ModelsConfig {
  bool names = false;
  void visit(Fields& v) { v("names", names, "names alone, a line each"); }
};

std::string padded(std::string text, size_t columns) {
  text.resize(std::max(text.size() + 2, columns), ' ');
  return text;
}

void print_place(const std::string& place, const std::vector<model::LocalModel>& all, bool hub) {
  size_t width = 0;
  for (const model::LocalModel& m : all) width = std::max(width, m.in_hub_cache == hub ? m.name.size() + 2 : 0);
  print_text(place + (width ? "\n" : ": none\n"));
  for (const model::LocalModel& m : all) {
    if (m.in_hub_cache == hub) print_text(str("  ", padded(m.name, width), padded(m.format, 13), human_bytes(double(m.bytes)), "\n"));
  }
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

int run(const ModelsConfig& config, const CommonOptions& common) {
  const std::vector<model::LocalModel> all = model::local_models();
  if (config.names) {
    for (const model::LocalModel& m : all) print_text(m.name + "\n");
    return 0;
  }
  if (common.json) {
    Json models = Json::array();
    for (const model::LocalModel& m : all)
      models.push_back({{"name", m.name}, {"path", m.path.string()}, {"format", m.format}, {"bytes", m.bytes}});
    print_text(dump_json({{"models", models}, {"presets", model::preset_names()}}) + "\n");
    return 0;
  }
  print_place("models in " + model::models_folder().string() + " (R1_MODELS)", all, false);
  print_place("models in " + model::hub_cache().string() + " (HF_HOME)", all, true);
  print_text("presets, shapes without weights (r1 pretrain --preset NAME, r1 plan NAME)\n" +
             wrapped("  " + joined(model::preset_names()), terminal_columns(1)) + "\n");
  return 0;
}

}  // namespace

Command cmd_models() {
  return make_command<ModelsConfig>("models", "the models on this machine, by the names that commands take, and the presets", run);
}

}  // namespace r1::app
