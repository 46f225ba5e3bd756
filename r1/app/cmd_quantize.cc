// r1 quantize: a quantized model of one that is there: a HF folder in integers or fp8 blocks, or a GGUF file (stages/quantize).
#include <chrono>
#include <cmath>

#include "r1/app/command.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/stages/parallel.h"
#include "r1/stages/quantize.h"

namespace r1::app {
namespace {

void say(const quant::QuantizeResult& r, double seconds) {
  log_info("wrote ", r.output.string(), ": ", human_bytes(double(r.bytes)), " (", 8 * double(r.bytes) / double(r.parameters),
           " bits a weight), ", human_time(seconds));
  if (!std::isnan(r.loss_before))
    log_info("held-out loss ", r.loss_before, " -> ", r.loss_after, ", perplexity ", std::exp(r.loss_before), " -> ",
             std::exp(r.loss_after));
  log_info("report: ", r.report.string());
}

int run(const stages::QuantizeConfig& config, const CommonOptions& common) {
  stages::check_alone("quantize");
  const auto start = std::chrono::steady_clock::now();
  const quant::QuantizeResult result = stages::quantize_model(config);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!common.json) {
    say(result, seconds);
    return 0;
  }
  Json json = stages::to_json(result, config.quantize.scheme);
  json["seconds"] = seconds;
  print_text(dump_json(json) + "\n");
  return 0;
}

}  // namespace

Command cmd_quantize() {
  return make_command<stages::QuantizeConfig>("quantize", "make a quantized model: GPTQ, AWQ, INT8, FP8, GGUF types", run,
                                              {"model", "output", "scheme"});
}

}  // namespace r1::app
