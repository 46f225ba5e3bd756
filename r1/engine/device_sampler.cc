#include "r1/engine/device_sampler.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/Event.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "r1/base/error.h"
#include "r1/kernels/cuda/sampling.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/ops/device_lists.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

namespace {

using kernels::cuda::kMaxTopTokens;
using kernels::cuda::SamplingRow;
using kernels::cuda::TopToken;
static_assert(sizeof(TokenCounts::Count) == sizeof(kernels::cuda::TokenCount));

constexpr int64_t kWords = sizeof(SamplingRow) / sizeof(int64_t);
static_assert(sizeof(SamplingRow) % sizeof(int64_t) == 0);
constexpr int64_t kChanges = std::size(SamplingRow{}.change);

// A sequence's counts on the device.
struct CountsThere {
  Tensor list;      // int64 [room]: a TokenCount each
  size_t seen = 0;  // of TokenCounts::changed()
};

at::TensorOptions options(at::ScalarType type, at::Device device) {
  return at::TensorOptions().dtype(type).device(device);
}

// What comes back: tokens, log-probabilities, faults, alternatives, one after the other.
struct Layout {
  int64_t rows;
  int64_t logprobs() const { return rows * 8; }
  int64_t broken() const { return rows * 12; }
  int64_t top() const { return rows * 16; }
  int64_t bytes(int64_t rows_with_top) const { return top() + rows_with_top * kMaxTopTokens * int64_t(sizeof(TopToken)); }
};

// One enqueue() on its way.
struct Flight {
  struct Wants {
    bool logprob = false;
    int top = 0;
  };
  std::vector<Wants> rows;
  Tensor results;                    // GPU: bytes, pinned
  std::optional<c10::Event> landed;  // GPU
  std::vector<Sampled> sampled;      // CPU
};

}  // namespace

struct DeviceSampler::Impl {
  at::Device device;
  int64_t max_rows, vocab;
  Layout layout{max_rows};
  Flight flights[2];
  int first = 0, flying = 0;
  Tensor tokens;

  Tensor results;  // bytes, on the device
  // Rows as words, and the ids that are out for them.
  std::unique_ptr<ops::DeviceLists> lists;
  int64_t ban_room = 0;
  std::vector<SamplingRow> rows;
  std::vector<int32_t> bans;
  std::vector<size_t> ban_starts;  // of each row
  std::vector<std::pair<CountsThere*, size_t>> fresh;

  Impl(at::Device d, int64_t most, int64_t v) : device(d), max_rows(most), vocab(v) {
    check(device.is_cpu() || device.is_cuda(), "[sampler] expected the CPU or a CUDA device, got ", device);
    if (device.is_cpu()) return;
    check(vocab <= kernels::cuda::kMaxSampledVocab, "[sampler] expected a vocabulary of up to ", kernels::cuda::kMaxSampledVocab,
          " tokens on a GPU, got ", vocab);
    results = aten::empty({layout.bytes(max_rows)}, options(at::kByte, device));
    for (Flight& f : flights) {
      f.results = aten::empty({layout.bytes(max_rows)}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
      f.landed.emplace(at::kCUDA);
    }
    make_lists(4 * max_rows);
  }

  void make_lists(int64_t room) {
    ban_room = room;
    lists = std::make_unique<ops::DeviceLists>(device,
                                               std::vector<ops::DeviceLists::List>{{at::kLong, max_rows * kWords}, {at::kInt, ban_room}});
  }

  void check_rows(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given) const;
  SamplingRow row_of(const SampleRow& row, int64_t logits_row);
  void ban(const std::vector<TokenId>& ids, SamplingRow& to);
  void count(const TokenCounts& counts, SamplingRow& to);
  void launch(const Tensor& logits_RV, bool wants_top);
};

DeviceSampler::DeviceSampler(at::Device device, int64_t max_rows, int64_t vocab) : impl_(std::make_unique<Impl>(device, max_rows, vocab)) {}
DeviceSampler::~DeviceSampler() = default;

void DeviceSampler::Impl::check_rows(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given) const {
  check(int64_t(given.size()) <= max_rows && index.size() == given.size(), "[sampler] expected up to ", max_rows,
        " rows and an index for each, got ", given.size(), " and ", index.size());
  check(logits_RV.dim() == 2 && logits_RV.size(1) == vocab && logits_RV.scalar_type() == at::kFloat && logits_RV.device() == device &&
            (vocab == 1 || logits_RV.stride(1) == 1),
        "[sampler] expected fp32 logits [rows, ", vocab, "] on ", device, ", got ", logits_RV.scalar_type(), " ", logits_RV.sizes(), " on ",
        logits_RV.device());
  for (size_t i = 0; i < given.size(); ++i) {
    check(index[i] >= 0 && index[i] < logits_RV.size(0), "[sampler] expected a row below ", logits_RV.size(0), ", got ", index[i]);
    check(given[i].forced < vocab, "[sampler] expected a forced token below the vocabulary of ", vocab, ", got ", given[i].forced);
    check(given[i].params->top_logprobs <= kMaxTopTokens, "[sampler] expected up to ", kMaxTopTokens, " alternatives, got ",
          given[i].params->top_logprobs);
  }
}

SamplingRow DeviceSampler::Impl::row_of(const SampleRow& row, int64_t logits_row) {
  const SamplingParams& p = *row.params;
  const bool greedy = is_greedy(p);
  SamplingRow to{.logits_row = logits_row,
                 .seed = p.seed,
                 .stream = uint64_t(row.sample_index),
                 .index = uint64_t(row.token_index),
                 .top_p = p.top_p,
                 .min_p = p.min_p,
                 .presence_penalty = p.presence_penalty,
                 .frequency_penalty = p.frequency_penalty,
                 .repetition_penalty = float(p.repetition_penalty),
                 .inverse_temperature = greedy ? 1.0f : float(1 / p.temperature),
                 .top_k = p.top_k > 0 && p.top_k < vocab ? int32_t(p.top_k) : 0,
                 .forced = std::max(row.forced, -1),
                 .greedy = greedy,
                 .logprob = p.logprobs || p.top_logprobs > 0,
                 .top = p.top_logprobs};
  if (row.forced >= 0) return to;
  if (row.token_index < p.min_new_tokens) ban(p.stop_ids, to);
  if (wants_penalties(p) && row.counts) count(*row.counts, to);
  return to;
}

// Requests often end in the same ids: a row shares the list of the one before it.
void DeviceSampler::Impl::ban(const std::vector<TokenId>& ids, SamplingRow& to) {
  const auto n = int64_t(ids.size());
  const bool same = int64_t(bans.size()) >= n && std::equal(ids.begin(), ids.end(), bans.end() - n);
  if (!same) bans.insert(bans.end(), ids.begin(), ids.end());
  to.bans = int32_t(n);
}

void DeviceSampler::Impl::count(const TokenCounts& counts, SamplingRow& to) {
  const auto& all = counts.counts();
  const auto& changed = counts.changed();
  if (all.empty()) return;
  auto there = std::static_pointer_cast<CountsThere>(counts.kept);
  const bool known = there && there->list.device() == device && int64_t(all.size()) <= there->list.size(0) &&
                     int64_t(changed.size() - there->seen) <= kChanges;
  if (known) {
    for (size_t i = there->seen; i < changed.size(); ++i) {
      if (i > there->seen && changed[i] == changed[i - 1]) continue;
      const TokenCounts::Count& now = all[size_t(changed[i])];
      to.change[to.changes++] = {changed[i], {now.id, now.made}};
    }
    if (to.changes > 0) fresh.push_back({there.get(), changed.size()});
  } else {
    if (!there || there->list.device() != device || int64_t(all.size()) > there->list.size(0)) {
      there = std::make_shared<CountsThere>();
      there->list = aten::empty({std::max<int64_t>(256, 2 * int64_t(all.size()))}, options(at::kLong, device));
    }
    const auto n = int64_t(all.size());
    const Tensor here = aten::empty({n}, at::TensorOptions().dtype(at::kLong).pinned_memory(true));
    std::memcpy(here.mutable_data_ptr<int64_t>(), all.data(), all.size() * sizeof(all[0]));
    there->list.narrow(0, 0, n).copy_(here, /*non_blocking=*/true);
    there->seen = changed.size();
    counts.kept = there;
  }
  to.counts = reinterpret_cast<kernels::cuda::TokenCount*>(there->list.mutable_data_ptr<int64_t>());
  to.counted = int32_t(all.size());
}

void DeviceSampler::Impl::launch(const Tensor& logits_RV, bool wants_top) {
  if (int64_t(bans.size()) > ban_room) make_lists(2 * int64_t(bans.size()));
  const auto n = int64_t(rows.size());
  const auto* banned = lists->on_device(1).const_data_ptr<int32_t>();
  for (size_t i = 0; i < rows.size(); ++i) rows[i].banned = banned + ban_starts[i];
  std::memcpy(lists->write<int64_t>(0, n * kWords), rows.data(), rows.size() * sizeof(SamplingRow));
  if (!bans.empty()) std::copy(bans.begin(), bans.end(), lists->write<int32_t>(1, int64_t(bans.size())));
  lists->send();
  uint8_t* out = results.mutable_data_ptr<uint8_t>();
  kernels::cuda::sample({.logits = logits_RV.const_data_ptr<float>(),
                         .vocab = vocab,
                         .row_stride = logits_RV.stride(0),
                         .rows = reinterpret_cast<const SamplingRow*>(lists->on_device(0).const_data_ptr<int64_t>()),
                         .count = n,
                         .tokens = reinterpret_cast<int64_t*>(out),
                         .logprobs = reinterpret_cast<float*>(out + layout.logprobs()),
                         .broken = reinterpret_cast<int32_t*>(out + layout.broken()),
                         .top = wants_top ? reinterpret_cast<TopToken*>(out + layout.top()) : nullptr},
                        ops::kernel_stream(device));
  for (const auto& [there, seen] : fresh) there->seen = seen;
}

void DeviceSampler::enqueue(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given) {
  Impl& m = *impl_;
  check(m.flying < 2, "[sampler] expected a collect() after two enqueue()s");
  m.check_rows(logits_RV, index, given);
  const at::NoGradGuard no_grad;
  const auto n = int64_t(given.size());
  Flight& f = m.flights[(m.first + m.flying) % 2];
  f.rows.clear();
  for (const SampleRow& row : given) f.rows.push_back({row.params->logprobs || row.params->top_logprobs > 0, row.params->top_logprobs});
  if (m.device.is_cpu()) {
    std::vector<SampleRow> rows(given.begin(), given.end());
    const float* data = logits_RV.const_data_ptr<float>();
    for (size_t i = 0; i < rows.size(); ++i) rows[i].logits = data + index[i] * logits_RV.stride(0);
    f.sampled.resize(rows.size());
    sample_rows(rows, m.vocab, f.sampled);
    m.tokens = aten::empty({n}, at::TensorOptions().dtype(at::kLong));
    for (size_t i = 0; i < rows.size(); ++i) m.tokens.mutable_data_ptr<int64_t>()[i] = f.sampled[i].token;
    ++m.flying;
    return;
  }
  m.tokens = m.results.narrow(0, 0, n * 8).view(at::kLong);
  if (n > 0) {
    m.rows.clear();
    m.bans.clear();
    m.ban_starts.clear();
    m.fresh.clear();
    bool wants_top = false;
    for (size_t i = 0; i < given.size(); ++i) {
      m.rows.push_back(m.row_of(given[i], index[i]));
      m.ban_starts.push_back(m.bans.size() - size_t(m.rows.back().bans));
      wants_top |= m.rows.back().top > 0;
    }
    m.launch(logits_RV, wants_top);
    const int64_t bytes = m.layout.bytes(wants_top ? n : 0);
    f.results.narrow(0, 0, bytes).copy_(m.results.narrow(0, 0, bytes), /*non_blocking=*/true);
    f.landed->record(ops::current_stream(m.device));
  }
  ++m.flying;
}

void DeviceSampler::collect(std::span<Sampled> out) {
  Impl& m = *impl_;
  check(m.flying > 0, "[sampler] expected an enqueue() before collect()");
  Flight& f = m.flights[m.first];
  check(out.size() == f.rows.size(), "[sampler] expected ", f.rows.size(), " outputs, got ", out.size());
  m.first ^= 1;
  --m.flying;
  if (m.device.is_cpu()) {
    std::move(f.sampled.begin(), f.sampled.end(), out.begin());
    return;
  }
  if (out.empty()) return;
  f.landed->synchronize();
  const uint8_t* data = f.results.const_data_ptr<uint8_t>();
  const auto* tokens = reinterpret_cast<const int64_t*>(data);
  const auto* logprobs = reinterpret_cast<const float*>(data + m.layout.logprobs());
  const auto* broken = reinterpret_cast<const int32_t*>(data + m.layout.broken());
  const auto* top = reinterpret_cast<const TopToken*>(data + m.layout.top());
  for (size_t i = 0; i < out.size(); ++i) {
    if (broken[i]) fail("[sampler] expected finite logits: the weights or activations hold NaN or infinity");
    Sampled& s = out[i];
    s.token = TokenId(tokens[i]);
    s.logprob = f.rows[i].logprob ? logprobs[i] : std::numeric_limits<float>::quiet_NaN();
    s.top.clear();
    const int64_t alternatives = std::min<int64_t>(f.rows[i].top, m.vocab);
    for (int64_t k = 0; k < alternatives; ++k) {
      const TopToken& t = top[int64_t(i) * kMaxTopTokens + k];
      s.top.push_back({t.id, t.logprob});
    }
  }
}

Tensor DeviceSampler::tokens() const {
  return impl_->tokens;
}

}  // namespace r1::engine
