// What can be known to be wrong with a stage before it has a folder and a model: asked by the stage itself, and by a recipe for all of its
// stages before the first one runs.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/eval/load.h"

namespace r1::stages {

using r1::check;  // each stage has a check(config, preflight) of its own beside it

struct Preflight {
  std::set<std::string> pending = {};  // keys whose values are results of stages that have not run yet
  bool quick = false;                  // in a moment, whatever the size of the data: of a file of problems only the first is read

  bool knows(const std::string& key) const { return pending.count(key) == 0; }
};

// The task, if all that it is made of is known; else null.
std::unique_ptr<tasks::Task> check_task(const eval::TaskArgs& args, const Preflight& preflight);
// Files of `key` are there.
void check_files(const std::vector<std::string>& files, const std::string& key, const Preflight& preflight);
// A model that can be loaded stands there, as far as its config tells, and a tokenizer may.
void check_model(const eval::ModelArgs& args, const Preflight& preflight);
void check_device(const std::string& device, const Preflight& preflight);

// The task of a training stage: as eval::load_task, but a file as `data` holds the train split, as `train_files` do; `eval_files` are the
// test split. Files without a task's name are problems with known answers, task math. Warns where both splits are the same file.
std::unique_ptr<tasks::Task> training_task(eval::TaskArgs args, const std::vector<std::string>& train_files = {},
                                           const std::vector<std::string>& eval_files = {});
// What training_task() would load: for checks before that.
std::vector<eval::TaskArgs> training_tasks(eval::TaskArgs args, const std::vector<std::string>& train_files,
                                           const std::vector<std::string>& eval_files);

}  // namespace r1::stages
