// The device's own forms of attention.h, which checks and picks. Not for other folders.
#pragma once

#include <span>

#include "r1/kernels/cpu/attention.h"
#include "r1/ops/attention.h"

namespace r1::ops {

// The checks of every op of this kind: heads and lengths; the cache (bytes: of a block) and its blocks; no gradient.
void check_attention_shapes(const char* op, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences);
void check_paged_attention(const char* op, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache,
                           const Sequences& sequences);
void check_window(const char* op, const Window& window);
void check_cache(const char* op, const Tensor& cache, int64_t bytes, const Tensor& q_TNH, const Sequences& sequences);

// CPU fp32 and bf16 (attention_cpu.cc): kernels/cpu/attention, with its backward.
Tensor attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window);
// Its two halves without a graph, on contiguous tensors. lse_TN: fp32 [T, N] to be filled, or undefined. The backward returns dq and writes
// or, with `add`, adds to dk and dv (then fp32).
Tensor attention_forward_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                             const Window& window, const Tensor& lse_TN);
struct AttentionResult {
  Tensor out_TNH, lse_TN, dout_TNH;
};
Tensor attention_backward_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const AttentionResult& result,
                              const Sequences& sequences, double scale, const Window& window, const Tensor& dk_TKH, const Tensor& dv_TKH,
                              bool add);
Tensor paged_attention_cpu(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window, const KeyBias* bias = nullptr);
// The bias of the keys at these positions, rotated: [T, K, H] in its own type.
Tensor rotated_bias(const KeyBias& bias, const Tensor& positions_T);
// Appends the new keys and values, then attends as `shape` says. q contiguous.
Tensor attend_paged_cpu(const kernels::AttentionShape& shape, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH,
                        const Tensor& cache, const Sequences& sequences);
// The kernels' view of the new rows of each sequence; points into `sequences`.
std::vector<kernels::PagedSequence> paged_rows(const Sequences& sequences);
int64_t paged_attention_bytes_cpu(int64_t kv_heads, int64_t head_dim, const CacheForm& form, at::ScalarType dtype);

// Of a cache of floats.
at::ScalarType cache_dtype(CacheType type, at::ScalarType of_model);
// Whether the plain layout is one of rows of a token, and the bytes of one kv head's.
bool has_row_layout(const CacheForm& form);
int64_t row_bytes(const CacheForm& form, int64_t head_dim, at::ScalarType of_model);
// The kernels' view of a cache of the CPU's layout.
kernels::KvPool pool_of(const Tensor& cache, const CacheForm& form, at::ScalarType of_model);

// CUDA, 16 bit (attention_cudnn.cc): cuDNN's attention of sequences that all have one length, twice as fast as flash attention. Made for a
// shape at its first call (tens of milliseconds), so it is for lengths that come again: multiples of 64, from 256.
bool has_cudnn_attention(const Tensor& q_TNH, const Tensor& v_TKH, const Sequences& sequences, const Window& window);
Tensor attention_cudnn(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale);

// CUDA (attention_cuda.cc): ATen's flash attention for 16 bit types, the definition for the rest.
Tensor attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                      const Window& window);
Tensor paged_attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                            double scale, const Window& window, const KeyBias* bias = nullptr);
// Rows x [..., H] as int8 and their scales [..., 1] fp32, as kernels::quantize_row makes them; on any device, from any dtype.
struct Int8Rows {
  Tensor number, scale;
};
Int8Rows quantized(const Tensor& x);
// Rows x [..., H] as kernels::quantize_row_int4 makes them: a group's numbers d and d + 16 in a byte [..., 16 G], its scale and lowest number bf16
// [..., G, 2]; H is padded to whole groups. And back, the first `count` numbers.
struct Int4Rows {
  Tensor number, scale_and_low;
};
Int4Rows quantized_int4(const Tensor& x);
Tensor from_int4(const Int4Rows& rows, int64_t count, at::ScalarType wide);
// kernels::mix_row of the last dimension, in x's type.
Tensor mixed(const Tensor& x);

// A cache of the plain layout, as rows of a token or as blocks of keys and then values.
struct PlainCache {
  Tensor rows_PKE;
  CacheForm form;
  int64_t head_dim;
  at::ScalarType dtype;  // of the model

  PlainCache(const Tensor& cache, const CacheForm& form, int64_t heads, int64_t head_dim, at::ScalarType dtype);
  // Of a token in a sequence's blocks; -> int64 on the cache's device.
  Tensor places(std::span<const int32_t> blocks, const std::vector<int64_t>& tokens) const;
  void write(const Tensor& place_t, const Tensor& k_tKH, const Tensor& v_tKH) const;
  // Keys and values; numbers that are no floats as what they stand for, in `wide`.
  std::pair<Tensor, Tensor> read(const Tensor& place_l, at::ScalarType wide) const;
  // fp32 [l, K], of a form with a budget.
  Tensor scores(const Tensor& place_l) const;
  void add_scores(const Tensor& place_l, const Tensor& score_lK) const;

 private:
  bool rows() const { return has_row_layout(form); }
};

// Writes the new keys and values into a cache of the plain layout (paged_attention_ref) and returns, of each sequence, those [l, K, H] that
// some of its queries may see (int8: as what it stands for, fp32 or fp64). Any device and dtype.
struct KeysAndValues {
  Tensor k_lKH, v_lKH;
  Tensor position_l;  // int64, ascending
  Tensor place_l;     // in the cache's plain layout
};
std::vector<KeysAndValues> append_and_gather(const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                                             const KeyBias* bias = nullptr);
// hidden[i, j]: of the keys at these positions, the query at position first + i does not see key j, because it comes later or because the
// sequence does not keep it.
Tensor hidden_by_form(const Tensor& position_l, int64_t queries, int64_t first, const CacheForm& form);
// CUDA: the cache's form is one that the paged kernels take.
bool has_plain_form(const Tensor& q_TNH, const Sequences& sequences);

}  // namespace r1::ops
