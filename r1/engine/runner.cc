#include "r1/engine/runner.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

namespace {

Tensor to_device(std::vector<int64_t>& values, const tensor::Device& device) {
  const Tensor host = aten::from_blob(values.data(), {int64_t(values.size())}, at::TensorOptions().dtype(at::kLong));
  return device.is_cpu() ? host : host.to(device);
}

// Big host allocations come zeroed from the system page by page as they are used; filling them would commit memory that may never be
// needed.
Tensor new_cache(int64_t blocks, int64_t bytes, const tensor::Device& device) {
  const auto options = at::TensorOptions().dtype(at::kByte).device(device);
  return device.is_cpu() && blocks * bytes > (int64_t{64} << 20) ? aten::empty({blocks, bytes}, options)
                                                                 : aten::zeros({blocks, bytes}, options);
}

}  // namespace

int64_t block_bytes(const model::Transformer& model, int32_t block_size, bool speculate) {
  int64_t bytes = 0;
  for (int i = 0; i < model.num_caches(speculate); ++i) bytes += model.cache_bytes(i, block_size);
  return bytes;
}

Runner::Runner(model::Transformer& model, int64_t num_blocks, int32_t block_size, bool speculate, bool exact)
    : model_(model), speculate_(speculate) {
  for (int i = 0; i < model.num_caches(speculate); ++i)
    caches_.push_back(new_cache(num_blocks, model.cache_bytes(i, block_size), model.device()));
  paged_.block_size = block_size;
  paged_.exact = exact;
  context_.paged = &paged_;
}

Tensor Runner::forward(const Schedule& schedule) {
  const at::NoGradGuard no_grad;
  copy_blocks(schedule.copies);
  pack(schedule);
  const Tensor x_TD = model_.hidden(to_device(ids_, model_.device()), context_, &caches_);
  if (speculate_) hidden_TD_ = x_TD;
  if (rows_.empty()) return {};
  if (int64_t(rows_.size()) == schedule.tokens) return model_.logits(x_TD);  // a pure decode step: every row samples
  return model_.logits(aten::index_select(x_TD, 0, to_device(rows_, model_.device())));
}

void Runner::pack(const Schedule& schedule) {
  begin_pack();
  ran_.clear();
  for (const ScheduledSequence& scheduled : schedule.sequences) {
    const Sequence& s = *scheduled.sequence;
    const int64_t rows = scheduled.tokens + scheduled.drafts, first = int64_t(ids_.size());
    for (int64_t t = 0; t < rows; ++t)
      ids_.push_back(t < scheduled.tokens ? s.tokens[size_t(s.cached + t)] : s.draft[size_t(t - scheduled.tokens)]);
    pack_sequence(s, s.cached, rows);
    if (speculate_) ran_.push_back({s.id, first, s.cached, rows});
    if (!scheduled.samples()) continue;
    for (int64_t t = scheduled.tokens - 1; t < rows; ++t) rows_.push_back(first + t);
  }
}

void Runner::begin_pack() {
  ids_.clear();
  rows_.clear();
  context_.positions.clear();
  context_.cu_seqlens.assign(1, 0);
  context_.max_seqlen = 0;
  context_.cu_seqlens_dev = context_.positions_dev = Tensor();
  paged_.context_lens.clear();
  paged_.block_tables.clear();
}

// Tokens first .. first + rows - 1 of a sequence, whose ids are packed already.
void Runner::pack_sequence(const Sequence& s, int64_t first, int64_t rows) {
  for (int64_t t = first; t < first + rows; ++t) context_.positions.push_back(int32_t(t));
  context_.cu_seqlens.push_back(int32_t(context_.positions.size()));
  context_.max_seqlen = std::max(context_.max_seqlen, int32_t(rows));
  paged_.context_lens.push_back(int32_t(first));
  paged_.block_tables.emplace_back(s.blocks.begin(), s.blocks.end());
}

// Packs what the last forward ran and the sequences kept, with the token behind each as its id. rows_: where in hidden_TD_ their states
// lie.
void Runner::pack_accepted(const Scheduler& scheduler, std::vector<Sequence*>& decoding, std::vector<int64_t>& last_rows) {
  begin_pack();
  for (const Ran& ran : ran_) {
    Sequence* s = scheduler.find(ran.id);
    const int64_t rows = s ? std::min(s->cached - ran.first_position, ran.rows) : 0;
    if (rows <= 0) continue;  // finished, or preempted because it could not be sampled
    for (int64_t t = 0; t < rows; ++t) {
      ids_.push_back(s->tokens[size_t(ran.first_position + t + 1)]);
      rows_.push_back(ran.first_row + t);
    }
    pack_sequence(*s, ran.first_position, rows);
    if (s->uncached() != 1) continue;
    decoding.push_back(s);
    last_rows.push_back(int64_t(ids_.size()) - 1);
  }
}

void Runner::draft(const Scheduler& scheduler) {
  const at::NoGradGuard no_grad;
  std::vector<Sequence*> decoding;
  std::vector<int64_t> last_rows;
  pack_accepted(scheduler, decoding, last_rows);
  if (ids_.empty()) return;
  const tensor::Device device = model_.device();
  const Tensor h_TD = aten::index_select(hidden_TD_, 0, to_device(rows_, device));
  const Tensor g_TD = model_.mtp_hidden(0, h_TD, to_device(ids_, device), context_, &caches_);
  if (decoding.empty()) return;
  const Tensor best = model_.logits(model_.mtp_normed(0, aten::index_select(g_TD, 0, to_device(last_rows, device)))).argmax(1).to(at::kCPU);
  for (size_t i = 0; i < decoding.size(); ++i) decoding[i]->draft.assign(1, TokenId(best.const_data_ptr<int64_t>()[i]));
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
