#include "r1/api/intent_linear.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "r1/base/error.h"

namespace r1::api {
namespace {

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * b[i];
  return sum;
}

// The loss and its gradient at weights [features][classes], then biases [classes], in one row.
class Objective {
 public:
  Objective(std::span<const SparseVector> x, std::span<const int32_t> labels, int64_t classes, int64_t features, double l2)
      : x_(x), labels_(labels), classes_(size_t(classes)), biases_at_(size_t(features) * size_t(classes)), l2_(l2) {}

  double operator()(std::span<const float> w, std::span<float> gradient) const {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    std::vector<float> p(classes_);
    double loss = 0;
    const float share = 1.0f / float(x_.size());
    for (size_t m = 0; m < x_.size(); ++m) {
      logits(w, x_[m], p);
      const size_t label = size_t(labels_[m]);
      const float own = p[label];
      loss += log_sum_exp(p) - own;
      softmax(p);
      p[label] -= 1;
      for (size_t c = 0; c < classes_; ++c) p[c] *= share;
      add_outer(x_[m], p, gradient);
    }
    double squares = 0;
    for (size_t i = 0; i < biases_at_; ++i) {
      squares += double(w[i]) * w[i];
      gradient[i] += float(l2_) * w[i];
    }
    return loss / double(x_.size()) + l2_ / 2 * squares;
  }

 private:
  void logits(std::span<const float> w, const SparseVector& x, std::vector<float>& out) const {
    std::copy_n(w.begin() + std::ptrdiff_t(biases_at_), classes_, out.begin());
    for (size_t i = 0; i < x.index.size(); ++i) {
      const float* row = w.data() + x.index[i] * classes_;
      for (size_t c = 0; c < classes_; ++c) out[c] += x.value[i] * row[c];
    }
  }
  void add_outer(const SparseVector& x, const std::vector<float>& d, std::span<float> gradient) const {
    for (size_t i = 0; i < x.index.size(); ++i) {
      float* row = gradient.data() + x.index[i] * classes_;
      for (size_t c = 0; c < classes_; ++c) row[c] += x.value[i] * d[c];
    }
    for (size_t c = 0; c < classes_; ++c) gradient[biases_at_ + c] += d[c];
  }
  static double log_sum_exp(const std::vector<float>& z) {
    const double most = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (float v : z) sum += std::exp(double(v) - most);
    return most + std::log(sum);
  }

  std::span<const SparseVector> x_;
  std::span<const int32_t> labels_;
  size_t classes_, biases_at_;
  double l2_;
};

// The last few steps, and what they make of a gradient: the two-loop recursion.
class History {
 public:
  void add(std::vector<float> step, std::vector<float> change) {
    const double product = dot(step, change);
    if (product <= 1e-12 * dot(change, change)) return;  // no curvature to learn from
    if (pairs_.size() == kPairs) pairs_.pop_front();
    pairs_.push_back({std::move(step), std::move(change), 1 / product});
  }
  // Minus the inverse Hessian's estimate times g.
  std::vector<float> direction(std::span<const float> g) const {
    std::vector<float> q(g.begin(), g.end());
    std::vector<double> alpha(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = pairs_[i].rho * dot(pairs_[i].step, q);
      add_scaled(q, pairs_[i].change, -alpha[i]);
    }
    if (!pairs_.empty()) {
      const double scale = 1 / (pairs_.back().rho * dot(pairs_.back().change, pairs_.back().change));
      for (float& v : q) v = float(v * scale);
    }
    for (size_t i = 0; i < pairs_.size(); ++i) add_scaled(q, pairs_[i].step, alpha[i] - pairs_[i].rho * dot(pairs_[i].change, q));
    for (float& v : q) v = -v;
    return q;
  }
  bool empty() const { return pairs_.empty(); }
  void clear() { pairs_.clear(); }

 private:
  static constexpr size_t kPairs = 6;
  struct Pair {
    std::vector<float> step, change;
    double rho;
  };
  static void add_scaled(std::vector<float>& to, const std::vector<float>& x, double scale) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += float(scale * x[i]);
  }
  std::deque<Pair> pairs_;
};

struct Point {
  std::vector<float> w, gradient;
  double loss = 0;
};

// Goes along `direction` until the loss falls enough (Armijo); false: it does not.
bool line_search(const Objective& objective, const Point& from, std::span<const float> direction, double first, Point& to) {
  const double slope = dot(from.gradient, direction);
  if (!(slope < 0)) return false;
  double t = first;
  for (int tries = 0; tries < 25; ++tries, t /= 2) {
    for (size_t i = 0; i < to.w.size(); ++i) to.w[i] = from.w[i] + float(t * direction[i]);
    to.loss = objective(to.w, to.gradient);
    if (to.loss <= from.loss + 1e-4 * t * slope) return true;
  }
  return false;
}

std::vector<float> difference(std::span<const float> a, std::span<const float> b) {
  std::vector<float> d(a.size());
  for (size_t i = 0; i < d.size(); ++i) d[i] = a[i] - b[i];
  return d;
}

std::vector<float> minimise(const Objective& objective, size_t numbers, const LinearOptions& options,
                            const std::function<bool(const LinearClassifier::Progress&)>& told) {
  Point at{std::vector<float>(numbers), std::vector<float>(numbers)}, next = at;
  at.loss = objective(at.w, at.gradient);
  const double start = std::sqrt(dot(at.gradient, at.gradient));
  History history;
  for (int64_t i = 1; i <= options.max_iterations; ++i) {
    const double norm = std::sqrt(dot(at.gradient, at.gradient));
    if (norm <= options.tolerance * start) break;
    const bool fresh = history.empty();
    if (!line_search(objective, at, history.direction(at.gradient), fresh ? 1 / norm : 1, next)) {
      if (fresh) break;  // steepest descent finds nothing lower: rounding's floor
      history.clear();
      continue;
    }
    history.add(difference(next.w, at.w), difference(next.gradient, at.gradient));
    std::swap(at, next);
    if (told && !told({i, at.loss, norm})) break;
  }
  return at.w;
}

void check_training(std::span<const SparseVector> x, std::span<const int32_t> labels, int64_t classes, int64_t features) {
  check(!x.empty() && x.size() == labels.size(), "[linear] expected a label for each of ", x.size(), " messages, got ", labels.size());
  check(classes >= 2 && features >= 1, "[linear] expected at least two classes and one feature, got ", classes, " and ", features);
  for (size_t m = 0; m < x.size(); ++m) {
    check(labels[m] >= 0 && labels[m] < classes, "[linear] expected labels below ", classes, ", got ", labels[m]);
    check(x[m].index.size() == x[m].value.size() && (x[m].index.empty() || x[m].index.back() < uint64_t(features)),
          "[linear] expected indices below ", features, " with a value each in message ", m);
  }
}

}  // namespace

void LinearOptions::visit(Fields& v) {
  v("l2", l2, "weight of |W|^2 / 2 in the loss", Range{0, 1});
  v("tolerance", tolerance, "ends at this share of the first gradient", Range{0, 1});
  v("max_iterations", max_iterations, "ends at the latest after these", Range{1, 100'000});
}

void softmax(std::span<float> logits) {
  if (logits.empty()) return;
  const float most = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (float& v : logits) sum += v = std::exp(v - most);
  for (float& v : logits) v /= sum;
}

LinearClassifier LinearClassifier::from_parts(int64_t classes, std::vector<float> weights, std::vector<float> bias) {
  check(classes >= 2 && bias.size() == size_t(classes) && weights.size() % size_t(classes) == 0, "[linear] expected weights [features, ",
        classes, "] and ", classes, " biases, got ", weights.size(), " and ", bias.size());
  const auto finite = [](const std::vector<float>& v) { return std::all_of(v.begin(), v.end(), [](float x) { return std::isfinite(x); }); };
  check(finite(weights) && finite(bias), "[linear] expected finite weights, got NaN or Inf");
  LinearClassifier classifier;
  classifier.classes_ = classes;
  classifier.weights_ = std::move(weights);
  classifier.bias_ = std::move(bias);
  return classifier;
}

LinearClassifier LinearClassifier::train(std::span<const SparseVector> x, std::span<const int32_t> labels, int64_t classes,
                                         int64_t features, const LinearOptions& options, const std::function<bool(const Progress&)>& told) {
  check_training(x, labels, classes, features);
  const Objective objective(x, labels, classes, features, options.l2);
  std::vector<float> w = minimise(objective, size_t((features + 1) * classes), options, told);
  std::vector<float> bias(w.end() - std::ptrdiff_t(classes), w.end());
  w.resize(size_t(features * classes));
  return from_parts(classes, std::move(w), std::move(bias));
}

std::vector<float> LinearClassifier::logits(const SparseVector& x) const {
  std::vector<float> out = bias_;
  for (size_t i = 0; i < x.index.size(); ++i) {
    check(int64_t(x.index[i]) < features(), "[linear] expected indices below ", features(), ", got ", x.index[i]);
    const float* row = weights_.data() + size_t(x.index[i]) * size_t(classes_);
    for (size_t c = 0; c < size_t(classes_); ++c) out[c] += x.value[i] * row[c];
  }
  return out;
}

}  // namespace r1::api
