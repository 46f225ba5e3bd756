// The weight table: one row a tensor of ours (files may have it in parts), the only place that knows the names. Load, save, convert, shard,
// quantize, the optimizer's groups and the tests walk it.
#pragma once

#include <string>
#include <vector>

#include "r1/model/families.h"
#include "r1/model/weight_rows.h"
#include "r1/nn/module.h"
#include "r1/tensor/tensor.h"

namespace r1::model {

struct WeightRow {
  std::string name;  // ours: "layers.3.attention.q"
  // "model.layers.3.self_attn.q_proj.weight". A '*' stands for the number of an expert: the row is stacked along axis 0, files have a
  // tensor each (stored_weights).
  std::string hf_name;
  std::string gguf_name;             // "blk.3.attn_q.weight"
  std::vector<int64_t> shape;        // of what this rank holds: all of it, unless ranks share the network (shard.h)
  std::vector<int64_t> whole_shape;  // of all of it
  WeightKind kind = WeightKind::kMatrix;
  // Axis that tensor parallel ranks split evenly (shard.h); -1: every rank has the whole. `shard_sections`: equal parts along it that are
  // split each by itself (q, k and v in one matrix). `shard_most`: different parts that there can be, the heads of keys and values; of more
  // ranks, those that follow each other hold the same. 0: any number.
  int shard_axis = -1, shard_sections = 1;
  int64_t shard_most = 0;
  bool quantizable = false;
  bool rope_permuted_in_gguf = false;  // llama GGUF stores q and k rows for interleaved rope
  // Files hold the matrix [in, out] where we hold [out, in], or the other way round (GPT-2's Conv1D; sparse neurons).
  bool transposed_in_hf = false, transposed_in_gguf = false;
  double gguf_plus = 0;      // GGUF holds this much more than we do (Gemma's norms: the weight as such, not its distance from 1)
  Tensor* tensor = nullptr;  // the slot inside the module; trainer and engine share it
  // Whose slot it is, where the weight may also lie packed (nn/weight); then the slot has shape and dtype but no values.
  nn::Weight* weight = nullptr;
};

using WeightTable = std::vector<WeightRow>;

// The table of a model's parameters: each parameter's own name ("layers.3.attention.q") is found in the list of known weights (weights.cc),
// which gives the rest. `group`: of the ranks that have a part each, and this one's are the parameters; `kv_heads`: of all ranks together.
WeightTable make_weight_table(const std::vector<nn::Parameter>& parameters, const Family& family, const nn::Group& group = {},
                              int64_t kv_heads = 0);

// What a safetensors file holds of a row: the row itself, or one tensor for each expert.
struct StoredWeight {
  std::string name;
  Tensor tensor;  // the row's memory, without graph; of a packed row a copy, unpacked
};
std::vector<StoredWeight> stored_weights(const WeightRow& row);

// All values of a row in our shape, without graph: its memory, or of a packed row a copy.
Tensor whole_weight(const WeightRow& row);

// The row of that name (ours), or an error.
WeightRow& find_weight(WeightTable& table, const std::string& name);
const WeightRow& find_weight(const WeightTable& table, const std::string& name);

}  // namespace r1::model
