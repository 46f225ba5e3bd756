// A recipe is data: named stages in order, each a stage's config, each result a folder below the recipe's own. One file runs the whole
// road.
//
//   output_dir: runs/r1-zero-tiny
//   seed: 1
//   common:                 # settings of every stage that knows the key
//     task: arithmetic
//   stages:
//     base: {stage: pretrain, max_steps: 1100}
//     sft:  {stage: sft, model: ${base}, require: [...]}
//     zero: {stage: grpo, model: ${sft}}
//     test: {stage: eval, model: ${zero}}
//   tiles:                  # big numbers on top of the report: "value | note"
//     held-out accuracy: "${test.accuracy} | SFT alone: ${test_sft.accuracy}"
//   closing: "talk to it: r1 chat ${zero}"      # printed at the end, for people
//   summary:                # the last line on stdout, one JSON object
//     demo: r1-zero-tiny
//     grpo: ${test.accuracy}
//
// ${name} is the folder of an earlier stage, ${name.key} a number of its results. `require: ["accuracy>=0.9"]` stops the recipe with a
// clear word when a result is not reached. What can be known to be wrong before the first stage runs (keys, values, references, names of
// results, files, models and shapes, batch sizes) is a usage error then, with the recipe's file and line. A finished stage with the same
// config is not run again; a stopped one goes on from its checkpoint. report.html is there after each stage, however the recipe ends.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/config_io.h"

namespace r1::stages {

// What a stage of a recipe is: takes settings (with output_dir, seed), gives results. `known_keys` tells which common settings concern it.
struct StageKind {
  std::function<std::vector<std::string>()> known_keys;
  // Usage error if one is wrong, or what they name is not there or does not fit; null values are not known yet.
  std::function<void(const std::vector<Setting>&)> check;
  // The names that results may have with these settings; "moe/*": all that begin so.
  std::function<std::vector<std::string>(const std::vector<Setting>&)> results;
  std::function<Json(const std::vector<Setting>&)> config;  // all settings, resolved; null values are left at their defaults
  // `in_recipe`: the recipe says what comes next, so the stage does not.
  std::function<Json(const std::vector<Setting>&, bool in_recipe)> run;
  bool makes_model = false, makes_tokenizer = false;
};

std::map<std::string, StageKind> stage_kinds();

// A requirement that was not reached: the end of the recipe.
struct FailedGate {
  std::string stage, require, result;
  double value = 0;
  std::string message;
};

struct RecipeResult {
  std::optional<FailedGate> failed;
  Json summary;
  std::map<std::string, Json> results;  // by stage name
};

// Usage error if the key is none that a recipe can have.
void check_recipe_key(const Setting& setting);

// All checks that need no stage to have run.
void check_recipe(const std::vector<Setting>& settings);
// The recipe with every setting of every stage written out, as YAML that runs the same; references stay.
std::string resolved_recipe(const std::vector<Setting>& settings);
// Checks, then runs.
RecipeResult run_recipe(const std::vector<Setting>& settings);

}  // namespace r1::stages
