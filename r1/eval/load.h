// From what a user names to what the program runs: a model with its tokenizer and template, a task. No training run is needed: chat, score,
// evaluation and the training stages load by the same road.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/model/generation_config.h"
#include "r1/model/weights_io.h"
#include "r1/tasks/task.h"
#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::eval {

struct ModelArgs {
  std::string model_name_or_path, tokenizer_name_or_path, dtype = "auto";

  void visit(Fields& v);
};

// For commands that only ask the model.
struct InferenceArgs : ModelArgs {
  std::string weights = "auto";

  InferenceArgs() = default;

  void visit(Fields& v);
};

struct TaskArgs {
  std::string task, data;
  FreeForm options, columns;

  void visit(Fields& v);
};

struct LoadedModel {
  std::unique_ptr<model::Transformer> model;
  std::unique_ptr<text::Tokenizer> tokenizer;
  std::unique_ptr<text::ChatTemplate> chat;  // null if the tokenizer has none
  std::vector<text::TokenId> stop_ids;       // what ends an answer: end_of_turn_ids()
  model::GenerationConfig generation;        // how the model's authors sample
};

// Who works on ids alone can do without.
enum class TokenizerUse { kNeeded, kIfThere, kNone };

tensor::DType resolve_dtype(const std::string& name, tensor::Device device);
std::unique_ptr<text::Tokenizer> load_tokenizer(const std::filesystem::path& path);
std::unique_ptr<text::ChatTemplate> load_chat_template(const text::Tokenizer& tokenizer);
// The weights at `path`; Ctrl-C ends it between two tensors.
std::unique_ptr<model::Transformer> load_weights_of(const std::filesystem::path& path, tensor::Device device, tensor::DType dtype,
                                                    const model::ModelLoad& how = {});
// The ids that end a turn or a text, wherever the model's files name them: tokenizer_config.json, special_tokens_map.json and a GGUF file's
// vocabulary through the tokenizer (may be null), config.json's list and generation_config.json through the config. For every command.
std::vector<text::TokenId> end_of_turn_ids(const model::ModelConfig& config, const text::Tokenizer* tokenizer);
// Loads model and tokenizer, and checks that the vocabulary fits the embedding.
LoadedModel load(const ModelArgs& args, tensor::Device device, tensor::DType dtype, TokenizerUse use = TokenizerUse::kNeeded,
                 const model::ModelLoad& how = {});
// In the dtype that the arguments name, unpacked.
inline LoadedModel load(const ModelArgs& args, tensor::Device device) {
  return load(args, device, resolve_dtype(args.dtype, device));
}
// For inference: quantized weights as the arguments say; what stays packed is logged.
LoadedModel load(const InferenceArgs& args, tensor::Device device, TokenizerUse use = TokenizerUse::kNeeded);
void check_vocabulary(const text::Tokenizer& tokenizer, const model::ModelConfig& config, const std::string& where);
std::unique_ptr<tasks::Task> load_task(const TaskArgs& args);

}  // namespace r1::eval
