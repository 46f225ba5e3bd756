#include "r1/ops/sequences.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/ops/device_lists.h"
#include "r1/ops/token_places.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

// The lists of a batch in the order of its buffers; the caller's own come before the tables, which are the longest and seldom full.
enum : size_t { kPositions, kStarts, kKeyStarts, kContexts, kOwn };

void check_starts(const char* name, const std::vector<int32_t>& starts) {
  check(starts.size() >= 2 && starts[0] == 0, "[attention] expected ", name, " [0, ...], got ", starts.size(), " entries");
  for (size_t i = 1; i < starts.size(); ++i)
    check(starts[i] >= starts[i - 1], "[attention] expected growing ", name, ", got ", starts[i], " after ", starts[i - 1]);
}

void check_paged(Sequences& s) {
  const size_t count = size_t(s.count());
  check(s.cu_keylens.empty(), "[paged_attention] expected no key lengths beside block tables, which say them");
  check(s.block_size > 0, "[paged_attention] expected a block size above 0, got ", s.block_size);
  check(s.context_lens.size() == count && s.block_tables.size() == count, "[paged_attention] expected ", count,
        " context lengths and block tables, got ", s.context_lens.size(), " and ", s.block_tables.size());
  for (size_t i = 0; i < count; ++i) {
    const int64_t keys = s.context_lens[i] + s.rows_of(int64_t(i));
    check(s.context_lens[i] >= 0 && int64_t(s.block_tables[i].size()) * s.block_size >= keys, "[paged_attention] expected blocks for ",
          keys, " tokens of sequence ", i, ", got ", s.block_tables[i].size(), " of ", s.block_size);
    for (const int32_t block : s.block_tables[i]) {
      check(block >= 0, "[paged_attention] expected block ids from 0, got ", block, " in sequence ", i);
      s.block_bound = std::max(s.block_bound, block + 1);
    }
  }
}

// The checks, and what of it stays on the host.
void measure(Sequences& s) {
  check_starts("cu_seqlens", s.cu_seqlens);
  s.max_seqlen = s.max_keylen = s.block_bound = 0;
  if (s.paged()) {
    check_paged(s);
  } else {
    check(s.context_lens.empty(), "[attention] expected block tables beside context lengths, got none");
    if (!s.cu_keylens.empty()) check_starts("cu_keylens", s.cu_keylens);
    check(s.key_rows().size() == s.cu_seqlens.size(), "[attention] expected keys of ", s.count(), " sequences, got ",
          s.key_rows().size() - 1);
  }
  for (int64_t i = 0; i < s.count(); ++i) {
    const int64_t rows = s.rows_of(i), keys = s.key_rows()[size_t(i) + 1] - s.key_rows()[size_t(i)];
    check(keys >= rows, "[attention] expected at least as many keys as queries, got ", keys, " of ", rows, " in sequence ", i);
    s.max_seqlen = std::max(s.max_seqlen, int32_t(rows));
    s.max_keylen = std::max(s.max_keylen, int32_t(s.paged() ? s.context_lens[size_t(i)] + rows : keys));
  }
}

void write_positions(Sequences& s, int32_t* to) {
  const int64_t numbers = s.tokens() * s.position_components;
  check(s.position_components >= 1 && (s.positions.empty() ? s.position_components == 1 : int64_t(s.positions.size()) == numbers),
        "[attention] expected ", s.tokens(), " positions of ", s.position_components, " components, got ", s.positions.size(), " numbers");
  if (s.positions.empty()) {
    for (int64_t i = 0; i < s.count(); ++i) {
      const int32_t keys = s.cu_keylens.empty() ? 0 : s.cu_keylens[size_t(i) + 1] - s.cu_keylens[size_t(i)] - int32_t(s.rows_of(i));
      const int32_t first = s.paged() ? s.context_lens[size_t(i)] : keys;
      for (int32_t t = 0; t < s.rows_of(i); ++t) to[s.cu_seqlens[size_t(i)] + t] = first + t;
    }
  } else {
    std::copy(s.positions.begin(), s.positions.end(), to);
    s.positions.clear();
  }
  s.max_position = 0;
  for (int64_t i = 0; i < numbers; ++i) {
    check(to[i] >= 0, "[attention] expected positions from 0, got ", to[i]);
    s.max_position = std::max(s.max_position, to[i]);
  }
}

// Ends of the keys, old and new.
void write_key_starts(const Sequences& s, int32_t* to) {
  to[0] = 0;
  for (int64_t i = 0; i < s.count(); ++i)
    to[i + 1] = s.paged() ? int32_t(to[i] + s.context_lens[size_t(i)] + s.rows_of(i)) : s.key_rows()[size_t(i) + 1];
}

SequenceBuffers::Limits limits_of(const Sequences& s) {
  SequenceBuffers::Limits limits{.sequences = s.count(), .tokens = s.tokens(), .position_components = s.position_components};
  for (const auto& table : s.block_tables) limits.blocks = std::max(limits.blocks, int64_t(table.size()));
  return limits;
}

}  // namespace

struct SequenceBuffers::Impl {
  at::Device device;
  Limits limits;
  DeviceLists lists;
  std::vector<int64_t> own;  // how many numbers of each list of the caller
  Tensor counters;           // Sequences::counters_dev

  static std::vector<DeviceLists::List> rooms(const Limits& l) {
    std::vector<DeviceLists::List> rooms{
        {at::kInt, l.tokens * l.position_components}, {at::kInt, l.sequences + 1}, {at::kInt, l.sequences + 1}, {at::kInt, l.sequences}};
    rooms.insert(rooms.end(), size_t(l.lists), {at::kLong, l.tokens});
    rooms.push_back({at::kInt, l.sequences * l.blocks});
    return rooms;
  }
  size_t table() const { return kOwn + size_t(limits.lists); }

  void check_limits(const Sequences& s) const;
  void write(Sequences& s);
  void point(Sequences& s) const;
};

void SequenceBuffers::Impl::check_limits(const Sequences& s) const {
  const Limits has = limits_of(s);
  check(has.sequences <= limits.sequences && has.tokens <= limits.tokens && has.blocks <= limits.blocks &&
            has.position_components == limits.position_components,
        "[attention] expected up to ", limits.sequences, " sequences, ", limits.tokens, " tokens of ", limits.position_components,
        " position components and ", limits.blocks, " blocks a sequence, got ", has.sequences, ", ", has.tokens, " of ",
        has.position_components, " and ", has.blocks);
}

// The host's side of all lists.
void SequenceBuffers::Impl::write(Sequences& s) {
  write_positions(s, lists.write<int32_t>(kPositions, s.tokens() * s.position_components));
  std::copy(s.cu_seqlens.begin(), s.cu_seqlens.end(), lists.write<int32_t>(kStarts, s.count() + 1));
  write_key_starts(s, lists.write<int32_t>(kKeyStarts, s.count() + 1));
  if (!s.paged()) return;
  std::copy(s.context_lens.begin(), s.context_lens.end(), lists.write<int32_t>(kContexts, s.count()));
  int32_t* row = lists.write<int32_t>(table(), s.count() * limits.blocks);
  for (int64_t i = 0; i < s.count(); ++i, row += limits.blocks)
    std::copy(s.block_tables[size_t(i)].begin(), s.block_tables[size_t(i)].end(), row);
}

// Points the batch at the device's side.
void SequenceBuffers::Impl::point(Sequences& s) const {
  const auto first = [&](size_t list, int64_t count) { return lists.on_device(list).narrow(0, 0, count); };
  s.positions_T = first(kPositions, s.tokens() * s.position_components);
  if (s.position_components > 1) s.positions_T = s.positions_T.view({s.tokens(), s.position_components});
  s.cu_seqlens_dev = s.cu_keylens_dev = s.context_lens_dev = s.block_table_SM = Tensor();
  s.made_places = {};
  s.counters_dev = Tensor();
  s.cu_seqlens_dev = first(kStarts, s.count() + 1);
  if (s.paged() || !s.cu_keylens.empty()) s.cu_keylens_dev = first(kKeyStarts, s.count() + 1);
  if (!s.paged()) return;
  s.counters_dev = counters;
  s.context_lens_dev = first(kContexts, s.count());
  s.block_table_SM = first(table(), s.count() * limits.blocks).view({s.count(), limits.blocks});
}

SequenceBuffers::SequenceBuffers(at::Device device, const Limits& limits)
    : impl_(new Impl{device, limits, DeviceLists(device, Impl::rooms(limits)), std::vector<int64_t>(size_t(limits.lists)), {}}) {
  constexpr int64_t kCounters = 4096;  // more than blocks run at a time
  if (device.is_cuda() && limits.blocks > 0) impl_->counters = aten::zeros({kCounters}, at::TensorOptions(at::kInt).device(device));
}
SequenceBuffers::~SequenceBuffers() = default;

void SequenceBuffers::place(Sequences& s, std::initializer_list<std::span<const int64_t>> lists) {
  Impl& m = *impl_;
  measure(s);
  m.check_limits(s);
  check(lists.size() <= m.own.size(), "[attention] expected up to ", m.own.size(), " further lists, got ", lists.size());
  m.write(s);
  std::fill(m.own.begin(), m.own.end(), 0);
  size_t i = 0;
  for (const std::span<const int64_t> list : lists) {
    m.own[i] = int64_t(list.size());
    std::copy(list.begin(), list.end(), m.lists.write<int64_t>(kOwn + i, m.own[i]));
    ++i;
  }
  m.lists.send();
  m.point(s);
}

Tensor SequenceBuffers::list(size_t i) const {
  return impl_->lists.on_device(kOwn + i).narrow(0, 0, impl_->own.at(i));
}

Sequences sequences_on(at::Device device, Sequences given) {
  measure(given);
  SequenceBuffers(device, limits_of(given)).place(given);
  return given;
}

Sequences sequences_on(at::Device device, std::vector<int32_t> cu_seqlens) {
  Sequences s;
  s.cu_seqlens = std::move(cu_seqlens);
  return sequences_on(device, std::move(s));
}

Sequences sequences_of(at::Device device, const std::vector<int32_t>& lengths) {
  std::vector<int32_t> cu_seqlens{0};
  for (const int32_t length : lengths) cu_seqlens.push_back(cu_seqlens.back() + length);
  return sequences_on(device, std::move(cu_seqlens));
}

Tensor Sequences::new_places() const {
  Tensor& made_T = made_places.new_places_T;
  if (!made_T.defined()) made_T = token_places(block_table_SM, cu_seqlens_dev, context_lens_dev, tokens(), block_size);
  return made_T;
}
Tensor Sequences::places() const {
  Tensor& made_L = made_places.places_L;
  if (made_L.defined()) return made_L;
  int64_t keys = 0;
  for (int64_t i = 0; i < count(); ++i) keys += context_lens[size_t(i)] + rows_of(i);
  return made_L = token_places(block_table_SM, cu_keylens_dev, {}, keys, block_size);
}

namespace {

// Of two halves of a block, keys and values, the first: block b's token i is row b size + i of places, 2 b size + i here.
Tensor slots_of(const Tensor& places, int32_t block_size) {
  return places + aten::floor_divide(places, block_size) * int64_t(block_size);
}

}  // namespace

Tensor Sequences::new_k_slots() const {
  Tensor& made_T = made_places.new_k_slots_T;
  if (!made_T.defined()) made_T = slots_of(new_places(), block_size);
  return made_T;
}
Tensor Sequences::k_slots() const {
  return slots_of(places(), block_size);
}
Tensor Sequences::new_v_slots() const {
  return new_k_slots() + int64_t(block_size);
}
Tensor Sequences::v_slots() const {
  return k_slots() + int64_t(block_size);
}

QueryChunk chunk_of(const Sequences& all, int64_t begin, int64_t end, at::Device device) {
  check(!all.paged() && all.cu_keylens.empty() && begin >= 0 && begin < end && end <= all.tokens(),
        "[attention] expected a chunk of packed sequences of ", all.tokens(), " tokens, got ", begin, " to ", end);
  QueryChunk chunk;
  Sequences part;
  part.cu_seqlens = part.cu_keylens = {0};
  for (int64_t s = 0; s < all.count(); ++s) {
    const int64_t first = all.cu_seqlens[s], from = std::max(first, begin), to = std::min<int64_t>(all.cu_seqlens[s + 1], end);
    if (from >= to) continue;
    if (part.cu_seqlens.size() == 1) chunk.k_begin = first;
    part.cu_seqlens.push_back(int32_t(to - begin));
    part.cu_keylens.push_back(int32_t(to - chunk.k_begin));
  }
  chunk.sequences = sequences_on(device, std::move(part));
  return chunk;
}

}  // namespace r1::ops
