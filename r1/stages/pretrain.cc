#include "r1/stages/pretrain.h"

#include "r1/base/log.h"
#include "r1/data/find_files.h"
#include "r1/data/token_shards.h"
#include "r1/eval/provenance.h"
#include "r1/model/footprint.h"
#include "r1/model/presets.h"
#include "r1/model/weights_io.h"
#include "r1/stages/quantized_training.h"
#include "r1/stages/supervised.h"

namespace r1::stages {

namespace {

// Documents of a generated task are endless; the loader wants a number. More than any run reads, so nothing is seen twice.
constexpr int64_t kEndless = int64_t{1} << 40;

data::EncodeFunction encoder(const text::Tokenizer& tokenizer) {
  return [&tokenizer](std::string_view text) { return tokenizer.encode(text); };
}

data::CorpusSpec corpus_spec(const std::vector<std::string>& files, const std::string& field, const text::Tokenizer& tokenizer) {
  const int32_t end = tokenizer.eos_id().value_or(-1), begin = tokenizer.add_bos() ? tokenizer.bos_id().value_or(-1) : -1;
  return {.files = files,
          .keys = {field},
          .also = {"extra"},
          .make = data::text_maker(field, encoder(tokenizer), end, begin,
                                   [&tokenizer](std::string_view name) { return tokenizer.token_id(name); }),
          .maker = str("text ", tokenizer.hash(), " ", end, " ", begin, " ", field),
          .tokenizer = tokenizer.hash(),
          .vocab_size = tokenizer.vocab_size()};
}

// columns.text says the same as text_field.
std::string text_key(const PretrainConfig& config) {
  const auto at = config.task.columns.find("text");
  return at == config.task.columns.end() ? config.text_field : at->second;
}

// Those of `named` that are folders of token shards: all of them or none.
std::vector<fs::path> shard_folders(const std::vector<std::string>& named, const char* option, data::Split split) {
  std::vector<fs::path> folders = data::token_shard_folders(named, split);
  if (!folders.empty() && folders.size() != named.size())
    fail_usage(option, ": ", folders[0].string(),
               " holds token shards, others hold text; give one or the other (r1 data mix makes one of several)");
  return folders;
}

// A generated task's own words, tags among them; only the end of a document is a control token.
std::unique_ptr<text::Tokenizer> task_tokenizer(const tasks::Task& task) {
  std::vector<std::string> words = {"<unk>", "<end>"};
  for (const auto& word : task.vocabulary()) words.push_back(word);
  return std::make_unique<text::Tokenizer>(text::Tokenizer::from_words(words, {.unk = "<unk>", .special = {"<end>"}, .eos = "<end>"}));
}

std::unique_ptr<text::Tokenizer> pretrain_tokenizer(const PretrainConfig& config, const tasks::Task* task) {
  if (!config.model.tokenizer_name_or_path.empty()) return load_tokenizer(config.model.tokenizer_name_or_path);
  if (!config.model.model_name_or_path.empty()) return load_tokenizer(config.model.model_name_or_path);
  if (task && !task->vocabulary().empty()) return task_tokenizer(*task);
  fail_usage("missing: --tokenizer_name_or_path (make one with r1 tokenizer train)");
}

// The new network's, with the tokenizer's vocabulary.
model::ModelConfig new_shape(const PretrainConfig& config, const text::Tokenizer& tokenizer) {
  model::ModelConfig shape = named_shape(config);
  shape.vocab_size = (tokenizer.vocab_size() + 15) / 16 * 16;
  shape.bos_token_id = tokenizer.bos_id().value_or(-1);
  shape.eos_token_id = tokenizer.eos_id().value_or(-1);
  shape.pad_token_id = tokenizer.pad_id().value_or(-1);
  model::finish_config(shape);
  return shape;
}

std::unique_ptr<model::Transformer> new_model(const model::ModelConfig& shape, int64_t seed, tensor::Device device, tensor::DType dtype,
                                              dist::Group* ranks) {
  auto out = std::make_unique<model::Transformer>(shape, device, dtype, model::Allocation::kAtOnce, ranks);
  out->init_weights(uint64_t(seed));
  return out;
}

std::vector<data::Document> eval_documents(const PretrainConfig& config, const text::Tokenizer& tokenizer) {
  const auto shards = shard_folders(config.eval_files, "eval_files", data::Split::kValidation);
  if (shards.empty())
    return data::corpus_documents(
        corpus_spec(data::find_files(config.eval_files, "eval_files", data::Split::kValidation), text_key(config), tokenizer));
  const auto source = data::made_token_shards(shards, tokenizer.hash());
  std::vector<data::Document> documents;
  for (int64_t i = 0; i < source->size(); ++i) documents.push_back(source->document(i));
  return documents;
}

}  // namespace

model::ModelConfig named_shape(const PretrainConfig& config) {
  model::ModelConfig shape = model::preset(config.preset);
  std::vector<Setting> changes;
  for (const auto& [key, value] : config.shape) changes.push_back({key, "shape." + key, value});
  apply_settings(shape, changes);
  shape.max_position_embeddings = std::max(shape.max_position_embeddings, config.max_length);
  return shape;
}

void check(const PretrainConfig& config, const Preflight& preflight) {
  check_device(config.run.device, preflight);
  check_batches(config.batches, config.max_length, config.packing_strategy);
  check_parallel(config.parallel, config.run, config.trainer);
  const bool from_files = !preflight.knows("train_files") || !config.train_files.empty();
  if (shard_folders(config.train_files, "train_files", data::Split::kTrain).empty())
    check_files(config.train_files, "train_files", preflight);
  if (shard_folders(config.eval_files, "eval_files", data::Split::kValidation).empty())
    check_files(config.eval_files, "eval_files", preflight);
  if (!from_files && config.task.task.empty() && preflight.knows("task"))
    fail_usage("nothing to train on: give train_files, or a generated task");
  if (!from_files && preflight.knows("max_steps") && config.run.max_steps == 0)
    fail_usage("a generated task's documents never end: give max_steps");
  if (from_files && config.run.max_steps == 0 && config.run.num_train_epochs <= 0)
    fail_usage("give max_steps, or num_train_epochs above 0");
  const auto task = config.task.task.empty() ? nullptr : check_task(config.task, preflight);
  if (task && !from_files && task->pretrain_document(0).empty())
    fail_usage("task '", task->name(), "' has no text to pretrain on; give train_files, or a generated task");
  const bool new_model = config.model.model_name_or_path.empty() && preflight.knows("model_name_or_path");
  if (new_model && config.model.tokenizer_name_or_path.empty() && preflight.knows("tokenizer_name_or_path") &&
      (config.task.task.empty() || (task && task->vocabulary().empty())))
    fail_usage("missing: --tokenizer_name_or_path (make one with r1 tokenizer train)");
  train::TrainerConfig trainer = config.trainer;
  training_dtype(config.model, trainer, at::kCPU);
  if (!new_model) {
    check_model(config.model, preflight);
    if (preflight.knows("model_name_or_path"))
      check_layers_parallel(config.parallel, model::read_model_config(model::find_model(config.model.model_name_or_path)), trainer);
    return;
  }
  // With the preset's own vocabulary: the tokenizer may not be there yet.
  model::ModelConfig shape = named_shape(config);
  model::finish_config(shape);
  shape.vocab_size = config.parallel.tp;
  check_layers_parallel(config.parallel, shape, trainer);
}

namespace {

Json pretrain_on(const PretrainConfig& config, Together& together) {
  const auto device = together.device;
  const auto task = config.task.task.empty() ? nullptr : load_task(config.task);
  const auto tokenizer = pretrain_tokenizer(config, task.get());
  // What can't be built is refused before there is a folder.
  const std::string& start = config.model.model_name_or_path;
  const model::ModelConfig shape = start.empty() ? new_shape(config, *tokenizer) : model::ModelConfig();
  if (start.empty()) check_layers_parallel(config.parallel, shape, config.trainer);
  Run run("pretrain", config.run, config_to_json(config), together.group.get());
  if (shares_checkpoints(config.parallel)) run.share_checkpoints();
  if (run.complete()) return run.results();

  SupervisedData data;
  std::unique_ptr<data::DocumentSource> source;
  if (!config.train_files.empty()) {
    const auto shards = shard_folders(config.train_files, "train_files", data::Split::kTrain);
    source = opened<std::unique_ptr<data::DocumentSource>>(run, "the token shards", [&](bool make) {
      if (!shards.empty()) return data::made_token_shards(shards, tokenizer->hash());
      const auto spec = corpus_spec(data::find_files(config.train_files, "train_files", data::Split::kTrain), text_key(config), *tokenizer);
      const fs::path folder = run.folder() / "token_shards";
      return make ? data::token_shards(folder, spec) : data::found_token_shards(folder, spec);
    });
  } else {
    const int32_t end = tokenizer->eos_id().value_or(-1);
    source = data::function_source(
        kEndless, [&, end](int64_t index) { return data::text_document(task->pretrain_document(index), encoder(*tokenizer), end); });
    data.loader.shuffle = false;
  }
  data.train = source.get();
  data.eval_steps = config.eval_steps;
  data.batches = config.batches;
  data.loader.pack = {
      .max_tokens = config.max_length, .strategy = config.packing_strategy, .long_documents = "split", .isolate = config.packing_isolate};
  if (!config.eval_files.empty()) data.eval_rows = data::pack(eval_documents(config, *tokenizer), data.loader.pack);

  const int64_t steps = supervised_steps(config.run, data);
  train::TrainerConfig trainer_config = config.trainer;
  const auto dtype = training_dtype(config.model, trainer_config, device);
  dist::Group* ranks = &together.mesh.tensor();
  const auto model = start.empty() ? new_model(shape, config.run.seed, device, dtype, ranks)
                                   : eval::load_weights_of(start, device, dtype, {.ranks = ranks});
  check_vocabulary(*tokenizer, model->config(), "pretrain");
  const std::string folder = eval::shell_word(config.run.output_dir);
  data.next = {"r1 generate " + folder, "r1 sft --model " + folder + " --train_files chat.jsonl --output_dir ..."};
  log_info("pretrain: ", model::parameter_count(model->config()), " parameters, ", steps_in_words(steps, config.run, data));
  train::Trainer trainer(*model, trainer_config, steps, uint64_t(config.run.seed), nullptr, quantized_training(trainer_config, *model, run),
                         sharing(config.parallel, together));
  return train_supervised(run, config.run, trainer, *tokenizer, data);
}

}  // namespace

Json pretrain(const PretrainConfig& config) {
  check(config, {.quick = true});
  Together together = meet(config.parallel, config.run, config_to_json(config));
  return in_group(*together.group, [&] { return pretrain_on(config, together); });
}

void PretrainConfig::visit(Fields& v) {
  v.group("", run);
  v.group("", model);
  v.group("", task);
  v.group("", trainer);
  v("preset", preset, "a named shape (r1 plan --list_presets), used when no model_name_or_path is given");
  v("shape", shape, "changes to the named shape: shape.<field of the model config>=value, e.g. shape.num_hidden_layers=2");
  v("train_files", train_files, "text or JSONL files, or folders of token shards (r1 data run); or give a generated task");
  v("eval_files", eval_files, "held-out text for eval_loss");
  v("text_field", text_field, "the field of JSONL rows that holds the text");
  v("max_length", max_length, "tokens of a packed row", Range{8, 1e7});
  v("packing_strategy", packing_strategy,
    "how documents fill rows: wrapped cuts where a row is full; bfd (best fit) cuts only what is longer than a row; none: one a row",
    OneOf{"wrapped", "bfd", "none"});
  v("packing_isolate", packing_isolate,
    "attention stays inside a document (false: a row is one sequence, as in DeepSeek-V3's pretraining)");
  v.group("", batches);
  v.group("parallel", parallel, "ranks that share the work");
  v("eval_steps", eval_steps, "steps between evaluations of eval_loss; 0: only at the end", Range{0, 1e9});
}

}  // namespace r1::stages
