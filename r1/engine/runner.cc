#include "r1/engine/runner.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "r1/base/error.h"

namespace r1::engine {

namespace {

Tensor to_device(std::vector<int64_t>& values, const tensor::Device& device) {
  const Tensor host = at::from_blob(values.data(), {int64_t(values.size())}, at::TensorOptions().dtype(at::kLong));
  return device.is_cpu() ? host : host.to(device);
}

// Big host allocations come zeroed from the system page by page as they are used; filling them would commit memory that may never be
// needed.
Tensor new_cache(int64_t blocks, int64_t bytes, const tensor::Device& device) {
  const auto options = at::TensorOptions().dtype(at::kByte).device(device);
  return device.is_cpu() && blocks * bytes > (int64_t{64} << 20) ? at::empty({blocks, bytes}, options)
                                                                 : at::zeros({blocks, bytes}, options);
}

}  // namespace

int64_t block_bytes(const model::Transformer& model, int32_t block_size) {
  int64_t bytes = 0;
  for (int i = 0; i < model.num_caches(); ++i) bytes += model.cache_bytes(i, block_size);
  return bytes;
}

Runner::Runner(model::Transformer& model, int64_t num_blocks, int32_t block_size, bool exact) : model_(model) {
  for (int i = 0; i < model.num_caches(); ++i) caches_.push_back(new_cache(num_blocks, model.cache_bytes(i, block_size), model.device()));
  paged_.block_size = block_size;
  paged_.exact = exact;
  context_.paged = &paged_;
}

Tensor Runner::forward(const Schedule& schedule) {
  const at::NoGradGuard no_grad;
  copy_blocks(schedule.copies);
  pack(schedule);
  const Tensor x_TD = model_.hidden(to_device(ids_, model_.device()), context_, &caches_);
  if (rows_.empty()) return {};
  if (int64_t(rows_.size()) == schedule.tokens) return model_.logits(x_TD);  // a pure decode step: every row samples
  return model_.logits(at::index_select(x_TD, 0, to_device(rows_, model_.device())));
}

void Runner::pack(const Schedule& schedule) {
  const size_t n = schedule.sequences.size();
  ids_.clear();
  rows_.clear();
  context_.positions.clear();
  context_.cu_seqlens.assign(1, 0);
  context_.max_seqlen = 0;
  context_.cu_seqlens_dev = context_.positions_dev = Tensor();
  paged_.context_lens.clear();
  paged_.block_tables.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const auto& [s, tokens] = schedule.sequences[i];
    for (int64_t t = s->cached; t < s->cached + tokens; ++t) {
      ids_.push_back(s->tokens[size_t(t)]);
      context_.positions.push_back(int32_t(t));
    }
    context_.cu_seqlens.push_back(int32_t(ids_.size()));
    context_.max_seqlen = std::max(context_.max_seqlen, int32_t(tokens));
    paged_.context_lens.push_back(int32_t(s->cached));
    paged_.block_tables[i].assign(s->blocks.begin(), s->blocks.end());
    if (schedule.sequences[i].samples()) rows_.push_back(int64_t(ids_.size()) - 1);
  }
}

void Runner::copy_blocks(const std::vector<BlockCopy>& copies) {
  for (Tensor& cache : caches_) {
    const int64_t bytes = cache.size(1);
    for (const auto& [from, to] : copies) {
      if (cache.is_cpu()) {
        auto* data = static_cast<uint8_t*>(cache.mutable_data_ptr());
        std::memcpy(data + to * bytes, data + from * bytes, size_t(bytes));
      } else {
        cache.select(0, to).copy_(cache.select(0, from));
      }
    }
  }
}

}  // namespace r1::engine
