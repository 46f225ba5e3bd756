#include "r1/stages/quantized_training.h"

#include "r1/eval/provenance.h"
#include "r1/quant/quantize.h"
#include "r1/quant/training.h"

namespace r1::stages {

namespace {

constexpr const char* kQuantizedFolder = "quantized";

// The saved masters through `r1 quantize`, which comes to the grid that they were trained on.
Json write_quantized(const train::TrainerConfig& trained, const fs::path& folder, const text::Tokenizer& tokenizer,
                     int64_t max_shard_bytes) {
  quant::QuantizeConfig config = quant::config_of_training(trained.quantize_training, trained.quantize_group_size);
  config.model = folder.string();
  config.output_dir = (folder / kQuantizedFolder).string();
  config.overwrite = true;
  quant::QuantizeInputs inputs;
  inputs.source = folder;
  inputs.tokenizer = &tokenizer;
  inputs.max_shard_bytes = max_shard_bytes;
  inputs.carry = [&](const fs::path& to) { tokenizer.save(to); };
  inputs.environment = environment_json();
  const quant::QuantizeResult made = quant::quantize(config, inputs);
  return {{"folder", kQuantizedFolder}, {"scheme", config.scheme}, {"bytes", made.bytes}, {"mean_error", made.mean_error}};
}

}  // namespace

train::WeightRounding quantized_training(const train::TrainerConfig& config, model::Transformer& model, Run& run) {
  if (config.quantize_training == "none") return {};
  const quant::Plan plan = quant::prepare_training(model, config.quantize_training, config.quantize_group_size);
  run.on_finish([config](const fs::path& folder, const text::Tokenizer& tokenizer, int64_t max_shard_bytes) -> Json {
    return {{"quantized", write_quantized(config, folder, tokenizer, max_shard_bytes)}};
  });
  return {.applies = quant::is_quantized, .round = [plan](const model::WeightRow& row) { quant::round_in_place(plan, *row.tensor); }};
}

}  // namespace r1::stages
