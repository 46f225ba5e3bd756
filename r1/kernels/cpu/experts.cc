// The doors of experts.h, and the parts that are a few numbers a row.
#include "r1/kernels/cpu/experts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "r1/base/error.h"
#include "r1/kernels/cpu/experts_simd.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

constexpr float kTiny = 1e-20f;  // keeps gates whose scores are all zero finite
constexpr float kLowest = -std::numeric_limits<float>::infinity();

// The choice for one row; its vectors are kept from row to row.
class Chooser {
 public:
  explicit Chooser(const ChooseExperts& a) : a_(a), value_(size_t(a.experts)), group_(size_t(a.groups)) {}

  void operator()(int64_t row) {
    for (int64_t e = 0; e < a_.experts; ++e) {
      const float v = a_.scores[row * a_.experts + e] + (a_.bias ? a_.bias[e] : 0.0f);
      value_[size_t(e)] = std::isnan(v) ? kLowest : v;
    }
    if (a_.groups_kept < a_.groups) drop_groups();
    take(value_, a_.per_token, [&](int64_t k, int64_t e) { a_.chosen[row * a_.per_token + k] = e; });
  }

 private:
  static constexpr int64_t kTaken = -1;

  // Calls use(k, i) for the `count` largest, largest first, of equals the first. Few are taken of few: one pass each.
  template <class Use>
  void take(const std::vector<float>& values, int64_t count, Use use) {
    free_.assign(values.size(), true);
    for (int64_t k = 0; k < count; ++k) {
      int64_t best = kTaken;
      for (int64_t i = 0; i < int64_t(values.size()); ++i)
        if (free_[size_t(i)] && (best == kTaken || values[size_t(i)] > values[size_t(best)])) best = i;
      free_[size_t(best)] = false;
      use(k, best);
    }
  }

  void drop_groups() {
    const int64_t size = a_.experts / a_.groups;
    for (int64_t g = 0; g < a_.groups; ++g) {
      float first = kLowest, second = kLowest;
      for (int64_t e = g * size; e < (g + 1) * size; ++e) {
        const float v = value_[size_t(e)];
        if (v > first) {
          second = first, first = v;
        } else if (v > second) {
          second = v;
        }
      }
      group_[size_t(g)] = a_.group_by_max ? first : first + second;
    }
    kept_.assign(size_t(a_.groups), false);
    take(group_, a_.groups_kept, [&](int64_t, int64_t g) { kept_[size_t(g)] = true; });
    // An expert of a dropped group comes after every other, even after those whose score is not finite.
    for (int64_t e = 0; e < a_.experts; ++e) {
      float& v = value_[size_t(e)];
      v = kept_[size_t(e / size)] ? std::max(v, std::numeric_limits<float>::lowest()) : kLowest;
    }
  }

  const ChooseExperts& a_;
  std::vector<float> value_, group_;
  std::vector<bool> free_, kept_;
};

float gate_sum(const float* scores, const int64_t* chosen, int64_t count) {
  float sum = kTiny;
  for (int64_t k = 0; k < count; ++k) sum += scores[chosen[k]];
  return sum;
}

}  // namespace

void expert_scores(const ExpertScores& a) {
  check(a.experts > 0, "[expert_scores] expected experts, got none");
  with_isa([&](auto isa) { expert_scores_simd<isa()>(a, threads_for(double(a.rows * a.experts) * 20)); });
}

void expert_scores_backward(const ExpertScoresBackward& a) {
  check(a.experts > 0, "[expert_scores_backward] expected experts, got none");
  with_isa([&](auto isa) { expert_scores_backward_simd<isa()>(a, threads_for(double(a.rows * a.experts) * 6)); });
}

void choose_experts(const ChooseExperts& a) {
  check(a.groups >= 1 && a.experts % a.groups == 0 && a.groups_kept >= 1 && a.groups_kept <= a.groups, "[choose_experts] expected ",
        a.experts, " experts in equal groups, got ", a.groups, " groups of which ", a.groups_kept, " count");
  check(a.per_token >= 1 && a.per_token <= a.experts / a.groups * a.groups_kept, "[choose_experts] expected at most ",
        a.experts / a.groups * a.groups_kept, " experts a token, got ", a.per_token);
  const int threads = threads_for(double(a.rows * a.experts) * double(2 * a.per_token));
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    Chooser choose(a);
#pragma omp for schedule(static)
    for (int64_t r = 0; r < a.rows; ++r) choose(r);
  }
}

void expert_gates(const ExpertGates& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const float* scores = a.scores + r * a.experts;
    const int64_t* chosen = a.chosen + r * a.per_token;
    const float sum = a.normalised ? gate_sum(scores, chosen, a.per_token) : 1.0f;
    for (int64_t k = 0; k < a.per_token; ++k) a.gates[r * a.per_token + k] = scores[chosen[k]] / sum * a.scale;
  }
}

// With g_k = scale s_k / S:  ds_k = (scale dg_k - sum_j dg_j g_j) / S, or scale dg_k without the division.
void expert_gates_backward(const ExpertGatesBackward& a) {
  std::fill(a.dscores, a.dscores + a.rows * a.experts, 0.0f);
  for (int64_t r = 0; r < a.rows; ++r) {
    const float *scores = a.scores + r * a.experts, *dgates = a.dgates + r * a.per_token;
    const int64_t* chosen = a.chosen + r * a.per_token;
    const float sum = a.normalised ? gate_sum(scores, chosen, a.per_token) : 1.0f;
    float shared = 0;
    for (int64_t k = 0; a.normalised && k < a.per_token; ++k) shared += dgates[k] * (scores[chosen[k]] / sum * a.scale);
    for (int64_t k = 0; k < a.per_token; ++k) a.dscores[r * a.experts + chosen[k]] = (a.scale * dgates[k] - shared) / sum;
  }
}

void combine_rows(const CombineRows& given) {
  CombineRows a = given;
  if (!a.y.row_stride) a.y.row_stride = a.dim;
  if (!a.out.row_stride) a.out.row_stride = a.dim;
  with_isa([&](auto isa) { combine_rows_simd<isa()>(a, threads_for(double(a.tokens * a.dim) * double(a.per_token))); });
}

void combine_rows_backward(const CombineRowsBackward& given) {
  CombineRowsBackward a = given;
  for (ConstRows* x : {&a.y, &a.dout})
    if (!x->row_stride) x->row_stride = a.dim;
  if (!a.dy.row_stride) a.dy.row_stride = a.dim;
  with_isa([&](auto isa) { combine_rows_backward_simd<isa()>(a, threads_for(double(a.tokens * a.dim) * double(2 * a.per_token))); });
}

}  // namespace r1::kernels
