#include "r1/quant/quantize.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/gguf_write.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/model/config_gguf.h"
#include "r1/model/families.h"
#include "r1/model/local_models.h"
#include "r1/model/weights_io.h"
#include "r1/ops/logprob.h"
#include "r1/quant/awq.h"
#include "r1/quant/calibration.h"
#include "r1/quant/gptq.h"
#include "r1/quant/smoothing.h"
#include "r1/quant/work_folder.h"
#include "r1/report/report.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/integers.h"

namespace r1::quant {

namespace {

using model::WeightRow;
using StatisticsOf = std::map<std::pair<const WeightRow*, int64_t>, std::shared_ptr<InputStatistics>>;

constexpr int64_t kTokensAtOnce = 4096;

// What writers of models put into a folder, this one's report and record among it.
bool is_written_here(const fs::directory_entry& entry) {
  static const std::set<std::string> kMore = {"model.safetensors.index.json", "report.html", "model.report.html", "quantize.json"};
  const fs::path name = entry.path().filename();
  if (entry.is_directory()) return false;
  return name.extension() == ".gguf" ? name == "model.gguf" : model::is_file_of_model(name) || kMore.contains(name.string());
}

// The folder at the output's place goes as a whole when the new one comes, so nothing else may lie in it: a mistyped name must not cost anybody's
// files, nor the model that is quantized.
void check_nothing_else_in(const fs::path& folder) {
  if (!fs::is_directory(folder)) return;
  for (const auto& entry : fs::directory_iterator(folder))
    if (!is_written_here(entry))
      fail_usage("--output_dir ", folder.string(), " holds '", entry.path().filename().string(),
                 "', which is no file of a quantized model and would be lost with it: name a folder of its own, such as ",
                 (folder / "quantized").string());
}

// As it is called, but for names that are another place's: a link, "." and "..".
fs::path folder_named(const std::string& name) {
  fs::path folder = name;
  while (!folder.has_filename() && folder.has_parent_path() && folder != folder.parent_path()) folder = folder.parent_path();
  const fs::path last = folder.filename();
  return last == "." || last == ".." || fs::is_symlink(folder) ? fs::weakly_canonical(folder) : folder;
}

fs::path output_of(const QuantizeConfig& config, const Plan& plan, const fs::path& source) {
  if (plan.scheme.gguf()) {
    if (config.output.empty() || !config.output_dir.empty())
      fail_usage("--scheme ", plan.scheme.name, " writes one file: give --output model.gguf (and no --output_dir)");
    const fs::path file = config.output;
    if (file.extension() != ".gguf") fail_usage("--output ", file.string(), ": expected a name that ends in .gguf");
    std::error_code error;
    if (fs::equivalent(file, source, error)) fail_usage("--output is the model's own file: name another one");
    if (fs::exists(file) && !config.overwrite && !WorkFolder::wrote(file))
      fail_usage("--output ", file.string(), " is there already (--overwrite writes over it)");
    return file;
  }
  if (config.output_dir.empty() || !config.output.empty())
    fail_usage("--scheme ", plan.scheme.name, " writes a folder: give --output_dir (and no --output)");
  const fs::path folder = folder_named(config.output_dir);
  std::error_code error;
  if (fs::equivalent(folder, fs::is_directory(source) ? source : source.parent_path() / ".", error))
    fail_usage("--output_dir is the model's own folder: name another one");
  if (fs::exists(folder) && !fs::is_directory(folder)) fail_usage("--output_dir ", folder.string(), " is a file");
  if (fs::exists(folder / "config.json") && !config.overwrite && !WorkFolder::wrote(folder))
    fail_usage("--output_dir ", folder.string(), " already holds a model (--overwrite writes over it)");
  check_nothing_else_in(folder);
  if (fs::equivalent(folder, fs::current_path(), error))
    fail_usage("--output_dir ", config.output_dir, " is the folder that the command runs in: name one in it");
  return folder;
}

// The model's weight files by name, size and time: what a quantization that goes on must have been begun with.
Json fingerprint(const fs::path& source) {
  Json files = Json::object();
  const auto add = [&](const fs::path& file) {
    files[file.filename().string()] = {fs::file_size(file), fs::last_write_time(file).time_since_epoch().count()};
  };
  if (!fs::is_directory(source)) add(source);
  if (fs::is_directory(source)) {
    for (const auto& entry : fs::directory_iterator(source)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".safetensors" || extension == ".gguf" || entry.path().filename() == "config.json") add(entry.path());
    }
  }
  return files;
}

// sum_ij w_ij^2 cost_j: the outputs' squares for a token whose channels have these mean squares and nothing to do with each other.
double outputs_of(const Tensor& weight_OI, const Tensor& cost_I) {
  return (weight_OI.square() * cost_I).sum(at::kDouble).item<double>();
}

// What the rounding of a matrix's inputs costs its outputs, seen while the calibration's tokens pass the quantized block.
struct RoundedInput {
  size_t error;      // its line in about["errors"]
  Tensor weight_OI;  // as it was rounded
  double all;        // outputs_of the original
  Tensor lost_I;     // sum (x - rounded x)^2
  int64_t tokens = 0;

  void add(const Tensor& x_TI, const Tensor& rounded_TI) {
    const Tensor here_I = (x_TI - rounded_TI).square_().sum(0);
    lost_I = lost_I.defined() ? lost_I.add_(here_I) : here_I;
    tokens += x_TI.size(0);
  }
  double share() const { return tokens > 0 && all > 0 ? outputs_of(weight_OI, lost_I / double(tokens)) / all : 0; }
};

class Quantizer {
 public:
  Quantizer(const QuantizeConfig& config, const QuantizeInputs& inputs)
      : config_(config),
        inputs_(inputs),
        shape_(without_mtp(model::read_model_config(inputs.source))),
        plan_(plan_of(config, shape_)),
        output_(output_of(config, plan_, inputs.source)) {
    if (plan_.scheme.gguf()) make_metadata();
    model_ = std::make_unique<model::Transformer>(shape_, at::kCPU, at::kFloat, model::Allocation::kAsLoaded);
    for (const WeightRow& row : model_->weights()) check_fits(plan_, row);
    read_text();
    reader_ = std::make_unique<model::WeightReader>(*model_, inputs.source);
    work_ = std::make_unique<WorkFolder>(output_, plan_json(), config.overwrite);
  }

  QuantizeResult run() {
    States states = work_->load_states();
    result_.resumed = states.next > 0;
    if (result_.resumed)
      log_info(work_->path().string(), states.next < units() ? str(": going on with part ", states.next + 1, " of ", units())
                                                             : ": all parts are there, only the output is left to write");
    Progress bar("quantize", units(), "block");
    for (int64_t unit = states.next; unit < units(); ++unit) {
      throw_if_interrupted();
      run_unit(unit, states);
      bar.update(unit + 1, note_);
    }
    bar.finish();
    gather();
    finish();
    return std::move(result_);
  }

 private:
  static model::ModelConfig without_mtp(model::ModelConfig shape) {
    if (shape.num_nextn_predict_layers > 0) log_info("multi-token prediction is left out of the quantized model");
    shape.num_nextn_predict_layers = 0;
    return shape;
  }

  // The embedding; the blocks; norm and head.
  int64_t units() const { return shape_.num_hidden_layers + 2; }
  int64_t unit_of(const WeightRow& row) const {
    constexpr std::string_view kPrefix = "layers.";
    if (row.name.starts_with(kPrefix)) return 1 + std::strtoll(row.name.c_str() + kPrefix.size(), nullptr, 10);
    return row.name == "embedding" || row.name == "positions" ? 0 : units() - 1;
  }
  std::vector<const WeightRow*> rows_of(int64_t unit) const {
    std::vector<const WeightRow*> rows;
    for (const WeightRow& row : model_->weights())
      if (unit_of(row) == unit) rows.push_back(&row);
    return rows;
  }

  // ---- before the work

  void make_metadata() {
    if (!inputs_.tokenizer) fail_usage("a GGUF file holds the tokenizer, and ", inputs_.source.string(), " has none");
    model::config_to_gguf(shape_, metadata_);
    metadata_.add_string("general.name", output_.stem().string());
    metadata_.add_u32("general.file_type", plan_.scheme.file_type);
    metadata_.add_u32("general.quantization_version", 2);
    if (!inputs_.gguf.empty()) {
      const GgufFile file = GgufFile::open(inputs_.gguf, {.allow_truncated = true});
      for (const std::string& key : file.keys())
        if (key.starts_with("tokenizer.")) metadata_.copy(file, key);
    } else {
      inputs_.tokenizer->to_gguf(metadata_, shape_.vocab_size);
    }
  }

  void read_text() {
    if (config_.data.empty() && !inputs_.next_text) {
      if (plan_.scheme.needs_data())
        fail_usage("--scheme ", plan_.scheme.name, " is made from what the model computes on text: give some with --data");
      if (plan_.smoothing > 0) fail_usage("--smoothing_strength is found from what the model computes on text: give some with --data");
      return;
    }
    if (!inputs_.next_text && !inputs_.tokenizer)
      fail_usage("--data needs the model's tokenizer, and ", inputs_.source.string(), " has none");
    if (config_.calibration_length > shape_.max_position_embeddings)
      fail_usage("--calibration_length ", config_.calibration_length, " is longer than the model's context of ",
                 shape_.max_position_embeddings);
    ids_ = calibration_ids(inputs_.next_text ? inputs_.next_text : texts_of(config_.data, *inputs_.tokenizer, inputs_.chat),
                           config_.calibration_samples + config_.eval_samples, config_.calibration_length);
    for (const int32_t id : ids_)
      if (id >= shape_.vocab_size)
        fail_usage("calibration: the tokenizer gives id ", id, ", and the model's embedding has ", shape_.vocab_size, " rows");
  }

  Json plan_json() const {
    Json plan = {{"scheme", plan_.scheme.name},
                 {"group_size", plan_.group},
                 {"symmetric", plan_.symmetric},
                 {"desc_act", plan_.desc_act},
                 {"damp_percent", plan_.damping},
                 {"checkpoint_format", config_.checkpoint_format},
                 {"activation_clip", plan_.clip},
                 {"clip_percentile", plan_.percentile},
                 {"smoothing_strength", plan_.smoothing},
                 {"calibration_samples", config_.calibration_samples},
                 {"calibration_length", config_.calibration_length},
                 {"eval_samples", config_.eval_samples}};
    // The others' ranges are their own.
    if (!plan_.scheme.gguf() && plan_.scheme.kind != Scheme::Kind::kFp8Block) plan["weight_range"] = config_.weight_range;
    plan["text"] = sha256(std::as_bytes(std::span(ids_)));
    plan["model"] = fingerprint(inputs_.source);
    return plan;
  }

  // ---- a unit

  void run_unit(int64_t unit, States& states) {
    const std::vector<const WeightRow*> rows = rows_of(unit);
    for (const WeightRow* row : rows) reader_->read(*row);
    const bool is_head = unit == units() - 1;
    // The head of a model that ties it is the embedding, which is needed once more.
    if (is_head && tied()) reader_->read(model::find_weight(model_->weights(), "embedding"));
    States after;
    after.next = unit + 1;
    if (!ids_.empty() && states.original_TD.defined())
      after.original_TD = is_head ? Tensor() : through(unit, states.original_TD, eval_begin());
    if (!ids_.empty() && unit == 0 && config_.eval_samples > 0) after.original_TD = through(0, {}, eval_begin());
    Json about = {{"unit", unit}, {"errors", Json::array()}};
    if (is_head && states.original_TD.defined()) about["loss_before"] = loss(states.original_TD, eval_begin());

    StatisticsOf statistics = observe(unit, rows, states.quantized_TD);
    if (plan_.scheme.kind == Scheme::Kind::kAwq) scale_channels(unit, statistics, about);
    if (plan_.smoothing > 0) {
      scale_channels(unit, statistics, about);
      // Magnitudes of channels that have been scaled are no longer those that were counted.
      if (plan_.want_histogram()) statistics = observe(unit, rows, states.quantized_TD);
    }
    std::vector<NamedTensor> tensors;
    for (const WeightRow* row : rows) quantize_row(*row, statistics, tensors, about);
    if (is_head && tied()) put_stored_embedding();

    if (!ids_.empty() && !is_head) after.quantized_TD = through(unit, states.quantized_TD, 0);
    for (const auto& rounded : rounded_inputs_) {
      Json& error = about["errors"][rounded->error]["error"];
      error = error.get<double>() + rounded->share();
    }
    rounded_inputs_.clear();
    check_finite(unit, after);
    if (is_head && states.original_TD.defined())
      about["loss_after"] = loss(states.quantized_TD.narrow(0, eval_begin(), eval_tokens()), eval_begin());
    for (const char* key : {"loss_before", "loss_after"})
      if (about.contains(key) && !std::isfinite(about[key].get<double>())) fail(not_finite(unit));
    for (const WeightRow* row : rows) {
      if (row->weight) row->weight->on_input({});
      // Norm and head stay for nobody.
      model::WeightReader::let_go(*row);
    }
    work_->save_unit(unit, tensors, about, after);
    double worst = 0;
    for (const Json& error : about["errors"]) worst = std::max(worst, error["error"].get<double>());
    if (worst > 0) note_ = str("largest error ", worst);
    states = std::move(after);
  }

  std::string not_finite(int64_t unit) const {
    const std::string where = unit == 0 ? "the embedding" : unit == units() - 1 ? "the head" : str("block ", unit - 1);
    return str(
        inputs_.source.string(), ": what ", where,
        " computes on the calibration text (--data) is not finite, so the model has overflowed; mend the model, or quantize it without "
        "--data by a scheme that needs none");
  }

  void check_finite(int64_t unit, const States& after) const {
    for (const Tensor& x : {after.original_TD, after.quantized_TD})
      if (x.defined() && !x.isfinite().all().item<bool>()) fail(not_finite(unit));
  }

  bool tied() const { return shape_.tie_word_embeddings; }

  // The head of the quantized model is its own embedding, as the first unit stored it.
  void put_stored_embedding() {
    const WeightRow& row = model::find_weight(model_->weights(), "embedding");
    reader_->read(row);
    StatisticsOf none;
    std::vector<NamedTensor> unused;
    Json about = {{"errors", Json::array()}};
    quantize_row(row, none, unused, about);
  }

  int64_t eval_begin() const { return config_.calibration_samples * config_.calibration_length; }
  int64_t eval_tokens() const { return config_.eval_samples * config_.calibration_length; }

  // Calls visit(first row of x, context, ids of the rows) for batches of whole sequences.
  template <class Visit>
  void in_batches(int64_t tokens, int64_t first_id, const Visit& visit) const {
    const int64_t length = config_.calibration_length, most = std::max<int64_t>(1, kTokensAtOnce / length);
    for (int64_t begin = 0; begin < tokens; begin += most * length) {
      throw_if_interrupted();
      const int64_t here = std::min(most * length, tokens - begin);
      const nn::LayerContext context{ops::sequences_of(at::kCPU, std::vector<int32_t>(size_t(here / length), int32_t(length)))};
      const std::vector<int64_t> ids(ids_.begin() + first_id + begin, ids_.begin() + first_id + begin + here);
      visit(begin, context, aten::tensor(ids));
    }
  }

  // The states after a unit; of unit 0 those of the tokens from `first_id` on, to the end of the text.
  Tensor through(int64_t unit, const Tensor& x_TD, int64_t first_id) const {
    const int64_t tokens = unit == 0 ? int64_t(ids_.size()) - first_id : x_TD.size(0);
    const Tensor out = aten::empty({tokens, shape_.hidden_size}, at::kFloat);
    in_batches(tokens, first_id, [&](int64_t begin, const nn::LayerContext& context, const Tensor& ids_T) {
      const int64_t count = ids_T.size(0);
      out.narrow(0, begin, count)
          .copy_(unit == 0 ? model_->entered(ids_T, context) : model_->through_block(int(unit) - 1, x_TD.narrow(0, begin, count), context));
    });
    return out;
  }

  // Mean over the tokens that have one before them in their sequence.
  double loss(const Tensor& x_TD, int64_t first_id) const {
    double sum = 0;
    int64_t counted = 0;
    const int64_t length = config_.calibration_length;
    in_batches(x_TD.size(0), first_id, [&](int64_t begin, const nn::LayerContext& context, const Tensor& ids_T) {
      const Tensor h_TD = model_->final_norm(x_TD.narrow(0, begin, ids_T.size(0)), context);
      const int64_t sequences = ids_T.size(0) / length;
      const Tensor from_TD = h_TD.view({sequences, length, -1}).narrow(1, 0, length - 1).reshape({sequences * (length - 1), -1});
      const Tensor targets_T = ids_T.view({sequences, length}).narrow(1, 1, length - 1).reshape({-1});
      sum -= ops::linear_logprob(from_TD, model_->head(), targets_T).logprob_T.sum(at::kDouble).item<double>();
      counted += targets_T.size(0);
    });
    return sum / double(counted);
  }

  // The inputs of each matrix of a unit, from the calibration's states before it. Matrices that read one tensor share what is known of it.
  StatisticsOf observe(int64_t unit, const std::vector<const WeightRow*>& rows, const Tensor& x_TD) const {
    StatisticsOf statistics;
    const bool head = unit == units() - 1;
    if (!x_TD.defined() || unit == 0 || (head && (tied() || !plan_.scheme.gguf()))) return statistics;
    std::map<const void*, std::shared_ptr<InputStatistics>> in_this_batch;
    std::vector<Tensor> held;  // so that no two inputs of a batch have one address
    for (const WeightRow* row : rows) {
      if (!row->weight || !(is_quantized(*row) || head)) continue;
      row->weight->on_input([&, row](const Tensor& x_TI, int64_t expert) {
        auto& seen = in_this_batch[x_TI.const_data_ptr()];
        auto& mine = statistics[{row, expert}];
        if (!seen) {
          seen = mine ? mine : std::make_shared<InputStatistics>();
          seen->add(x_TI, plan_.want_gram(), plan_.want_histogram());
          held.push_back(x_TI);
        }
        mine = seen;
        return x_TI;
      });
    }
    const int64_t tokens = config_.calibration_samples * config_.calibration_length;
    in_batches(tokens, 0, [&](int64_t begin, const nn::LayerContext& context, const Tensor& ids_T) {
      const Tensor x = x_TD.narrow(0, begin, ids_T.size(0));
      if (!head) model_->through_block(int(unit) - 1, x, context);
      if (head) {  // the head's product asks nobody
        for (const WeightRow* row : rows)
          if (row->weight) row->weight->input(model_->final_norm(x, context));
      }
      in_this_batch.clear();
      held.clear();
    });
    for (const WeightRow* row : rows)
      if (row->weight) row->weight->on_input({});
    return statistics;
  }

  // ---- channels made larger in the weights and smaller where the input is made: AWQ's scales, SmoothQuant's

  void scale_channels(int64_t unit, const StatisticsOf& statistics, Json& about) {
    if (unit == 0 || unit == units() - 1 || shape_.attention != "full" || model::family_of(shape_.family).latent_attention) return;
    const std::string layer = str("layers.", unit - 1, ".");
    const auto row_or_null = [&](const std::string& name) -> const WeightRow* {
      for (const WeightRow& row : model_->weights())
        if (row.name == layer + name) return &row;
      return nullptr;
    };
    const auto scale = [&](const std::vector<const char*>& producers, const std::vector<const char*>& consumers, bool norm) {
      std::vector<const WeightRow*> readers;
      std::vector<Tensor> weights;
      for (const char* name : consumers) {
        const WeightRow* row = row_or_null(name);
        if (!row || row->shape.size() != 2) continue;
        readers.push_back(row), weights.push_back(*row->tensor);
      }
      const WeightRow* producer = row_or_null(producers[0]);
      if (readers.empty() || !producer) return;
      const auto found = statistics.find({readers[0], 0});
      if (found == statistics.end() || producer->shape[0] != weights[0].size(1)) return;
      InputStatistics& own = *found->second;
      Tensor scale_I;
      if (plan_.smoothing > 0) {
        scale_I = smoothing_scales(weights, own.largest_I, plan_.smoothing);
      } else {
        const int64_t group = group_of(plan_, weights[0].size(1));
        const AwqScales s = awq_scales(weights, own.mean_abs_I(), own.gram_II, group, {.bits = 4, .symmetric = plan_.symmetric});
        about["scales"][producers[0]] = {{"exponent", s.exponent}, {"error", s.error}, {"unscaled", s.unscaled}};
        if (s.exponent == 0) return;
        scale_I = s.scale_I;
      }
      for (const Tensor& w : weights) w.mul_(scale_I);
      const double plus = norm ? producer->gguf_plus : 0;
      producer->tensor->copy_((*producer->tensor + plus) / (norm ? scale_I : scale_I.unsqueeze(1)) - plus);
      for (size_t i = 1; i < producers.size(); ++i)
        if (const WeightRow* bias = row_or_null(producers[i])) bias->tensor->div_(scale_I);
      // What was seen of the inputs holds for those that come now.
      if (own.gram_II.defined()) own.gram_II.div_(scale_I.unsqueeze(0)).div_(scale_I.unsqueeze(1));
      own.absolute_I.div_(scale_I);
      own.largest_I.div_(scale_I);
      own.squares_I.div_(scale_I.square());
    };
    scale({"attention_norm", "attention_norm_bias"}, {"attention.q", "attention.k", "attention.v", "attention.qkv"}, true);
    if (shape_.num_attention_heads == shape_.num_key_value_heads) scale({"attention.v", "attention.v_bias"}, {"attention.o"}, false);
    if (shape_.moe_layer(unit - 1)) return;  // router and experts read one norm
    if (shape_.ffn == "swiglu" || shape_.ffn == "geglu" || shape_.ffn == "gelu")
      scale({"mlp_norm", "mlp_norm_bias"}, {"mlp.gate", "mlp.up"}, true);
    if (shape_.ffn == "swiglu" || shape_.ffn == "geglu") scale({"mlp.up", "mlp.up_bias"}, {"mlp.down"}, false);
  }

  // ---- a weight

  // Adds what the file will hold, puts what a loaded file computes with in the weight's place, and sets how inputs are rounded.
  void quantize_row(const WeightRow& row, const StatisticsOf& statistics, std::vector<NamedTensor>& tensors, Json& about) {
    const auto inputs_of = [&](int64_t expert) -> const InputStatistics* {
      const auto found = statistics.find({&row, expert});
      return found == statistics.end() ? nullptr : found->second.get();
    };
    const auto note_error = [&](const std::string& name, const Tensor& weight_OI, const QuantizedMatrix& q, const InputStatistics* inputs) {
      double error;
      if (inputs && inputs->gram_II.defined()) {
        error = relative_error(weight_OI, q.values_OI, inputs->gram_II);
      } else {
        // Without a Gram matrix, as if the channels had nothing to do with each other.
        const Tensor cost_I = inputs && inputs->tokens > 0 ? inputs->mean_square_I() : aten::ones({weight_OI.size(1)}, at::kFloat);
        const double all = outputs_of(weight_OI, cost_I);
        error = all > 0 ? outputs_of(weight_OI - q.values_OI, cost_I) / all : 0;
      }
      if (!std::isfinite(error)) fail("'", name, "': its error after rounding is not finite: its weights or its inputs overflow");
      about["errors"].push_back({{"name", name}, {"error", error}});
      if (q.damping > plan_.damping) log_warning("'", name, "': the inputs' matrix had no inverse; damping ", q.damping, " was taken");
    };
    if (plan_.scheme.gguf()) {
      const GgmlType type = gguf_type_of(plan_.scheme, row, shape_);
      const InputStatistics* inputs = row.shape.size() == 2 ? inputs_of(0) : nullptr;
      QuantizedMatrix q =
          row.shape.size() == 3 ? quantize_gguf_experts(row, statistics) : quantize_gguf_row(plan_, row, *row.tensor, inputs);
      if (type != GgmlType::kF32 && type != GgmlType::kF16 && type != GgmlType::kBF16) {
        const int64_t columns = row.shape.back();
        note_error(row.name, row.tensor->reshape({-1, columns}), {{}, q.values_OI.reshape({-1, columns}), 0, 0}, inputs);
      }
      row.tensor->copy_(q.values_OI.view(row.shape));
      NamedTensor& stored = q.tensors[0];
      about["types"][stored.name] = {{"type", int64_t(*stored.type)}, {"shape", stored.shape}};
      tensors.push_back(std::move(stored));
      return;
    }
    const std::vector<model::StoredWeight> parts = model::stored_weights(row);
    std::vector<std::shared_ptr<RoundedInput>> rounded;
    std::vector<double> input_scales;
    for (size_t part = 0; part < parts.size(); ++part) {
      const std::string& name = parts[part].name;
      if (!is_quantized(row)) {
        const Tensor kept = parts[part].tensor.to(row.kind == model::WeightKind::kBuffer ? at::kFloat : plan_.wide).contiguous();
        if (!kept.isfinite().all().item<bool>())
          fail("'", name, "' holds NaN, infinity or what ", tensor::dtype_name(kept.scalar_type()), " has no room for");
        parts[part].tensor.copy_(kept);
        tensors.push_back({name, kept, {}});
        continue;
      }
      // Integers are laid out by outputs whatever the file's weight is; fp8 blocks are blocks of the file's matrix.
      const bool turn = row.transposed_in_hf && plan_.scheme.kind != Scheme::Kind::kFp8Block;
      const Tensor own = turn ? parts[part].tensor.t() : parts[part].tensor;
      const InputStatistics* inputs = inputs_of(int64_t(part));
      if (!ids_.empty() && !inputs && row.shape.size() == 3)
        log_warning("'", name, "': no token of the calibration came here; it is rounded to the nearest",
                    plan_.want_histogram() ? ", and its inputs have the widest range of the layer's other experts" : "");
      QuantizedMatrix q = quantize_matrix(plan_, name, own.contiguous(), inputs, inputs ? 0 : widest_range(row, statistics));
      if (plan_.int8()) {
        const double all = inputs && inputs->tokens > 0 ? outputs_of(own, inputs->mean_square_I()) : 0;
        rounded.push_back(std::make_shared<RoundedInput>(RoundedInput{about["errors"].size(), q.values_OI, all, {}}));
        if (all > 0) rounded_inputs_.push_back(rounded.back());
      }
      note_error(name, own, q, inputs);
      own.copy_(q.values_OI);
      input_scales.push_back(q.input_scale);
      for (NamedTensor& tensor : q.tensors) tensors.push_back(std::move(tensor));
    }
    if (!is_quantized(row)) return;
    if (!plan_.int8()) return;
    const bool dynamic = plan_.scheme.kind == Scheme::Kind::kInt8Dynamic;
    row.weight->on_input([dynamic, rounded, input_scales](const Tensor& x_TI, int64_t expert) {
      const size_t part = size_t(expert);
      const Tensor out_TI = dynamic ? tensor::rounded_inputs(x_TI) : tensor::rounded_inputs(x_TI, input_scales.at(part));
      rounded.at(part)->add(x_TI, out_TI);
      return out_TI;
    });
  }

  // Of what came to any expert of a layer: what one that no token was sent to has to reckon with. 0: nothing came, or nobody asks.
  double widest_range(const WeightRow& row, const StatisticsOf& statistics) const {
    double widest = 0;
    if (!plan_.want_histogram()) return widest;
    for (const auto& [key, seen] : statistics)
      if (key.first == &row && seen) widest = std::max(widest, input_range(plan_, *seen));
    return widest;
  }

  // Experts one by one, each with its own importances, as one tensor.
  QuantizedMatrix quantize_gguf_experts(const WeightRow& row, const StatisticsOf& statistics) const {
    WeightRow one = row;
    one.shape.erase(one.shape.begin());
    QuantizedMatrix all;
    std::vector<Tensor> bytes, values;
    for (int64_t e = 0; e < row.shape[0]; ++e) {
      const auto found = statistics.find({&row, e});
      QuantizedMatrix q =
          quantize_gguf_row(plan_, one, row.tensor->select(0, e), found == statistics.end() ? nullptr : found->second.get());
      bytes.push_back(q.tensors[0].tensor), values.push_back(q.values_OI);
      if (e == 0) all.tensors.push_back({row.gguf_name, {}, q.tensors[0].type, row.shape});
    }
    all.tensors[0].tensor = aten::cat(bytes);
    all.values_OI = aten::stack(values);
    return all;
  }

  // ---- after the work

  // From the parts' files, which hold it also of a run that was stopped in between.
  void gather() {
    result_.loss_before = result_.loss_after = std::nan("");
    for (int64_t unit = 0; unit < units(); ++unit) {
      const SafetensorsFile file = work_->open_unit(unit);
      const Json about = WorkFolder::about(file);
      double sum = 0;
      for (const Json& error : about["errors"]) {
        result_.errors.push_back({error["name"].get<std::string>(), error["error"].get<double>()});
        sum += result_.errors.back().error;
      }
      if (!about["errors"].empty() && unit > 0 && unit < units() - 1)
        lines_.push_back({{"step", unit - 1}, {"quantization_error", sum / double(about["errors"].size())}});
      for (const Json& error : about["errors"]) {
        const std::string name = error["name"].get<std::string>();
        if (!lines_.empty() && unit > 0 && unit < units() - 1) lines_.back()[short_name(name)] = error["error"];
      }
      if (about.contains("loss_before")) result_.loss_before = about["loss_before"].get<double>();
      if (about.contains("loss_after")) result_.loss_after = about["loss_after"].get<double>();
      for (const SafeTensor& tensor : file.tensors()) result_.bytes += tensor.bytes;
    }
    double sum = 0;
    for (const LayerError& e : result_.errors) sum += e.error;
    result_.mean_error = result_.errors.empty() ? 0 : sum / double(result_.errors.size());
    for (const WeightRow& row : model_->weights())
      result_.parameters += std::accumulate(row.shape.begin(), row.shape.end(), int64_t{1}, std::multiplies<>());
    result_.original_bytes = 2 * uint64_t(result_.parameters);
  }

  // Without the layer's number: "self_attn.q_proj", "attention.q".
  static std::string short_name(const std::string& name) {
    const size_t at = name.find("layers."), dot = at == std::string::npos ? at : name.find('.', at + 7);
    std::string text = dot == std::string::npos ? name : name.substr(dot + 1);
    if (text.ends_with(".weight")) text.resize(text.size() - 7);
    return "error/" + text;
  }

  void finish() {
    std::vector<SafetensorsFile> files;
    for (int64_t unit = 0; unit < units(); ++unit) files.push_back(work_->open_unit(unit));
    result_.output = output_;
    work_->note_written();
    if (plan_.scheme.gguf()) {
      result_.report = output_;
      result_.report.replace_extension(".report.html");
      write_gguf_file(files);
      report::write_report(result_.report, report());
    } else {
      const fs::path folder = work_->path() / "model";
      fs::remove_all(folder);  // of a run that died here, or what it had put in this one's place
      std::vector<SafeSource> sources;
      for (const SafetensorsFile& file : files)
        for (const SafeTensor& tensor : file.tensors())
          sources.push_back({tensor.name, tensor.type, tensor.shape, [&file, &tensor] { return file.data(tensor); }});
      model::write_weight_files(folder, std::move(sources), inputs_.max_shard_bytes);
      report::write_report(folder / "report.html", report());
      model::ModelConfig written = shape_;
      written.torch_dtype = tensor::dtype_name(plan_.wide);
      model::write_model_config(written, model::quantization_to_json(plan_.quantization()), folder);
      if (inputs_.carry) inputs_.carry(folder);  // its generation_config.json knows more than the one that is derived from a config
      if (!output_.parent_path().empty()) make_folder(output_.parent_path());
      swap_in_folder(folder, output_);
      result_.report = output_ / "report.html";
    }
    if (inputs_.finished) inputs_.finished(result_);
    work_->remove();
  }

  void write_gguf_file(const std::vector<SafetensorsFile>& files) const {
    std::vector<GgufSource> sources;
    const std::vector<float> factors = model::gguf_rope_factors(shape_);
    if (!factors.empty())
      sources.push_back(
          {"rope_freqs.weight", GgmlType::kF32, {int64_t(factors.size())}, [&factors] { return std::as_bytes(std::span(factors)); }});
    for (const SafetensorsFile& file : files) {
      const Json types = WorkFolder::about(file)["types"];
      for (const SafeTensor& tensor : file.tensors()) {
        const Json& type = types[tensor.name];
        sources.push_back({tensor.name, GgmlType(type["type"].get<int64_t>()), type["shape"].get<std::vector<int64_t>>(),
                           [&file, &tensor] { return file.data(tensor); }});
      }
    }
    if (!output_.parent_path().empty()) make_folder(output_.parent_path());
    write_gguf(output_, metadata_, sources);
  }

  report::ReportData report() {
    report::ReportData data;
    data.title = str("Quantized with ", plan_.scheme.name);
    data.subtitle = str(inputs_.source.filename().string(), ": ", human_count(double(result_.parameters)), " parameters, ",
                        shape_.num_hidden_layers, " blocks");
    const auto number = [](double x, const char* format) {
      char text[40];
      std::snprintf(text, sizeof(text), format, x);
      return std::string(text);
    };
    data.tiles.push_back({"size", human_bytes(double(result_.bytes)),
                          str(number(8 * double(result_.bytes) / double(result_.parameters), "%.2f"), " bits a weight; ",
                              human_bytes(double(result_.original_bytes)), " in 16 bits")});
    if (!std::isnan(result_.loss_before)) {
      data.tiles.push_back({"held-out loss", number(result_.loss_after, "%.4f"), "before: " + number(result_.loss_before, "%.4f")});
      data.tiles.push_back(
          {"perplexity", number(std::exp(result_.loss_after), "%.3f"), "before: " + number(std::exp(result_.loss_before), "%.3f")});
    }
    data.tiles.push_back({"output error", number(100 * result_.mean_error, "%.3f %%"),
                          ids_.empty() ? "of the weights, mean" : "share of a layer's squares lost, mean"});
    data.stages.push_back({"Error of each block", lines_});
    Json config;
    const Fields fields(config_);
    for (const Field& field : fields.list()) {
      std::visit([&](const auto* value) { config[field.key] = *value; }, field.value);
    }
    data.config = config;
    if (!inputs_.environment.is_null()) data.environment = inputs_.environment;
    return data;
  }

  QuantizeConfig config_;
  const QuantizeInputs& inputs_;
  model::ModelConfig shape_;
  Plan plan_;
  fs::path output_;
  GgufMetadata metadata_;
  std::unique_ptr<model::Transformer> model_;
  std::unique_ptr<model::WeightReader> reader_;
  std::unique_ptr<WorkFolder> work_;
  std::vector<int32_t> ids_;
  std::vector<std::shared_ptr<RoundedInput>> rounded_inputs_;  // of the unit at work
  std::vector<Json> lines_;
  std::string note_;  // of the bar
  QuantizeResult result_;
};

}  // namespace

QuantizeResult quantize(const QuantizeConfig& config, const QuantizeInputs& inputs) {
  const at::NoGradGuard no_grad;
  return Quantizer(config, inputs).run();
}

}  // namespace r1::quant
