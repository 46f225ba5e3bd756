// r1 quantize: a quantized model of one that is there: a HF folder in integers or fp8 blocks, or a GGUF file (r1/quant).
#include <chrono>
#include <cmath>

#include "r1/app/command.h"
#include "r1/app/model_files.h"
#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/model/weights_io.h"
#include "r1/quant/quantize.h"
#include "r1/quant/scheme.h"
#include "r1/stages/run.h"

namespace r1::app {
namespace {

Json errors_json(const std::vector<quant::LayerError>& errors) {
  Json list = Json::array();
  for (const quant::LayerError& e : errors) list.push_back({{"weight", e.name}, {"error", e.error}});
  return list;
}

Json number(double x) {
  return std::isnan(x) ? Json(nullptr) : Json(x);
}

void say(const quant::QuantizeResult& r, double seconds) {
  log_info("wrote ", r.output.string(), ": ", human_bytes(double(r.bytes)), " (", 8 * double(r.bytes) / double(r.parameters),
           " bits a weight), ", human_time(seconds));
  if (!std::isnan(r.loss_before))
    log_info("held-out loss ", r.loss_before, " -> ", r.loss_after, ", perplexity ", std::exp(r.loss_before), " -> ",
             std::exp(r.loss_after));
  log_info("report: ", r.report.string());
}

int run(const quant::QuantizeConfig& config, const CommonOptions& common) {
  const auto start = std::chrono::steady_clock::now();
  quant::scheme_named(config.scheme);  // before anything is looked for
  quant::QuantizeInputs inputs;
  inputs.source = model::find_model(config.model);
  inputs.gguf = gguf_of(inputs.source);
  inputs.max_shard_bytes = parse_size(config.max_shard_size);
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat;
  try {
    tokenizer = stages::load_tokenizer(inputs.source);
    chat = stages::load_chat_template(*tokenizer);
  } catch (const Error& e) {
    if (!config.data.empty()) throw;
    log_warning("no tokenizer: ", e.what());
    tokenizer = nullptr;
  }
  inputs.tokenizer = tokenizer.get();
  inputs.chat = chat.get();
  inputs.environment = stages::environment_json();
  inputs.carry = [&](const fs::path& folder) {
    carry_tokenizer(inputs.source, folder);
    carry_generation_config(inputs.source, folder);
  };
  const quant::QuantizeResult result = quant::quantize(config, inputs);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!common.json) {
    say(result, seconds);
    return 0;
  }
  print_text(dump_json({{"output", result.output.string()},
                        {"scheme", config.scheme},
                        {"weight_bytes", result.bytes},
                        {"parameters", result.parameters},
                        {"mean_error", result.mean_error},
                        {"loss_before", number(result.loss_before)},
                        {"loss_after", number(result.loss_after)},
                        {"resumed", result.resumed},
                        {"report", result.report.string()},
                        {"errors", errors_json(result.errors)},
                        {"seconds", seconds}}) +
             "\n");
  return 0;
}

}  // namespace

Command cmd_quantize() {
  return make_command<quant::QuantizeConfig>("quantize", "make a quantized model: GPTQ, AWQ, INT8, FP8, GGUF types", run,
                                             {"model", "output", "scheme"});
}

}  // namespace r1::app
