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
using kernels::cuda::SampledRow;
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

// The device reads and writes these by itself.
Tensor pinned_bytes(int64_t bytes) {
  return aten::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
}

// One enqueue() on its way.
struct Flight {
  struct Wants {
    bool logprob = false;
    int top = 0;
  };
  std::vector<Wants> rows;
  Tensor results, top;               // GPU: bytes, pinned: a SampledRow each; their alternatives, kMaxTopTokens each
  std::optional<c10::Event> landed;  // GPU
  std::vector<Sampled> sampled;      // CPU, and rows with a mask
  std::vector<size_t> here;          // GPU: rows with a mask; the kernel has no result for them
};

}  // namespace

struct DeviceSampler::Impl {
  at::Device device;
  int64_t max_rows, vocab;
  Flight flights[2];
  int first = 0, flying = 0;
  Tensor tokens;

  Tensor tokens_there;  // int64 [max_rows]
  // Rows as words, and the ids that are out for them.
  std::unique_ptr<ops::DeviceLists> lists;
  int64_t ban_room = 0;
  const SamplingRow* rows_there = nullptr;
  const int32_t* bans_there = nullptr;
  std::vector<SamplingRow> rows;
  std::vector<int32_t> bans;
  std::vector<size_t> ban_starts;  // of each row
  std::vector<std::pair<CountsThere*, size_t>> fresh;

  Impl(at::Device d, int64_t most, int64_t v) : device(d), max_rows(most), vocab(v) {
    check(device.is_cpu() || device.is_cuda(), "[sampler] expected the CPU or a CUDA device, got ", device);
    if (device.is_cpu()) return;
    check(vocab <= kernels::cuda::kMaxSampledVocab, "[sampler] expected a vocabulary of up to ", kernels::cuda::kMaxSampledVocab,
          " tokens on a GPU, got ", vocab);
    tokens_there = aten::empty({max_rows}, options(at::kLong, device));
    device = tokens_there.device();  // with its number
    for (Flight& f : flights) {
      f.results = pinned_bytes(max_rows * int64_t(sizeof(SampledRow)));
      f.landed.emplace(at::kCUDA);
    }
    make_lists(4 * max_rows);
  }

  // The device writes into our memory until then.
  ~Impl() {
    for (; flying > 0; --flying, first ^= 1) {
      if (!flights[first].landed) continue;
      try {
        flights[first].landed->synchronize();
      } catch (const std::exception&) {  // said already to whoever asked for anything
      }
    }
  }

  void make_lists(int64_t room) {
    ban_room = room;
    lists = std::make_unique<ops::DeviceLists>(device,
                                               std::vector<ops::DeviceLists::List>{{at::kLong, max_rows * kWords}, {at::kInt, ban_room}});
    rows_there = reinterpret_cast<const SamplingRow*>(lists->on_device(0).const_data_ptr<int64_t>());
    bans_there = lists->on_device(1).const_data_ptr<int32_t>();
  }

  void check_rows(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given) const;
  SamplingRow row_of(const SampleRow& row, int64_t logits_row);
  void ban(const std::vector<TokenId>& ids, SamplingRow& to);
  void count(const TokenCounts& counts, SamplingRow& to);
  void launch(const Tensor& logits_RV, Flight& flight, bool wants_top);
  void sample_here(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given, Flight& flight);
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

// A few rows go with the launch; more of them, and lists of ids, by a copy before it.
void DeviceSampler::Impl::launch(const Tensor& logits_RV, Flight& flight, bool wants_top) {
  const auto n = int64_t(rows.size());
  if (wants_top && !flight.top.defined()) flight.top = pinned_bytes(max_rows * kMaxTopTokens * int64_t(sizeof(TopToken)));
  if (int64_t(bans.size()) > ban_room) make_lists(2 * int64_t(bans.size()));
  for (size_t i = 0; i < rows.size(); ++i) rows[i].banned = bans_there + ban_starts[i];
  const bool here = n <= kernels::cuda::kRowsByValue;
  if (!here) std::memcpy(lists->write<int64_t>(0, n * kWords), rows.data(), rows.size() * sizeof(SamplingRow));
  if (!bans.empty()) std::copy(bans.begin(), bans.end(), lists->write<int32_t>(1, int64_t(bans.size())));
  lists->send();
  kernels::cuda::sample({.logits = logits_RV.const_data_ptr<float>(),
                         .vocab = vocab,
                         .row_stride = logits_RV.stride(0),
                         .count = n,
                         .rows = here ? nullptr : rows_there,
                         .rows_here = rows.data(),
                         .tokens = tokens_there.mutable_data_ptr<int64_t>(),
                         .results = reinterpret_cast<SampledRow*>(flight.results.mutable_data_ptr<uint8_t>()),
                         .top = wants_top ? reinterpret_cast<TopToken*>(flight.top.mutable_data_ptr<uint8_t>()) : nullptr},
                        ops::kernel_stream(device));
  for (const auto& [there, seen] : fresh) there->seen = seen;
}

// Rows with a mask.
void DeviceSampler::Impl::sample_here(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given,
                                      Flight& flight) {
  std::vector<Tensor> logits;
  std::vector<SampleRow> masked;
  for (size_t i : flight.here) {
    logits.push_back(logits_RV.select(0, index[i]).to(at::kCPU).contiguous());
    masked.push_back(given[i]);
    masked.back().logits = logits.back().const_data_ptr<float>();
  }
  flight.sampled.resize(masked.size());
  sample_rows(masked, vocab, flight.sampled);
}

void DeviceSampler::enqueue(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> given) {
  Impl& m = *impl_;
  check(m.flying < 2, "[sampler] expected a collect() after two enqueue()s");
  m.check_rows(logits_RV, index, given);
  const at::NoGradGuard no_grad;
  const auto n = int64_t(given.size());
  Flight& f = m.flights[(m.first + m.flying) % 2];
  f.rows.clear();
  f.here.clear();
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
  for (size_t i = 0; i < given.size(); ++i)
    if (!given[i].mask.empty()) f.here.push_back(i);
  if (!f.here.empty()) m.sample_here(logits_RV, index, given, f);
  const int64_t there = n - int64_t(f.here.size());
  m.tokens = m.tokens_there.narrow(0, 0, there);
  if (there > 0) {
    m.rows.clear();
    m.bans.clear();
    m.ban_starts.clear();
    m.fresh.clear();
    bool wants_top = false;
    for (size_t i = 0; i < given.size(); ++i) {
      if (!given[i].mask.empty()) continue;
      m.rows.push_back(m.row_of(given[i], index[i]));
      m.ban_starts.push_back(m.bans.size() - size_t(m.rows.back().bans));
      wants_top |= m.rows.back().top > 0;
    }
    m.launch(logits_RV, f, wants_top);
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
  for (size_t k = 0; k < f.here.size(); ++k) out[f.here[k]] = std::move(f.sampled[k]);
  if (out.size() == f.here.size()) return;
  f.landed->synchronize();
  const auto* results = reinterpret_cast<const SampledRow*>(f.results.const_data_ptr<uint8_t>());
  const auto* top = f.top.defined() ? reinterpret_cast<const TopToken*>(f.top.const_data_ptr<uint8_t>()) : nullptr;
  size_t next_here = 0;
  for (size_t o = 0, i = 0; o < out.size(); ++o) {
    if (next_here < f.here.size() && f.here[next_here] == o) {
      ++next_here;
      continue;
    }
    if (results[i].broken) fail("[sampler] expected finite logits: the weights or activations hold NaN or infinity");
    Sampled& s = out[o];
    s.token = results[i].token;
    s.logprob = f.rows[o].logprob ? results[i].logprob : std::numeric_limits<float>::quiet_NaN();
    s.top.clear();
    const int64_t alternatives = std::min<int64_t>(f.rows[o].top, m.vocab);
    for (int64_t k = 0; k < alternatives; ++k) {
      const TopToken& t = top[int64_t(i) * kMaxTopTokens + k];
      s.top.push_back({t.id, t.logprob});
    }
    ++i;
  }
}

Tensor DeviceSampler::tokens() const {
  return impl_->tokens;
}

}  // namespace r1::engine
