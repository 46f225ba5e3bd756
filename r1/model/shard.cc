#include "r1/model/shard.h"

#include "r1/base/error.h"
#include "r1/model/families.h"
#include "r1/tensor/aten.h"

namespace r1::model {

namespace {

// The slices of `whole` that a rank holds: one for each section.
std::vector<Tensor> slices(const WeightRow& row, const Tensor& whole, const nn::Group& group) {
  check(whole.sizes() == at::IntArrayRef(row.whole_shape), "[shard] expected ", row.name, " of shape ", at::IntArrayRef(row.whole_shape),
        ", got ", whole.sizes());
  if (row.shard_axis < 0 || group.size == 1) return {whole};
  const int64_t parts = shard_parts(row, group.size), section = whole.size(row.shard_axis) / row.shard_sections, part = section / parts;
  check(part * parts * row.shard_sections == whole.size(row.shard_axis) && group.size % parts == 0, "[shard] ", row.name, ": axis ",
        row.shard_axis, " of ", whole.sizes(), " cannot be cut into ", row.shard_sections, " x ", parts, " parts");
  const int64_t own = group.rank / (group.size / parts);
  std::vector<Tensor> out;
  for (int64_t i = 0; i < row.shard_sections; ++i) out.push_back(whole.narrow(row.shard_axis, i * section + own * part, part));
  return out;
}

// Fewer heads of keys and values than ranks.
bool kv_heads_are_few(const ModelConfig& config, int64_t ranks) {
  return config.attention != "mla" && config.num_key_value_heads > 0 && config.num_key_value_heads < ranks;
}

}  // namespace

int64_t kv_copies(const ModelConfig& config, int64_t ranks) {
  return kv_heads_are_few(config, ranks) ? ranks / config.num_key_value_heads : 1;
}

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
  if (!kv_heads_are_few(config, group.size))
    divide(c.num_key_value_heads, "num_key_value_heads");
  else if (group.size % c.num_key_value_heads == 0)
    c.num_key_value_heads = 1;
  else
    fail_usage("model config: num_key_value_heads ", c.num_key_value_heads, " cannot be shared out among ", group.size,
               " ranks: neither is a multiple of the other");
  divide(c.intermediate_size, "intermediate_size");
  if (c.moe.n_routed_experts > 0) divide(c.moe.moe_intermediate_size, "moe_intermediate_size");
  divide(c.vocab_size, "vocab_size");
  // A token's neurons are compared or normed together; a mask is drawn over all of them.
  if (c.ffn == "topk_sparse" || c.ffn == "norm_gelu") fail_usage("model config: ffn ", c.ffn, " cannot be shared out among ranks");
  if (c.ffn_dropout > 0) fail_usage("model config: ffn_dropout ", c.ffn_dropout, " cannot be shared out among ranks");
  if (family_of(c.family).fused_qkv && config.num_key_value_heads != config.num_attention_heads)
    fail_usage("model config: family ", c.family, " has q, k and v in one matrix, which ranks share out only where all have as many heads");
  return c;
}

int64_t shard_parts(const WeightRow& row, int64_t ranks) {
  return row.shard_most > 0 && row.shard_most < ranks ? row.shard_most : ranks;
}

Tensor shard_of(const WeightRow& row, const Tensor& whole, const nn::Group& group) {
  const std::vector<Tensor> own = slices(row, whole, group);
  return own.size() == 1 ? own[0] : aten::cat(own, row.shard_axis);
}

void place_shard(const WeightRow& row, const Tensor& whole, const Tensor& shard, const nn::Group& group) {
  int64_t at = 0;
  for (const Tensor& slice : slices(row, whole, group)) {
    if (row.shard_axis < 0) return void(slice.copy_(shard));
    const int64_t count = slice.size(row.shard_axis);
    slice.copy_(shard.narrow(row.shard_axis, at, count));
    at += count;
  }
}

Tensor join_shards(const WeightRow& row, const std::vector<Tensor>& shards) {
  check(!shards.empty(), "[shard] ", row.name, ": expected the parts of all ranks, got none");
  if (row.shard_axis < 0 || shards.size() == 1) return shards[0];
  const Tensor whole = aten::empty(row.whole_shape, shards[0].options());
  const auto size = int64_t(shards.size());
  for (int64_t rank = 0; rank < size; ++rank) place_shard(row, whole, shards[size_t(rank)], {rank, size});
  return whole;
}

bool is_counted(const WeightRow& row, const nn::Group& group) {
  const int64_t parts = row.shard_axis < 0 ? 1 : shard_parts(row, group.size);
  return group.rank % (group.size / parts) == 0;
}

bool is_split(const WeightRow& row) {
  return !row.whole_shape.empty() && row.shape != row.whole_shape;
}

WeightRow whole_row(const WeightRow& row, Tensor& whole) {
  WeightRow out = row;
  out.shape = out.whole_shape;
  out.tensor = &whole;
  out.weight = nullptr;
  return out;
}

WeightRow whole_row_without_memory(const WeightRow& row, Tensor& whole) {
  if (!is_split(row)) return row;
  whole = aten::empty(row.whole_shape, at::TensorOptions().device(at::kMeta).dtype(row.tensor->scalar_type()));
  return whole_row(row, whole);
}

}  // namespace r1::model
