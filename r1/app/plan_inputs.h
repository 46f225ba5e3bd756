// From a stage's settings to what its memory is planned from: r1 plan's own options, the config of the stage, a whole recipe.
#pragma once

#include <string>
#include <vector>

#include "r1/app/command.h"
#include "r1/app/plan_cluster.h"
#include "r1/train/advice.h"

namespace r1::app {

struct PlanConfig {
  std::string stage = "auto", model, memory, gpu;
  int64_t prompt_tokens = 256, context = 0;
  bool list_presets = false;
  ClusterOptions many;  // of a plan for many GPUs

  void visit(Fields& v);
};

// One stage, ready to be planned.
struct PlanRequest {
  std::string name, stage, memory_of;  // memory_of: what has the memory, for people: "H100, sold as 80 GB"
  int64_t context = 0;                 // serve: tokens of a conversation; 0: several lengths
  train::AdviceInput advice;
};

// The shape of a preset, folder, file or published name; kUsage with the nearest if there is none.
model::ModelConfig named_model(const std::string& name);
bool is_training_stage(const std::string& stage);
// The stages that are asked for: one, or all training stages of a recipe. `settings`: those that are not PlanConfig's.
std::vector<PlanRequest> plan_requests(const std::vector<Setting>& settings, const PlanConfig& own, const CommonOptions& common);

}  // namespace r1::app
