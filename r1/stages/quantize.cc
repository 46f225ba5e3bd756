#include "r1/stages/quantize.h"

#include <cmath>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/weights_io.h"
#include "r1/quant/scheme.h"
#include "r1/quant/work_folder.h"
#include "r1/stages/model_files.h"
#include "r1/stages/results.h"
#include "r1/stages/sft_data.h"

namespace r1::stages {

namespace {

TaskArgs task_of(const QuantizeConfig& config) {
  TaskArgs args = config.task;
  if (config.quantize.data.size() > 1)
    fail_usage("--data: task ", args.task, " takes one file or folder, got ", config.quantize.data.size());
  if (!config.quantize.data.empty()) args.data = config.quantize.data[0];
  return args;
}

Json number(double x) {
  return std::isnan(x) ? Json(nullptr) : Json(x);
}

// A recipe's stage has a folder for whatever it makes.
quant::QuantizeConfig placed(const QuantizeConfig& config) {
  quant::QuantizeConfig out = config.quantize;
  if (config.in_recipe && quant::scheme_named(out.scheme).gguf() && out.output.empty()) {
    out.output = (fs::path(out.output_dir) / "model.gguf").string();
    out.output_dir.clear();
  }
  if (!config.task.task.empty()) out.data.clear();
  return out;
}

fs::path output_of(const QuantizeConfig& config) {
  const quant::QuantizeConfig how = placed(config);
  return how.output.empty() ? how.output_dir : how.output;
}

// What stands there without a record is one's own if the quantization that made it has not ended yet: it is gone on with.
ResultPlace place_of(const QuantizeConfig& config) {
  const fs::path folder = config.quantize.output_dir;
  const bool begun = quant::WorkFolder::wrote(output_of(config));
  return {.what = "quantize",
          .record = folder / "quantize.json",
          .files = begun ? std::vector<fs::path>{}
                         : std::vector<fs::path>{folder / "config.json", folder / kSafetensorsSingle, folder / kSafetensorsIndex,
                                                 folder / "model.gguf"},
          .option = "output_dir",
          .overwrite = config.quantize.overwrite,
          .inputs = {{"model", identity(config.quantize.model)}}};
}

}  // namespace

void check(const QuantizeConfig& config, const Preflight& preflight) {
  if (preflight.knows("scheme")) {
    const quant::Scheme& scheme = quant::scheme_named(config.quantize.scheme);
    if (scheme.needs_data() && config.quantize.data.empty() && config.task.task.empty() && preflight.knows("data") &&
        preflight.knows("task"))
      fail_usage("--scheme ", scheme.name, " is made from what the model computes on text: give some with --data, or a --task");
  }
  if (preflight.knows("model")) check_model({.model_name_or_path = config.quantize.model}, preflight);
  if (!preflight.knows("task") || !preflight.knows("data")) return;
  if (config.task.task.empty()) return check_files(config.quantize.data, "data", preflight);
  const auto task = check_task(training_tasks(task_of(config), {}, {})[0], preflight);
  if (task) tasks::required_size(*task, "train", "quantize");
}

quant::QuantizeResult quantize_model(const QuantizeConfig& config, std::function<void(const quant::QuantizeResult&)> finished) {
  check(config, {.quick = true});
  const quant::QuantizeConfig how = placed(config);
  quant::QuantizeInputs inputs;
  inputs.source = model::find_model(how.model);
  inputs.gguf = gguf_of(inputs.source);
  inputs.max_shard_bytes = parse_size(how.max_shard_size);
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat;
  try {
    tokenizer = load_tokenizer(inputs.source);
    chat = load_chat_template(*tokenizer);
  } catch (const Error& e) {
    if (!how.data.empty() || !config.task.task.empty()) throw;
    log_warning("no tokenizer: ", e.what());
    tokenizer = nullptr;
  }
  inputs.tokenizer = tokenizer.get();
  inputs.chat = chat.get();
  std::unique_ptr<tasks::Task> task;
  std::unique_ptr<data::PromptMaker> prompts;
  std::unique_ptr<data::DocumentSource> examples;
  if (!config.task.task.empty()) {
    task = training_task(task_of(config));
    tasks::required_size(*task, "train", "quantize");
    prompts = std::make_unique<data::PromptMaker>(*tokenizer, chat.get(), config.prompt,
                                                  end_of_turn_ids(model::read_model_config(inputs.source), tokenizer.get()));
    examples = task_examples(*task, *prompts, 0);
    inputs.next_text = [&examples, i = int64_t{0}](std::vector<int32_t>& ids) mutable {
      if (i == examples->size()) return false;
      ids = examples->document(i++).ids;
      return true;
    };
  }
  inputs.environment = environment_json();
  inputs.finished = std::move(finished);
  inputs.carry = [&](const fs::path& folder) {
    carry_tokenizer(inputs.source, folder);
    carry_generation_config(inputs.source, folder);
  };
  return quant::quantize(how, inputs);
}

Json quantize(const QuantizeConfig& config) {
  const ResultPlace place = place_of(config);
  const Json resolved = config_to_json(config);
  if (config.in_recipe) {
    if (const auto results = earlier_results(place, resolved)) {
      fs::remove_all(quant::WorkFolder::path_of(output_of(config)));  // of a run that died between the record and its end
      return *results;
    }
  }
  if (config.in_recipe) fs::remove(place.record);  // of another result, which is about to be written over
  const auto record = [&](const quant::QuantizeResult& result) {
    if (config.in_recipe) write_record(place, resolved, to_json(result, config.quantize.scheme));
  };
  return to_json(quantize_model(config, record), config.quantize.scheme);
}

Json to_json(const quant::QuantizeResult& result, const std::string& scheme) {
  Json errors = Json::array();
  for (const quant::LayerError& e : result.errors) errors.push_back({{"weight", e.name}, {"error", e.error}});
  return {{"output", result.output.string()},
          {"scheme", scheme},
          {"weight_bytes", result.bytes},
          {"parameters", result.parameters},
          {"mean_error", result.mean_error},
          {"loss_before", number(result.loss_before)},
          {"loss_after", number(result.loss_after)},
          {"resumed", result.resumed},
          {"report", result.report.string()},
          {"errors", std::move(errors)}};
}

void QuantizeConfig::visit(Fields& v) {
  quantize.visit(v);
  v("task", task.task, "in place of text, a task's examples; --data is then where its problems are");
  v("task_options", task.options, "options of the task, e.g. task_options.train=train.jsonl");
  v("columns", task.columns, "other names for the keys of rows: columns.prompt=question says that the prompt stands under question");
  v.group("", prompt);
}

}  // namespace r1::stages
