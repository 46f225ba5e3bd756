// Variants of a model side by side: `r1 table`. Each is evaluated on each task; the table has parameters, size on the disk, memory of the weights
// as they are held, tokens per second and accuracy with its 95 % interval.
//
// <output_dir>/ table.md  table.json (last)  <variant>/<task>/ an evaluation each (stages/evaluate), taken as it is where it stands already.
#pragma once

#include "r1/engine/engine.h"
#include "r1/eval/harness.h"
#include "r1/stages/preflight.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct TableConfig {
  std::string output_dir, device = "auto", dtype = "auto";
  std::vector<std::string> variants, tasks;  // "name = path"; "name = task option=value option=value"
  data::PromptArgs prompt;
  eval::EvalArgs eval;
  engine::EngineConfig engine;

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const TableConfig& config, const Preflight& preflight);
// {"file", "<variant>/<task>": accuracy, "<variant>/bytes": ..}
Json table(const TableConfig& config);
// The names of the cells: what `table` gives besides the file.
std::vector<std::string> table_cells(const TableConfig& config);

}  // namespace r1::stages
