// Multinomial logistic regression over sparse vectors: logits = b + sum_i x_i W[i]. Trained to its optimum, which is one (the loss is strictly
// convex for l2 > 0):
//   loss = mean over messages of -log softmax(logits)[label] + l2 / 2 |W|^2      (biases are free)
// by L-BFGS (Liu & Nocedal, 1989) with a backtracking line search. One thread, the same bits every time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "r1/api/intent_features.h"
#include "r1/base/config.h"

namespace r1::api {

struct LinearOptions {
  double l2 = 2e-6;
  double tolerance = 1e-5;  // ends when the gradient's norm is that share of what it was at the start
  int64_t max_iterations = 150;

  void visit(Fields& v);
};

class LinearClassifier {
 public:
  LinearClassifier() = default;
  // What was saved, checked: sizes fit, all finite. weights [features][classes].
  static LinearClassifier from_parts(int64_t classes, std::vector<float> weights, std::vector<float> bias);

  struct Progress {
    int64_t iteration = 0;
    double loss = 0, gradient = 0;
  };
  // Labels in [0, classes). `told`: after each iteration; false ends it there.
  static LinearClassifier train(std::span<const SparseVector> x, std::span<const int32_t> labels, int64_t classes, int64_t features,
                                const LinearOptions& options, const std::function<bool(const Progress&)>& told = {});

  // [classes]; indices past the last feature are an error.
  std::vector<float> logits(const SparseVector& x) const;
  int64_t classes() const { return classes_; }
  int64_t features() const { return classes_ ? int64_t(weights_.size()) / classes_ : 0; }
  const std::vector<float>& weights() const { return weights_; }
  const std::vector<float>& bias() const { return bias_; }

 private:
  int64_t classes_ = 0;
  std::vector<float> weights_, bias_;
};

// In place; logits may be any finite numbers.
void softmax(std::span<float> logits);

}  // namespace r1::api
