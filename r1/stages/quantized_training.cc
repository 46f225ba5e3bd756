#include "r1/stages/quantized_training.h"

#include "r1/quant/training.h"
#include "r1/stages/quantize.h"

namespace r1::stages {

namespace {

constexpr const char* kQuantizedFolder = "quantized";

// The saved masters through `r1 quantize`, which comes to the grid that they were trained on.
Json write_quantized(const train::TrainerConfig& trained, const fs::path& folder, int64_t max_shard_bytes) {
  QuantizeConfig config{.quantize = quant::config_of_training(trained.quantize_training, trained.quantize_group_size)};
  config.quantize.model = folder.string();
  config.quantize.output_dir = (folder / kQuantizedFolder).string();
  config.quantize.max_shard_size = str(max_shard_bytes, "B");
  config.quantize.overwrite = true;
  const quant::QuantizeResult made = quantize_model(config);
  return {{"folder", kQuantizedFolder}, {"scheme", config.quantize.scheme}, {"bytes", made.bytes}, {"mean_error", made.mean_error}};
}

}  // namespace

train::WeightRounding quantized_training(const train::TrainerConfig& config, model::Transformer& model, Run& run) {
  if (config.quantize_training == "none") return {};
  const quant::Plan plan = quant::prepare_training(model, config.quantize_training, config.quantize_group_size);
  run.on_finish([config](const fs::path& folder, int64_t max_shard_bytes) -> Json {
    return {{"quantized", write_quantized(config, folder, max_shard_bytes)}};
  });
  return {.applies = quant::is_quantized, .round = [plan](const model::WeightRow& row) { quant::round_in_place(plan, *row.tensor); }};
}

}  // namespace r1::stages
