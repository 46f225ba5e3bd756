// What attention.cc hands to the instruction-set specific part: checked shapes, where each sequence's key tiles and value rows are, a list
// of work.
#pragma once

#include "r1/kernels/cpu/attention.h"
#include "r1/kernels/cpu/isa.h"

namespace r1::kernels {

inline constexpr int64_t kKeyTile = 16;  // keys of a tile: the lanes
static inline int64_t padded_to_lanes(int64_t dim) {
  return (dim + 15) / 16 * 16;
}

// A kv head's part of a block of int8: keys, values (v_row a token), scales of both.
static inline int64_t int8_head_bytes(int64_t block_size, int64_t head_dim, int64_t v_row) {
  return block_size * (head_dim + v_row + 2 * int64_t(sizeof(float)));
}

// A kv head's part of a block of int4 (attention_block_bytes_int4): where its pieces begin, in bytes.
struct Int4Head {
  int64_t block_size, pairs, key_groups, value_groups;

  Int4Head(int64_t block_size, int64_t head_dim, int64_t v_dim)
      : block_size(block_size),
        pairs((head_dim + 1) / 2),
        key_groups((head_dim + kInt4Group - 1) / kInt4Group),
        value_groups((v_dim + kInt4Group - 1) / kInt4Group) {}
  int64_t value_bytes() const { return value_groups * (kInt4Group / 2); }  // of a token
  int64_t values() const { return block_size * pairs; }
  int64_t key_scales() const { return values() + block_size * value_bytes(); }
  int64_t key_lows() const { return key_scales() + block_size * key_groups * 2; }
  int64_t value_scales() const { return key_lows() + block_size * key_groups * 2; }
  int64_t bytes() const { return value_scales() + block_size * value_groups * 4; }
};

// Packed training tensors copied to tiles: per sequence and kv head, keys [tiles][dim][16] (zero beyond the end).
// Tiles of sequence s and kv head h start at tiles_begin[s] * kv_heads + h * (tiles of s), in units of dim * 16 floats.
struct TilePacking {
  ConstHeads rows;
  int64_t kv_heads, dim, row_stride;
  const int32_t* cu_seqlens;
  const int64_t* tiles_begin;  // [sequences + 1]
  int64_t sequences;
  float* tiles;
};

// Rows [tokens, heads, dim] copied to fp32 [heads][tokens][padded dim], zero in the padding.
struct RowPacking {
  ConstHeads rows;
  int64_t tokens, heads, dim, row_stride;
  float* packed;
};

// One sequence's keys: paged when blocks is set.
struct SequenceKeys {
  int64_t q_begin, q_rows, keys;
  const int32_t* blocks;
  const float* k_tiles;
  int64_t k_head_stride;
  const float* v;
  int64_t v_head_stride, v_step;
};

struct AttentionUnit {
  int64_t sequence, kv_head, row_begin, row_end;  // rows of the sequence's queries, counted in tokens
};

// A head's biases by ascending key: the bias of distance d is at [kBiasPad + span - 1 - d], between kBiasPad zeros on either side, so that
// whole steps of keys can be read around those that are seen.
inline constexpr int64_t kBiasPad = 64;
static inline int64_t bias_row(const AttentionShape& s) {
  return s.bias_span + 2 * kBiasPad;
}
// Where the bias of key 0 would be for the query at `position`; that of key j is j further on.
static inline int64_t bias_offset(const AttentionShape& s, int64_t head, int64_t position) {
  return head * bias_row(s) + kBiasPad + s.bias_span - 1 - position;
}

struct AttentionWork {
  AttentionShape shape;  // its bias is the reversed one
  ConstHeads q;
  Heads out;
  float* lse;
  KvPool pool;
  int64_t score_offset;  // in a block; of a scored pool
  const SequenceKeys* sequences;
  const AttentionUnit* units;
  int64_t unit_count;
  int threads;
};

struct AttentionBackwardWork {
  AttentionBackward a;         // its shape's bias is the reversed one
  float* dbias = nullptr;      // a unit's [group][bias_row], reversed and zeroed; null: not wanted
  const AttentionUnit* units;  // one per (sequence, kv head)
  int64_t unit_count;
  int threads;
};

template <Isa>
struct AttentionSimd {
  static void pack_tiles(const TilePacking& p, int threads);
  static void pack_rows(const RowPacking& p, int threads);
  static void forward(const AttentionWork& w);
  static void scores(const AttentionWork& w);  // a unit is a sequence's kv head
  static void backward(const AttentionBackwardWork& w);
};
template <>
void AttentionSimd<Isa::kScalar>::pack_tiles(const TilePacking&, int);
template <>
void AttentionSimd<Isa::kAvx2>::pack_tiles(const TilePacking&, int);
template <>
void AttentionSimd<Isa::kAvx512>::pack_tiles(const TilePacking&, int);
template <>
void AttentionSimd<Isa::kScalar>::pack_rows(const RowPacking&, int);
template <>
void AttentionSimd<Isa::kAvx2>::pack_rows(const RowPacking&, int);
template <>
void AttentionSimd<Isa::kAvx512>::pack_rows(const RowPacking&, int);
template <>
void AttentionSimd<Isa::kScalar>::forward(const AttentionWork&);
template <>
void AttentionSimd<Isa::kScalar>::scores(const AttentionWork&);
template <>
void AttentionSimd<Isa::kAvx2>::forward(const AttentionWork&);
template <>
void AttentionSimd<Isa::kAvx2>::scores(const AttentionWork&);
template <>
void AttentionSimd<Isa::kAvx512>::forward(const AttentionWork&);
template <>
void AttentionSimd<Isa::kAvx512>::scores(const AttentionWork&);
template <>
void AttentionSimd<Isa::kScalar>::backward(const AttentionBackwardWork&);
template <>
void AttentionSimd<Isa::kAvx2>::backward(const AttentionBackwardWork&);
template <>
void AttentionSimd<Isa::kAvx512>::backward(const AttentionBackwardWork&);

}  // namespace r1::kernels
