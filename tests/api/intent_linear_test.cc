#include "r1/api/intent_linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/rng.h"
#include "tests/message_of.h"

namespace r1::api {
namespace {

struct Problem {
  std::vector<SparseVector> x;
  std::vector<int32_t> y;
  int64_t classes = 0, features = 0;
};

Problem random_problem(uint64_t seed, int64_t messages, int64_t features, int64_t classes) {
  Problem p{.classes = classes, .features = features};
  Rng rng(seed);
  for (int64_t m = 0; m < messages; ++m) {
    SparseVector x;
    for (int64_t f = 0; f < features; ++f) {
      if (rng.uniform() < 0.4) x.index.push_back(uint32_t(f)), x.value.push_back(float(rng.normal()));
    }
    p.x.push_back(x);
    p.y.push_back(int32_t(rng.below(uint64_t(classes))));
  }
  return p;
}

// The same loss and its gradient in double, dense, from the definition.
struct Reference {
  const Problem& p;
  double l2;
  std::vector<double> logits(const std::vector<double>& w, size_t m) const {
    const size_t c = size_t(p.classes);
    std::vector<double> z(w.end() - std::ptrdiff_t(c), w.end());
    for (size_t i = 0; i < p.x[m].index.size(); ++i) {
      for (size_t k = 0; k < c; ++k) z[k] += p.x[m].value[i] * w[p.x[m].index[i] * c + k];
    }
    return z;
  }
  double loss(const std::vector<double>& w) const {
    double sum = 0, squares = 0;
    for (size_t m = 0; m < p.x.size(); ++m) {
      const std::vector<double> z = logits(w, m);
      double total = 0;
      for (double v : z) total += std::exp(v);
      sum += std::log(total) - z[size_t(p.y[m])];
    }
    for (size_t i = 0; i < size_t(p.features * p.classes); ++i) squares += w[i] * w[i];
    return sum / double(p.x.size()) + l2 / 2 * squares;
  }
  double slope(std::vector<double> w, size_t i) const {
    const double h = 1e-5, at = w[i];
    w[i] = at + h;
    const double up = loss(w);
    w[i] = at - h;
    return (up - loss(w)) / (2 * h);
  }
};

std::vector<double> flat(const LinearClassifier& c) {
  std::vector<double> w(c.weights().begin(), c.weights().end());
  w.insert(w.end(), c.bias().begin(), c.bias().end());
  return w;
}

TEST(IntentLinear, EndsWhereTheLossHasNoSlope) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const Problem p = random_problem(seed, 60, 12, 4);
    const double l2 = 1e-2;
    const LinearClassifier c =
        LinearClassifier::train(p.x, p.y, p.classes, p.features, {.l2 = l2, .tolerance = 1e-6, .max_iterations = 500});
    const Reference reference{p, l2};
    const std::vector<double> w = flat(c);
    for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(reference.slope(w, i), 0, 2e-4) << "weight " << i;
    // Strictly convex: every step aside is uphill.
    Rng rng(seed);
    for (int k = 0; k < 50; ++k) {
      std::vector<double> aside = w;
      for (double& v : aside) v += 0.05 * rng.normal();
      EXPECT_GT(reference.loss(aside), reference.loss(w));
    }
  }
}

TEST(IntentLinear, AgreesWithPlainGradientDescent) {
  const Problem p = random_problem(11, 40, 6, 3);
  const Reference reference{p, 5e-2};
  std::vector<double> w(size_t((p.features + 1) * p.classes));
  for (int step = 0; step < 4000; ++step) {
    std::vector<double> g(w.size());
    const size_t classes = size_t(p.classes);
    for (size_t m = 0; m < p.x.size(); ++m) {
      std::vector<double> z = reference.logits(w, m);
      double total = 0;
      for (double& v : z) total += v = std::exp(v);
      for (size_t k = 0; k < classes; ++k) {
        const double d = (z[k] / total - (int32_t(k) == p.y[m])) / double(p.x.size());
        for (size_t i = 0; i < p.x[m].index.size(); ++i) g[p.x[m].index[i] * classes + k] += d * p.x[m].value[i];
        g[size_t(p.features) * classes + k] += d;
      }
    }
    for (size_t i = 0; i < w.size(); ++i) w[i] -= 0.3 * (g[i] + (i < size_t(p.features) * classes ? 5e-2 * w[i] : 0));
  }
  const LinearClassifier c =
      LinearClassifier::train(p.x, p.y, p.classes, p.features, {.l2 = 5e-2, .tolerance = 1e-7, .max_iterations = 500});
  EXPECT_NEAR(reference.loss(flat(c)), reference.loss(w), 1e-5);
  for (size_t i = 0; i < size_t(p.features * p.classes); ++i) EXPECT_NEAR(c.weights()[i], w[i], 5e-3) << i;
}

TEST(IntentLinear, IsTheSameEveryTimeAndTellsItsProgress) {
  const Problem p = random_problem(3, 50, 10, 5);
  std::vector<double> losses;
  const auto train = [&] {
    return LinearClassifier::train(p.x, p.y, p.classes, p.features, {}, [&](const LinearClassifier::Progress& at) {
      losses.push_back(at.loss);
      return true;
    });
  };
  EXPECT_EQ(train().weights(), train().weights());
  const size_t half = losses.size() / 2;
  for (size_t i = 1; i < half; ++i) EXPECT_LE(losses[i], losses[i - 1]);
  const LinearClassifier stopped = LinearClassifier::train(p.x, p.y, p.classes, p.features, {}, [](const auto&) { return false; });
  EXPECT_NE(stopped.weights(), train().weights());
}

TEST(IntentLinear, RefusesWhatDoesNotFit) {
  const Problem p = random_problem(1, 4, 3, 2);
  const auto refused = [&](auto change) {
    Problem q = p;
    change(q);
    return message_of([&] { LinearClassifier::train(q.x, q.y, q.classes, q.features, {}); });
  };
  EXPECT_NE(refused([](Problem& q) { q.y[0] = 2; }).find("labels below 2"), std::string::npos);
  EXPECT_NE(refused([](Problem& q) { q.y[0] = -1; }).find("labels below 2"), std::string::npos);
  EXPECT_NE(refused([](Problem& q) { q.y.pop_back(); }).find("a label for each"), std::string::npos);
  EXPECT_NE(refused([](Problem& q) { q.x[0] = {{3}, {1.0f}}; }).find("indices below 3"), std::string::npos);
  EXPECT_NE(message_of([] { LinearClassifier::from_parts(2, {1, NAN}, {0, 0}); }).find("finite"), std::string::npos);
  EXPECT_NE(message_of([] { LinearClassifier::from_parts(2, {1, 2, 3}, {0, 0}); }).find("expected weights"), std::string::npos);
  const LinearClassifier c = LinearClassifier::from_parts(2, {1, 2}, {0, 0});
  EXPECT_NE(message_of([&] { c.logits({{1}, {1.0f}}); }).find("indices below 1"), std::string::npos);
}

TEST(IntentLinear, SoftmaxOfLargeNumbersIsFinite) {
  std::vector<float> z = {1e30f, -1e30f, 1e30f};
  softmax(z);
  EXPECT_FLOAT_EQ(z[0], 0.5f);
  EXPECT_FLOAT_EQ(z[1], 0.0f);
}

}  // namespace
}  // namespace r1::api
