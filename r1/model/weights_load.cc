// Weights into a model's tensors, from safetensors and GGUF.
#include <ATen/core/grad_mode.h>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/memory.h"
#include "r1/model/footprint.h"
#include "r1/model/shard.h"
#include "r1/model/weights_check.h"
#include "r1/model/weights_files.h"
#include "r1/model/weights_integers.h"
#include "r1/ops/device_matrix.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/fp8_block.h"
#include "r1/tensor/gguf.h"
#include "r1/tensor/packed.h"
#include "r1/tensor/safetensors.h"

namespace r1::model {
namespace {

int64_t weight_bytes(const WeightTable& weights) {
  int64_t bytes = 0;
  for (const WeightRow& row : weights) bytes += row.tensor->nbytes();
  return bytes;
}

// transformers reads the whole file too; other programs follow the index.
void warn_of_index(const fs::path& path) {
  const fs::path single = path / kSafetensorsSingle, index = path / kSafetensorsIndex;
  if (fs::is_directory(path) && fs::exists(single) && fs::exists(index))
    log_warning(single.string(), " is read; ", index.string(), " is of another save (remove the one that is stale)");
}

void read_part(const SafetensorsModel& stored, const StoredWeight& part, bool transposed) {
  if (stored_in_integers(stored, part.name)) {
    const Tensor values = tensor::dense(read_integers(stored, part.name, part.tensor.size(transposed ? 0 : 1)));
    part.tensor.copy_(transposed ? values.t() : values);
    return;
  }
  const Stored found = stored.find(part.name);
  if (!is_fp8(*found.tensor)) return tensor::read_safetensor_into(*found.file, *found.tensor, part.tensor);
  const Stored scale = stored.find(scale_name(part.name));
  tensor::from_fp8_blocks(
      {tensor::read_safetensor(*found.file, *found.tensor), tensor::read_safetensor(*scale.file, *scale.tensor, at::kFloat)}, part.tensor);
}

// The integers of all of a row, or null.
std::shared_ptr<const tensor::PackedMatrix> packed_integers(const SafetensorsModel& stored, const WeightRow& row) {
  std::vector<tensor::IntegerMatrix> parts;
  for (const StoredWeight& part : stored_weights(row)) {
    if (!stored_in_integers(stored, part.name)) return nullptr;
    parts.push_back(read_integers(stored, part.name, row.shape.back()));
  }
  const auto inputs = stored.quantization()->inputs;
  if (inputs == Quantization::Inputs::kAsTheyAre) return tensor::pack_integers(std::move(parts));
  if (inputs == Quantization::Inputs::kPerToken) return tensor::pack_integers(std::move(parts), InputRounding::kRow);
  std::vector<float> scales;
  for (const StoredWeight& part : stored_weights(row)) scales.push_back(float(read_input_scale(stored, part.name).value_or(0)));
  return tensor::pack_integers(std::move(parts), InputRounding::kFixed, scales);
}

// The stored tensor where the file's map has it, for who copies it at once.
Tensor view_of(const Stored& stored) {
  const auto bytes = stored.file->data(*stored.tensor);
  if (bytes.empty() || reinterpret_cast<uintptr_t>(bytes.data()) % 8 != 0) return tensor::read_safetensor(*stored.file, *stored.tensor);
  return aten::from_blob(const_cast<std::byte*>(bytes.data()), stored.tensor->shape,
                         at::TensorOptions().dtype(tensor::dtype_of(stored.tensor->type)));
}

// Matrices of floats that are smaller packed than in the model's dtype, or null: 2:4 in any dtype; 16 bits in an fp32 model, of a quantized
// folder (whose embedding and head are left so) or where all that can be packed is asked for.
std::shared_ptr<const tensor::PackedMatrix> packed_floats(const SafetensorsModel& stored, const WeightRow& row, const ModelLoad& how) {
  if (!row.weight->device().is_cpu()) return nullptr;
  std::vector<Tensor> parts;
  bool sparse = true, narrow = row.tensor->scalar_type() == at::kFloat && (stored.quantization() || !how.products_only);
  for (const StoredWeight& part : stored_weights(row)) {
    const Stored values = stored.find(part.name);
    if (!values.tensor || values.tensor->shape.size() != 2) return nullptr;
    const SafeType type = values.tensor->type;
    if (type != SafeType::kBF16 && type != SafeType::kF16 && type != SafeType::kF32) return nullptr;
    if (!parts.empty() && tensor::dtype_of(type) != parts[0].scalar_type()) return nullptr;
    narrow = narrow && type != SafeType::kF32;
    parts.push_back(view_of(values));
    sparse = sparse && tensor::is_sparse24(parts.back());
    if (!sparse && !narrow) return nullptr;
  }
  return tensor::pack_floats(std::move(parts));
}

// Inputs of matrices in int8 are rounded too, where the file says so.
void set_inputs(const SafetensorsModel& stored, const WeightRow& row) {
  if (!stored.quantization() || stored.quantization()->inputs == Quantization::Inputs::kAsTheyAre || !row.weight) return;
  std::vector<double> scales;
  for (const StoredWeight& part : stored_weights(row)) {
    if (!stored_in_integers(stored, part.name)) return;
    scales.push_back(read_input_scale(stored, part.name).value_or(0));
  }
  if (stored.quantization()->inputs == Quantization::Inputs::kPerToken) {
    row.weight->on_input([](const Tensor& x_TI, int64_t) { return tensor::rounded_inputs(x_TI); });
  } else {
    row.weight->on_input([scales](const Tensor& x_TI, int64_t expert) { return tensor::rounded_inputs(x_TI, scales.at(size_t(expert))); });
  }
}

// The packed form of all of a row, or null if there is none, or the file has some of it otherwise.
std::shared_ptr<const tensor::PackedMatrix> packed_row(const SafetensorsModel& stored, const WeightRow& row, const ModelLoad& how) {
  if (auto integers = packed_integers(stored, row)) return integers;
  if (row.transposed_in_hf) return nullptr;
  if (auto floats = packed_floats(stored, row, how)) return floats;
  std::vector<tensor::Fp8Blocks> parts;
  for (const StoredWeight& part : stored_weights(row)) {
    const Stored values = stored.find(part.name);
    if (!is_fp8(*values.tensor)) return nullptr;
    const Stored scales = stored.find(scale_name(part.name));
    parts.push_back({view_of(values), tensor::read_safetensor(*scales.file, *scales.tensor, at::kFloat)});
  }
  return tensor::pack_fp8_blocks(std::move(parts));
}

// Whether a layer reads the matrix whole at each use: then a packed one would be unpacked each time.
bool is_read_whole(const WeightRow& row, const ModelConfig& config) {
  return row.name.ends_with(".kv_b") ||
         (config.ffn == "topk_sparse" && row.name.find(".mlp.") != std::string::npos);  // nn/mla, nn/sparse_mlp
}

// The form that a GPU multiplies, on it; null if the file has some of the row otherwise, or there is no such form.
std::shared_ptr<const ops::DeviceMatrix> on_device(const std::vector<tensor::GroupedCodes>& parts, const WeightRow& row) {
  const auto matrix = parts.empty() ? nullptr : ops::pack_for_device(parts);
  return matrix ? ops::to_device(*matrix, row.weight->device()) : nullptr;
}

std::vector<tensor::GroupedCodes> stored_codes(const SafetensorsModel& stored, const WeightRow& row) {
  std::vector<tensor::GroupedCodes> parts;
  for (const StoredWeight& part : stored_weights(row)) {
    if (stored_in_integers(stored, part.name)) {
      parts.push_back(tensor::grouped_codes(read_integers(stored, part.name, row.shape.back())));
      continue;
    }
    const Stored values = stored.find(part.name);
    if (row.transposed_in_hf || !is_fp8(*values.tensor)) return {};
    const Stored scales = stored.find(scale_name(part.name));
    parts.push_back(tensor::grouped_codes(tensor::Fp8Blocks{tensor::read_safetensor(*values.file, *values.tensor),
                                                            tensor::read_safetensor(*scales.file, *scales.tensor, at::kFloat)}));
  }
  return parts;
}

// On a GPU: packed there if it may be, with the model in the dtype of its products.
bool stays_packed_on_device(const WeightRow& row, const ModelLoad& how, const std::function<std::vector<tensor::GroupedCodes>()>& read) {
  if (!how.keep_packed || !row.weight || !row.weight->device().is_cuda() || row.tensor->scalar_type() != at::kBFloat16) return false;
  auto matrix = on_device(read(), row);
  if (matrix) row.weight->pack(std::move(matrix));
  return row.weight->packed();
}

// Leaves the weight packed if it may be, else makes room for its values.
bool stays_packed(const WeightRow& row, const ModelConfig& config, const ModelLoad& how,
                  const std::function<std::shared_ptr<const tensor::PackedMatrix>()>& read) {
  if (!row.weight) return false;
  const bool may = how.keep_packed && !(how.products_only && (row.weight->device().is_cuda() || is_read_whole(row, config)));
  if (auto packed = may ? read() : nullptr; packed && (packed->has_product() || !how.products_only)) {
    row.weight->pack(std::move(packed));
    return true;
  }
  row.weight->make_plain();
  return false;
}

// Of a row that ranks share: `read` fills the whole of it, which is there meanwhile, and this rank's part is kept.
void read_split(const Transformer& model, const WeightRow& row, const std::function<void(const WeightRow& whole)>& read) {
  if (row.weight) row.weight->make_plain();
  Tensor place = aten::empty(row.whole_shape, at::TensorOptions(row.tensor->scalar_type()));
  const WeightRow whole = whole_row(row, place);
  read(whole);
  row.tensor->copy_(shard_of(whole, place, model.group()));
}

// Inputs are rounded by what all of a token's numbers have in common, of which a rank has a part.
void check_split_inputs(const Transformer& model, const SafetensorsModel& stored, const fs::path& path) {
  if (model.ranks() && stored.quantization() && stored.quantization()->inputs != Quantization::Inputs::kAsTheyAre)
    fail_usage(path.string(), ": a model whose products round their inputs cannot be shared out among ranks; unpack it first (r1 convert)");
}

void load_safetensors(Transformer& model, const fs::path& path, const WeightProgress& progress, const ModelLoad& how) {
  warn_of_index(path);
  const SafetensorsModel stored(path);
  check_split_inputs(model, stored, path);
  check_weights(model, stored, path);
  ProgressCounter done(progress, weight_bytes(model.weights()));
  for (const WeightRow& row : model.weights()) {
    if (is_split(row)) {
      read_split(model, row, [&](const WeightRow& whole) {
        for (const StoredWeight& part : stored_weights(whole)) read_part(stored, part, whole.transposed_in_hf);
      });
      done(row.tensor->nbytes());
      continue;
    }
    set_inputs(stored, row);
    if (stays_packed_on_device(row, how, [&] { return stored_codes(stored, row); }) ||
        stays_packed(row, model.config(), how, [&] { return packed_row(stored, row, how); })) {
      done(row.tensor->nbytes());
      continue;
    }
    for (const StoredWeight& part : stored_weights(row)) {
      read_part(stored, part, row.transposed_in_hf);
      done(part.tensor.nbytes());
    }
  }
}

void load_gguf_row(const GgufFile& file, const GgufTensor& stored, const WeightRow& row, const tensor::RowOrder& order) {
  const Tensor weight = row.transposed_in_gguf ? row.tensor->t() : *row.tensor;
  if (row.gguf_plus != 0) {
    weight.copy_(tensor::read_gguf_tensor(file, stored, at::kFloat, order) - row.gguf_plus);
  } else if (weight.device().is_cpu() && weight.is_contiguous()) {
    tensor::read_gguf_tensor_into(file, stored, weight, order);
  } else {
    weight.copy_(tensor::read_gguf_tensor(file, stored, weight.scalar_type(), order));
  }
}

void load_gguf(Transformer& model, const fs::path& path, const WeightProgress& progress, const ModelLoad& how) {
  const GgufFile file = GgufFile::open(path);
  check_weights(model, file);
  ProgressCounter done(progress, weight_bytes(model.weights()));
  for (const WeightRow& row : model.weights()) {
    const GgufTensor& stored = *file.find(row.gguf_name);
    const tensor::RowOrder order = row.rope_permuted_in_gguf ? rope_order(model.config().head_dim) : tensor::RowOrder();
    if (is_split(row)) {
      read_split(model, row, [&](const WeightRow& whole) { load_gguf_row(file, stored, whole, order); });
      done(row.tensor->nbytes());
      continue;
    }
    const auto packed = [&] { return row.transposed_in_gguf ? nullptr : tensor::pack_gguf_tensor(file, stored, order); };
    const auto codes = [&]() -> std::vector<tensor::GroupedCodes> {
      if (row.transposed_in_gguf || row.gguf_plus != 0 || !tensor::is_quantized(stored.type)) return {};
      return {tensor::grouped_codes(file, stored, order)};
    };
    if (!stays_packed_on_device(row, how, codes) && !stays_packed(row, model.config(), how, packed))
      load_gguf_row(file, stored, row, order);
    done(row.tensor->nbytes());
  }
}

}  // namespace

// llama's GGUF files hold the rows of q and k for a rotary embedding that pairs neighbours; HF's (and ours) pairs row i with row i +
// head_dim / 2 of a head. Their row order within a head is 0, half, 1, half + 1, ...
tensor::RowOrder rope_order(int64_t head_dim) {
  return [head_dim, half = head_dim / 2](int64_t row) {
    const int64_t head = row / head_dim, in_head = row % head_dim;
    return head * head_dim + (in_head % half) * 2 + in_head / half;
  };
}

struct WeightReader::Source {
  std::unique_ptr<SafetensorsModel> stored;  // or
  std::unique_ptr<GgufFile> gguf;
};

WeightReader::WeightReader(Transformer& model, const fs::path& name)
    : head_dim_(model.config().head_dim), source_(std::make_unique<Source>()) {
  const fs::path path = weights_at(find_model(name));
  if (is_gguf(path)) {
    source_->gguf = std::make_unique<GgufFile>(GgufFile::open(path));
    check_weights(model, *source_->gguf);
  } else {
    source_->stored = std::make_unique<SafetensorsModel>(path);
    check_weights(model, *source_->stored, path);
  }
}

WeightReader::~WeightReader() = default;

void WeightReader::read(const WeightRow& row) {
  const at::NoGradGuard no_grad;
  if (row.weight) row.weight->make_plain();
  if (source_->gguf) {
    const tensor::RowOrder order = row.rope_permuted_in_gguf ? rope_order(head_dim_) : tensor::RowOrder();
    return load_gguf_row(*source_->gguf, *source_->gguf->find(row.gguf_name), row, order);
  }
  for (const StoredWeight& part : stored_weights(row)) read_part(*source_->stored, part, row.transposed_in_hf);
}

void WeightReader::let_go(const WeightRow& row) {
  if (row.weight) *row.tensor = aten::empty(row.shape, at::TensorOptions().device(at::kMeta).dtype(row.tensor->scalar_type()));
}

void load_weights(Transformer& model, const fs::path& name, const WeightProgress& progress, const ModelLoad& wanted) {
  const at::NoGradGuard no_grad;
  ModelLoad how = wanted;
  how.keep_packed = how.keep_packed && !model.ranks();
  const fs::path path = weights_at(find_model(name));
  is_gguf(path) ? load_gguf(model, path, progress, how) : load_safetensors(model, path, progress, how);
  model.arrange();
  model.bump_version();
}

std::unique_ptr<Transformer> load_model(const fs::path& path, tensor::Device device, tensor::DType dtype, const WeightProgress& progress,
                                        const ModelLoad& how) {
  const fs::path weights = weights_at(find_model(path));
  ModelConfig config = read_model_config(path);
  if (config.num_nextn_predict_layers > 0 && !stores_mtp(weights, config.num_hidden_layers)) {
    log_info(weights.string(), ": no weights of multi-token prediction here; going on without");
    config.num_nextn_predict_layers = 0;
  }
  const int64_t wanted = parameter_count(config), stored = stored_elements(weights);
  // A few missing tensors are listed by name further on; a config that is beyond all measure must not have its memory.
  if (stored < wanted / 2) fail(weights.string(), ": the config describes ", wanted, " parameters, but only ", stored, " are stored");
  auto model = std::make_unique<Transformer>(config, device, dtype, Allocation::kAsLoaded, how.ranks);
  load_weights(*model, path, progress, how);
  if (device.is_cpu()) give_freed_memory_back();  // what rows were converted in
  return model;
}

}  // namespace r1::model
