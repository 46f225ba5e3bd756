#include "r1/stages/prune.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/base/safetensors_file.h"
#include "r1/data/find_files.h"
#include "r1/data/jsonl.h"
#include "r1/data/merge.h"
#include "r1/data/packing.h"
#include "r1/data/source.h"
#include "r1/data/text_stream.h"
#include "r1/eval/provenance.h"
#include "r1/model/footprint.h"
#include "r1/model/weights_io.h"
#include "r1/quant/prune_scores.h"
#include "r1/quant/prune_shape.h"
#include "r1/quant/prune_weights.h"
#include "r1/stages/model_files.h"
#include "r1/stages/results.h"
#include "r1/stages/sft_data.h"

namespace r1::stages {

namespace {

// "2:4" or a share; nothing: no weight goes.
std::optional<quant::SparsityOptions> sparsity_of(const PruneConfig& c) {
  if (c.sparsity.empty()) return std::nullopt;
  quant::SparsityOptions o{.method = c.sparsity_method, .damping = c.damping};
  o.of_four = c.sparsity == "2:4";
  if (o.of_four) return o;
  const char* const end = c.sparsity.data() + c.sparsity.size();
  const auto [at, error] = std::from_chars(c.sparsity.data(), end, o.share);
  if (error != std::errc() || at != end || !(o.share > 0 && o.share < 1))
    fail_usage("sparsity: expected 2:4, or the share of weights that become zero (0.5), got '", printable(c.sparsity), "'");
  return o;
}

bool needs_text(const PruneConfig& c) {
  const bool parts = c.kv_heads > 0 || c.ffn_channels > 0;
  return c.drop_layers > 0 || (parts && c.score != "l1") || (!c.sparsity.empty() && c.sparsity_method != "magnitude");
}
bool has_text(const PruneConfig& c) {
  return !c.train_files.empty() || !c.task.task.empty() || !c.task.data.empty();
}

// Without `n` layers from `first` on.
std::vector<int64_t> layers_but(int64_t layers, int64_t first, int64_t n) {
  std::vector<int64_t> kept;
  for (int64_t layer = 0; layer < layers; ++layer)
    if (layer < first || layer >= first + n) kept.push_back(layer);
  return kept;
}

// Of the shapes that are left when heads and channels have gone. The weights get no memory.
void check_sparsity(const quant::SparsityOptions& sparsity, const PruneConfig& c, model::ModelConfig m) {
  if (c.kv_heads > 0 && c.kv_heads < m.num_key_value_heads) {
    m.num_attention_heads = m.num_attention_heads / m.num_key_value_heads * c.kv_heads;
    m.num_key_value_heads = c.kv_heads;
  }
  if (c.ffn_channels > 0) m.intermediate_size = c.ffn_channels;
  quant::check_weights_can_go(model::Transformer(m, at::kCPU, at::kFloat, model::Allocation::kAsLoaded), sparsity);
}

void check_amounts(const PruneConfig& c, const model::ModelConfig& m) {
  if (c.drop_layers >= m.num_hidden_layers)
    fail_usage("drop_layers ", c.drop_layers, ": the model has ", m.num_hidden_layers, " layers, and one at least must stay");
  if (c.kv_heads > m.num_key_value_heads)
    fail_usage("kv_heads ", c.kv_heads, ": the model has ", m.num_key_value_heads, " key-value heads");
  if (c.ffn_channels > m.intermediate_size)
    fail_usage("ffn_channels ", c.ffn_channels, ": the model's MLPs have ", m.intermediate_size, " channels");
  if (c.kv_heads > 0 && c.kv_heads < m.num_key_value_heads) quant::check_heads_can_go(m);
  if (c.ffn_channels > 0 && c.ffn_channels < m.intermediate_size) quant::check_channels_can_go(m);
  for (int64_t first = 0; c.drop_layers > 0 && first <= m.num_hidden_layers - c.drop_layers; ++first)
    quant::check_layers_can_go(m, layers_but(m.num_hidden_layers, first, c.drop_layers));
  if (const auto sparsity = sparsity_of(c)) check_sparsity(*sparsity, c, m);
}

// Text of a plain file or of a row's "text", or a conversation.
data::Document document_of(const data::Text& text, const PruneConfig& config, const LoadedModel& loaded, const data::PromptMaker& prompts) {
  const auto plain = [&](std::string_view words) {
    const auto& tokenizer = *loaded.tokenizer;
    return data::text_document(
        words, [&](std::string_view t) { return tokenizer.encode(t); }, tokenizer.eos_id().value_or(-1),
        tokenizer.add_bos() ? tokenizer.bos_id().value_or(-1) : -1);
  };
  if (!text.row) return plain(text.text);
  const Json row = data::parse_row(text.text, text.where);
  const auto field = row.find("text");
  if (field != row.end() && field->is_string() && !row.contains("messages")) return plain(field->get_ref<const std::string&>());
  return prompts.conversation(data::conversation_from_json(row, text.where, data::TemplateKeys::kKnown, config.task.columns), text.where);
}

std::vector<data::Batch> calibration(const PruneConfig& config, const LoadedModel& loaded) {
  std::vector<data::Document> documents;
  if (!has_text(config)) return {};
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  if (config.train_files.empty()) {
    const auto task = training_task(config.task);
    const int64_t problems = tasks::required_size(*task, "train", "prune");
    const auto examples = task_examples(*task, prompts, std::min(problems, config.num_examples));
    for (int64_t i = 0; i < examples->size(); ++i) documents.push_back(examples->document(i));
  } else {
    data::TextStream texts(data::find_files(config.train_files, "train_files", data::Split::kTrain));
    for (data::Text text; int64_t(documents.size()) < config.num_examples && texts.next(text);)
      documents.push_back(document_of(text, config, loaded, prompts));
  }
  auto rows = data::pack(documents, {.max_tokens = config.max_length});
  if (rows.empty()) fail_usage("prune: the calibration text has no token to learn within max_length ", config.max_length);
  return rows;
}

std::vector<int64_t> counted(int64_t n) {
  std::vector<int64_t> out(static_cast<size_t>(n));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

// The layers that stay when the `n` go whose loss moves the states least.
std::vector<int64_t> layers_without(model::Transformer& model, const std::vector<data::Batch>& rows, int64_t n, Json& record) {
  const auto distances = quant::angular_distances(model, rows, n);
  record["angular_distances"] = distances;
  const int64_t layers = model.config().num_hidden_layers;
  const size_t first = size_t(std::min_element(distances.begin(), distances.end()) - distances.begin());
  for (int64_t layer = int64_t(first); layer < int64_t(first) + n; ++layer) record["dropped_layers"].push_back(layer);
  return layers_but(layers, int64_t(first), n);
}

// Scores of all layers -> what stays of each kept one.
std::vector<std::vector<int64_t>> best_of(const std::vector<Tensor>& scores, const std::vector<int64_t>& layers, int64_t count) {
  std::vector<std::vector<int64_t>> out;
  for (const int64_t layer : layers) out.push_back(quant::largest(scores[size_t(layer)], count));
  return out;
}

std::unique_ptr<model::Transformer> smaller(const PruneConfig& config, std::unique_ptr<model::Transformer> model,
                                            const std::vector<data::Batch>& rows, Json& record) {
  const model::ModelConfig& m = model->config();
  const bool heads = config.kv_heads > 0 && config.kv_heads < m.num_key_value_heads;
  const bool channels = config.ffn_channels > 0 && config.ffn_channels < m.intermediate_size;
  if (config.drop_layers == 0 && !heads && !channels) return model;
  quant::KeptParts kept{.layers = counted(m.num_hidden_layers)};
  if (config.drop_layers > 0) kept.layers = layers_without(*model, rows, config.drop_layers, record);
  if (heads || channels) {
    const auto scores = quant::part_scores(*model, rows, {.by = config.score, .channels = channels, .kv_heads = heads});
    if (heads) kept.kv_heads = best_of(scores.kv_heads, kept.layers, config.kv_heads);
    if (channels) kept.channels = best_of(scores.channels, kept.layers, config.ffn_channels);
    if (heads) record["kept_kv_heads"] = kept.kv_heads;
  }
  return quant::smaller_model(*model, kept);
}

// Rounding to the written dtype keeps zeros zero.
Json sparsified(const quant::SparsityOptions& options, model::Transformer& model, const std::vector<data::Batch>& rows) {
  const auto done = quant::prune_weights(model, rows.empty() ? data::Batch() : data::merge_rows(rows), options);
  Json matrices = Json::array();
  for (const auto& matrix : done) matrices.push_back({{"name", matrix.name}, {"zeros", matrix.zeros}, {"relative_error", matrix.error}});
  return matrices;
}

double share_of_zeros(const model::Transformer& model) {
  double zeros = 0, all = 0;
  for (const model::WeightRow& row : model.weights()) {
    if (row.kind != model::WeightKind::kMatrix) continue;
    zeros += (*row.tensor == 0).sum().item<double>();
    all += double(row.tensor->numel());
  }
  return all > 0 ? zeros / all : 0;
}

ResultPlace place_of(const PruneConfig& config) {
  const fs::path folder = config.output_dir;
  return {.what = "prune",
          .record = folder / "prune.json",
          .files = {folder / "config.json", folder / kSafetensorsSingle, folder / kSafetensorsIndex},
          .option = "output_dir",
          .overwrite = config.overwrite,
          .inputs = {{"model", identity(config.model.model_name_or_path)}}};
}

void check_place(const PruneConfig& config) {
  const fs::path source = model::find_model(config.model.model_name_or_path);
  std::error_code error;
  if (fs::equivalent(config.output_dir, fs::is_directory(source) ? source : source.parent_path() / ".", error))
    fail_usage("prune: output_dir ", config.output_dir, " is the model's own folder, which would be written over: name another one");
}

}  // namespace

void check(const PruneConfig& config, const Preflight& preflight) {
  check_device(config.device, preflight);
  const auto sparsity = sparsity_of(config);
  if (config.drop_layers == 0 && config.kv_heads == 0 && config.ffn_channels == 0 && !sparsity)
    fail_usage("prune: nothing is to go; give drop_layers, kv_heads, ffn_channels or sparsity");
  if (preflight.knows("train_files") && preflight.knows("data") && preflight.knows("task")) {
    if (needs_text(config) && !has_text(config))
      fail_usage("prune: what matters is measured on text; give train_files or a task (score l1 and sparsity_method magnitude need none)");
    check_files(config.train_files, "train_files", preflight);
    if (config.train_files.empty() && has_text(config)) {
      const auto task = check_task(training_tasks(config.task, {}, {})[0], preflight);
      if (task) tasks::required_size(*task, "train", "prune");
    }
  }
  check_model(config.model, preflight);
  if (preflight.knows("model_name_or_path") && preflight.knows("output_dir")) check_place(config);
  if (preflight.knows("model_name_or_path") && preflight.knows("drop_layers") && preflight.knows("kv_heads") &&
      preflight.knows("ffn_channels"))
    check_amounts(config, model::read_model_config(model::find_model(config.model.model_name_or_path)));
}

Json prune(const PruneConfig& config) {
  const ResultPlace place = place_of(config);
  if (const auto results = earlier_results(place, config_to_json(config))) return *results;
  check(config, {.quick = true});
  const auto device = tensor::parse_device(config.device);
  auto loaded = load(config.model, device, resolve_dtype(config.model.dtype, device));
  const auto rows = calibration(config, loaded);
  int64_t tokens = 0;
  for (const auto& row : rows) tokens += row.tokens();
  if (!rows.empty()) log_info("prune: ", rows.size(), rows.size() == 1 ? " row" : " rows", " of calibration text, ", tokens, " tokens");

  Json results, record;
  results["parameters_before"] = model::parameter_count(loaded.model->config());
  if (!rows.empty()) results["loss_before"] = quant::mean_loss(*loaded.model, rows);
  loaded.model = smaller(config, std::move(loaded.model), rows, record);
  if (const auto sparsity = sparsity_of(config)) record["matrices"] = sparsified(*sparsity, *loaded.model, rows);
  throw_if_interrupted();
  const model::ModelConfig& m = loaded.model->config();
  results["parameters"] = model::parameter_count(m);
  if (!rows.empty()) results["loss"] = quant::mean_loss(*loaded.model, rows);
  results["layers"] = m.num_hidden_layers, results["kv_heads"] = m.num_key_value_heads, results["ffn_channels"] = m.intermediate_size;
  results["zeros"] = share_of_zeros(*loaded.model);

  make_folder(config.output_dir);
  const fs::path folder = config.output_dir;
  loaded.tokenizer->save(folder);
  // As the model came, unless another dtype was asked for; zeros stay zeros.
  const auto written = tensor::parse_dtype(config.model.dtype == "auto" ? m.torch_dtype : config.model.dtype);
  uintmax_t bytes = 0;
  for (const auto& name : model::save_model(*loaded.model, folder, written)) bytes += fs::file_size(folder / name);
  carry_generation_config(model::find_model(config.model.model_name_or_path), folder);
  results["bytes"] = bytes;
  record.update(results);
  write_record(place, config_to_json(config), record);
  // Of its own a model has a few zeros, and one that came from 4 bits a tenth; another prune may have left many.
  const bool sparse = !config.sparsity.empty() || results["zeros"] > 0.25;
  log_info("prune: ", human_count(double(results["parameters_before"])), " parameters became ", human_count(double(results["parameters"])),
           " (", m.num_hidden_layers, m.num_hidden_layers == 1 ? " layer, " : " layers, ", m.num_key_value_heads, " key-value heads, ",
           m.intermediate_size, " channels), ",
           sparse ? str(int(double(results["zeros"]) * 1000 + 0.5) / 10.0, " % of the matrices' weights are zero, ") : "",
           rows.empty()
               ? ""
               : str("loss on the calibration text ", results["loss_before"].get<double>(), " -> ", results["loss"].get<double>(), ", "),
           "the model is in ", folder.string());
  if (!config.in_recipe) {
    const std::string train = str(" --model ", eval::shell_word(folder.string()), sparse ? " --keep_zeros" : "");
    log_info("next:   r1 sft", train, " --output_dir ...   or   r1 distill", train, " --teacher ",
             eval::shell_word(config.model.model_name_or_path), " --output_dir ...");
  }
  return results;
}

void PruneConfig::visit(Fields& v) {
  v("output_dir", output_dir, "folder of the pruned model", Required{});
  v("overwrite", overwrite, "make the result anew where one stands already");
  v("device", device, "cpu, cuda, cuda:N; auto: the GPU if there is one");
  v.group("", model);
  v.group("", task);
  v.group("", prompt);
  v("train_files", train_files, "calibration text: chat JSONL, rows with a \"text\", or plain text; or give a task");
  v("num_examples", num_examples, "documents of it that are read", Range{1, 1e9});
  v("max_length", max_length, "tokens of a row", Range{8, 1e7});
  v("drop_layers", drop_layers, "layers that go: those in a row that turn the states least (angular distance)", Range{0, 1e4});
  v("kv_heads", kv_heads, "key-value heads that stay in each layer, with their query heads; 0: all", Range{0, 1e5});
  v("ffn_channels", ffn_channels, "channels that stay in each MLP; 0: all", Range{0, 1e7});
  v("score", score, "what tells which heads and channels matter: the size of their weights, of what they add, or the loss's gradient",
    OneOf{"l1", "activation", "gradient"});
  v("sparsity", sparsity, "2:4, or the share of the layers' weights that become zero (0.5); empty: none");
  v("sparsity_method", sparsity_method, "which of them, and whether others make up for it", OneOf{"magnitude", "wanda", "sparsegpt"});
  v("damping", damping, "of sparsegpt: added to the inputs' second moments, a share of their mean", Range{0, 10});
}

}  // namespace r1::stages
