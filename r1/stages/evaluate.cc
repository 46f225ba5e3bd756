#include "r1/stages/evaluate.h"

#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"

namespace r1::stages {

Json evaluate(const EvalConfig& config) {
  const auto device = tensor::parse_device(config.device);
  const auto task = load_task(config.task);
  const auto loaded = load(config.model, device, resolve_dtype(config.model.dtype, device));
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  engine::Engine engine(*loaded.model, config.engine);
  Progress bar("eval " + task->name(), 0, "sample");
  const auto result = eval::evaluate(engine, *loaded.tokenizer, *task, prompts, config.eval, [&](int64_t finished, int64_t total) {
    bar.set_total(total);
    bar.update(finished, str(engine.stats().generated_tokens, " tokens"));
    return !interrupted();
  });
  bar.finish();
  if (!config.output_dir.empty()) eval::save_result(result, config.output_dir);
  if (interrupted())
    throw Error(str("eval: stopped after ", result.n, " problems", config.output_dir.empty() ? "" : "; what was scored is saved"),
                ErrorKind::kInterrupted);
  log_info("eval ", task->name(), ": accuracy ", result.accuracy, " (95 % ", result.ci95.first, " to ", result.ci95.second, ") on ",
           result.n, " problems, ", result.mean_length, " tokens a completion, ", human_time(result.seconds));
  return result.to_json();
}

void EvalConfig::visit(Fields& v) {
  v("output_dir", output_dir, "where samples.jsonl and result.json go");
  v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  v.group("", model);
  v.group("", task);
  v.group("", prompt);
  v.group("", eval);
  v.group("engine", engine);
}

}  // namespace r1::stages
