#include "r1/engine/runner.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "r1/ops/copy_blocks.h"
#include "r1/ops/heavy_hitters.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

namespace {

// The lists that travel with the batch.
enum : size_t { kIds, kRows, kLastRows, kLists };

ops::SequenceBuffers::Limits limits_of(const RunnerConfig& c) {
  const int64_t blocks = (c.max_model_len + c.form.block_size - 1) / c.form.block_size;
  return {.sequences = c.max_sequences,
          .tokens = c.max_tokens,
          .blocks = c.form.kept_last > 0 ? blocks : std::min(c.num_blocks, blocks),  // tables count those that are gone too
          .lists = int64_t(kLists)};
}

// CUDA: whether attention reads a cache of this form where it lies. Others are gathered by tables that the host reads.
bool has_kernels(const ops::CacheForm& form) {
  return form.type == ops::CacheType::kModel && form.budget == 0 && (form.kept_last == 0 || form.kept_first == 0);
}

// Zeros. On the CPU from calloc: large blocks come zeroed from the system page by page as they are used, and filling them would take the
// time and the memory of a whole cache for the first token.
Tensor new_cache(int64_t blocks, int64_t bytes, const tensor::Device& device) {
  const auto options = at::TensorOptions().dtype(at::kByte).device(device);
  if (!device.is_cpu()) return aten::zeros({blocks, bytes}, options);
  constexpr size_t kAlignment = 64;
  void* const block = std::calloc(size_t(blocks * bytes) + kAlignment, 1);
  if (block == nullptr) throw std::bad_alloc();
  const size_t over = reinterpret_cast<uintptr_t>(block) % kAlignment;
  return aten::from_blob(
      static_cast<std::byte*>(block) + (kAlignment - over) % kAlignment, {blocks, bytes}, [block](void*) { std::free(block); }, options);
}

}  // namespace

int64_t block_bytes(const model::Transformer& model, const ops::CacheForm& form, bool speculate) {
  int64_t bytes = 0;
  for (int i = 0; i < model.num_caches(speculate); ++i) bytes += model.cache_bytes(i, form);
  return bytes;
}

Runner::Runner(model::Transformer& model, const RunnerConfig& config)
    : model_(model),
      speculate_(config.speculate),
      guesses_(config.guesses),
      max_tokens_(config.max_tokens),
      max_model_len_(config.max_model_len),
      no_block_(int32_t(config.num_blocks)),
      graphs_(model, std::min(config.max_sequences, config.max_tokens),
              config.cuda_graphs && !config.speculate && has_kernels(config.form)),
      buffers_(model.device(), limits_of(config)) {
  for (int i = 0; i < model.num_caches(speculate_); ++i)
    caches_.push_back(new_cache(config.num_blocks + (graphs_.on() ? 1 : 0), model.cache_bytes(i, config.form), model.device()));
  context_.sequences.set_form(config.form);
  context_.sequences.exact = config.exact;
}

void Runner::drop(const Schedule& schedule) {
  const at::NoGradGuard no_grad;
  for (const Drop& d : schedule.drops)
    model_.keep_heavy_hitters(caches_, context_.sequences.cache_form(), {.blocks = d.blocks, .held = d.held, .kept = d.kept});
}

Tensor Runner::forward(const Schedule& schedule) {
  const at::NoGradGuard no_grad;
  ops::copy_blocks(caches_, schedule.copies);
  pack(schedule);
  if (replay_rows_ == 1) return replay().narrow(0, 0, schedule.tokens);
  if (replay_rows_ > 1) return replay(replay_rows_).index_select(0, buffers_.list(kRows));
  const Tensor x_TD = model_.hidden(buffers_.list(kIds), context_, &caches_);
  if (speculate_) hidden_TD_ = x_TD;
  if (rows_.empty()) return {};
  if (int64_t(rows_.size()) == schedule.tokens) return model_.logits(x_TD);  // a pure decode step: every row samples
  return model_.logits(aten::index_select(x_TD, 0, buffers_.list(kRows)));
}

// How many rows each sequence of a replayed step has: one, or with guesses as many as the next power of two. 0: the step is not replayed.
int64_t Runner::rows_to_replay(const Schedule& schedule) const {
  if (!graphs_.on()) return 0;
  int64_t most = 1, longest = 0;
  for (const ScheduledSequence& s : schedule.sequences) {
    if (s.tokens != 1 || !s.samples()) return 0;
    most = std::max(most, 1 + s.drafts);
    longest = std::max(longest, s.sequence->cached);
  }
  int64_t rows = 1;
  while (rows < most) rows *= 2;
  rows = std::min(rows, 1 + guesses_);
  constexpr int64_t kMost = 4;  // more rows than that are launched one by one: a graph for each number of them is dear beside their rarity
  const int64_t tokens = graphs_.padded(int64_t(schedule.sequences.size())) * rows;
  const bool fits = rows == 1 || (rows <= kMost && tokens <= max_tokens_ && longest + rows <= max_model_len_);
  return fits ? rows : 0;
}

// The step that lies in the buffers.
Tensor Runner::replay(int64_t rows_each) {
  model_.reach(context_.sequences.max_position);
  const auto step = [&] { return model_.logits(model_.hidden(buffers_.list(kIds), context_, &caches_)); };
  return graphs_.run(context_.sequences.count(), rows_each, step);
}

Tensor Runner::forward_ahead(const Schedule& schedule, const Tensor& tokens, const std::vector<int64_t>& sources) {
  const at::NoGradGuard no_grad;
  const int64_t count = schedule.tokens;
  ops::copy_blocks(caches_, schedule.copies);
  begin_pack();
  bool in_order = true;
  for (size_t i = 0; i < schedule.sequences.size(); ++i) {
    const Sequence& s = *schedule.sequences[i].sequence;
    ids_.push_back(0);
    pack_sequence(s, s.cached, 1);
    rows_.push_back(sources[i]);
    in_order &= sources[i] == int64_t(i);
  }
  pad(graphs_.padded(count) - count);
  end_pack();
  buffers_.list(kIds).narrow(0, 0, count).copy_(in_order ? tokens.narrow(0, 0, count) : tokens.index_select(0, buffers_.list(kRows)));
  return replay().narrow(0, 0, count);
}

void Runner::pack(const Schedule& schedule) {
  begin_pack();
  packed_.clear();
  replay_rows_ = rows_to_replay(schedule);
  for (const ScheduledSequence& scheduled : schedule.sequences) {
    const Sequence& s = *scheduled.sequence;
    const int64_t rows = scheduled.tokens + scheduled.drafts, first = int64_t(ids_.size());
    for (int64_t t = 0; t < rows; ++t)
      ids_.push_back(t < scheduled.tokens ? s.tokens[size_t(s.cached + t)] : s.draft[size_t(t - scheduled.tokens)]);
    const int64_t padding = std::max<int64_t>(0, replay_rows_ - rows);  // rows that nobody reads, written where nobody looks
    ids_.resize(ids_.size() + size_t(padding), 0);
    pack_sequence(s, s.cached, rows + padding);
    std::vector<int32_t>& table = context_.sequences.block_tables[context_.sequences.context_lens.size() - 1];
    while (int64_t(table.size()) * context_.sequences.block_size < s.held() + rows + padding) table.push_back(no_block_);
    if (speculate_) packed_.push_back({s.id, first, s.cached, rows});
    if (!scheduled.samples()) continue;
    for (int64_t t = scheduled.tokens - 1; t < rows; ++t) rows_.push_back(first + t);
  }
  const int64_t count = context_.sequences.count();
  if (replay_rows_ > 0) pad(graphs_.padded(count) - count, replay_rows_);
  end_pack();
}

// Sequences that nobody waits for.
void Runner::pad(int64_t sequences, int64_t rows) {
  ops::Sequences& batch = context_.sequences;
  for (int64_t i = 0; i < sequences; ++i) {
    const size_t index = batch.context_lens.size();
    ids_.resize(ids_.size() + size_t(rows), 0);
    batch.cu_seqlens.push_back(int32_t(batch.cu_seqlens.back() + rows));
    batch.context_lens.push_back(0);
    if (batch.block_tables.size() <= index) batch.block_tables.emplace_back();
    batch.block_tables[index].assign(1, no_block_);
  }
}

void Runner::begin_pack() {
  ids_.clear();
  rows_.clear();
  last_rows_.clear();
  context_.sequences.cu_seqlens.assign(1, 0);
  context_.sequences.context_lens.clear();
  context_.sequences.positions.clear();
}

// Tokens first .. first + rows - 1 of a sequence, whose ids are packed already.
void Runner::pack_sequence(const Sequence& s, int64_t first, int64_t rows) {
  ops::Sequences& batch = context_.sequences;
  const size_t index = batch.context_lens.size();
  batch.cu_seqlens.push_back(int32_t(batch.cu_seqlens.back() + rows));
  batch.context_lens.push_back(int32_t(first - s.dropped));
  for (int64_t t = 0; batch.budget > 0 && t < rows; ++t) batch.positions.push_back(int32_t(first + t));
  if (batch.block_tables.size() <= index) batch.block_tables.emplace_back();
  std::vector<int32_t>& table = batch.block_tables[index];
  table.assign(s.blocks.begin(), s.blocks.end());
  // A place of a block that is gone has one of the sequence's own: nobody looks at it, but whole tiles around what is seen may be loaded.
  if (s.gone_end > s.gone_begin) std::fill(table.begin() + s.gone_begin, table.begin() + s.gone_end, table.back());
}

void Runner::end_pack() {
  if (ids_.empty()) return;
  context_.sequences.block_tables.resize(context_.sequences.context_lens.size());
  buffers_.place(context_.sequences, {ids_, rows_, last_rows_});
}

// Packs what the last forward ran and the sequences kept, with the token after each as its id. rows_: where in hidden_TD_ their states
// lie; last_rows_: the packed row of each that decodes.
void Runner::pack_accepted(const Scheduler& scheduler, std::vector<Sequence*>& decoding) {
  begin_pack();
  for (const PackedRows& packed : packed_) {
    Sequence* s = scheduler.find(packed.id);
    const int64_t rows = s ? std::min(s->cached - packed.first_position, packed.rows) : 0;
    if (rows <= 0) continue;  // finished, or preempted because it could not be sampled
    for (int64_t t = 0; t < rows; ++t) {
      ids_.push_back(s->tokens[size_t(packed.first_position + t + 1)]);
      rows_.push_back(packed.first_row + t);
    }
    pack_sequence(*s, packed.first_position, rows);
    if (s->uncached() != 1) continue;
    decoding.push_back(s);
    last_rows_.push_back(int64_t(ids_.size()) - 1);
  }
  end_pack();
}

void Runner::draft(const Scheduler& scheduler) {
  const at::NoGradGuard no_grad;
  std::vector<Sequence*> decoding;
  pack_accepted(scheduler, decoding);
  if (ids_.empty()) return;
  const Tensor h_TD = aten::index_select(hidden_TD_, 0, buffers_.list(kRows));
  const Tensor g_TD = model_.mtp_hidden(0, h_TD, buffers_.list(kIds), context_, &caches_);
  if (decoding.empty()) return;
  const Tensor best = model_.logits(model_.mtp_normed(0, aten::index_select(g_TD, 0, buffers_.list(kLastRows)))).argmax(1).to(at::kCPU);
  for (size_t i = 0; i < decoding.size(); ++i) decoding[i]->draft.assign(1, TokenId(best.const_data_ptr<int64_t>()[i]));
}

}  // namespace r1::engine
