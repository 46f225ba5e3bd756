// Sampling where the logits are. On a GPU the rules and random numbers of sampler.h, all of them, without [rows, V] travelling to the host:
// parameters go with the launch or by one copy before it, and the kernel writes what comes out into the host's pinned memory. Sums there are exact and a row's token depends on that row alone; it is the
// host's but for a draw within rounding (1e-6 of the probability) of a boundary. On the CPU this is sample_rows().
//
// Rows with a mask are drawn by the host all the same: their logits travel (0.6 MB for 150,000 tokens, some 0.1 ms) and the rest of the step
// waits for them.
//
// Counts for penalties stay on the device beside their sequence (TokenCounts::kept): a step sends what its tokens changed.
#pragma once

#include <memory>
#include <span>

#include "r1/engine/sampler.h"
#include "r1/tensor/tensor.h"

namespace r1::engine {

class DeviceSampler {
 public:
  // For up to max_rows rows at once.
  DeviceSampler(at::Device device, int64_t max_rows, int64_t vocab);
  ~DeviceSampler();

  // rows[i] draws from logits_RV[index[i]], fp32 on the device; rows[i].logits is not looked at. On a GPU nothing waits, but for the copy of
  // the enqueue() before; up to two may be on their way.
  void enqueue(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> rows);
  // Waits for the oldest enqueue() on its way. out[i] for its rows[i]. Throws as sample_rows() does; that enqueue() is over then.
  void collect(std::span<Sampled> out);
  // int64 [rows] on the device: of the last enqueue(), which had no mask, valid until the next. Its kernel may be still on its way on the device's stream.
  Tensor tokens() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::engine
