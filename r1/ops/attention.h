// Causal attention of packed sequences with grouped queries: softmax(q k^T * scale) v. Query head n reads key/value head n / (N / K).
//   q [T, N, H], k and v [T, K, H]; result [T, N, H]. Tokens of all sequences lie in one row; a sequence sees itself only
//   (sequences.h). In the training form values may have a size of their own: v [T, K, V] gives [T, N, V]; and with cu_keylens there may be
//   more keys than queries: k and v [cu_keylens.back(), K, H].
//
// With a window, a query sees the last of these keys only. Work and time are then O(T w) (CPU: tiles of keys that no query sees are
// skipped, forward and backward; CUDA: flash attention's own window where it is of one size, a mask else).
//
// Two forms of one op: `attention` (training; every sequence starts at position 0; has a backward) and `paged_attention` (engine; keys and
// values live in blocks of a cache, new ones are appended after `context_lens` and the new queries attend to all; no backward). CPU fp32:
// both run the same inner routine, so a token's result is bitwise the same in either form, whatever the chunking, the batch, the block ids
// and the number of threads. That holds under a window too: what a query sees, and in which order it is summed, depends on positions only.
#pragma once

#include <cstdint>

#include "r1/kernels/cpu/window.h"
#include "r1/ops/rotary.h"
#include "r1/ops/sequences.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

// The keys that the query at position p sees: the last at(p) of its sequence, itself included (kernels/cpu/window.h).
struct Window {
  int64_t tokens = 0;    // 0: all
  int64_t grows_to = 0;  // above tokens: the window grows with the text

  Window(int64_t tokens = 0, int64_t grows_to = 0) : tokens(tokens), grows_to(grows_to) {}  // NOLINT: a number of tokens is a window
  int64_t at(int64_t position) const { return kernels::window_at(tokens, grows_to, position); }
};

// What all keys of a layer have in common before they are rotated: the bias [K, H] of their projection, rotated by `table` (null: not at all). Some
// models have it so large (Qwen2) that 4 bits hold nothing else, so a cache of int4 keeps keys without it.
struct KeyBias {
  Tensor bias_KH;  // fp32
  const RotaryTable* table = nullptr;
};

Tensor attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                 const Window& window = {});
Tensor attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                     const Window& window = {});

// `cache`: uint8 [blocks, paged_attention_bytes(...)], one layer's, of the form that `sequences` say (cache_form.h). The layout inside a block
// is this op's business: it differs between devices and dtypes, so a block may be copied whole but not read. What was rounded when it was
// written (bf16 under an fp32 model, int8) is attended to as it stands in the cache, by the step that writes it too: so chunks and batches do
// not matter there either. A query sees what both its window and the form's kept_first and kept_last let it see.
// `bias`: what k has in it, if a cache of int4 is to be without; positions are places then, of one component.
Tensor paged_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                       double scale, const Window& window = {}, const KeyBias* bias = nullptr);
// The definition, on the plain layout: a block is k [block_size, K, H], then v, in the cache's type; as int8 rows of block_size tokens, each
// [K, 2 H + 8] bytes: key, value, the fp32 scales of both; as int4 (Int4Rows in attention_impl.h, G groups) [K, 32 G + 8 G]; with a budget rows too,
// of numbers of any type, and the token's fp32 score at the end. Only what some query sees is read.
Tensor paged_attention_ref(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Tensor& cache, const Sequences& sequences,
                           double scale, const Window& window = {}, const KeyBias* bias = nullptr);
int64_t paged_attention_bytes(int64_t kv_heads, int64_t head_dim, const CacheForm& form, at::Device device, at::ScalarType dtype);
// Throws if a cache of this form is not the plain one that the op `op` (of the layers called `layers`) needs.
void check_plain_cache(const char* op, const char* layers, const CacheForm& form);
// Throws if the form has a budget (heavy_hitters.h), which these layers can't keep to.
void check_no_budget(const char* op, const char* layers, const CacheForm& form);

}  // namespace r1::ops
