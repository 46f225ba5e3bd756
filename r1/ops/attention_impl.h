// The device's own forms of attention.h, which checks and picks. Not for other folders.
#pragma once

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
                           double scale, const Window& window);
// Appends the new keys and values, then attends as `shape` says. q contiguous.
Tensor attend_paged_cpu(const kernels::AttentionShape& shape, const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH,
                        const Tensor& cache, const Sequences& sequences);
// The kernels' view of the new rows of each sequence; points into `sequences`.
std::vector<kernels::PagedSequence> paged_rows(const Sequences& sequences);
int64_t paged_attention_bytes_cpu(int64_t kv_heads, int64_t head_dim, const CacheForm& form, at::ScalarType dtype);

// Of a cache that is not int8.
at::ScalarType cache_dtype(CacheType type, at::ScalarType of_model);
// Of a token and kv head in the plain layout of int8.
inline int64_t int8_row_bytes(int64_t head_dim) {
  return 2 * head_dim + 2 * int64_t(sizeof(float));
}

// CUDA, 16 bit (attention_cudnn.cc): cuDNN's attention of sequences that all have one length, twice as fast as flash attention. Made for a
// shape at its first call (tens of milliseconds), so it is for lengths that come again: multiples of 64, from 256.
bool has_cudnn_attention(const Tensor& q_TNH, const Tensor& v_TKH, const Sequences& sequences, const Window& window);
Tensor attention_cudnn(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale);

// CUDA (attention_cuda.cc): ATen's flash attention for 16 bit types, the definition for the rest.
Tensor attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                      const Window& window);
Tensor paged_attention_cuda(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                            double scale, const Window& window);
// Rows x [..., H] as int8 and their scales [..., 1] fp32, as kernels::quantize_row makes them; on any device, from any dtype.
struct Int8Rows {
  Tensor number, scale;
};
Int8Rows quantized(const Tensor& x);

// Writes the new keys and values into a cache of the plain layout (paged_attention_ref) and returns, of each sequence, those [l, K, H] that
// some of its queries may see (int8: as what it stands for, fp32 or fp64). Any device and dtype.
struct KeysAndValues {
  Tensor k_lKH, v_lKH;
  Tensor position_l;  // int64, ascending
};
std::vector<KeysAndValues> append_and_gather(const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences);
// hidden[i, j]: of the keys at these positions, the query at position first + i does not see key j, because it comes later or because the
// sequence does not keep it.
Tensor hidden_by_form(const Tensor& position_l, int64_t queries, int64_t first, const CacheForm& form);
// CUDA: the cache's form is one that the paged kernels take.
bool has_plain_form(const Tensor& q_TNH, const Sequences& sequences);

}  // namespace r1::ops
