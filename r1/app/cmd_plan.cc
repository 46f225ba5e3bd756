// r1 plan: the memory of a run before anything is loaded, and what to do about it. Takes the recipe of any training stage, or a whole recipe
// with stages, with the same overrides as the stage itself; or just a model. From settings to numbers: plan_inputs and train/plan; what
// helps: train/advice; words: plan_text. With --cluster the plan is of a layout over many GPUs: plan_cluster and r1/plan.
#include <algorithm>

#include "r1/app/command.h"
#include "r1/app/plan_inputs.h"
#include "r1/app/plan_text.h"
#include "r1/base/error.h"
#include "r1/model/presets.h"

namespace r1::app {
namespace {

int run_plan(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common) {
  bool fits = true;
  Json json = Json::array();
  for (const PlanRequest& request : plan_requests(settings, own, common)) {
    const train::Plan plan = train::make_plan(request.advice.plan);
    fits = fits && train::fits(plan, request.advice.memory);
    if (common.json) {
      json.push_back(plan_json(request, plan));
    } else {
      print_text(plan_text(request, plan));
    }
  }
  if (common.json) print_text(dump_json(json.size() == 1 ? json[0] : Json{{"fits", fits}, {"stages", json}}) + "\n");
  return fits ? 0 : 1;
}

int run_cluster(const std::vector<Setting>& rest, PlanConfig own, const CommonOptions& common) {
  for (const Setting& s : rest) {
    if (s.key != "model" || !s.value.is_string())
      fail_usage(s.where, ": ", printable(s.key),
                 " is of a plan for one GPU; with --cluster give global_batch, sequence_length and the like");
    if (own.model.empty()) own.model = s.value.get<std::string>();
  }
  const ClusterPlan plan = make_cluster_plan(own.many, own.model);
  print_text(common.json ? dump_json(cluster_plan_json(plan)) + "\n" : cluster_plan_text(plan));
  return plan.network && plan.found.best.empty() ? 1 : 0;
}

// What only a plan for many GPUs knows is not taken in silence. A recipe may say how it is laid out.
void check_is_for_cluster(const std::vector<Setting>& own, PlanConfig& config) {
  const Fields fields(config.many);
  for (const Setting& s : own) {
    if (fields.find(s.key) && !s.key.starts_with("parallel."))
      fail_usage(s.where, ": is of a plan for many GPUs; give --cluster 64x8xh200, say, beside it");
  }
}

// "r1 plan grpo MODEL" and "r1 plan MODEL grpo" are the same.
Arguments model_first(Arguments arguments) {
  static const std::vector<std::string> kStages = {"pretrain", "sft", "grpo", "serve"};
  const auto is_stage = [](const std::string& word) { return std::find(kStages.begin(), kStages.end(), word) != kStages.end(); };
  const auto is_word = [&](size_t i) { return i < arguments.size() && !arguments[i].starts_with("-"); };
  if (!is_word(0) || !is_stage(arguments[0])) return arguments;
  if (is_word(1)) {
    std::swap(arguments[0], arguments[1]);
  } else {
    arguments[0] = "--stage=" + arguments[0];
  }
  return arguments;
}

}  // namespace

Command cmd_plan() {
  Command command = make_command<PlanConfig>("plan", "does a run fit into memory, before anything is loaded, and what helps if it does not",
                                             {}, {"model", "stage"});
  command.run = [](const Command& self, const Arguments& arguments) {
    Options<PlanConfig> options;
    const Fields fields(options);
    std::vector<Setting> own, rest;
    for (Setting& s : all_settings(environment_settings(options), command_settings(self, model_first(arguments)))) {
      // In a recipe "model" and "device" belong to the stage; on the command line "model" replaces them all.
      (fields.find(s.key) && (s.key != "model" || s.where.rfind("--", 0) == 0) ? own : rest).push_back(s);
    }
    apply_settings(options, own);
    apply_common(options.common);
    if (options.config.list_presets) {
      for (const std::string& name : model::preset_names()) print_text(name + "\n");
      return 0;
    }
    if (!options.config.many.cluster.empty()) return run_cluster(rest, options.config, options.common);
    check_is_for_cluster(own, options.config);
    return run_plan(rest, options.config, options.common);
  };
  return command;
}

}  // namespace r1::app
