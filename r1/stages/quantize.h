// A quantized model of one that is there: `r1 quantize` and the stage of a recipe (r1/quant). Calibrated on files, or on a task's examples.
#pragma once

#include "r1/data/prompt.h"
#include "r1/quant/quantize.h"
#include "r1/stages/preflight.h"
#include "r1/stages/run.h"

namespace r1::stages {

struct QuantizeConfig {
  quant::QuantizeConfig quantize;
  TaskArgs task;
  data::PromptArgs prompt;

  // Not a setting. A recipe names a folder, whatever the scheme: a GGUF file is <output_dir>/model.gguf, and a result that stands there is taken
  // as it is (<output_dir>/quantize.json is its record).
  bool in_recipe = false;

  void visit(Fields& v);
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const QuantizeConfig& config, const Preflight& preflight);
quant::QuantizeResult quantize_model(const QuantizeConfig& config, std::function<void(const quant::QuantizeResult&)> finished = {});
// {"output","scheme","weight_bytes","parameters","mean_error","loss_before","loss_after","resumed","report","errors"}; the losses null where
// none was measured.
Json quantize(const QuantizeConfig& config);
Json to_json(const quant::QuantizeResult& result, const std::string& scheme);

}  // namespace r1::stages
