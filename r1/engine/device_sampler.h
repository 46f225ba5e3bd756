// Sampling where the logits are, so that [rows, V] never travels to the host: greedy, temperature, top-k, top-p, min-p and the chosen
// token's log-probability, one small copy back a step. Same rules and random numbers as sampler.h; sums run in the device's order, so a
// draw within rounding of a boundary may fall on its other side. Penalties, min_new_tokens, forced tokens and top_logprobs are the host
// sampler's.
#pragma once

#include <span>

#include "r1/engine/sampler.h"
#include "r1/tensor/tensor.h"

namespace r1::engine {

bool device_can_sample(const SampleRow& row);

// rows[i] draws from logits_RV[index[i]]; rows[i].logits is not looked at.
void sample_on_device(const Tensor& logits_RV, std::span<const int64_t> index, std::span<const SampleRow> rows, std::span<Sampled> out);

}  // namespace r1::engine
