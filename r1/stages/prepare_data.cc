#include "r1/stages/prepare_data.h"

#include <memory>
#include <mutex>

#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/corpus/pipeline_report.h"
#include "r1/corpus/reader.h"
#include "r1/engine/plain_forward.h"
#include "r1/eval/load.h"

namespace r1::stages {

corpus::OpenModel model_opener(const std::string& device_name) {
  return [device_name](const std::string& name) -> corpus::Perplexity {
    const auto device = tensor::parse_device(device_name);
    const auto loaded = std::make_shared<eval::LoadedModel>(
        eval::load(eval::ModelArgs{.model_name_or_path = name}, device, eval::resolve_dtype("auto", device)));
    const auto lock = std::make_shared<std::mutex>();
    return [loaded, lock](std::string_view text) {
      const auto ids = loaded->tokenizer->encode(text, {.parse_special = false, .add_special_tokens = loaded->tokenizer->add_bos()});
      const std::lock_guard hold(*lock);
      return engine::perplexity(*loaded->model, ids);
    };
  };
}

void check(const DataConfig& config, const Preflight& preflight) {
  check_device(config.device, preflight);
  if (!preflight.pending.empty()) return;  // what is not there yet cannot be looked for
  corpus::PipelineConfig pipeline = config.pipeline;
  pipeline.resolve();
  if (!pipeline.optional_input) corpus::input_files(pipeline.input);
}

Json prepare_data(const DataConfig& config) {
  check(config, {});
  if (config.pipeline.of > 1) fail_usage("of: a recipe does the whole of it; workers are for r1 data run");
  corpus::run_pipeline(config.pipeline, model_opener(config.device));
  const std::string& folder = config.pipeline.output;
  const corpus::RunCounts counts = corpus::read_counts(folder);
  log_info("report: ", corpus::write_pipeline_report(folder));
  Json results = {{"documents_in", counts.stages.front().second.documents_in()}, {"documents", 0}, {"bytes", 0}, {"tokens", 0}};
  for (const auto& [part, amount] : counts.survey.parts()) {
    results["documents"] = results["documents"].get<int64_t>() + amount.documents;
    results["bytes"] = results["bytes"].get<int64_t>() + amount.bytes;
    results["tokens"] = results["tokens"].get<int64_t>() + amount.tokens;
    results["documents/" + part] = amount.documents;
  }
  return results;
}

void DataConfig::visit(Fields& v) {
  v.group("", pipeline);
  v("device", device, "of score.model: auto, cpu, cuda or cuda:N");
}

}  // namespace r1::stages
