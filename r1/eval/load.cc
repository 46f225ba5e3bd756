#include "r1/eval/load.h"

#include <algorithm>
#include <map>

#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/model/local_models.h"
#include "r1/tasks/registry.h"
#include "r1/tensor/packed.h"

namespace r1::eval {

tensor::DType resolve_dtype(const std::string& name, tensor::Device device) {
  if (name != "auto") return tensor::parse_dtype(name);
  return device.is_cuda() ? at::kBFloat16 : at::kFloat;
}

std::unique_ptr<text::Tokenizer> load_tokenizer(const std::filesystem::path& path) {
  return std::make_unique<text::Tokenizer>(text::Tokenizer::load(model::find_tokenizer(path)));
}

std::unique_ptr<text::ChatTemplate> load_chat_template(const text::Tokenizer& tokenizer) {
  if (tokenizer.chat_template().empty()) return nullptr;
  return std::make_unique<text::ChatTemplate>(tokenizer.chat_template(), text::RenderLimits{}, tokenizer.chat_template_where());
}

void check_vocabulary(const text::Tokenizer& tokenizer, const model::ModelConfig& config, const std::string& where) {
  if (tokenizer.vocab_size() > config.vocab_size)
    fail_usage(where, ": the tokenizer has ids up to ", tokenizer.vocab_size() - 1, ", but the model's embedding has ", config.vocab_size,
               " rows; give the tokenizer that the model was made with (tokenizer_name_or_path)");
}

std::unique_ptr<model::Transformer> load_weights_of(const std::filesystem::path& path, tensor::Device device, tensor::DType dtype,
                                                    const model::ModelLoad& how) {
  return model::load_model(
      path, device, dtype, [](int64_t, int64_t) { throw_if_interrupted(); }, how);
}

std::vector<text::TokenId> end_of_turn_ids(const model::ModelConfig& config, const text::Tokenizer* tokenizer) {
  std::vector<text::TokenId> ids;
  if (tokenizer) ids = tokenizer->end_ids();
  for (const int64_t id : model::eos_token_ids(config))
    if (id < config.vocab_size && std::ranges::find(ids, id) == ids.end()) ids.push_back(text::TokenId(id));
  return ids;
}

namespace {

void load_text_side(LoadedModel& out, const ModelArgs& args, const model::ModelConfig& config, TokenizerUse use) {
  if (use == TokenizerUse::kNone) return;
  const std::string tokenizer = args.tokenizer_name_or_path.empty() ? args.model_name_or_path : args.tokenizer_name_or_path;
  try {
    out.tokenizer = load_tokenizer(tokenizer);
    out.chat = load_chat_template(*out.tokenizer);
  } catch (const Error& e) {
    if (use == TokenizerUse::kNeeded || !args.tokenizer_name_or_path.empty()) throw;
    log_warning("ids only, no text: ", e.what());
    out.tokenizer = nullptr;
    return;
  }
  check_vocabulary(*out.tokenizer, config, tokenizer);
}

}  // namespace

LoadedModel load(const ModelArgs& named, tensor::Device device, tensor::DType dtype, TokenizerUse use, const model::ModelLoad& how) {
  if (named.model_name_or_path.empty())
    fail_usage("missing: --model_name_or_path (HF folder, checkpoint folder, .gguf file, or a name that r1 models lists)");
  ModelArgs args = named;
  args.model_name_or_path = model::find_model(named.model_name_or_path).string();
  LoadedModel out;
  const model::ModelConfig config = model::read_model_config(args.model_name_or_path);
  load_text_side(out, args, config, use);
  out.generation = model::read_generation_config(args.model_name_or_path);
  out.model = load_weights_of(args.model_name_or_path, device, dtype, how);
  out.stop_ids = end_of_turn_ids(config, out.tokenizer.get());
  return out;
}

namespace {

void say_what_is_packed(const model::Transformer& model) {
  std::map<std::string, int64_t> of_format;
  bool rounds = false;
  for (const model::WeightRow& row : model.weights())
    if (row.weight && row.weight->packed()) {
      ++of_format[row.weight->format()];
      const tensor::PackedMatrix* matrix = row.weight->packed_matrix();  // null: on a GPU, which rounds nothing
      rounds = rounds || (matrix && matrix->rounds_by_blocks());
    }
  if (of_format.empty()) return;
  std::string formats;
  for (const auto& [format, count] : of_format) formats += str(formats.empty() ? "" : ", ", count, " in ", format);
  log_info("weights stay as the file has them (", formats, ")",
           rounds ? "; products round their inputs to 8 bits (--weights unpacked does not)" : "");
}

}  // namespace

LoadedModel load(const InferenceArgs& args, tensor::Device device, TokenizerUse use) {
  // On a GPU packed weights are faster for few sequences and slower for many (docs/results/gpu_quantized.md): only where asked for.
  const bool packed = args.weights == "packed" || (args.weights == "auto" && device.is_cpu());
  const model::ModelLoad how{.keep_packed = packed, .products_only = args.weights == "auto" || !device.is_cpu()};
  LoadedModel out = load(args, device, resolve_dtype(args.dtype, device), use, how);
  say_what_is_packed(*out.model);
  return out;
}

std::unique_ptr<tasks::Task> load_task(const TaskArgs& args) {
  if (args.task.empty()) {
    std::string names;
    for (const auto& name : tasks::task_names()) names += (names.empty() ? "" : ", ") + name;
    fail_usage("missing: --task (one of ", names, ")");
  }
  Json options(args.options);
  if (!args.data.empty()) options["data"] = args.data;
  if (!args.columns.empty()) options["columns"] = args.columns;
  return tasks::make_task(args.task, options);
}

void ModelArgs::visit(Fields& v) {
  v("model_name_or_path", model_name_or_path, "HF folder, checkpoint folder, .gguf file, or a name that r1 models lists");
  v.alias("model", "model_name_or_path");
  v("tokenizer_name_or_path", tokenizer_name_or_path, "tokenizer.json, HF folder or .gguf (default: the model's own)");
  v.alias("tokenizer", "tokenizer_name_or_path");
  v("dtype", dtype, "auto: float32 on CPU, bfloat16 on CUDA", OneOf{"auto", "float32", "bfloat16"});
}

void InferenceArgs::visit(Fields& v) {
  ModelArgs::visit(v);
  v("weights", weights,
    "quantized and 2:4 weights in memory: packed as the file has them, or unpacked to dtype; auto: packed on the CPU where products with "
    "them "
    "are there. packed also takes a 16 bit model's matrices under float32 on the CPU; on CUDA it takes the least memory and is faster for "
    "up to "
    "some 32 sequences at once",
    OneOf{"auto", "packed", "unpacked"});
}

void TaskArgs::visit(Fields& v) {
  v("task", task, "which problems: see r1 eval --list_tasks");
  v("data", data, "the task's data: a file, a pattern, or the folder that holds its files (same as task_options.data)");
  v("columns", columns, "other names for the keys of rows: columns.prompt=question says that the prompt stands under question");
  v("task_options", options, "options of the task, e.g. task_options.test=test.jsonl");
}

}  // namespace r1::eval
