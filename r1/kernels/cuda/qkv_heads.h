// What happens to queries, keys and values between their projection and attention, in one launch: optional RMSNorm of each head of q and k
// (fp32, rounded once to the heads' type), optional rotation by position (fp32, rounded once; kernels/cpu/rope.h), and to where attention
// wants them: dense rows or the blocks of a cache (kernels/cuda/paged_attention.h). ops/qkv_heads.h says which formulas.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/rows.h"
#include "r1/kernels/cuda/device.h"

namespace r1::kernels::cuda {

// Heads of some tokens: [tokens, heads, head_dim], tokens token_stride elements apart. Null: there are none.
struct ConstHeadRows {
  const void* data = nullptr;
  int64_t token_stride = 0;
};
struct HeadRows {
  void* data = nullptr;
  int64_t token_stride = 0;
};

struct HeadsNorm {
  ConstRows q_weight, k_weight;  // [head_dim]; data null: no norm
  float eps = 0, offset = 0;
};
// cos, sin: [positions, head_dim / 2]; null: no rotation. positions [tokens], each below the table's rows.
struct HeadsRotation {
  const float *cos = nullptr, *sin = nullptr;
  bool interleaved = false;
  const int32_t* positions = nullptr;
};
struct HeadsShape {
  Float type = Float::kF32;
  int64_t tokens = 0, heads = 0, kv_heads = 0, head_dim = 0;
};
// Where a cache has the new tokens' keys and values. All on the device.
struct HeadsCache {
  void* cache = nullptr;  // null: none
  int32_t block_size = 16;
  const int32_t* table = nullptr;  // [sequences, table_width]
  int64_t table_width = 0, sequences = 0;
  const int32_t *cu = nullptr, *context = nullptr;  // [sequences + 1], [sequences]
  bool one_row_each = false;                        // every sequence has one row
};

// Head sizes that are a multiple of 8, up to 256. Addresses and distances are multiples of 4 elements.
bool has_qkv_heads(int64_t head_dim);

struct QkvHeads {
  HeadsShape shape;
  ConstHeadRows q, k, v;
  HeadsNorm norm;
  HeadsRotation rotation;
  HeadRows q_out, k_out, v_out;  // null: not written
  HeadsCache cache;
  int32_t* zeroed = nullptr;  // further numbers that are made zero (paged_attention's counters)
  int64_t zeroed_count = 0;
};
void qkv_heads(const QkvHeads& a, Stream stream);

// From the gradients of what it wrote to those of what it read; a gradient that is null is zero. Weights' gradients are fp32 sums over tokens
// and heads, in an order that depends on shapes only, rounded once.
struct QkvHeadsBackward {
  HeadsShape shape;
  ConstHeadRows q, k;  // as they came in; for the norm
  HeadsNorm norm;
  HeadsRotation rotation;
  ConstHeadRows dq_out, dk_out, dv_out;
  HeadRows dq, dk, dv;
  Rows dq_weight, dk_weight;   // [head_dim], null: not wanted
  float* workspace = nullptr;  // qkv_heads_workspace() floats, where a weight's gradient is wanted
};
int64_t qkv_heads_workspace(const HeadsShape& shape, int device);
void qkv_heads_backward(const QkvHeadsBackward& a, Stream stream);

}  // namespace r1::kernels::cuda
