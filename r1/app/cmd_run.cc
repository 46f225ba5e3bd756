// r1 run recipe.yaml: several stages from one file. Its keys belong to the recipe (stages/recipe.h), so they are not checked against one
// config here.
#include "r1/app/command.h"
#include "r1/base/log.h"
#include "r1/stages/recipe.h"

namespace r1::app {

namespace {

struct RunConfig {
  std::string recipe;

  void visit(Fields& v) { v("recipe", recipe, "recipe file; further --stages.<name>.<key>=value change it", Required{}); }
};

}  // namespace

Command cmd_run() {
  Command command = make_command<RunConfig>("run", "a whole recipe: stages in order, gates between them, one summary", {}, {"recipe"});
  command.run = [](const Command& self, const Arguments& arguments) {
    std::vector<Setting> own, overrides;
    Options<RunConfig> options;
    const Fields fields(options);
    for (auto& setting : command_settings(self, arguments)) (fields.find(setting.key) ? own : overrides).push_back(setting);
    for (const auto& setting : overrides) stages::check_recipe_key(setting);
    apply_settings(options, own);
    apply_common(options.common);
    auto settings = read_yaml(options.config.recipe);
    settings.insert(settings.end(), overrides.begin(), overrides.end());
    if (options.common.print_config) {
      print_text(stages::resolved_recipe(settings));
      return 0;
    }
    const auto result = stages::run_recipe(settings);
    if (!result.failed) {
      if (!result.summary.is_null()) print_text(dump_json(result.summary) + "\n");
      return 0;
    }
    const stages::FailedGate& gate = *result.failed;
    if (options.common.json)
      print_text(dump_json(Json{
                     {"failed_gate", {{"stage", gate.stage}, {"require", gate.require}, {"result", gate.result}, {"value", gate.value}}}}) +
                 "\n");
    fail(gate.message);
  };
  return command;
}

}  // namespace r1::app
