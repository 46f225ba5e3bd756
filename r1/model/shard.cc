#include "r1/model/shard.h"

#include "r1/base/error.h"
#include "r1/model/families.h"
#include "r1/tensor/aten.h"

namespace r1::model {

ModelConfig shard_config(const ModelConfig& config, const nn::Group& group) {
  check(group.size > 0 && group.rank >= 0 && group.rank < group.size, "[shard] expected a rank below the group's size ", group.size,
        ", got ", group.rank);
  if (group.size == 1) return config;
  ModelConfig c = config;
  const auto divide = [&](int64_t& n, const char* key) {
    if (n % group.size != 0) fail_usage("model config: ", key, " ", n, " cannot be shared out among ", group.size, " ranks");
    n /= group.size;
  };
  divide(c.num_attention_heads, "num_attention_heads");
  divide(c.num_key_value_heads, "num_key_value_heads");
  divide(c.intermediate_size, "intermediate_size");
  // A token's neurons are compared or normed together.
  if (c.ffn == "topk_sparse" || c.ffn == "norm_gelu") fail_usage("model config: ffn ", c.ffn, " cannot be shared out among ranks");
  if (family_of(c.family).fused_qkv && c.num_key_value_heads != c.num_attention_heads)
    fail_usage("model config: family ", c.family, " has q, k and v in one matrix, which ranks share out only where all have as many heads");
  return c;
}

Tensor shard_of(const WeightRow& row, const Tensor& whole, const nn::Group& group) {
  check(whole.sizes() == at::IntArrayRef(row.shape), "[shard] expected ", row.name, " of shape ", at::IntArrayRef(row.shape), ", got ",
        whole.sizes());
  if (row.shard_axis < 0 || group.size == 1) return whole;
  const int64_t section = whole.size(row.shard_axis) / row.shard_sections, part = section / group.size;
  check(part * group.size * row.shard_sections == whole.size(row.shard_axis), "[shard] ", row.name, ": axis ", row.shard_axis, " of ",
        whole.sizes(), " cannot be cut into ", row.shard_sections, " x ", group.size, " parts");
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < row.shard_sections; ++i) parts.push_back(whole.narrow(row.shard_axis, i * section + group.rank * part, part));
  return parts.size() == 1 ? parts[0] : aten::cat(parts, row.shard_axis);
}

Tensor join_shards(const WeightRow& row, const std::vector<Tensor>& shards) {
  check(!shards.empty(), "[shard] ", row.name, ": expected the parts of all ranks, got none");
  if (row.shard_axis < 0 || shards.size() == 1) return shards[0];
  const int64_t part = shards[0].size(row.shard_axis) / row.shard_sections;
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < row.shard_sections; ++i) {
    for (const Tensor& shard : shards) parts.push_back(shard.narrow(row.shard_axis, i * part, part));
  }
  return aten::cat(parts, row.shard_axis);
}

}  // namespace r1::model
