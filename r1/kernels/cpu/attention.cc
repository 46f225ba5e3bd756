#include "r1/kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "r1/base/error.h"
#include "r1/kernels/cpu/attention_simd.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/scratch.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

constexpr float kWhole = 12582912;  // 1.5 x 2^23: adding it leaves no place behind the point
constexpr int64_t kUnitRows = 48;   // query rows (tokens x heads of a group) of a unit of work

void check_shape(const AttentionShape& s, const char* op) {
  check(s.heads > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0, "[", op, "] expected heads to be a multiple of kv_heads, got ", s.heads,
        " and ", s.kv_heads);
  check(s.head_dim > 0 && s.v_dim > 0, "[", op, "] expected head_dim, v_dim > 0, got ", s.head_dim, ", ", s.v_dim);
  check(s.window >= 0 && s.window_max >= 0 && s.soft_cap >= 0, "[", op, "] expected window, window_max, soft_cap >= 0, got ", s.window,
        ", ", s.window_max, ", ", s.soft_cap);
  check(!s.segments || (s.window > 0 && s.window_max == 0 && s.causal), "[", op, "] expected segments of at least one token, got ",
        s.window);
  check(!s.bias || s.bias_span > 0, "[", op, "] expected a bias_span > 0 beside a bias, got ", s.bias_span);
  check(s.kept_first >= 0 && s.kept_last >= 0 && (s.kept_last == 0 || s.causal), "[", op,
        "] expected kept_first, kept_last >= 0 of causal attention, got ", s.kept_first, ", ", s.kept_last);
  check(!s.key_offset.cos || s.head_dim % 2 == 0, "[", op, "] expected rotated heads of even size, got ", s.head_dim);
  check(s.window_max == 0 || s.window > 0, "[", op, "] expected a window to grow from, got none and window_max ", s.window_max);
}

template <class H>
H dense(H h, int64_t row) {
  if (!h.row_stride) h.row_stride = row;
  return h;
}

// Keys that the last of `rows` queries before `position` sees, at most.
int64_t keys_seen(const AttentionShape& s, int64_t rows, int64_t position) {
  if (s.kept_last > 0) position = std::min(position, s.kept_first + s.kept_last - 1 + rows);
  if (s.segments) return std::min(position, 2 * s.window - 1 + rows);
  return s.window > 0 ? std::min(position, s.window_at(position - 1) + rows - 1) : position;
}

// The units of a forward, costly ones first, so that threads end together; their order has no bearing on the results.
std::vector<AttentionUnit> units_of(const AttentionShape& s, const std::vector<SequenceKeys>& sequences) {
  std::vector<AttentionUnit> units;
  const int64_t tokens = std::max<int64_t>(1, kUnitRows / (s.heads / s.kv_heads));
  for (size_t i = 0; i < sequences.size(); ++i)
    for (int64_t row = sequences[i].q_rows; row > 0;) {
      const int64_t begin = (row - 1) / tokens * tokens;
      for (int64_t h = 0; h < s.kv_heads; ++h) units.push_back({int64_t(i), h, begin, row});
      row = begin;
    }
  auto cost = [&](const AttentionUnit& u) {
    const SequenceKeys& k = sequences[u.sequence];
    const int64_t rows = u.row_end - u.row_begin;
    return rows * keys_seen(s, rows, k.keys - k.q_rows + u.row_end);
  };
  std::stable_sort(units.begin(), units.end(), [&](const auto& a, const auto& b) { return cost(a) > cost(b); });
  return units;
}

double work_of(const AttentionShape& s, const std::vector<SequenceKeys>& sequences) {
  double work = 0;
  for (const SequenceKeys& k : sequences)
    work += double(k.q_rows) * double(keys_seen(s, 1, k.keys)) * double(s.heads) * double(s.head_dim + s.v_dim);
  return work;
}

// Offsets of each sequence's tiles, in tiles of one head.
std::vector<int64_t> tile_offsets(const int32_t* cu_seqlens, int64_t sequences) {
  std::vector<int64_t> begin(sequences + 1, 0);
  for (int64_t i = 0; i < sequences; ++i) begin[i + 1] = begin[i] + (cu_seqlens[i + 1] - cu_seqlens[i] + kKeyTile - 1) / kKeyTile;
  return begin;
}

void check_seqlens(const int32_t* cu_seqlens, int64_t sequences, const char* op) {
  for (int64_t i = 0; i < sequences; ++i)
    check(cu_seqlens[i] <= cu_seqlens[i + 1], "[", op, "] expected ascending cu_seqlens, got ", cu_seqlens[i], ", ", cu_seqlens[i + 1]);
}

// The biases of every head by ascending key (bias_offset).
std::vector<float> reversed_bias(const AttentionShape& s) {
  std::vector<float> reversed(s.bias ? size_t(s.heads * bias_row(s)) : 0);
  for (int64_t h = 0; s.bias && h < s.heads; ++h)
    std::reverse_copy(s.bias + h * s.bias_span, s.bias + (h + 1) * s.bias_span, reversed.begin() + h * bias_row(s) + kBiasPad);
  return reversed;
}

void forward(AttentionWork w, const std::vector<SequenceKeys>& sequences) {
  const std::vector<float> bias = reversed_bias(w.shape);
  if (w.shape.bias) w.shape.bias = bias.data();
  const std::vector<AttentionUnit> units = units_of(w.shape, sequences);
  if (units.empty()) return;
  w.sequences = sequences.data();
  w.units = units.data();
  w.unit_count = int64_t(units.size());
  w.threads = threads_for(work_of(w.shape, sequences));
  with_isa([&](auto isa) { AttentionSimd<isa()>::forward(w); });
}

}  // namespace

void attention_forward(const AttentionForward& a) {
  const AttentionShape& s = a.shape;
  check_shape(s, "attention_forward");
  check_seqlens(a.cu_seqlens, a.sequences, "attention_forward");
  if (a.sequences == 0) return;
  const ConstHeads k = dense(a.k, s.kv_heads * s.head_dim), v = dense(a.v, s.kv_heads * s.v_dim);
  const int32_t* cu_keys = a.cu_keys ? a.cu_keys : a.cu_seqlens;
  check_seqlens(cu_keys, a.sequences, "attention_forward");
  const int64_t first = cu_keys[0], tokens = cu_keys[a.sequences] - first;
  const std::vector<int64_t> tiles = tile_offsets(cu_keys, a.sequences);
  const int threads = threads_for(double(tokens) * double(tokens) * double(s.heads) * double(s.head_dim));

  float* k_tiles = scratch(Scratch::kAttentionKeys, tiles.back() * kKeyTile * s.head_dim * s.kv_heads);
  with_isa([&](auto isa) {
    AttentionSimd<isa()>::pack_tiles({k, s.kv_heads, s.head_dim, k.row_stride, cu_keys, tiles.data(), a.sequences, k_tiles}, threads);
  });
  // Values are read where they are, if that is fp32 rows of whole vectors.
  const bool v_in_place = v.type == Float::kF32 && s.v_dim % kKeyTile == 0;
  const int64_t v_row = padded_to_lanes(s.v_dim);
  const float* v_rows = static_cast<const float*>(v.data) + (v_in_place ? first * v.row_stride : 0);
  if (!v_in_place) {
    float* packed = scratch(Scratch::kAttentionValues, tokens * s.kv_heads * v_row);
    ConstHeads from = v;
    from.data = static_cast<const char*>(v.data) + first * v.row_stride * size_of(v.type);
    with_isa([&](auto isa) { AttentionSimd<isa()>::pack_rows({from, tokens, s.kv_heads, s.v_dim, v.row_stride, packed}, threads); });
    v_rows = packed;
  }
  const int64_t v_step = v_in_place ? v.row_stride : v_row, v_head_stride = v_in_place ? s.v_dim : tokens * v_row;

  std::vector<SequenceKeys> sequences;
  for (int64_t i = 0; i < a.sequences; ++i) {
    const int64_t begin = cu_keys[i], n = cu_keys[i + 1] - begin, head_stride = (tiles[i + 1] - tiles[i]) * kKeyTile * s.head_dim;
    const int64_t rows = a.cu_seqlens[i + 1] - a.cu_seqlens[i];
    check(rows <= n, "[attention_forward] expected the queries among the keys, got ", rows, " queries, ", n, " keys");
    sequences.push_back({a.cu_seqlens[i], rows, n, nullptr, k_tiles + tiles[i] * kKeyTile * s.head_dim * s.kv_heads, head_stride,
                         v_rows + (begin - first) * v_step, v_head_stride, v_step});
  }
  forward({.shape = s, .q = dense(a.q, s.heads * s.head_dim), .out = dense(a.out, s.heads * s.v_dim), .lse = a.lse}, sequences);
}

// ---- paged

namespace {

void check_block_size(int64_t block_size) {
  check(block_size > 0 && block_size % kKeyTile == 0, "[attention_block_bytes] expected a block size that is a multiple of 16, got ",
        block_size);
}

}  // namespace

size_t attention_block_bytes(int64_t block_size, int64_t kv_heads, int64_t head_dim, int64_t v_dim, Float type) {
  check_block_size(block_size);
  return size_t(block_size * kv_heads * (head_dim + padded_to_lanes(v_dim)) * size_of(type));
}

size_t attention_block_bytes_int8(int64_t block_size, int64_t kv_heads, int64_t head_dim, int64_t v_dim) {
  check_block_size(block_size);
  return size_t(block_size * kv_heads * (head_dim + padded_to_lanes(v_dim) + 2 * int64_t(sizeof(float))));
}

size_t attention_block_bytes_int4(int64_t block_size, int64_t kv_heads, int64_t head_dim, int64_t v_dim) {
  check_block_size(block_size);
  return size_t(kv_heads * Int4Head(block_size, head_dim, v_dim).bytes());
}

float quantize_row(const float* x, int64_t count, int8_t* to) {
  float top = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    const float size = std::fabs(x[i]);
    finite &= size <= std::numeric_limits<float>::max();
    top = std::max(top, size);
  }
  const float scale = top / 127;
  if (!finite || scale == 0) {
    std::memset(to, 0, size_t(count));
    return finite ? 0 : std::numeric_limits<float>::quiet_NaN();
  }
  // A scale that is hardly a number may be so coarse that the quotient passes 127.
  for (int64_t i = 0; i < count; ++i) to[i] = int8_t(std::clamp((x[i] / scale + kWhole) - kWhole, -127.0f, 127.0f));
  return scale;
}

void mix_row(float* x, int64_t count) {
  const int64_t size = mix_size(count);
  for (int64_t half = 1; half < size; half *= 2)
    for (int64_t i = 0; i < count; i += 2 * half)
      for (int64_t j = i; j < i + half; ++j) {
        const float a = x[j], b = x[j + half];
        x[j] = a + b, x[j + half] = a - b;
      }
}

void quantize_row_int4(const float* x, int64_t count, uint8_t* to, uint16_t* scale, uint16_t* low) {
  for (int64_t begin = 0; begin < count; begin += kInt4Group, ++scale, ++low) {
    const int64_t end = std::min(count, begin + kInt4Group);
    float least = x[begin], most = x[begin];
    bool finite = true;
    for (int64_t i = begin; i < end; ++i) {
      finite &= std::fabs(x[i]) <= std::numeric_limits<float>::max();
      least = std::min(least, x[i]), most = std::max(most, x[i]);
    }
    *low = to_bf16(least);
    // A lowest number that was rounded up may be the highest too.
    *scale = to_bf16(std::max(0.0f, (most - from_bf16(*low)) / 15));
    const float step = from_bf16(*scale), from = from_bf16(*low);
    if (!finite || !(step <= std::numeric_limits<float>::max())) *scale = *low = to_bf16(std::numeric_limits<float>::quiet_NaN());
    for (int64_t i = begin; i < end; ++i) {
      const bool nothing = !finite || step == 0;
      to[i] = nothing ? 0 : uint8_t(std::clamp(((x[i] - from) / step + kWhole) - kWhole, 0.0f, 15.0f));
    }
  }
}

namespace {

// Of the heads alone.
size_t numbers_bytes(const AttentionShape& s, const KvPool& pool) {
  switch (pool.numbers) {
    case KvNumbers::kInt8:
      return attention_block_bytes_int8(pool.block_size, s.kv_heads, s.head_dim, s.v_dim);
    case KvNumbers::kInt4:
      return attention_block_bytes_int4(pool.block_size, s.kv_heads, s.head_dim, s.v_dim);
    default:
      return attention_block_bytes(pool.block_size, s.kv_heads, s.head_dim, s.v_dim, pool.type);
  }
}

KvPool checked(KvPool pool, const AttentionShape& s) {
  const int64_t bytes = int64_t(attention_pool_bytes(s, pool));
  if (!pool.block_stride) pool.block_stride = bytes;
  check(pool.block_stride >= bytes && pool.block_stride % 4 == 0, "[attention] expected blocks of at least ", bytes,
        " bytes, a multiple of 4, got ", pool.block_stride);
  return pool;
}

float load_value(const ConstHeads& h, int64_t i) {
  return h.type == Float::kF32 ? static_cast<const float*>(h.data)[i] : from_bf16(static_cast<const uint16_t*>(h.data)[i]);
}
void store_value(float* p, float x) {
  *p = x;
}
void store_value(uint16_t* p, float x) {
  *p = to_bf16(x);
}

// Token `row` of k, v to place `at` of a block.
template <class T>
void append_token(const AttentionShape& s, int64_t block_size, const ConstHeads& k, const ConstHeads& v, int64_t row, T* block,
                  int64_t at) {
  const int64_t v_row = padded_to_lanes(s.v_dim), head_size = block_size * (s.head_dim + v_row);
  for (int64_t h = 0; h < s.kv_heads; ++h) {
    T* tile = block + h * head_size + at / kKeyTile * kKeyTile * s.head_dim + at % kKeyTile;
    for (int64_t d = 0; d < s.head_dim; ++d) store_value(tile + d * kKeyTile, load_value(k, row * k.row_stride + h * s.head_dim + d));
    T* values = block + h * head_size + block_size * s.head_dim + at * v_row;
    for (int64_t d = 0; d < v_row; ++d) store_value(values + d, d < s.v_dim ? load_value(v, row * v.row_stride + h * s.v_dim + d) : 0.0f);
  }
}

// The same to a block of int8. `row`: room for a head's key or value.
void append_token_int8(const AttentionShape& s, int64_t block_size, const ConstHeads& k, const ConstHeads& v, int64_t row, char* block,
                       int64_t at) {
  const int64_t v_row = padded_to_lanes(s.v_dim), numbers = block_size * (s.head_dim + v_row);
  constexpr int64_t kChunk = 1024;
  check(std::max(s.head_dim, v_row) <= kChunk, "[append_kv] expected heads of up to ", kChunk, " for an int8 pool, got ", s.head_dim);
  float x[kChunk];
  int8_t whole[kChunk];
  for (int64_t h = 0; h < s.kv_heads; ++h) {
    auto* head = reinterpret_cast<int8_t*>(block) + h * int8_head_bytes(block_size, s.head_dim, v_row);
    auto* scales = reinterpret_cast<float*>(head + numbers);
    for (int64_t d = 0; d < s.head_dim; ++d) x[d] = load_value(k, row * k.row_stride + h * s.head_dim + d);
    scales[at] = quantize_row(x, s.head_dim, whole);
    int8_t* tile = head + at / kKeyTile * kKeyTile * s.head_dim + at % kKeyTile;
    for (int64_t d = 0; d < s.head_dim; ++d) tile[d * kKeyTile] = whole[d];
    for (int64_t d = 0; d < v_row; ++d) x[d] = d < s.v_dim ? load_value(v, row * v.row_stride + h * s.v_dim + d) : 0.0f;
    scales[block_size + at] = quantize_row(x, v_row, head + block_size * s.head_dim + at * v_row);
  }
}

// The same to a block of int4.
void append_token_int4(const AttentionShape& s, int64_t block_size, const ConstHeads& k, const ConstHeads& v, int64_t row, char* block,
                       int64_t at) {
  const Int4Head layout(block_size, s.head_dim, s.v_dim);
  constexpr int64_t kChunk = 1024, kGroups = kChunk / kInt4Group;
  check(std::max(s.head_dim, s.v_dim) <= kChunk, "[append_kv] expected heads of up to ", kChunk, " for an int4 pool, got ", s.head_dim);
  float x[kChunk];
  uint8_t whole[kChunk];
  uint16_t scales[kGroups], lows[kGroups];
  for (int64_t h = 0; h < s.kv_heads; ++h) {
    char* head = block + h * layout.bytes();
    for (int64_t d = 0; d < s.head_dim; ++d) x[d] = load_value(k, row * k.row_stride + h * s.head_dim + d);
    mix_row(x, s.head_dim);
    quantize_row_int4(x, s.head_dim, whole, scales, lows);
    if (s.head_dim % 2) whole[s.head_dim] = 0;
    auto* tile = reinterpret_cast<uint8_t*>(head) + at / kKeyTile * kKeyTile * layout.pairs + at % kKeyTile;
    for (int64_t d = 0; d < layout.pairs; ++d) tile[d * kKeyTile] = uint8_t(whole[2 * d] | whole[2 * d + 1] << 4);
    for (int64_t g = 0; g < layout.key_groups; ++g) {
      reinterpret_cast<uint16_t*>(head + layout.key_scales())[g * block_size + at] = scales[g];
      reinterpret_cast<uint16_t*>(head + layout.key_lows())[g * block_size + at] = lows[g];
    }
    for (int64_t d = 0; d < s.v_dim; ++d) x[d] = load_value(v, row * v.row_stride + h * s.v_dim + d);
    quantize_row_int4(x, s.v_dim, whole, scales, lows);
    std::memset(whole + s.v_dim, 0, size_t(layout.value_groups * kInt4Group - s.v_dim));
    auto* values = reinterpret_cast<uint8_t*>(head + layout.values()) + at * layout.value_bytes();
    auto* of_values = reinterpret_cast<uint16_t*>(head + layout.value_scales()) + at * layout.value_groups * 2;
    for (int64_t g = 0; g < layout.value_groups; ++g) {
      const uint8_t* group = whole + g * kInt4Group;
      for (int64_t d = 0; d < 16; ++d) values[g * 16 + d] = uint8_t(group[d] | group[d + 16] << 4);
      of_values[2 * g] = scales[g], of_values[2 * g + 1] = lows[g];
    }
  }
}

// One kv head's part of a block: the pieces that a token's place moves with. A token's are at offset + place * step + i * stride, `bytes` each.
struct Pieces {
  int64_t offset, step, count, stride, bytes;
};
struct HeadPieces {
  Pieces keys;  // by tiles: a tile's place in it is counted by keys.step, the tiles are tile_bytes apart
  int64_t tile_bytes, head_bytes;
  std::vector<Pieces> rest;
};
HeadPieces pieces_of(const AttentionShape& s, const KvPool& pool) {
  const int64_t size = pool.block_size, v_row = padded_to_lanes(s.v_dim);
  if (pool.numbers == KvNumbers::kInt4) {
    const Int4Head l(size, s.head_dim, s.v_dim);
    return {{0, 1, l.pairs, kKeyTile, 1},
            l.pairs * kKeyTile,
            l.bytes(),
            {{l.values(), l.value_bytes(), 1, 0, l.value_bytes()},
             {l.key_scales(), 2, l.key_groups, 2 * size, 2},
             {l.key_lows(), 2, l.key_groups, 2 * size, 2},
             {l.value_scales(), 4 * l.value_groups, 1, 0, 4 * l.value_groups}}};
  }
  const bool int8 = pool.numbers == KvNumbers::kInt8;
  const int64_t each = int8 ? 1 : size_of(pool.type), numbers = size * (s.head_dim + v_row) * each;
  HeadPieces p{{0, each, s.head_dim, kKeyTile * each, each},
               s.head_dim * kKeyTile * each,
               int8 ? int8_head_bytes(size, s.head_dim, v_row) : numbers,
               {{size * s.head_dim * each, v_row * each, 1, 0, v_row * each}}};
  if (int8) p.rest.push_back({numbers, 4, 2, 4 * size, 4});
  return p;
}

float* scores_of(const AttentionShape& s, const KvPool& pool, const int32_t* blocks, int64_t kv_head, int64_t slot) {
  char* block = static_cast<char*>(pool.data) + blocks[slot / pool.block_size] * pool.block_stride;
  return reinterpret_cast<float*>(block + numbers_bytes(s, pool)) + kv_head * pool.block_size + slot % pool.block_size;
}

}  // namespace

size_t attention_pool_bytes(const AttentionShape& s, const KvPool& pool) {
  return numbers_bytes(s, pool) + (pool.scored ? size_t(s.kv_heads * pool.block_size) * sizeof(float) : 0);
}

void append_kv(const AttentionShape& s, const KvPool& given, ConstHeads k, ConstHeads v, const PagedSequence* sequences, int64_t count) {
  check_shape(s, "append_kv");
  const KvPool pool = checked(given, s);
  k = dense(k, s.kv_heads * s.head_dim), v = dense(v, s.kv_heads * s.v_dim);
  for (int64_t i = 0; i < count; ++i) {
    const PagedSequence& q = sequences[i];
    const int threads = threads_for(double(q.q_rows) * double(s.kv_heads * (s.head_dim + s.v_dim)));
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t r = 0; r < q.q_rows; ++r) {
      const int64_t position = q.keys - q.q_rows + r;
      char* block = static_cast<char*>(pool.data) + q.blocks[position / pool.block_size] * pool.block_stride;
      if (pool.scored)
        for (int64_t h = 0; h < s.kv_heads; ++h) *scores_of(s, pool, q.blocks, h, position) = 0;
      if (pool.numbers == KvNumbers::kInt8)
        append_token_int8(s, pool.block_size, k, v, q.q_begin + r, block, position % pool.block_size);
      else if (pool.numbers == KvNumbers::kInt4)
        append_token_int4(s, pool.block_size, k, v, q.q_begin + r, block, position % pool.block_size);
      else if (pool.type == Float::kF32)
        append_token(s, pool.block_size, k, v, q.q_begin + r, reinterpret_cast<float*>(block), position % pool.block_size);
      else
        append_token(s, pool.block_size, k, v, q.q_begin + r, reinterpret_cast<uint16_t*>(block), position % pool.block_size);
    }
  }
}

namespace {

std::vector<SequenceKeys> paged_keys(const AttentionPaged& a, const char* op) {
  std::vector<SequenceKeys> sequences;
  for (int64_t i = 0; i < a.count; ++i) {
    const PagedSequence& q = a.sequences[i];
    check(q.q_rows >= 0 && q.q_rows <= q.keys, "[", op, "] expected the new rows among the keys, got ", q.q_rows, " rows, ", q.keys,
          " keys");
    sequences.push_back({.q_begin = q.q_begin, .q_rows = q.q_rows, .keys = q.keys, .blocks = q.blocks});
  }
  return sequences;
}

AttentionWork paged_work(const AttentionPaged& a) {
  const AttentionShape& s = a.shape;
  return {
      .shape = s, .q = dense(a.q, s.heads * s.head_dim), .out = dense(a.out, s.heads * s.v_dim), .lse = a.lse, .pool = checked(a.pool, s)};
}

}  // namespace

void attention_forward_paged(const AttentionPaged& a) {
  check_shape(a.shape, "attention_forward_paged");
  const std::vector<SequenceKeys> sequences = paged_keys(a, "attention_forward_paged");
  forward(paged_work(a), sequences);
}

void add_attention_scores(const AttentionPaged& a) {
  const AttentionShape& s = a.shape;
  check_shape(s, "add_attention_scores");
  check(a.pool.scored && a.lse && s.causal && s.window == 0 && !s.segments && !s.bias && s.kept_last == 0,
        "[add_attention_scores] expected a scored pool, log sums and attention to all keys before");
  const std::vector<SequenceKeys> sequences = paged_keys(a, "add_attention_scores");
  std::vector<AttentionUnit> units;
  for (size_t i = 0; i < sequences.size(); ++i)
    for (int64_t h = 0; h < s.kv_heads && sequences[i].q_rows > 0; ++h) units.push_back({int64_t(i), h, 0, sequences[i].q_rows});
  if (units.empty()) return;
  AttentionWork w = paged_work(a);
  w.score_offset = int64_t(numbers_bytes(s, w.pool));
  w.sequences = sequences.data();
  w.units = units.data();
  w.unit_count = int64_t(units.size());
  w.threads = threads_for(work_of(s, sequences) / 2);
  with_isa([&](auto isa) { AttentionSimd<isa()>::scores(w); });
}

void read_attention_scores(const AttentionShape& s, const KvPool& given, const int32_t* blocks, int64_t kv_head, int64_t slots,
                           float* scores) {
  const KvPool pool = checked(given, s);
  check(pool.scored, "[read_attention_scores] expected a scored pool");
  for (int64_t i = 0; i < slots; ++i) scores[i] = *scores_of(s, pool, blocks, kv_head, i);
}

void keep_slots(const AttentionShape& s, const KvPool& given, const int32_t* blocks, int64_t kv_head, const int64_t* kept, int64_t count) {
  const KvPool pool = checked(given, s);
  const HeadPieces pieces = pieces_of(s, pool);
  const auto move = [](const Pieces& p, const char* from, char* to) {
    for (int64_t i = 0; i < p.count; ++i) std::memcpy(to + i * p.stride, from + i * p.stride, size_t(p.bytes));
  };
  const auto head_at = [&](int64_t slot) {
    return static_cast<char*>(pool.data) + blocks[slot / pool.block_size] * pool.block_stride + kv_head * pieces.head_bytes;
  };
  // A kept token moves forward or stays, so nothing is written over that is still to move.
  for (int64_t i = 0; i < count; ++i) {
    check(kept[i] >= i && (i == 0 || kept[i] > kept[i - 1]), "[keep_slots] expected ascending slots, got ", kept[i]);
    if (kept[i] == i) continue;
    const int64_t from = kept[i] % pool.block_size, to = i % pool.block_size;
    const char* old_head = head_at(kept[i]);
    char* new_head = head_at(i);
    const auto key = [&](int64_t at) { return at / kKeyTile * pieces.tile_bytes + at % kKeyTile * pieces.keys.step; };
    move(pieces.keys, old_head + key(from), new_head + key(to));
    for (const Pieces& p : pieces.rest) move(p, old_head + p.offset + from * p.step, new_head + p.offset + to * p.step);
    if (pool.scored) *scores_of(s, pool, blocks, kv_head, i) = *scores_of(s, pool, blocks, kv_head, kept[i]);
  }
}

// ---- backward

namespace {

// The units of a backward, long ones first.
std::vector<AttentionUnit> backward_units(const AttentionBackward& a) {
  std::vector<AttentionUnit> units;
  for (int64_t i = 0; i < a.sequences; ++i) {
    const int64_t rows = a.cu_seqlens[i + 1] - a.cu_seqlens[i], n = a.cu_keys[i + 1] - a.cu_keys[i];
    check(rows <= n, "[attention_backward] expected the queries among the keys, got ", rows, " queries, ", n, " keys");
    for (int64_t h = 0; h < a.shape.kv_heads && n > 0; ++h) units.push_back({i, h, 0, n});
  }
  std::stable_sort(units.begin(), units.end(), [](const auto& x, const auto& y) { return x.row_end > y.row_end; });
  return units;
}

double backward_work(const AttentionBackward& a) {
  const AttentionShape& s = a.shape;
  double work = 0;
  for (int64_t i = 0; i < a.sequences; ++i) {
    const int64_t n = a.cu_keys[i + 1] - a.cu_keys[i];
    if (n > 0) work += double(n) * double(keys_seen(s, 1, n)) * double(s.heads) * double(s.head_dim + s.v_dim);
  }
  return work;
}

// The units' sums, one head's after the other in the order of the units, which the lengths alone decide.
void add_bias_gradients(const AttentionBackward& a, const std::vector<AttentionUnit>& units, const std::vector<float>& sums) {
  const AttentionShape& s = a.shape;
  const int64_t group = s.heads / s.kv_heads;
  std::fill_n(a.dbias, s.heads * s.bias_span, 0.0f);
  for (size_t u = 0; u < units.size(); ++u)
    for (int64_t g = 0; g < group; ++g) {
      float* head = a.dbias + (units[u].kv_head * group + g) * s.bias_span;
      const float* reversed = sums.data() + (int64_t(u) * group + g) * bias_row(s) + kBiasPad;
      for (int64_t d = 0; d < s.bias_span; ++d) head[d] += reversed[s.bias_span - 1 - d];
    }
}

}  // namespace

void attention_backward(const AttentionBackward& given) {
  AttentionBackward a = given;
  AttentionShape& s = a.shape;
  check_shape(s, "attention_backward");
  check(s.kept_last == 0, "[attention_backward] expected all keys kept, got the last ", s.kept_last,
        ": engines keep fewer, training does not");
  if (!a.cu_keys) a.cu_keys = a.cu_seqlens;
  check_seqlens(a.cu_seqlens, a.sequences, "attention_backward");
  check_seqlens(a.cu_keys, a.sequences, "attention_backward");
  check(!a.add_keys || (a.dk.type == Float::kF32 && a.dv.type == Float::kF32),
        "[attention_backward] expected fp32 dk and dv to add to, got bf16");
  a.q = dense(a.q, s.heads * s.head_dim), a.k = dense(a.k, s.kv_heads * s.head_dim), a.v = dense(a.v, s.kv_heads * s.v_dim);
  a.out = dense(a.out, s.heads * s.v_dim), a.dout = dense(a.dout, s.heads * s.v_dim);
  a.dq = dense(a.dq, s.heads * s.head_dim), a.dk = dense(a.dk, s.kv_heads * s.head_dim), a.dv = dense(a.dv, s.kv_heads * s.v_dim);
  const std::vector<AttentionUnit> units = backward_units(a);
  const std::vector<float> bias = reversed_bias(s);
  if (s.bias) s.bias = bias.data();
  std::vector<float> dbias(a.dbias ? units.size() * size_t(s.heads / s.kv_heads * bias_row(s)) : 0);
  if (!units.empty())
    with_isa([&](auto isa) {
      AttentionSimd<isa()>::backward(
          {a, a.dbias ? dbias.data() : nullptr, units.data(), int64_t(units.size()), threads_for(backward_work(a))});
    });
  if (a.dbias) add_bias_gradients(a, units, dbias);
}

}  // namespace r1::kernels
