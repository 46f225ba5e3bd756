// Rotary position embedding (Su et al., RoFormer, 2021) in the half-split form of HF's llama: a head's value i is paired with i + H/2.
//   y[i]       = x[i] cos - x[i + H/2] sin
//   y[i + H/2] = x[i + H/2] cos + x[i] sin,   angle = position * frequency[i]
// or, interleaved (the paper, DeepSeek), with neighbours for pairs: values 2i and 2i + 1.
// Angles are computed in double and stored as fp32 tables of cos and sin [positions, H/2], filled as far as texts have reached.
#pragma once

#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::ops {

struct RotaryScaling {
  enum Kind { kNone, kLinear, kLlama3, kYarn } kind = kNone;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4, original_max_positions = 8192;
  double beta_fast = 32, beta_slow = 1;  // yarn
};

// Radians a position for each of head_dim/2 pairs. theta: the base. llama3: Llama 3.1's rule (wavelengths longer than original/low are
// stretched by factor, shorter than original/high kept, blended between). yarn (arXiv 2309.00071, section 3.2): pairs that turn more than
// beta_fast times in the original context are kept, less than beta_slow times divided by factor, blended between. Values are rounded to
// fp32 where HF keeps fp32, so that long contexts agree with it.
std::vector<float> rotary_frequencies(int64_t head_dim, double theta, const RotaryScaling& scaling);

// YaRN's factor of what is rotated, or, squared, of the scores: 0.1 mscale ln(factor) + 1; 1 where nothing is stretched.
double yarn_mscale(double factor, double mscale);

struct RotaryTable {
  Tensor cos_PH, sin_PH;  // fp32 [positions, head_dim / 2]
  bool interleaved = false;
  std::vector<float> frequencies;  // of which it was made, with `magnitude`
  double magnitude = 1;
  // Where positions have several components (a picture's time, row and column; M-RoPE, Qwen2-VL, arXiv 2409.12191): which one turns each
  // pair. Empty: they have one.
  std::vector<int64_t> component_of_pair = {};
  int64_t positions() const { return cos_PH.size(0); }
  // At least so many rows. The rows that are there keep their values; growth replaces the tensors.
  void reach(int64_t positions);
};
// `magnitude`: factor of cos and sin (yarn).
RotaryTable rotary_table(const std::vector<float>& frequencies, int64_t positions, at::Device device, bool interleaved = false,
                         double magnitude = 1);

// component_of_pair of consecutive pairs, `sections` of them for each component: {2, 1, 1} is 0 0 1 2. They must be head_dim / 2 in all.
std::vector<int64_t> components_by_section(const std::vector<int64_t>& sections);

// x [T, N, H], positions int32 on x's device, each < table rows: [T], or [T, C] for a table whose pairs have components below C; [T] is
// then the same number in each. Computed in fp32, rounded once to x's dtype.
Tensor rotary(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions);
Tensor rotary_ref(const Tensor& x_TNH, const RotaryTable& table, const Tensor& positions);

}  // namespace r1::ops
